/* What the files of host/cl share: the only place that names OpenCL's types. */
#ifndef CL_INTERNAL_H
#define CL_INTERNAL_H

#include "base/error.h"
#include "cl/device.h"

#include <CL/cl.h>
#include <pthread.h>
#include <stdatomic.h>

struct kernel;

/* A device's queues. */
enum queue_kind { QUEUE_KERNELS, QUEUE_TRANSFERS, QUEUE_WINDOWS, QUEUES };

/* A command whose time has not been taken yet. */
struct command {
    cl_event before; /* NULL: its time begins as it starts; else where this one ends */
    cl_event event;
    struct kernel *kernel; /* NULL: it is none */
    const char *name;
    enum queue_kind queue;
};

struct kernel_spec;
struct program; /* program.c */
struct store;

/* Commands that are listened for at once. */
enum { PULSES = 256 };

struct device {
    struct device_info info;
    cl_device_id id;
    cl_context context;
    cl_command_queue queue, transfers, windows;
    struct program *programs; /* built so far, newest first */
    struct store *store;      /* what earlier runs found; NULL: nothing can be kept */
    struct tunings *tunings;
    uint64_t allocated; /* bytes of buffers alive */
    int is_counted;     /* by blas_use */
    int is_profiling;

    /* For a trial, trial.c. */
    atomic_ullong enqueued; /* commands so far */
    atomic_ullong launches; /* of kernels, which are some of them */
    cl_event hang;          /* NULL: it does not */

    /* Signs of life, pulse.c. */
    atomic_int awaited; /* by so many threads */
    atomic_uint signs;
    atomic_int is_listened_to, pulse_count;
    pthread_mutex_t pulse_lock;
    cl_event pulses[PULSES];

    /* When profiling. */
    pthread_mutex_t lock; /* guards the list: transfers come from another thread than launches */
    struct command *commands;
    int command_count, command_room;
    struct trace *trace; /* NULL: none */
    int rows[QUEUES];
    double clock_offset; /* from the device's clock to clock_seconds */
    double kernel_began; /* the last one, by clock_seconds, on a device without a clock */
};

struct buffer {
    struct device *device;
    cl_mem memory;
    size_t bytes;
    struct buffer *whole; /* of a view: what it is a part of; else NULL */
    struct buffer *views; /* of a whole: its views, the last one made first */
    struct buffer *next;  /* of a view: the one made before it */
    int handles;          /* of a whole: its own and its views' that were not freed yet */
};

/* OpenCL's name for an error code. */
const char *cl_error_name(cl_int code);

/* Writes "device 0 (name): call: CL_ERROR_NAME" and returns ERROR_DEVICE. */
int cl_error(const struct device *device, cl_int code, const char *call);

/* Hands up a failed OpenCL call. */
#define CL_TRY(device, x)                          \
    do {                                           \
        cl_int cl_code_ = (x);                     \
        if (cl_code_ != CL_SUCCESS)                \
            return cl_error(device, cl_code_, #x); \
    } while (0)

/* Whether there is such a device, and such a part of it: ERROR_INPUT says what there is. */
int choice_check_index(int index, int count);
int choice_check_parts(const struct device_choice *choice, const struct device_info *info);

/* Waits for an event, as the signs of life have it; or what comes between the two does. */
cl_int pulse_wait(struct device *device, cl_event event);
void pulse_wait_begins(struct device *device);
void pulse_wait_ends(struct device *device);

/* Whether a command's event is wanted for a sign of life, and the event, which stays the caller's.
 */
int pulse_is_wanted(const struct device *device);
void pulse_note(struct device *device, cl_event event);

void pulse_free(struct device *device);

/* Called before each command that goes to a queue: the code with which it is to fail, in a trial,
 * or CL_SUCCESS; it may have the queue hang, until trial_end. */
cl_int trial_command(struct device *device, cl_command_queue queue);
cl_int trial_launch(struct device *device, cl_command_queue queue); /* of a kernel */
void trial_end(struct device *device);
/* Gives each of the devices a context: its own, or one for all of a platform. */
int contexts_create(struct device **devices, int count, int is_shared);

/* Waits until all that a queue holds is done. clFinish of Mesa 22.3 does not wait for what was
 * flushed before, so this waits for a marker instead. */
cl_int queue_finish(struct device *device, cl_command_queue queue);

/* Where a command's event is to go: *event when the device takes times, else nowhere. */
cl_event *device_event(const struct device *device, cl_event *event);

/* Before a kernel whose time is to be noted is enqueued. */
void device_note_begins(struct device *device);

/* Notes a command that was enqueued, whose event it takes over, for its time and as a sign of life;
 * NULL: there is nothing to note. The name must last. Without memory for it, its time is lost. */
void device_note(struct device *device, enum queue_kind queue, cl_event event, const char *name,
                 struct kernel *kernel);

/* The same for several commands, between the events of two markers. */
void device_note_several(struct device *device, enum queue_kind queue, cl_event before,
                         cl_event event, const char *name, struct kernel *kernel);

/* Frees the commands that were noted. */
void timeline_free(struct device *device);

struct device *kernel_device(const struct kernel *kernel);
const char *kernel_label(const struct kernel *kernel);
int kernel_is_mute(const struct kernel *kernel);

/* Adds a launch's time to a kernel's. */
void kernel_add_time(struct kernel *kernel, double seconds);

/* The specification's program, compiled for the device: once in its life, and not at all where an
 * earlier run has left it. A failed build is ERROR_DEVICE, with the macros and the compiler's log.
 */
int program_get(cl_program *out, struct device *device, const struct kernel_spec *spec);

/* How many threads build `count` programs, on so many cores. */
int program_builders(const struct device_info *info, int count, long cores);

/* Frees the device's programs. */
void programs_free(struct device *device);

#endif
