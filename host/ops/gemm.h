/* Matrix products over a batch: the problem, and the kernels of each technique for it.
 *
 *     C[t] = op(A[t]) op(B[t]),  t = 0..batch-1
 *
 * op(A) is m x k, op(B) k x n, C m x n; rows are contiguous; op transposes where the flag says so.
 * The t-th matrix begins t * stride floats into its buffer. With stride_c 0 there is one C, the sum
 * over t. With accumulate, the products are added to what C holds. With a bias instead, C is
 * activate(product + b), b having a number for each row or each column. */
#ifndef OPS_GEMM_H
#define OPS_GEMM_H

#include "cl/tuning.h"
#include "ops/bias_activation.h"

/* The numbers that the kernels know them by. */
enum gemm_bias { GEMM_NO_BIAS, GEMM_BIAS_OF_ROWS, GEMM_BIAS_OF_COLUMNS };

struct gemm {
    int m, n, k;
    int transpose_a, transpose_b;
    int batch;
    long stride_a, stride_b, stride_c;
    int accumulate;
    enum gemm_bias bias;
    enum activation activation; /* with a bias alone */
};

enum { GEMM_TECHNIQUES = 3 };

/* A spec without a file is not needed. */
struct gemm_specs {
    struct kernel_spec product;
    struct kernel_spec transpose; /* turns B around into the scratch memory first */
    struct kernel_spec finish;    /* adds what the product left in the scratch memory */
    int leaves_bias; /* the product knows no bias: it is added, and activated, afterwards */
    size_t scratch_bytes;
    struct choice choices[GEMM_TECHNIQUES]; /* the ways to compute it */
    int choice_count;
};

/* A way to compute a product. */
struct gemm_technique {
    /* Fills the space, defaults and most of a choice. Returns 0 where the device has too little for
     * it, or the product is none of its kind. */
    int (*open)(struct choice *choice, const struct gemm *gemm, const struct target *target);
    /* Adds the kernels with these values, but for the macros that describe the problem. */
    void (*add)(struct gemm_specs *out, const struct gemm *gemm, const struct target *target,
                const int values[]);
};

/* Register tiles, lanes along the columns: gemm_vector.cl. */
extern const struct gemm_technique gemm_vector;

/* Register tiles, lanes along the terms of the sum: gemm_dot.cl. */
extern const struct gemm_technique gemm_dot;

/* Tiles in local memory, for GPUs: gemm_tiled.cl. */
extern const struct gemm_technique gemm_tiled;

/* CLBlast's. */
extern const struct gemm_technique gemm_blas;

/* The kernels for a target, by its technique and tunings, for a layer's pass. */
struct gemm_specs gemm_specs(const struct gemm *gemm, const struct target *target,
                             const char *pass);

/* Those of a technique that opens, with these values. */
struct gemm_specs gemm_specs_by(const struct gemm_technique *technique, const struct gemm *gemm,
                                const struct target *target, const int values[]);

/* The problem as techniques are given it. A product with one column is its own transpose: then one
 * image, too, has an index that is made of whole vectors. */
struct gemm gemm_turned(const struct gemm *gemm);

/* Made from the specs of those names; NULL where there is none. */
struct gemm_kernels {
    struct kernel *product, *transpose, *finish;
};

/* Enqueues the product. `bias` and `scratch` are NULL where it needs none. */
int gemm_run(const struct gemm *gemm, const struct gemm_kernels *kernels, const struct buffer *a,
             const struct buffer *b, const struct buffer *bias, struct buffer *c,
             struct buffer *scratch);

#endif
