/* Convolution by tiles in local memory, for GPUs: the kernels of conv_tiled.cl. */
#ifndef OPS_CONV_TILED_H
#define OPS_CONV_TILED_H

#include "ops/tile.h"

/* A convolution; square windows. Channels are those of all groups together. */
struct conv_problem {
    struct shape in, out;
    int groups, size, stride, padding;
};

/* The tile for each pass, and the parts into which backward filter divides its terms. */
struct conv_tiles {
    struct tile forward, backward_data, backward_filter;
    int splits;
};

/* What is fastest by a rule of thumb. Returns 0 where the device has too little. */
int conv_tiled_choose(struct conv_tiles *tiles, const struct conv_problem *conv,
                      const struct target *target);

/* The kernels, but for the macros that describe the problem. They take the filters as they are. */
struct conv_tiled_specs {
    struct kernel_spec forward;         /* x, w, b, y */
    struct kernel_spec backward_data;   /* dy, w, dx */
    struct kernel_spec backward_filter; /* dy, x, dw; with add_splits, scratch memory for dw */
    struct kernel_spec add_splits;      /* scratch, dw; none where there is one split */
    size_t scratch_bytes;
};

struct conv_tiled_specs conv_tiled_specs(const struct conv_problem *conv,
                                         const struct target *target,
                                         const struct conv_tiles *tiles);

#endif
