#include "ops/gemm_tiled.h"

static const struct knob knobs[] = {TILE_KNOB_TABLE};
static const struct rule rules[] = {TILE_RULES, {0}};
static const struct space space = {"gemm_tiled.cl", knobs, TILE_KNOBS, rules};

int gemm_tiled_vector(const struct gemm *gemm) {
    int vector = 4, side = gemm->transpose_b ? gemm->k : gemm->n;
    while (side % vector || gemm->stride_b % vector || gemm->stride_c % vector)
        vector /= 2;
    return vector;
}

/* The columns of all members of the batch side by side, where each has a C. */
static int64_t columns_of(const struct gemm *gemm) {
    return (int64_t)gemm->n * (gemm->stride_c ? gemm->batch : 1);
}

int gemm_tiled_choose(struct tile *tile, const struct gemm *gemm, const struct target *target) {
    if (gemm->stride_c && gemm->stride_a)
        return 0;
    return tile_choose(tile, gemm->m, columns_of(gemm), 1, gemm_tiled_vector(gemm),
                       &target->device);
}

struct kernel_spec gemm_tiled_spec(const struct gemm *gemm, const struct tile *tile) {
    struct kernel_spec spec =
        tile_spec("gemm_tiled.cl", "gemm_tiled", tile, gemm->m, columns_of(gemm), 1);
    int values[TILE_KNOBS];
    tile_write(values, tile);
    tuning_define(&spec, &space, values);
    return spec;
}
