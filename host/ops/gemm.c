#include "ops/gemm.h"

#include "base/error.h"
#include "base/numbers.h"
#include "cl/blas.h"
#include "ops/gemm_tiled.h"

/* A product with one column is its own transpose: C' = B' A', of one row. Then the one image of a
 * batch, too, has an index that is made of whole vectors. Returns whether a and b change places. */
static int turn_column(struct gemm *gemm) {
    if (gemm->n != 1 || gemm->batch != 1 || gemm->transpose_b)
        return 0;
    gemm->n = gemm->m;
    gemm->m = 1;
    gemm->transpose_b = !gemm->transpose_a;
    gemm->transpose_a = 0;
    gemm->stride_a = gemm->stride_b = gemm->stride_c = 0;
    return 1;
}

/* The widest vector that so many floats are made of. */
static int widest_vector(int floats, const struct target *target) {
    int vector = target_flat_vector(target);
    while (vector > 1 && floats % vector != 0)
        vector /= 2;
    return vector;
}

/* Whether lanes are to be terms of the sum: where B lies so, and its columns make no such vectors,
 * or turning it around would cost as much as the product. */
static int sums_lanes(const struct gemm *gemm, const struct target *target) {
    return gemm->transpose_b &&
           (gemm->m == 1 || widest_vector(gemm->n, target) < widest_vector(gemm->k, target));
}

/* Whether the vector kernels know such a product. */
static int fits_vectors(const struct gemm *gemm) {
    int has_one_c = gemm->stride_c == 0 || gemm->batch == 1;
    if (gemm->transpose_b)
        return !gemm->transpose_a && has_one_c;
    return !has_one_c || gemm->batch == 1 || gemm->stride_b == (long)gemm->k * gemm->n;
}

enum gemm_provider gemm_provider(const struct gemm *gemm, const struct target *target) {
    struct gemm turned = *gemm;
    struct tile tile;
    (void)turn_column(&turned);
    if (target->technique == TECHNIQUE_REFERENCE)
        return GEMM_REFERENCE;
    /* CLBlast knows many GPUs; ours has to be asked for until it was measured on one. */
    if (target->technique == TECHNIQUE_TILED && gemm_tiled_choose(&tile, &turned, target))
        return GEMM_TILED;
    if (target->technique == TECHNIQUE_AUTO && !target_has_vectors(target))
        return GEMM_CLBLAST;
    return fits_vectors(&turned) ? GEMM_VECTOR : GEMM_REFERENCE;
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

/* Vectors of a strip of columns: two, and more where there are too few rows to fill the registers.
 */
static int strip_vectors(const struct gemm *gemm, const struct target *target) {
    int vector = widest_vector(gemm->n, target), vectors = 16;
    while (vectors > 2 && vectors * gemm->m > target_accumulators(target))
        vectors /= 2;
    while (vectors > 1 && gemm->n % (vectors * vector) != 0)
        vectors /= 2;
    return vectors;
}

/* On a CPU one work-item is a work-group. */
static void set_local(struct kernel_spec *spec, const struct target *target) {
    if (target_has_vectors(target))
        spec->local[0] = spec->local[1] = spec->local[2] = 1;
}

/* Columns run along the lanes; B lies in strips of them, or as it is. */
static struct kernel_spec lanes_n_spec(const struct gemm *gemm, const struct target *target,
                                       int is_in_strips) {
    int vector = widest_vector(gemm->n, target), vectors = strip_vectors(gemm, target);
    int width = vector * vectors, strips = gemm->n / width;
    int rows = clamp(target_accumulators(target) / vectors, 1, gemm->m);
    int terms = gemm->stride_c ? gemm->k : gemm->k * gemm->batch;
    int depth = clamp(terms, 1, 32), panel = 1, columns = 1; /* panel: blocks of rows */
    if (target_has_vectors(target)) {
        /* A strip of B takes half of the nearest cache, as the rows that pass by from the second
         * one need room too. There an eighth holds the copy of A, and a sixteenth strips, which
         * pass by each block of rows; what will be copied next is fetched into the rest. And there
         * is work for all units. (The copy lies on the stack of a CPU's thread, which second caches
         * that cores share must not fill.) */
        int near = (int)target_cache(target, 1) / 2,
            second = clamp((int)target_cache(target, 2), 0, 4 << 20);
        int term = width * (int)sizeof(float),
            items = 4 * clamp(target->device.compute_units, 1, 4096);
        int row_blocks = blocks(gemm->m, rows);
        depth = clamp(terms, 1, clamp(near / term / 64 * 64, 64, 512));
        panel = second / 8 / ((depth + 16) * rows * (int)sizeof(float));
        columns = clamp(second / 16 / (depth * term), 1, clamp(strips / 8, 1, strips));
        int strip_items = blocks(strips, columns);
        panel =
            clamp(panel, 1, clamp((int)((int64_t)row_blocks * strip_items / items), 1, row_blocks));
    }
    struct kernel_spec spec =
        kernel_spec("gemm_vector.cl", "gemm_lanes_n", (size_t)blocks(strips, columns),
                    (size_t)blocks(gemm->m, panel * rows), 1);
    set_local(&spec, target);
    define_problem(&spec, gemm);
    kernel_define(&spec, "TUNE_VECTOR", vector);
    kernel_define(&spec, "TUNE_VECTORS", vectors);
    kernel_define(&spec, "TUNE_ROWS", rows);
    kernel_define(&spec, "TUNE_COLUMNS", columns);
    kernel_define(&spec, "TUNE_PANEL", (long)panel * rows);
    kernel_define(&spec, "TUNE_DEPTH", depth);
    kernel_define(&spec, "TUNE_STRIPS", is_in_strips);
    return spec;
}

/* The terms of the sum run along the lanes. */
static struct kernel_spec lanes_sum_spec(const struct gemm *gemm, const struct target *target) {
    int many = target_registers(target) >= 32;
    int rows = clamp(many ? 6 : 4, 1, gemm->m), columns = gemm->m == 1 ? 8 : many ? 4 : 3;
    struct kernel_spec spec =
        kernel_spec("gemm_vector.cl", "gemm_lanes_sum", (size_t)blocks(gemm->n, columns),
                    (size_t)blocks(gemm->m, rows), 1);
    set_local(&spec, target);
    define_problem(&spec, gemm);
    kernel_define(&spec, "TUNE_VECTOR", widest_vector(gemm->k, target));
    kernel_define(&spec, "TUNE_ROWS", rows);
    kernel_define(&spec, "TUNE_COLUMNS", columns);
    return spec;
}

/* B' turned around once is worth it: it is small beside what the product computes, and then no
 * lanes need summing. */
static struct gemm_specs turned_specs(const struct gemm *gemm, const struct target *target) {
    int vector = widest_vector(gemm->n, target), vectors = strip_vectors(gemm, target);
    struct gemm_specs specs = {.transpose = kernel_spec("gemm_vector.cl", "gemm_transpose",
                                                        (size_t)(gemm->n / (vector * vectors)),
                                                        (size_t)gemm->batch, 1)};
    define_problem(&specs.transpose, gemm);
    kernel_define(&specs.transpose, "TUNE_VECTOR", vector);
    kernel_define(&specs.transpose, "TUNE_VECTORS", vectors);
    set_local(&specs.transpose, target);
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
    struct gemm turned = *gemm;
    (void)turn_column(&turned);
    gemm = &turned;
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
    } else if (sums_lanes(gemm, target)) {
        specs.product = lanes_sum_spec(gemm, target);
    } else {
        specs = turned_specs(gemm, target);
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
    struct gemm turned = *gemm;
    if (turn_column(&turned)) {
        const struct buffer *swap = a;
        a = b;
        b = swap;
    }
    if (!product)
        return run_blas(&turned, device, a, b, c);
    if (transpose) {
        TRY(LAUNCH(transpose, BUFFER(b), BUFFER(scratch)));
        b = scratch;
    }
    return LAUNCH(product, BUFFER(a), BUFFER(b), BUFFER(c));
}
