/* Kernels: what to compile, with which constants; the compiled thing; a launch. */
#ifndef CL_KERNEL_H
#define CL_KERNEL_H

#include "cl/buffer.h"

#include <stdint.h>

enum {
    KERNEL_DEFINES_MAX = 40,
    KERNEL_ARGUMENTS_MAX = 16,
    KERNEL_OPTIONS_MAX = 4096,
    KERNEL_TEXTS = 5,
};

/* The file of kernels that CLBlast has and compiles. */
#define KERNEL_FILE_BLAS "CLBlast"

/* A macro for the kernel's compiler. */
struct kernel_define {
    const char *name;
    char value[32];
};

/* A kernel to be: a function of a file of kernels_cl/, specialised by macros, and the launch
 * geometry that goes with them. Host only: needs no device. */
struct kernel_spec {
    const char *file;     /* "conv_vector.cl"; NULL: no kernel is needed here */
    const char *function; /* "conv_forward" */
    struct kernel_define defines[KERNEL_DEFINES_MAX];
    int define_count;
    size_t global[3];
    size_t local[3]; /* zeros: the driver chooses */

    /* For benchmarks: which pass it serves, and what a launch has to do at least. */
    const char *pass;    /* "forward", "backward data", ... */
    double flops, bytes; /* multiply-adds count as two; bytes read and written, each once */

    /* A way to compute that rounds more coarsely than sums do: 1 + slack times what is allowed them
     * is what a result may be off. */
    double slack;
};

/* The start of what CLBlast does (cl/blas.h): a kernel like others, but that nothing of it is ours
 * to compile. Macros tell one from another. */
struct kernel_spec kernel_spec_of_blas(void);

/* Whether it is of kernels_cl/, with a text and options. */
int kernel_is_ours(const struct kernel_spec *spec);

/* The start of a specification, with a geometry whose work-groups the driver chooses. */
struct kernel_spec kernel_spec(const char *file, const char *function, size_t global0,
                               size_t global1, size_t global2);

/* Add a macro; more than KERNEL_DEFINES_MAX is a programmer's mistake. */
void kernel_define(struct kernel_spec *spec, const char *name, long value);
void kernel_define_float(struct kernel_spec *spec, const char *name, double value);

/* Says what a launch has to do. */
void kernel_work(struct kernel_spec *spec, const char *pass, double flops, double bytes);

/* Compiles what these specifications [count] need, several at a time, with progress, for
 * kernel_create to find it done. What cannot be built is kernel_create's to report. */
int kernels_build(struct device *device, const struct kernel_spec *const *specs, int count);

/* How many programs the device has by now: files of kernels_cl/, each with its macros. */
int kernels_built(const struct device *device);

struct kernel;

/* Compiles a specification; the same file and macros are compiled once for a device, and kept from
 * one run to the next (cl/store.h). ERROR_DEVICE is a failed build, with the macros and the
 * compiler's log, or a kernel with larger work-groups or more local memory than the device has for
 * it. Free with kernel_free. */
int kernel_create(struct kernel **out, struct device *device, const struct kernel_spec *spec);

/* Says for whom it works, a layer: traces show "conv1: conv_forward". */
void kernel_set_label(struct kernel *kernel, const char *who);

void kernel_free(struct kernel *kernel);

/* An argument of a launch: a buffer, or a scalar of `size` bytes. */
struct kernel_argument {
    const struct buffer *buffer;
    size_t size;
    const void *value;
};

#define BUFFER(b) ((struct kernel_argument){.buffer = (b)})
#define SCALAR(x) ((struct kernel_argument){.size = sizeof(x), .value = &(x)})

/* Enqueues the kernel over its specified geometry: LAUNCH(kernel, BUFFER(x), SCALAR(n)). */
#define LAUNCH(kernel, ...)                                               \
    kernel_launch(kernel, (const struct kernel_argument[]){__VA_ARGS__},  \
                  sizeof((const struct kernel_argument[]){__VA_ARGS__}) / \
                      sizeof(struct kernel_argument))

int kernel_launch(struct kernel *kernel, const struct kernel_argument *arguments, size_t count);

/* The same among the transfers, so beside other kernels: it begins after what `after` marks, and
 * *done then marks its end. */
int kernel_launch_beside(struct kernel *kernel, const struct mark *after, struct mark *done,
                         const struct kernel_argument *arguments, size_t count);

/* On a profiling device: the seconds that the kernel's launches took until the last
 * device_collect_times, and how to count anew. */
double kernel_seconds(const struct kernel *kernel);
void kernel_reset_time(struct kernel *kernel);

/* Has launches do nothing, to time what else a pass launches, or has them work again. */
void kernel_mute(struct kernel *kernel, int is_mute);

/* The text of a file of kernels_cl/; NULL: there is none. */
const char *kernel_text(const char *file);

/* What a specification's compiler is given: the texts, one after the other, and the options. They
 * follow from what the device says of itself, so they can be had without it. */
void kernel_texts(const char *texts[KERNEL_TEXTS], const char *file);
void kernel_options(char options[KERNEL_OPTIONS_MAX], const struct device_info *device,
                    const struct kernel_spec *spec);
/* Changes when anything changes of what its compiler reads: the file, or what all files include. A
 * library's hash is its name's; 0: there is no such file. */
uint64_t kernel_text_hash(const char *file);

/* The kernel's function. */
const char *kernel_name(const struct kernel *kernel);

/* Whether it is CLBlast's, for blas_gemm to launch. */
int kernel_is_blas(const struct kernel *kernel);

#endif
