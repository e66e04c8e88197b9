/* OpenCL devices: what there are, what each can do, and one opened for work.
 *
 * Each opened device has its own context, or shares one with others of its platform, and one
 * in-order queue: commands run in the order in which they were enqueued, so no caller needs events
 * to keep them apart. What goes to the device beside the kernels has a second such queue, and what
 * comes from it (cl/window.h) a third one, so that none waits for another; marks keep them in step.
 */
#ifndef CL_DEVICE_H
#define CL_DEVICE_H

#include "base/trace.h"

#include <stddef.h>
#include <stdint.h>

enum { DEVICE_TEXT = 128 };

/* What a kernel, or a person, may want to know of a device. Sizes are in bytes. */
struct device_info {
    int index; /* as in `clnet devices` and `--devices` */
    char name[DEVICE_TEXT];
    char vendor[DEVICE_TEXT];
    char platform[DEVICE_TEXT];
    char driver[DEVICE_TEXT];
    char version[DEVICE_TEXT]; /* "OpenCL 3.0 ..." */
    const char *kind;          /* "CPU", "GPU", "accelerator", "other" */
    int is_cpu;
    int is_unified; /* it works in the host's memory */
    int compute_units;
    int clock_mhz;
    int vector_width; /* native, in floats */
    int has_fma;      /* fused multiply-add in single precision, in hardware */
    int has_fp16, has_fp64;
    int sub_devices; /* how many it can be split into, 0 if it cannot */
    size_t work_group_max;
    int sub_group; /* the fewest work-items that can be made to share a register, so that each has
                      128 of them, and to read each other's, where kernels may say so: Intel's GPUs;
                      0: they may not */
    uint64_t global_memory, local_memory, allocation_max;
    size_t cache[2];  /* a core's first and second cache; 0: unknown, or it is no CPU */
    size_t alignment; /* of a view into a buffer */
    unsigned quirks;  /* what no query tells: bits of enum quirk, cl/quirks.h */
    /* After so many commands, for a trial: cl/limits_override.h; 0: never. */
    uint64_t fails_after, launches_fail_after, hangs_after;
};

/* Every device of every platform, in a fixed order, in new memory that the caller frees. No
 * platform or no device is ERROR_DEVICE with what to install. */
int devices_list(struct device_info **out, int *count);

/* The index of the best single device: a GPU before others, then the most units x clock. */
int devices_best(const struct device_info *devices, int count);

/* A device to work on, or a part of one. */
struct device_choice {
    int index; /* in devices_list */
    int part;  /* which of its parts, from 0 */
    int parts; /* equal sub-devices that it is split into; 0 or 1: it is taken whole */
};

/* What a `--devices` asks for, in new memory that the caller frees, in the order in which it names
 * them: "0", "0,1", "all"; "0/2" is the two halves of device 0, "0/2:1" the second of them, "0,0"
 * twice the same device. NULL: the best single device. ERROR_INPUT tells what is wrong with the
 * text, that there is no such device, or that it cannot be split so. */
int devices_choose(struct device_choice **out, int *count, const char *text);

struct device;

/* Opens a device; ERROR_INPUT says how many there are when the index is out of range, and how far
 * it can be split when that is asked too much. What it tells of itself is then about the part
 * alone. May be called from several threads; what is open is for one thread at a time, but for
 * buffers' transfers (cl/buffer.h), which another may start meanwhile. Free with device_close,
 * after everything that was made on it. */
int device_open(struct device **out, struct device_choice choice);

/* The same, with queues that take times: see kernel_seconds. */
int device_open_profiling(struct device **out, struct device_choice choice);

/* How several are opened. */
enum {
    DEVICES_PROFILING = 1,     /* their queues take times */
    DEVICES_SHARE_CONTEXT = 2, /* those of one platform share a context, and may copy to
                                  each other: cl/buffer.h */
};

/* Opens several, in the order of the list, which may name one twice; all or none. A platform that
 * grants no context for all of its devices has one for each: ask device_shares_context. */
int devices_open(struct device **out, const struct device_choice *choices, int count, int flags);

/* A whole device, by its index. */
#define WHOLE_DEVICE(i) ((struct device_choice){.index = (i)})

void device_close(struct device *device);

const struct device_info *device_info(const struct device *device);

/* Whether they are in one context. */
int device_shares_context(const struct device *a, const struct device *b);

/* What names a device and its driver for what is kept of it between runs. */
enum { DEVICE_KEY = 4 * DEVICE_TEXT };
void device_key(char key[DEVICE_KEY], const struct device_info *info);

/* What was found to be best on it (cl/tuning.h): what the program brings, in its place what earlier
 * runs found, and what is added since. Its owner may change the table while nothing is made on the
 * device. */
struct tunings *device_tunings(const struct device *device);

/* The same of a device that is not open, in a new table, to be freed with tunings_free. */
int device_find_tunings(struct tunings **out, const struct device_info *info);

/* Adds a tuning to the device's table, and to those of later runs. */
struct tuning;
int device_keep_tuning(struct device *device, const struct tuning *tuning);

/* Bytes of its buffers that are alive. */
uint64_t device_allocated(const struct device *device);

/* Has the device begin with what was enqueued so far, which a driver may else keep back until
 * someone waits for it. */
int device_flush(struct device *device);

/* Waits until everything enqueued so far is done. */
int device_finish(struct device *device);

/* A point in one of a device's queues, which its other ones, those of devices that share its
 * context, or the host can wait for. Zeroed: none, which is over already. Free with mark_free,
 * whether or not it was reached. */
struct mark {
    void *event;
};

/* Marks the end of what was enqueued so far, transfers aside. Replaces what *mark was. */
int device_mark(struct device *device, struct mark *mark);

/* What is enqueued from here on begins after the mark, which may be of a transfer. */
int device_wait_for(struct device *device, const struct mark *mark);

/* Waits on the host. */
int mark_wait(struct device *device, const struct mark *mark);

void mark_free(struct mark *mark);

/* Its signs of life so far, and whether a thread waits for it, for another thread to see: without
 * signs, and awaited all the time, a device does not answer. Neither asks the driver. */
unsigned device_signs(const struct device *device);
int device_is_awaited(const struct device *device);

/* Looks for kernels that are done: signs of life while a thread waits for what comes after many.
 * For a thread of its own, to be called now and then, since a driver that hangs may have it wait.
 */
void device_listen(struct device *device);

/* Waits, and adds the time of every kernel launched since the last call to that kernel's. */
int device_collect_times(struct device *device);

/* On a device that was opened for profiling: from here on every command becomes a span of the
 * trace, in a group of that name, once device_collect or device_collect_times comes upon it. The
 * trace must outlive the device. */
int device_trace(struct device *device, struct trace *trace, const char *group);

/* The same as device_collect_times for those that are done, without waiting. Without profiling
 * there is nothing to do. */
int device_collect(struct device *device);

#endif
