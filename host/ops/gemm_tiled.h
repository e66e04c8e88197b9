/* Matrix products by tiles in local memory, for GPUs: the kernel of gemm_tiled.cl. */
#ifndef OPS_GEMM_TILED_H
#define OPS_GEMM_TILED_H

#include "ops/gemm.h"
#include "ops/tile.h"

/* The tile for a product. Returns 0 where there is none: the device has too little, or each member
 * of the batch has an A and a C of its own. */
int gemm_tiled_choose(struct tile *tile, const struct gemm *gemm, const struct target *target);

/* The product with a tile, whose vector is one that gemm_tiled_vector allows; but for the macros
 * that describe the problem. */
struct kernel_spec gemm_tiled_spec(const struct gemm *gemm, const struct tile *tile);

/* The most floats that are side by side wherever a product accesses B: 1, 2 or 4. */
int gemm_tiled_vector(const struct gemm *gemm);

#endif
