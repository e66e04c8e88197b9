/* Convolutions over a batch: the problem, and the kernels of each technique for its passes. */
#ifndef OPS_CONV_H
#define OPS_CONV_H

#include "cl/tuning.h"
#include "ops/bias_activation.h"

struct conv {
    struct shape in, out;
    int size, stride, padding, groups;
    enum activation activation; /* of the output */
};

/* The pack kernels rearrange the filters into scratch memory, for the kernel that follows. */
enum {
    CONV_PACK_FORWARD,
    CONV_FORWARD,
    CONV_PACK_BACKWARD,
    CONV_BACKWARD_DATA,
    CONV_BACKWARD_FILTER,
    CONV_KERNELS,
};

enum { CONV_CHOICES = 3 };

/* A spec without a file is not needed. */
struct conv_specs {
    struct kernel_spec specs[CONV_KERNELS];
    size_t scratch_bytes;
    struct choice choices[CONV_CHOICES]; /* a pass each */
    int choice_count;
};

/* Channels of a group that come in, and that go out. */
int conv_c(const struct conv *conv);
int conv_k(const struct conv *conv);

/* Defines the macros that describe the problem. */
void conv_define_problem(struct kernel_spec *spec, const struct conv *conv,
                         const struct target *target);

struct conv_specs conv_reference_specs(const struct conv *conv, const struct target *target,
                                       int needs_dx);

/* Register tiles over the images of a tile: conv_vector.cl. */
struct conv_specs conv_vector_specs(const struct conv *conv, const struct target *target,
                                    int needs_dx);

#endif
