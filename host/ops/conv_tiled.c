/* The tiled technique of convolutions: what conv_tiled.cl leaves open, what suits a device by
 * default, and the kernels as they were tuned. */
#include "ops/conv.h"

#include "base/numbers.h"
#include "ops/tile.h"

static const char file[] = "conv_tiled.cl";

static int64_t pixels(struct shape shape) {
    return (int64_t)shape.h * shape.w;
}

/* What a pass multiplies, as conv_tiled.cl says it. */
static struct tile_product forward_product(const struct conv *conv, struct tiling tiling) {
    return (struct tile_product){.rows = conv_k(conv),
                                 .columns = pixels(conv->out) * tiling.tile * tiling.tiles,
                                 .terms = (int64_t)conv_c(conv) * conv->size * conv->size,
                                 .count = conv->groups};
}

/* The pixels of each phase. */
static struct tile_product data_product(const struct conv *conv, struct tiling tiling) {
    int64_t taps = blocks64(conv->size, conv->stride);
    int64_t phase = blocks64(conv->in.h, conv->stride) * blocks64(conv->in.w, conv->stride);
    return (struct tile_product){.rows = conv_c(conv),
                                 .columns = phase * tiling.tile * tiling.tiles,
                                 .terms = conv_k(conv) * taps * taps,
                                 .count = (int64_t)conv->groups * conv->stride * conv->stride};
}

static struct tile_product filter_product(const struct conv *conv, struct tiling tiling) {
    struct tile_product forward = forward_product(conv, tiling);
    return (struct tile_product){.rows = forward.rows,
                                 .columns = forward.terms,
                                 .terms = forward.columns,
                                 .count = forward.count};
}

static struct tile_product product_of(const struct conv *conv, struct tiling tiling,
                                      enum conv_pass pass) {
    return pass == CONV_PASS_FORWARD ? forward_product(conv, tiling)
           : pass == CONV_PASS_DATA  ? data_product(conv, tiling)
                                     : filter_product(conv, tiling);
}

/* ---- what is open ---- */

static const struct knob knobs[] = {TILE_KNOB_TABLE};

/* Of backward filter. */
enum { SPLITS = TILE_KNOBS, FILTER_KNOBS };
static const struct knob filter_knobs[] = {
    TILE_KNOB_TABLE,
    {"TUNE_SPLITS",
     "parts of the terms, each for work-groups of its own",
     {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128}},
};

enum { SPLIT_BYTES_MAX = 64 << 20 }; /* of scratch memory */

static int64_t most_splits(const struct tile_product *product, const struct target *target) {
    int64_t bytes = product->rows * product->columns * product->count * (int64_t)sizeof(float);
    int64_t most = (int64_t)target_scratch(target, SPLIT_BYTES_MAX) / bytes;
    return most < 1 ? 1 : most;
}

static int splits_fit(const struct candidate *c) {
    struct tile_product product = filter_product(c->problem, c->target->tiling);
    return c->values[SPLITS] <= most_splits(&product, c->target);
}

static int accesses_are_side_by_side(const struct candidate *c) {
    return c->target->tiling.tile % c->values[TILE_VECTOR] == 0;
}

static const struct rule rules[] = {
    TILE_RULES,
    {accesses_are_side_by_side, "so many floats are not side by side"},
    {0},
};
static const struct rule filter_rules[] = {
    TILE_RULES,
    {accesses_are_side_by_side, "so many floats are not side by side"},
    {splits_fit, "the splits take too much memory"},
    {0},
};

static const struct space space = {file, knobs, TILE_KNOBS, rules};
static const struct space filter_space = {file, filter_knobs, FILTER_KNOBS, filter_rules};

/* ---- what suits by default ---- */

enum { SPLIT_TERMS = 256 }; /* at least, so that adding the splits is little beside them */

static int open(struct choice *choice, const struct conv *conv, const struct target *target,
                enum conv_pass pass) {
    struct tile_product product = product_of(conv, target->tiling, pass);
    int vector = target->tiling.tile < 4 ? target->tiling.tile : 4, splits;
    struct tile tile;
    if (pass == CONV_PASS_FILTER)
        product.most_splits =
            least64(most_splits(&product, target), blocks64(product.terms, SPLIT_TERMS));
    if (!tile_choose(&tile, &splits, &product, vector, &target->device))
        return 0;
    tile_write(choice->defaults, &tile);
    choice->most[TILE_VECTOR] = vector;
    choice->space = &space;
    if (pass == CONV_PASS_FILTER) {
        choice->space = &filter_space;
        choice->defaults[SPLITS] = splits;
        choice->most[SPLITS] =
            (int)least64(most_splits(&product, target), blocks64(product.terms, tile.k));
    }
    return 1;
}

/* ---- the kernels ---- */

/* As conv_tiled.cl numbers them. */
enum { PASS_FORWARD = 1, PASS_BACKWARD_DATA, PASS_BACKWARD_FILTER, PASS_ADD_SPLITS };

static void add_one(struct conv_specs *out, int kernel, int pass, const char *function,
                    const struct tile_product *product, int splits, const struct space *its_space,
                    const int values[]) {
    struct tile tile = tile_read(values);
    out->specs[kernel] = tile_spec(file, function, &tile, product, splits);
    kernel_define(&out->specs[kernel], "PASS", pass);
    tuning_define(&out->specs[kernel], its_space, values);
}

static void add_filter(struct conv_specs *out, const struct tile_product *product,
                       const int values[]) {
    add_one(out, CONV_BACKWARD_FILTER, PASS_BACKWARD_FILTER, "conv_backward_filter", product,
            values[SPLITS], &filter_space, values);
    if (values[SPLITS] == 1)
        return;
    size_t weights = (size_t)(product->rows * product->columns * product->count);
    size_t bytes = weights * (size_t)values[SPLITS] * sizeof(float);
    struct kernel_spec *adds = &out->specs[CONV_FINISH_FILTER];
    *adds = kernel_spec(file, "conv_add_splits", weights, 1, 1);
    kernel_define(adds, "PASS", PASS_ADD_SPLITS);
    tuning_define(adds, &filter_space, values);
    if (bytes > out->scratch_bytes)
        out->scratch_bytes = bytes;
}

static void add(struct conv_specs *out, const struct conv *conv, const struct target *target,
                enum conv_pass pass, const int values[]) {
    struct tile_product product = product_of(conv, target->tiling, pass);
    if (pass == CONV_PASS_FILTER)
        add_filter(out, &product, values);
    else if (pass == CONV_PASS_DATA)
        add_one(out, CONV_BACKWARD_DATA, PASS_BACKWARD_DATA, "conv_backward_data", &product, 1,
                &space, values);
    else
        add_one(out, CONV_FORWARD, PASS_FORWARD, "conv_forward", &product, 1, &space, values);
}

const struct conv_technique conv_tiled = {open, add};
