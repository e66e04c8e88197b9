/* Matrix products over a batch, by whichever provider suits the device: our kernels, or CLBlast.
 *
 *     C[t] = op(A[t]) op(B[t]),  t = 0..batch-1
 *
 * op(A) is m x k, op(B) k x n, C m x n; rows are contiguous; op transposes where the flag says so.
 * The t-th matrix begins t * stride floats into its buffer. With stride_c 0 there is one C, the sum
 * over t. With accumulate, the products are added to what C holds. */
#ifndef OPS_GEMM_H
#define OPS_GEMM_H

#include "cl/kernel.h"
#include "cl/target.h"

struct gemm {
    int m, n, k;
    int transpose_a, transpose_b;
    int batch;
    long stride_a, stride_b, stride_c;
    int accumulate;
};

enum gemm_provider { GEMM_REFERENCE, GEMM_VECTOR, GEMM_TILED, GEMM_CLBLAST };

/* The provider for a product on a target. */
enum gemm_provider gemm_provider(const struct gemm *gemm, const struct target *target);

/* What a provider needs: kernels of our own (none, for CLBlast), and scratch memory. */
struct gemm_specs {
    struct kernel_spec product;
    struct kernel_spec transpose; /* turns B around into the scratch memory first */
    size_t scratch_bytes;
};

struct gemm_specs gemm_specs(const struct gemm *gemm, const struct target *target,
                             enum gemm_provider provider);

/* Enqueues the product. The kernels were made from gemm_specs, and are NULL where it has none;
 * `scratch` too where it needs none. */
int gemm_run(const struct gemm *gemm, struct device *device, struct kernel *product,
             struct kernel *transpose, const struct buffer *a, const struct buffer *b,
             struct buffer *c, struct buffer *scratch);

#endif
