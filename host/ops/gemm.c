#include "ops/gemm.h"

#include "base/error.h"
#include "cl/blas.h"
#include "ops/gemm_tiled.h"

/* Whether the vector kernels can run a product: one index must be made of whole vectors. */
static int fits_vectors(const struct gemm *gemm, int vector) {
    if (gemm->transpose_b)
        return (gemm->k % vector == 0 || gemm->n % vector == 0) && !gemm->transpose_a &&
               gemm->stride_c == 0;
    return gemm->n % vector == 0;
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

/* Columns run along the lanes. */
static struct kernel_spec lanes_n_spec(const struct gemm *gemm, const struct target *target) {
    int vector = target_vector(target), has_vectors = target_has_vectors(target);
    int vectors = gemm->n % (2 * vector) == 0 ? 2 : 1, width = vector * vectors;
    int rows = (target_registers(target) >= 32 ? 24 : 12) / vectors;
    /* Packing makes sense where the same rows serve several columns and batches: on a CPU. */
    int pack = has_vectors && gemm->transpose_a && gemm->stride_a == 0;
    int panel = pack ? 48 : rows;
    int columns = pack ? gemm->n / width : 1;
    struct kernel_spec spec =
        kernel_spec("gemm_vector.cl", "gemm_lanes_n", (size_t)(gemm->n / width / columns),
                    blocks(gemm->m, panel), 1);
    if (has_vectors)
        spec.local[0] = spec.local[1] = spec.local[2] = 1;
    define_problem(&spec, gemm);
    kernel_define(&spec, "TUNE_VECTOR", vector);
    kernel_define(&spec, "TUNE_VECTORS", vectors);
    kernel_define(&spec, "TUNE_ROWS", rows);
    kernel_define(&spec, "TUNE_COLUMNS", columns);
    kernel_define(&spec, "TUNE_PANEL", panel);
    kernel_define(&spec, "TUNE_PACK", pack);
    kernel_define(&spec, "TUNE_DEPTH", pack ? 128 : 512);
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
    struct gemm_specs specs = {.transpose =
                                   kernel_spec("gemm_vector.cl", "gemm_transpose", (size_t)gemm->n,
                                               (size_t)gemm->k, (size_t)gemm->batch)};
    define_problem(&specs.transpose, gemm);
    struct gemm turned = *gemm;
    turned.transpose_b = 0;
    turned.stride_b = (long)gemm->n * gemm->k;
    specs.product = lanes_n_spec(&turned, target);
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
        specs.product = lanes_n_spec(gemm, target);
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
