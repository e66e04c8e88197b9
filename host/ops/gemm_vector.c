/* The vector technique of products: what gemm_vector.cl leaves open, what suits a device by
 * default, and the kernels as they were tuned. */
#include "base/numbers.h"
#include "ops/gemm.h"

static const char file[] = "gemm_vector.cl";

enum { VECTORS, ROWS, DEPTH, BLOCKS, COLUMNS, KNOBS };

static const struct knob knobs[] = {
    {"TUNE_VECTORS", "vectors of a strip of columns", {1, 2, 3, 4, 6, 8, 16}},
    {"TUNE_ROWS", "rows held in registers", {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 13, 14, 24, 28}},
    {"TUNE_DEPTH", "terms of the sum at a time", {16, 32, 64, 96, 128, 192, 256, 320, 384, 512}},
    {"TUNE_BLOCKS",
     "blocks of rows that a work-item takes",
     {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128}},
    {"TUNE_COLUMNS", "strips of columns that a work-item takes", {1, 2, 3, 4, 6, 8, 12, 16, 32}},
};

enum {
    /* Bytes of the copy of A: it lies on the stack of a CPU's thread. */
    COPY_MOST = 655360,
};

/* ---- what is open ---- */

/* The widest vector that columns are made of. */
static int lanes_of(const struct gemm *gemm, const struct target *target) {
    return halved_to_divide(target_flat_vector(target), gemm->n);
}

static int strips_are_whole(const struct candidate *c) {
    const struct gemm *gemm = c->problem;
    return gemm->n % (lanes_of(gemm, c->target) * c->values[VECTORS]) == 0;
}

static int sums_fit_registers(const struct candidate *c) {
    int vectors = c->values[VECTORS];
    return (int64_t)c->values[ROWS] * vectors + vectors + 1 <= target_registers(c->target);
}

/* As gemm_vector.cl has it, whichever way A lies. */
static int copy_fits_stack(const struct candidate *c) {
    int64_t floats = (int64_t)c->values[BLOCKS] * c->values[ROWS] * (c->values[DEPTH] + 16);
    return floats * (int64_t)sizeof(float) <= COPY_MOST;
}

static const struct rule rules[] = {
    {strips_are_whole, "strips of so many vectors do not make up the columns"},
    {sums_fit_registers, "the sums do not fit the registers"},
    {copy_fits_stack, "the copy of A does not fit private memory"},
    {0},
};

static const struct space space = {file, knobs, KNOBS, rules};

/* ---- what suits by default ---- */

/* Two vectors a strip, and more where there are too few rows to fill the registers. */
static int default_vectors(const struct gemm *gemm, const struct target *target) {
    int lanes = lanes_of(gemm, target), vectors = 16;
    while (vectors > 2 && vectors * gemm->m > target_accumulators(target))
        vectors /= 2;
    while (vectors > 1 && gemm->n % (vectors * lanes) != 0)
        vectors /= 2;
    return vectors;
}

static int terms_of(const struct gemm *gemm) {
    return gemm->stride_c ? gemm->k : gemm->k * gemm->batch;
}

/* A strip of B takes half of the nearest cache, as the rows that pass by from the second one need
 * room too. There an eighth holds the copy of A, and a sixteenth strips, which pass by each block
 * of rows; what will be copied next is fetched into the rest. And there is work for all units. */
static void default_blocking(int d[], const struct gemm *gemm, const struct target *target) {
    int width = lanes_of(gemm, target) * d[VECTORS], term = width * (int)sizeof(float);
    int strips = gemm->n / width, row_blocks = blocks(gemm->m, d[ROWS]);
    int near = (int)target_cache(target, 1) / 2;
    int second = clamp((int)target_cache(target, 2), 0, 4 << 20); /* cores may share more */
    int items = 4 * clamp(target->device.compute_units, 1, 4096);
    d[DEPTH] = clamp(terms_of(gemm), 1, clamp(near / term / 64 * 64, 64, 512));
    d[COLUMNS] = clamp(second / 16 / (d[DEPTH] * term), 1, clamp(strips / 8, 1, strips));
    int strip_items = blocks(strips, d[COLUMNS]);
    int for_all = clamp((int)((int64_t)row_blocks * strip_items / items), 1, row_blocks);
    d[BLOCKS] = clamp(second / 8 / ((d[DEPTH] + 16) * d[ROWS] * (int)sizeof(float)), 1, for_all);
}

static int open(struct choice *choice, const struct gemm *gemm, const struct target *target) {
    int *d = choice->defaults, *most = choice->most;
    int has_one_c = gemm->stride_c == 0 || gemm->batch == 1;
    if (gemm->transpose_b) {
        if (gemm->transpose_a || !has_one_c || gemm->m == 1) /* nor is one row worth turning B */
            return 0;
    } else if (has_one_c && gemm->batch != 1 && gemm->stride_b != (long)gemm->k * gemm->n) {
        return 0; /* members that do not follow each other make no one sum */
    }
    choice->space = &space;
    d[VECTORS] = default_vectors(gemm, target);
    d[ROWS] = clamp(target_accumulators(target) / d[VECTORS], 1, gemm->m);
    d[DEPTH] = clamp(terms_of(gemm), 1, 32);
    d[BLOCKS] = d[COLUMNS] = 1;
    if (target_has_vectors(target))
        default_blocking(d, gemm, target);
    most[VECTORS] = gemm->n / lanes_of(gemm, target);
    most[ROWS] = gemm->m;
    most[DEPTH] = terms_of(gemm);
    most[BLOCKS] = blocks(gemm->m, d[ROWS]);
    most[COLUMNS] = gemm->n / (lanes_of(gemm, target) * d[VECTORS]);
    return 1;
}

/* ---- the kernels ---- */

/* On a CPU one work-item is a work-group. */
static void define(struct kernel_spec *spec, const struct gemm *gemm, const struct target *target,
                   const int values[]) {
    if (target_has_vectors(target))
        spec->local[0] = spec->local[1] = spec->local[2] = 1;
    kernel_define(spec, "TUNE_VECTOR", lanes_of(gemm, target));
    kernel_define(spec, "TUNE_STRIPS", gemm->transpose_b);
    tuning_define(spec, &space, values);
}

/* Where B is transposed it is turned around once: that is small beside what the product computes,
 * and then no lanes need summing. */
static void add(struct gemm_specs *out, const struct gemm *gemm, const struct target *target,
                const int v[]) {
    int strips = gemm->n / (lanes_of(gemm, target) * v[VECTORS]);
    out->product = kernel_spec(file, "gemm_vector", (size_t)blocks(strips, v[COLUMNS]),
                               (size_t)blocks(blocks(gemm->m, v[ROWS]), v[BLOCKS]), 1);
    define(&out->product, gemm, target, v);
    if (!gemm->transpose_b)
        return;
    out->transpose = kernel_spec(file, "gemm_transpose", (size_t)strips, (size_t)gemm->batch, 1);
    define(&out->transpose, gemm, target, v);
    out->scratch_bytes = sizeof(float) * (size_t)gemm->n * (size_t)gemm->k * (size_t)gemm->batch;
}

const struct gemm_technique gemm_vector = {open, add};
