/* The Winograd technique of convolutions: what conv_winograd.cl leaves open, what suits a device by
 * default, and the kernels as they were tuned. */
#include "ops/conv.h"

#include "base/numbers.h"

static const char file[] = "conv_winograd.cl";

/* ---- what is open ---- */

enum { PATCH, PATCHES, VECTORS, BLOCK, BLOCKS, KNOBS };

static const struct knob knobs[] = {
    {"TUNE_PATCH", "results along a side of a patch", {2, 4}},
    {"TUNE_PATCHES", "patches at a time", {1, 2, 3, 4, 6, 8}},
    {"TUNE_VECTORS", "vectors of images held in registers", {1, 2, 4}},
    {"TUNE_BLOCK",
     "result channels held in registers",
     {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24}},
    {"TUNE_BLOCKS", "such blocks at a time", {1, 2, 3, 4, 6, 8, 12, 16, 32}},
};

enum {
    /* Work-items for each compute unit and part of a tile, so that none waits long for the last. */
    SLOTS_A_UNIT = 4,
    /* Bytes of scratch memory for all of them. */
    WORK_BYTES_MAX = 256 << 20,
    /* Channels of a group from which on patches of 6 x 6 of the source are allowed. They round
     * more coarsely than direct kernels: in the middle of pictures results are off by up to 0.5 of
     * what host/reference/element.h allows with 32 channels, by 0.4 with 192; those of 4 x 4, and
     * direct kernels, by 0.1 to 0.2. With few channels it would be more than is allowed. */
    FINE_CHANNELS = 32,
    COARSE_SIDE = 6,
    /* Channels of a group from which on transforms are little beside the products. */
    WINNING_CHANNELS = 48,
};

/* The passes that are open: the source of forward alone may have phases. */
static int is_open(const struct conv *conv, enum conv_pass pass) {
    return pass == CONV_PASS_FORWARD || (pass == CONV_PASS_DATA && conv->stride == 1);
}

/* What a pass computes, and from what. */
struct result {
    int channels, height, width, sources;
};

static struct result result_of(const struct conv *conv, enum conv_pass pass) {
    if (pass == CONV_PASS_FORWARD)
        return (struct result){conv_k(conv), conv->out.h, conv->out.w,
                               conv_winograd_channels(conv)};
    return (struct result){conv_c(conv), conv->in.h, conv->in.w, conv_k(conv)};
}

/* The side of a phase's window. */
static int window_of(const struct conv *conv) {
    return blocks(conv->size, conv->stride);
}

const char conv_winograd_patches[] =
    "patches are of 2 x 2 results, or of 4 x 4 for windows of 3 x 3 in a phase";

int conv_winograd_knows(const struct conv *conv, int patch) {
    int window = window_of(conv);
    return (window == 3 && (patch == 2 || patch == 4)) || (window == 5 && patch == 2);
}

int conv_winograd_side(const struct conv *conv, int patch) {
    return patch + window_of(conv) - 1;
}

int conv_winograd_channels(const struct conv *conv) {
    return conv_c(conv) * conv->stride * conv->stride;
}

static int is_known_patch(const struct candidate *c) {
    return conv_winograd_knows(c->problem, c->values[PATCH]);
}

static int allows_patch(const struct conv *conv, int patch) {
    return conv_winograd_side(conv, patch) < COARSE_SIDE ||
           (conv_winograd_channels(conv) >= FINE_CHANNELS && conv_k(conv) >= FINE_CHANNELS);
}

static int is_fine_enough(const struct candidate *c) {
    return allows_patch(c->problem, c->values[PATCH]);
}

static int divides_tile(const struct candidate *c) {
    return c->target->tiling.tile % (target_lanes(c->target) * c->values[VECTORS]) == 0;
}

static int fits_registers(const struct candidate *c) {
    int64_t vectors = c->values[VECTORS];
    return c->values[BLOCK] * vectors + vectors + 1 <= target_registers(c->target);
}

/* Scratch memory, in floats: the transformed filters, and a place for each slot behind them. */
struct scratch {
    int64_t filters, place, slots;
};

static struct scratch scratch_of(const struct conv *conv, const struct result *result,
                                 const struct target *target, const int v[]) {
    int64_t side = conv_winograd_side(conv, v[PATCH]), points = side * side;
    int64_t padded = (int64_t)blocks(result->channels, v[BLOCK]) * v[BLOCK];
    int64_t patches = (int64_t)blocks(result->height, v[PATCH]) * blocks(result->width, v[PATCH]);
    int64_t works = (patches + v[PATCHES] - 1) / v[PATCHES] * conv->groups * target->tiling.tiles;
    int64_t most = SLOTS_A_UNIT * (int64_t)target->device.compute_units;
    int64_t channels = result->sources + 1 + (int64_t)v[BLOCKS] * v[BLOCK];
    return (struct scratch){
        .filters = conv->groups * padded * points * result->sources,
        .place = channels * points * v[PATCHES] * target->tiling.tile,
        .slots = works < most ? works : most,
    };
}

static int fits_memory(const struct candidate *c) {
    const struct conv *conv = c->problem;
    int64_t most = (int64_t)target_scratch(c->target, WORK_BYTES_MAX);
    for (int pass = CONV_PASS_FORWARD; pass <= CONV_PASS_DATA; pass++) {
        if (!is_open(conv, (enum conv_pass)pass))
            continue;
        struct result result = result_of(conv, (enum conv_pass)pass);
        struct scratch scratch = scratch_of(conv, &result, c->target, c->values);
        if (scratch.slots * scratch.place * (int64_t)sizeof(float) > most)
            return 0;
    }
    return 1;
}

static const struct rule rules[] = {
    {is_known_patch, conv_winograd_patches},
    {is_fine_enough, "of so few channels, patches of that size are rounded too coarsely"},
    {divides_tile, "so many images do not divide the tile"},
    {fits_registers, "the sums do not fit the registers"},
    {fits_memory, "what is transformed takes too much memory"},
    {0},
};

static const struct space space = {file, knobs, KNOBS, rules};

/* ---- what suits by default ---- */

/* Multiplications of a channel by another, for patches of a size. */
static int64_t multiplications(const struct conv *conv, int height, int width, int patch) {
    int64_t side = conv_winograd_side(conv, patch);
    return side * side * blocks(height, patch) * blocks(width, patch);
}

int conv_winograd_patch(const struct conv *conv, int height, int width) {
    return conv_winograd_knows(conv, 4) &&
                   multiplications(conv, height, width, 4) < multiplications(conv, height, width, 2)
               ? 4
               : 2;
}

static int open(struct choice *choice, const struct conv *conv, const struct target *target,
                enum conv_pass pass) {
    int *d = choice->defaults, *most = choice->most, lanes = target_lanes(target);
    if (!is_open(conv, pass) || !conv_winograd_knows(conv, 2))
        return 0;
    struct result result = result_of(conv, pass);
    struct candidate chosen = {.target = target, .problem = conv, .values = d};
    choice->space = &space;
    d[PATCH] = allows_patch(conv, 4) ? conv_winograd_patch(conv, result.height, result.width) : 2;
    d[PATCHES] = d[VECTORS] = d[BLOCKS] = 1;
    d[BLOCK] = 8;
    if (target_has_vectors(target)) {
        d[VECTORS] = target->tiling.tile >= 2 * lanes ? 2 : 1;
        d[BLOCK] = target_accumulators(target) / d[VECTORS];
        d[BLOCKS] = 8;
    }
    most[PATCHES] = blocks(result.height, d[PATCH]) * blocks(result.width, d[PATCH]);
    most[BLOCK] = result.channels;
    most[BLOCKS] = blocks(result.channels, d[BLOCK]);
    return tuning_refuse(&space, &chosen) == NULL;
}

/* ---- the kernels ---- */

static void define(struct kernel_spec *spec, int lanes, const int values[], enum conv_pass pass,
                   int64_t slots) {
    kernel_define(spec, "PASS", pass + 1);
    kernel_define(spec, "SLOTS", (long)slots);
    kernel_define(spec, "TUNE_VECTOR", lanes);
    tuning_define(spec, &space, values);
}

/* A patch is rounded as a whole: at the corner of a picture a large one is as coarse as in the
 * middle, where the terms are more by this factor, while what is allowed goes by the terms. */
static double slack_of(const struct conv *conv, enum conv_pass pass, int patch) {
    int before = pass == CONV_PASS_FORWARD ? conv->padding : conv->size - 1 - conv->padding;
    int seen = conv->size - before;
    if (conv_winograd_side(conv, patch) < COARSE_SIDE)
        return 0;
    return (double)(conv->size * conv->size) / (seen * seen) - 1;
}

static void add(struct conv_specs *out, const struct conv *conv, const struct target *target,
                enum conv_pass pass, const int v[]) {
    const int is_data = pass == CONV_PASS_DATA;
    const struct result result = result_of(conv, pass);
    const struct scratch scratch = scratch_of(conv, &result, target, v);
    struct kernel_spec *pack = &out->specs[is_data ? CONV_PACK_BACKWARD : CONV_PACK_FORWARD];
    struct kernel_spec *spec = &out->specs[is_data ? CONV_BACKWARD_DATA : CONV_FORWARD];
    const int numbers = result.sources * v[BLOCK]; /* of the filters, in a block */
    const int lanes = halved_to_divide(target_lanes(target), numbers);
    *pack = kernel_spec(file, "conv_winograd_filters", (size_t)(numbers / lanes),
                        (size_t)conv->groups * (size_t)blocks(result.channels, v[BLOCK]), 1);
    *spec = kernel_spec(file, is_data ? "conv_backward_data" : "conv_forward",
                        (size_t)(target->tiling.tile / (target_lanes(target) * v[VECTORS])),
                        (size_t)scratch.slots, 1);
    define(pack, lanes, v, pass, scratch.slots);
    define(spec, target_lanes(target), v, pass, scratch.slots);
    /* On a CPU one work-item is a work-group. */
    for (int i = 0; i < 3; i++)
        pack->local[i] = spec->local[i] = target_has_vectors(target);
    size_t bytes = (size_t)(scratch.filters + scratch.slots * scratch.place) * sizeof(float);
    if (bytes > out->scratch_bytes)
        out->scratch_bytes = bytes;
    spec->slack = slack_of(conv, pass, v[PATCH]);
}

const struct conv_technique conv_winograd = {open, add};

const struct conv_technique *conv_winograd_for(enum conv_pass pass) {
    return pass == CONV_PASS_FILTER ? &conv_winograd_filter : &conv_winograd;
}

int conv_winograd_wins(const struct conv *conv, const struct target *target, enum conv_pass pass) {
    struct choice choice = {0};
    return target->technique == TECHNIQUE_AUTO && target_has_vectors(target) &&
           conv_winograd_channels(conv) >= WINNING_CHANNELS && conv_k(conv) >= WINNING_CHANNELS &&
           conv_winograd_for(pass)->open(&choice, conv, target, pass);
}
