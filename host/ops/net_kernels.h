/* The kernels of a net that belong to no layer: what to compile for samples that come in, for
 * gradients that add up, and for the parameters' update. */
#ifndef OPS_NET_KERNELS_H
#define OPS_NET_KERNELS_H

#include "cl/kernel.h"
#include "cl/target.h"

/* kernels_cl/input.cl: frames of bytes, less a mean by pixel or by channel; and floats. */
struct kernel_spec input_bytes_spec(const struct target *target, struct shape input,
                                    struct shape frame, int mean_by_pixel);
struct kernel_spec input_floats_spec(const struct target *target, struct shape input,
                                     struct shape frame);

/* kernels_cl/add.cl, over a gradient of so many floats: whole tiles. */
struct kernel_spec add_spec(const struct target *target, size_t floats);

/* kernels_cl/sum.cl, over one device's slice, of so many floats, of gradients that `count` devices
 * have; this one is `rank`. */
struct kernel_spec sum_spec(const struct target *target, size_t floats, int rank, int count);

/* kernels_cl/solver.cl, over so many floats: whole blocks, each with its multipliers. */
struct kernel_spec solver_spec(const struct target *target, size_t floats, int block);

#endif
