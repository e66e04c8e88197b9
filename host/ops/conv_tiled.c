#include "ops/conv_tiled.h"

static int least(int64_t a, int64_t b) {
    return (int)(a < b ? a : b);
}

static int64_t up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* What a pass multiplies, as conv_tiled.cl says it: `count` products of rows x columns. */
struct product {
    int64_t rows, columns, terms, count;
};

static int64_t pixels(struct shape shape) {
    return (int64_t)shape.h * shape.w;
}

static struct product forward_product(const struct conv_problem *conv, struct tiling tiling) {
    int64_t c = conv->in.c / conv->groups;
    return (struct product){.rows = conv->out.c / conv->groups,
                            .columns = pixels(conv->out) * tiling.tile * tiling.tiles,
                            .terms = c * conv->size * conv->size,
                            .count = conv->groups};
}

/* The pixels of each phase. */
static struct product data_product(const struct conv_problem *conv, struct tiling tiling) {
    int64_t k = conv->out.c / conv->groups, taps = up(conv->size, conv->stride);
    int64_t phase = up(conv->in.h, conv->stride) * up(conv->in.w, conv->stride);
    return (struct product){.rows = conv->in.c / conv->groups,
                            .columns = phase * tiling.tile * tiling.tiles,
                            .terms = k * taps * taps,
                            .count = (int64_t)conv->groups * conv->stride * conv->stride};
}

static struct product filter_product(const struct conv_problem *conv, struct tiling tiling) {
    struct product forward = forward_product(conv, tiling);
    return (struct product){.rows = forward.rows,
                            .columns = forward.terms,
                            .terms = forward.columns,
                            .count = forward.count};
}

enum {
    SPLIT_STEPS = 32,           /* at least, so that adding the splits is little beside them */
    SPLITS_A_UNIT = 4,          /* work-groups of backward filter that a compute unit should have */
    SPLIT_BYTES_MAX = 64 << 20, /* of scratch memory */
};

static int64_t wanted_groups(const struct device_info *device) {
    return SPLITS_A_UNIT * (int64_t)(device->compute_units > 0 ? device->compute_units : 1);
}

/* Filters are few and what they are summed over is long: without splits, most of a GPU would wait.
 */
static int choose_splits(const struct product *product, const struct tile *tile,
                         const struct device_info *device) {
    int64_t groups = up(product->rows, tile->m) * up(product->columns, tile->n) * product->count;
    int64_t bytes = product->rows * product->columns * product->count * (int64_t)sizeof(float);
    int splits = least(up(wanted_groups(device), groups),
                       up(product->terms, (int64_t)SPLIT_STEPS * tile->k));
    splits = least(splits, SPLIT_BYTES_MAX / bytes);
    if (device->allocation_max)
        splits = least(splits, (int64_t)(device->allocation_max / 4) / bytes);
    return splits < 1 ? 1 : splits;
}

static int choose(struct tile *tile, const struct product *product, const struct target *target) {
    int vector = target->tiling.tile < 4 ? target->tiling.tile : 4;
    return tile_choose(tile, product->rows, product->columns, product->count, vector,
                       &target->device);
}

int conv_tiled_choose(struct conv_tiles *tiles, const struct conv_problem *conv,
                      const struct target *target) {
    struct product forward = forward_product(conv, target->tiling);
    struct product data = data_product(conv, target->tiling);
    struct product filter = filter_product(conv, target->tiling);
    struct product split = filter;
    split.count *= wanted_groups(&target->device); /* it can have as many */
    if (!choose(&tiles->forward, &forward, target) ||
        !choose(&tiles->backward_data, &data, target) ||
        !choose(&tiles->backward_filter, &split, target))
        return 0;
    tiles->splits = choose_splits(&filter, &tiles->backward_filter, &target->device);
    return 1;
}

/* As conv_tiled.cl numbers them. */
enum pass { PASS_FORWARD = 1, PASS_BACKWARD_DATA, PASS_BACKWARD_FILTER, PASS_ADD_SPLITS };

static struct kernel_spec spec_of(enum pass pass, const char *function, const struct tile *tile,
                                  const struct product *product, int splits) {
    struct kernel_spec spec = tile_spec("conv_tiled.cl", function, tile, product->rows,
                                        product->columns, product->count * splits);
    kernel_define(&spec, "PASS", pass);
    return spec;
}

struct conv_tiled_specs conv_tiled_specs(const struct conv_problem *conv,
                                         const struct target *target,
                                         const struct conv_tiles *tiles) {
    struct product forward = forward_product(conv, target->tiling);
    struct product data = data_product(conv, target->tiling);
    struct product filter = filter_product(conv, target->tiling);
    struct conv_tiled_specs specs = {
        .forward = spec_of(PASS_FORWARD, "conv_forward", &tiles->forward, &forward, 1),
        .backward_data =
            spec_of(PASS_BACKWARD_DATA, "conv_backward_data", &tiles->backward_data, &data, 1),
        .backward_filter = spec_of(PASS_BACKWARD_FILTER, "conv_backward_filter",
                                   &tiles->backward_filter, &filter, tiles->splits),
    };
    kernel_define(&specs.backward_filter, "SPLITS", tiles->splits);
    if (tiles->splits > 1) {
        size_t weights = (size_t)(filter.rows * filter.columns * filter.count);
        specs.add_splits = kernel_spec("conv_tiled.cl", "conv_add_splits", weights, 1, 1);
        kernel_define(&specs.add_splits, "PASS", PASS_ADD_SPLITS);
        kernel_define(&specs.add_splits, "SPLITS", tiles->splits);
        specs.scratch_bytes = weights * (size_t)tiles->splits * sizeof(float);
    }
    return specs;
}
