/* The tiled technique of products: what gemm_tiled.cl leaves open, what suits a device by default,
 * and the kernel as it was tuned. */
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

static const struct knob knobs[] = {TILE_KNOB_TABLE};
static const struct rule rules[] = {
    TILE_RULES,
    {accesses_are_side_by_side, "so many floats are not side by side"},
    {0},
};
static const struct space space = {"gemm_tiled.cl", knobs, TILE_KNOBS, rules};

/* The columns of all members of the batch side by side, where each has a C. */
static int64_t columns_of(const struct gemm *gemm) {
    return (int64_t)gemm->n * (gemm->stride_c ? gemm->batch : 1);
}

static int open(struct choice *choice, const struct gemm *gemm, const struct target *target) {
    struct tile tile;
    if (gemm->stride_c && gemm->stride_a) /* each member has an A and a C of its own */
        return 0;
    if (!tile_choose(&tile, gemm->m, columns_of(gemm), 1, widest_access(gemm), &target->device))
        return 0;
    choice->space = &space;
    tile_write(choice->defaults, &tile);
    choice->most[TILE_VECTOR] = widest_access(gemm);
    return 1;
}

static void add(struct gemm_specs *out, const struct gemm *gemm, const struct target *target,
                const int values[]) {
    struct tile tile = tile_read(values);
    (void)target;
    out->product = tile_spec(space.file, "gemm_tiled", &tile, gemm->m, columns_of(gemm), 1);
    tuning_define(&out->product, &space, values);
}

const struct gemm_technique gemm_tiled = {open, add};
