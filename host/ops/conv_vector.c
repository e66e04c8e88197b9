/* The vector technique of convolutions: what conv_vector.cl leaves open, what suits a device by
 * default, and the kernels as they were tuned. */
#include "ops/conv.h"

static const char file[] = "conv_vector.cl";

/* ---- what is open ---- */

/* Of forward and backward data. */
enum { VECTORS, BLOCK, BLOCKS, SPAN, DEPTH, RESULT_KNOBS };

static const struct knob result_knobs[] = {
    {"TUNE_VECTORS", "vectors of images held in registers", {1, 2, 4}},
    {"TUNE_BLOCK",
     "result channels held in registers",
     {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24}},
    {"TUNE_BLOCKS", "such blocks that a work-item takes", {1, 2, 3, 4, 6, 8, 12, 16, 32}},
    {"TUNE_SPAN", "pixels of a row that a work-item takes", {1, 2, 4, 7, 8, 14, 16, 28, 32, 64}},
    {"TUNE_DEPTH",
     "source channels at a time",
     {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 256}},
};

/* Of backward filter. */
enum { FILTERS, CHANNELS, TAP_ROWS, TAP_COLUMNS, RUN, FILTER_BLOCKS, CHANNEL_BLOCKS, FILTER_KNOBS };

static const struct knob filter_knobs[] = {
    {"TUNE_FILTERS", "filters held in registers", {1, 2, 3, 4, 5, 6, 7, 8, 10, 12}},
    {"TUNE_CHANNELS", "channels held in registers", {1, 2, 3, 4, 5, 6, 8}},
    {"TUNE_TAP_ROWS", "rows of the window that a work-item takes", {1, 2, 3, 5, 7, 11}},
    {"TUNE_TAP_COLUMNS", "columns of the window that a work-item takes", {1, 2, 3, 5, 7, 11}},
    {"TUNE_RUN", "pixels of a row at a time", {2, 4, 6, 8, 12, 16, 24, 32, 64}},
    {"TUNE_FILTER_BLOCKS", "blocks of filters that a work-item takes", {1, 2, 3, 4, 6, 8, 12, 16}},
    {"TUNE_CHANNEL_BLOCKS",
     "blocks of channels that a work-item takes",
     {1, 2, 3, 4, 6, 8, 12, 16}},
};

enum {
    /* Bytes of the nearest cache that what is read again and again may fill: most of 32 KiB. */
    NEAREST_CACHE = 20480,
    /* Bytes of sums that backward filter keeps in the second cache, and that it may keep at most:
     * they lie on the stack of a CPU's thread. */
    SUMS = 98304,
    SUMS_MOST = 262144,
    /* Sums of a work-item that is a lane: more would not be registers. */
    LANE_SUMS_MOST = 64,
};

/* Lanes of a vector as a work-item has it: images run along the work-items where it has none. */
static int lanes_of(const struct target *target) {
    return target_has_vectors(target) ? target_vector(target) : 1;
}

static int result_divides_tile(const struct candidate *c) {
    return c->target->tiling.tile % (lanes_of(c->target) * c->values[VECTORS]) == 0;
}

static int result_fits_registers(const struct candidate *c) {
    int vectors = c->values[VECTORS];
    return (int64_t)c->values[BLOCK] * vectors + vectors + 1 <= target_registers(c->target);
}

static const struct rule result_rules[] = {
    {result_divides_tile, "so many images do not divide the tile"},
    {result_fits_registers, "the sums do not fit the registers"},
    {0},
};

static int filter_fits_registers(const struct candidate *c) {
    int channels = c->values[CHANNELS];
    return (int64_t)c->values[FILTERS] * channels + channels + 1 <= target_registers(c->target);
}

static int filter_fits_private_memory(const struct candidate *c) {
    static const int factors[] = {FILTERS,     CHANNELS,      TAP_ROWS,
                                  TAP_COLUMNS, FILTER_BLOCKS, CHANNEL_BLOCKS};
    int64_t sums = 1, most = LANE_SUMS_MOST;
    if (target_has_vectors(c->target))
        most = SUMS_MOST / ((int64_t)sizeof(float) * lanes_of(c->target));
    for (int i = 0; i < 6 && sums <= most; i++)
        sums *= c->values[factors[i]];
    return sums <= most;
}

static const struct rule filter_rules[] = {
    {filter_fits_registers, "the sums of a tap do not fit the registers"},
    {filter_fits_private_memory, "the sums of all taps do not fit private memory"},
    {0},
};

static const struct space forward_space = {file, "forward", result_knobs, RESULT_KNOBS,
                                           result_rules};
static const struct space data_space = {file, "backward data", result_knobs, RESULT_KNOBS,
                                        result_rules};
static const struct space filter_space = {file, "backward filter", filter_knobs, FILTER_KNOBS,
                                          filter_rules};

/* ---- what suits by default ---- */

static int clamp(int value, int least, int most) {
    return value < least ? least : value > most ? most : value;
}

static int blocks(int size, int block) {
    return (size + block - 1) / block;
}

/* As many accumulators as leave a few registers for what is multiplied. */
static int accumulators_of(const struct target *target) {
    return target_registers(target) >= 32 ? 24 : 12;
}

/* One of the passes that compute a result pixel by pixel from a source. */
struct result {
    int channels, width, sources;
    int rows, columns; /* of the source, that a row of results reads */
};

static struct choice result_choice(const struct result *result, const struct target *target) {
    int *d, lanes = lanes_of(target);
    struct choice choice = {
        .defaults =
            {[VECTORS] = 1, [BLOCK] = 8, [BLOCKS] = 1, [SPAN] = 1, [DEPTH] = result->sources},
        .most = {[BLOCK] = result->channels, [SPAN] = result->width, [DEPTH] = result->sources}};
    d = choice.defaults;
    if (target_has_vectors(target)) {
        d[VECTORS] = target->tiling.tile >= 2 * lanes ? 2 : 1;
        d[BLOCK] = accumulators_of(target) / d[VECTORS];
        d[BLOCKS] = 8;
        d[SPAN] = result->width;
        /* Source channels whose rows, as far as a row of results reads them, fit the cache. */
        int row = result->rows * result->columns * lanes * d[VECTORS] * (int)sizeof(float);
        d[DEPTH] = clamp(NEAREST_CACHE / row, 1, result->sources);
    }
    choice.most[BLOCKS] = blocks(result->channels, d[BLOCK]);
    return choice;
}

static void default_filter(int d[], const struct conv *conv, const struct target *target) {
    int c = conv_c(conv), accumulators = accumulators_of(target);
    d[CHANNELS] = clamp(accumulators >= 24 ? 4 : 3, 1, c);
    d[FILTERS] = accumulators / d[CHANNELS];
    /* As many rows of taps at once as leave room for eight register tiles. */
    int row_of_sums = conv->size * accumulators * lanes_of(target) * (int)sizeof(float);
    d[TAP_COLUMNS] = conv->size;
    d[TAP_ROWS] = clamp(SUMS / (8 * row_of_sums), 1, conv->size);
    int pairs = clamp(SUMS / (d[TAP_ROWS] * row_of_sums), 1, 32);
    d[CHANNEL_BLOCKS] = clamp(pairs / 8, 1, blocks(c, d[CHANNELS]));
    d[FILTER_BLOCKS] = clamp(pairs / d[CHANNEL_BLOCKS], 1, 8);
    int pixel =
        (d[FILTERS] + d[CHANNELS] * conv->stride) * target->tiling.tile * (int)sizeof(float);
    d[RUN] = clamp(NEAREST_CACHE / pixel, 4, conv->out.w);
}

static struct choice filter_choice(const struct conv *conv, const struct target *target) {
    int c = conv_c(conv), k = conv_k(conv);
    struct choice choice = {.defaults = {[FILTERS] = 4,
                                         [CHANNELS] = 3,
                                         [TAP_ROWS] = 1,
                                         [TAP_COLUMNS] = 1,
                                         [RUN] = conv->out.w,
                                         [FILTER_BLOCKS] = 1,
                                         [CHANNEL_BLOCKS] = 1},
                            .most = {[FILTERS] = k,
                                     [CHANNELS] = c,
                                     [TAP_ROWS] = conv->size,
                                     [TAP_COLUMNS] = conv->size,
                                     [RUN] = conv->out.w}};
    if (target_has_vectors(target))
        default_filter(choice.defaults, conv, target);
    choice.most[FILTER_BLOCKS] = blocks(k, choice.defaults[FILTERS]);
    choice.most[CHANNEL_BLOCKS] = blocks(c, choice.defaults[CHANNELS]);
    return choice;
}

/* ---- the kernels ---- */

/* conv_vector.cl's PASS */
enum pass { PASS_FORWARD = 1, PASS_DATA, PASS_FILTER };

static void define(struct kernel_spec *spec, const struct conv *conv, const struct target *target,
                   const struct choice *choice, enum pass pass) {
    conv_define_problem(spec, conv, target);
    kernel_define(spec, "PASS", pass);
    kernel_define(spec, "TUNE_VECTOR", lanes_of(target));
    tuning_define(spec, choice);
    /* On a CPU one work-item is a work-group; the images of a tile make one elsewhere. */
    spec->local[0] = spec->local[1] = spec->local[2] = target_has_vectors(target);
}

/* Adds the choice of a pass, and returns it. */
static const struct choice *choose(struct conv_specs *out, struct choice choice,
                                   const struct space *space, const struct conv *conv,
                                   const struct target *target) {
    struct kernel_spec problem = {0};
    struct choice *chosen = &out->choices[out->choice_count++];
    conv_define_problem(&problem, conv, target);
    *chosen = choice;
    chosen->pass = space->name;
    tuning_choose(chosen, space, target, conv, &problem);
    return chosen;
}

/* The kernels of a pass whose result has the channels and rows, at specs[0] and [1]. */
static void add_result(struct conv_specs *out, int first, const char *const functions[2],
                       const struct conv *conv, const struct target *target,
                       const struct result *result, int height, const struct choice *choice,
                       enum pass pass) {
    const int *v = choice->values;
    int count = blocks(result->channels, v[BLOCK]);
    size_t taps = (size_t)conv->size * (size_t)conv->size * (size_t)result->sources;
    size_t groups = (size_t)conv->groups, packed = groups * (size_t)count;
    struct kernel_spec *pack = &out->specs[first], *spec = &out->specs[first + 1];
    *pack = kernel_spec(file, functions[0], (size_t)v[BLOCK], taps, packed);
    *spec = kernel_spec(file, functions[1],
                        (size_t)(target->tiling.tile / (lanes_of(target) * v[VECTORS])),
                        (size_t)height * (size_t)blocks(result->width, v[SPAN]),
                        (size_t)target->tiling.tiles * groups * (size_t)blocks(count, v[BLOCKS]));
    define(pack, conv, target, choice, pass);
    pack->local[0] = pack->local[1] = pack->local[2] = 0;
    define(spec, conv, target, choice, pass);
    size_t bytes = packed * (size_t)v[BLOCK] * taps * sizeof(float);
    if (bytes > out->scratch_bytes)
        out->scratch_bytes = bytes;
}

static void add_forward(struct conv_specs *out, const struct conv *conv,
                        const struct target *target) {
    static const char *const functions[] = {"conv_pack_forward", "conv_forward"};
    const struct result result = {.channels = conv_k(conv),
                                  .width = conv->out.w,
                                  .sources = conv_c(conv),
                                  .rows = conv->size,
                                  .columns = conv->in.w};
    const struct choice *choice =
        choose(out, result_choice(&result, target), &forward_space, conv, target);
    add_result(out, CONV_PACK_FORWARD, functions, conv, target, &result, conv->out.h, choice,
               PASS_FORWARD);
}

static void add_data(struct conv_specs *out, const struct conv *conv, const struct target *target) {
    static const char *const functions[] = {"conv_pack_backward", "conv_backward_data"};
    const struct result result = {.channels = conv_c(conv),
                                  .width = conv->in.w,
                                  .sources = conv_k(conv),
                                  .rows = blocks(conv->size, conv->stride),
                                  .columns = conv->out.w};
    const struct choice *choice =
        choose(out, result_choice(&result, target), &data_space, conv, target);
    add_result(out, CONV_PACK_BACKWARD, functions, conv, target, &result, conv->in.h, choice,
               PASS_DATA);
}

static void add_filter(struct conv_specs *out, const struct conv *conv,
                       const struct target *target) {
    const struct choice *choice =
        choose(out, filter_choice(conv, target), &filter_space, conv, target);
    const int *v = choice->values;
    struct kernel_spec *spec = &out->specs[CONV_BACKWARD_FILTER];
    *spec = kernel_spec(
        file, "conv_backward_filter",
        (size_t)blocks(conv->size, v[TAP_ROWS]) * (size_t)blocks(conv->size, v[TAP_COLUMNS]),
        (size_t)blocks(blocks(conv_c(conv), v[CHANNELS]), v[CHANNEL_BLOCKS]),
        (size_t)conv->groups * (size_t)blocks(blocks(conv_k(conv), v[FILTERS]), v[FILTER_BLOCKS]));
    define(spec, conv, target, choice, PASS_FILTER);
}

struct conv_specs conv_vector_specs(const struct conv *conv, const struct target *target,
                                    int needs_dx) {
    struct conv_specs out = {0};
    add_forward(&out, conv, target);
    if (needs_dx)
        add_data(&out, conv, target);
    add_filter(&out, conv, target);
    return out;
}
