#include "ops/gemm.h"

#include "base/error.h"
#include "cl/blas.h"
#include "ops/gemm_tiled.h"

/* Whether the vector kernels can run a product: one index must be made of whole vectors. */
static int fits_vectors(const struct gemm *gemm, int vector) {
    if (gemm->transpose_b)
        return (gemm->k % vector == 0 || gemm->n % vector == 0) && !gemm->transpose_a &&
               gemm->stride_c == 0;
    int members_follow =
        gemm->stride_c || gemm->batch == 1 || gemm->stride_b == (long)gemm->k * gemm->n;
    return gemm->n % vector == 0 && members_follow;
}

enum gemm_provider gemm_provider(const struct gemm *gemm, const struct target *target) {
    if (target->technique == TECHNIQUE_REFERENCE)
        return GEMM_REFERENCE;
    /* CLBlast knows many GPUs; ours has to be asked for until it was measured on one. */
    struct tile tile;
    if (target->technique == TECHNIQUE_TILED && gemm_tiled_choose(&tile, gemm, target))
        return GEMM_TILED;
    if (target->technique == TECHNIQUE_AUTO && !target_has_vectors(target))
        return GEMM_CLBLAST;
    return fits_vectors(gemm, target_vector(target)) ? GEMM_VECTOR : GEMM_REFERENCE;
}

static size_t blocks(int size, int block) {
    return (size_t)((size + block - 1) / block);
}

static void define_problem(struct kernel_spec *spec, const struct gemm *gemm) {
    kernel_define(spec, "M", gemm->m);
    kernel_define(spec, "N", gemm->n);
    kernel_define(spec, "N_SUM", gemm->k);
    kernel_define(spec, "TRANSPOSE_A", gemm->transpose_a);
    kernel_define(spec, "TRANSPOSE_B", gemm->transpose_b);
    kernel_define(spec, "BATCH", gemm->batch);
    kernel_define(spec, "STRIDE_A", gemm->stride_a);
    kernel_define(spec, "STRIDE_B", gemm->stride_b);
    kernel_define(spec, "STRIDE_C", gemm->stride_c);
    kernel_define(spec, "ACCUMULATE", gemm->accumulate);
}

static int clamp(int value, int least, int most) {
    return value < least ? least : value > most ? most : value;
}

/* Floats of a strip of columns that runs along the lanes. */
static int strip_width(const struct gemm *gemm, const struct target *target) {
    int vector = target_vector(target);
    return gemm->n % (2 * vector) == 0 ? 2 * vector : vector;
}

/* Columns run along the lanes; B lies in strips of them, or as it is. */
static struct kernel_spec lanes_n_spec(const struct gemm *gemm, const struct target *target,
                                       int is_in_strips) {
    int width = strip_width(gemm, target), vectors = width / target_vector(target);
    int rows = (target_registers(target) >= 32 ? 24 : 12) / vectors;
    int terms = gemm->stride_c ? gemm->k : gemm->k * gemm->batch;
    int depth = clamp(terms, 1, 32), panel = rows, columns = 1;
    if (target_has_vectors(target)) {
        /* A strip of B stays in the nearest cache, while rows pass by from the second one: there a
         * tenth of it holds the copy of A, and a sixteenth strips, which pass by each block of
         * rows. */
        int near = (int)target_cache(target, 1) / 10 * 7, second = (int)target_cache(target, 2);
        int term = width * (int)sizeof(float);
        depth = clamp(terms, 1, clamp(near / term / 64 * 64, 64, 512));
        panel = clamp(second / 10 / (depth * (int)sizeof(float)) / rows, 1,
                      (int)blocks(gemm->m, rows)) *
                rows;
        columns = clamp(second / 16 / (depth * term), 1, gemm->n / width);
    }
    struct kernel_spec spec =
        kernel_spec("gemm_vector.cl", "gemm_lanes_n", blocks(gemm->n / width, columns),
                    blocks(gemm->m, panel), 1);
    if (target_has_vectors(target))
        spec.local[0] = spec.local[1] = spec.local[2] = 1;
    define_problem(&spec, gemm);
    kernel_define(&spec, "TUNE_VECTOR", target_vector(target));
    kernel_define(&spec, "TUNE_VECTORS", vectors);
    kernel_define(&spec, "TUNE_ROWS", rows);
    kernel_define(&spec, "TUNE_COLUMNS", columns);
    kernel_define(&spec, "TUNE_PANEL", panel);
    kernel_define(&spec, "TUNE_DEPTH", depth);
    kernel_define(&spec, "TUNE_STRIPS", is_in_strips);
    return spec;
}

/* The terms of the sum run along the lanes. */
static struct kernel_spec lanes_sum_spec(const struct gemm *gemm, const struct target *target) {
    int many = target_registers(target) >= 32;
    int rows = many ? 6 : 4, columns = many ? 4 : 3;
    struct kernel_spec spec = kernel_spec("gemm_vector.cl", "gemm_lanes_sum",
                                          blocks(gemm->n, columns), blocks(gemm->m, rows), 1);
    if (target_has_vectors(target))
        spec.local[0] = spec.local[1] = spec.local[2] = 1;
    define_problem(&spec, gemm);
    kernel_define(&spec, "TUNE_VECTOR", target_vector(target));
    kernel_define(&spec, "TUNE_ROWS", rows);
    kernel_define(&spec, "TUNE_COLUMNS", columns);
    return spec;
}

/* B' turned around once is worth it: it is small beside what the product computes, and then no
 * lanes need summing. */
static struct gemm_specs turned_specs(const struct gemm *gemm, const struct target *target) {
    int width = strip_width(gemm, target), vector = target_vector(target);
    struct gemm_specs specs = {.transpose =
                                   kernel_spec("gemm_vector.cl", "gemm_transpose",
                                               (size_t)(gemm->n / width), (size_t)gemm->batch, 1)};
    define_problem(&specs.transpose, gemm);
    kernel_define(&specs.transpose, "TUNE_VECTOR", vector);
    kernel_define(&specs.transpose, "TUNE_VECTORS", width / vector);
    if (target_has_vectors(target))
        specs.transpose.local[0] = specs.transpose.local[1] = specs.transpose.local[2] = 1;
    struct gemm turned = *gemm;
    turned.transpose_b = 0;
    turned.stride_b = (long)gemm->n * gemm->k;
    specs.product = lanes_n_spec(&turned, target, 1);
    specs.scratch_bytes = sizeof(float) * (size_t)turned.stride_b * (size_t)gemm->batch;
    return specs;
}

struct gemm_specs gemm_specs(const struct gemm *gemm, const struct target *target,
                             enum gemm_provider provider) {
    struct gemm_specs specs = {0};
    if (provider == GEMM_CLBLAST)
        return specs;
    if (provider == GEMM_REFERENCE) {
        specs.product = kernel_spec("gemm_reference.cl", "gemm", (size_t)gemm->n, (size_t)gemm->m,
                                    gemm->stride_c ? (size_t)gemm->batch : 1);
        define_problem(&specs.product, gemm);
    } else if (provider == GEMM_TILED) {
        struct tile tile;
        (void)gemm_tiled_choose(&tile, gemm, target); /* as gemm_provider found */
        specs.product = gemm_tiled_spec(gemm, &tile);
        define_problem(&specs.product, gemm);
    } else if (!gemm->transpose_b) {
        specs.product = lanes_n_spec(gemm, target, 0);
    } else if (gemm->n % target_vector(target) == 0) {
        specs = turned_specs(gemm, target);
    } else {
        specs.product = lanes_sum_spec(gemm, target);
    }
    return specs;
}

static int run_blas(const struct gemm *gemm, struct device *device, const struct buffer *a,
                    const struct buffer *b, struct buffer *c) {
    for (int t = 0; t < gemm->batch; t++) {
        int add = gemm->accumulate || (gemm->stride_c == 0 && t > 0);
        TRY(blas_gemm(device, gemm->transpose_a, gemm->transpose_b, (size_t)gemm->m,
                      (size_t)gemm->n, (size_t)gemm->k, a, (size_t)(t * gemm->stride_a), b,
                      (size_t)(t * gemm->stride_b), add ? 1.0F : 0.0F, c,
                      (size_t)(t * gemm->stride_c)));
    }
    return 0;
}

int gemm_run(const struct gemm *gemm, struct device *device, struct kernel *product,
             struct kernel *transpose, const struct buffer *a, const struct buffer *b,
             struct buffer *c, struct buffer *scratch) {
    if (!product)
        return run_blas(gemm, device, a, b, c);
    if (transpose) {
        TRY(LAUNCH(transpose, BUFFER(b), BUFFER(scratch)));
        b = scratch;
    }
    return LAUNCH(product, BUFFER(a), BUFFER(b), BUFFER(c));
}
