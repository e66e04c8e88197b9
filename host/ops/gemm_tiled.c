/* The tiled technique of products: what gemm_tiled.cl leaves open, what suits a device by default,
 * and the kernel as it was tuned. */
#include "base/numbers.h"
#include "ops/gemm.h"
#include "ops/tile.h"

/* The most floats, 1, 2 or 4, that are side by side wherever a product accesses B. */
static int widest_access(const struct gemm *gemm) {
    int vector = 4, side = gemm->transpose_b ? gemm->k : gemm->n;
    while (side % vector || gemm->stride_b % vector || gemm->stride_c % vector)
        vector /= 2;
    return vector;
}

static int accesses_are_side_by_side(const struct candidate *candidate) {
    return widest_access(candidate->problem) % candidate->values[TILE_VECTOR] == 0;
}

/* The columns of all members of the batch side by side, where each has a C. */
static int64_t columns_of(const struct gemm *gemm) {
    return (int64_t)gemm->n * (gemm->stride_c ? gemm->batch : 1);
}

/* ---- splits ---- */

enum { SPLITS = TILE_KNOBS, GEMM_KNOBS }; /* after the tile's knobs */

enum {
    SPLIT_BYTES_MAX = 64 << 20, /* of scratch memory */
    SPLIT_TERMS = 128,          /* at least, so that adding the splits is little beside them */
    GROUPS_A_UNIT = 2, /* that a compute unit should have: they hide each other's waiting */
};

/* Splits of a C lie one after another, and so do its members. */
static int64_t most_splits(const struct gemm *gemm, const struct target *target) {
    int64_t bytes = gemm->m * columns_of(gemm) * (int64_t)sizeof(float);
    int64_t most = (int64_t)target_scratch(target, SPLIT_BYTES_MAX) / bytes;
    if (gemm->stride_c && gemm->batch > 1 && gemm->stride_c != (long)gemm->m * gemm->n)
        return 1;
    return most < 1 ? 1 : most;
}

static int splits_fit(const struct candidate *c) {
    return c->values[SPLITS] <= most_splits(c->problem, c->target);
}

static struct tile_product product_of(const struct gemm *gemm, const struct target *target) {
    struct tile_product product = {.rows = gemm->m,
                                   .columns = columns_of(gemm),
                                   .terms = (int64_t)gemm->k * (gemm->stride_c ? 1 : gemm->batch),
                                   .count = 1};
    product.most_splits = least64(most_splits(gemm, target), blocks64(product.terms, SPLIT_TERMS));
    return product;
}

/* ---- what is open ---- */

static const struct knob knobs[] = {
    TILE_KNOB_TABLE,
    {"TUNE_SPLITS",
     "parts of the terms, each for work-groups of its own",
     {1, 2, 3, 4, 6, 8, 12, 16, 24, 32}},
};
static const struct rule rules[] = {
    TILE_RULES,
    {accesses_are_side_by_side, "so many floats are not side by side"},
    {splits_fit, "the splits take too much memory, or C has gaps"},
    {0},
};
static const struct space space = {"gemm_tiled.cl", knobs, GEMM_KNOBS, rules};

static int open(struct choice *choice, const struct gemm *gemm, const struct target *target) {
    struct tile_product product = product_of(gemm, target);
    struct tile tile;
    if (gemm->stride_c && gemm->stride_a) /* each member has an A and a C of its own */
        return 0;
    if (!tile_choose(&tile, &choice->defaults[SPLITS], &product, widest_access(gemm),
                     &target->device))
        return 0;
    choice->space = &space;
    tile_write(choice->defaults, &tile);
    choice->most[TILE_VECTOR] = widest_access(gemm);
    choice->most[SPLITS] = (int)product.most_splits;
    return 1;
}

static void add(struct gemm_specs *out, const struct gemm *gemm, const struct target *target,
                const int values[]) {
    struct tile tile = tile_read(values);
    struct tile_product product = product_of(gemm, target);
    size_t floats = (size_t)(product.rows * product.columns);
    out->product = tile_spec(space.file, "gemm_tiled", &tile, &product, values[SPLITS]);
    tuning_define(&out->product, &space, values);
    if (values[SPLITS] == 1)
        return;
    out->finish = kernel_spec(space.file, "gemm_add_splits", floats, 1, 1);
    tuning_define(&out->finish, &space, values);
    out->scratch_bytes = floats * (size_t)values[SPLITS] * sizeof(float);
}

const struct gemm_technique gemm_tiled = {open, add};
