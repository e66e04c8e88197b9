/* The vector technique of convolutions: what conv_vector.cl leaves open, what suits a device by
 * default, and the kernels as they were tuned. */
#include "ops/conv.h"

#include "base/numbers.h"

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
enum {
    FILTERS,
    CHANNELS,
    TAP_ROWS,
    TAP_COLUMNS,
    ROWS,
    RUN,
    FILTER_BLOCKS,
    CHANNEL_BLOCKS,
    FILTER_KNOBS
};

static const struct knob filter_knobs[] = {
    {"TUNE_FILTERS", "filters held in registers", {1, 2, 3, 4, 5, 6, 7, 8, 10, 12}},
    {"TUNE_CHANNELS", "channels held in registers", {1, 2, 3, 4, 5, 6, 8}},
    {"TUNE_TAP_ROWS", "rows of the window that a work-item takes", {1, 2, 3, 5, 7, 11}},
    {"TUNE_TAP_COLUMNS", "columns of the window that a work-item takes", {1, 2, 3, 5, 7, 11}},
    {"TUNE_ROWS", "rows of results at a time", {1, 2, 3, 4, 6, 8, 13}},
    {"TUNE_RUN", "pixels of a row at a time", {2, 4, 6, 8, 12, 16, 24, 32, 64}},
    {"TUNE_FILTER_BLOCKS", "blocks of filters that a work-item takes", {1, 2, 3, 4, 6, 8, 12, 16}},
    {"TUNE_CHANNEL_BLOCKS",
     "blocks of channels that a work-item takes",
     {1, 2, 3, 4, 6, 8, 12, 16}},
};

enum {
    /* Bytes of sums that backward filter may keep at most: they lie on the stack of a CPU's thread.
     */
    SUMS_MOST = 655360,
    /* Sums of a work-item that is a lane: more would not be registers. */
    LANE_SUMS_MOST = 64,
};

static int result_divides_tile(const struct candidate *c) {
    return c->target->tiling.tile % (target_lanes(c->target) * c->values[VECTORS]) == 0;
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

static int filter_block_is_whole(const struct candidate *c) {
    return c->values[FILTERS] <= conv_k(c->problem) && c->values[CHANNELS] <= conv_c(c->problem);
}

static int filter_fits_registers(const struct candidate *c) {
    int channels = c->values[CHANNELS];
    return (int64_t)c->values[FILTERS] * channels + channels + 1 <= target_registers(c->target);
}

static int filter_fits_private_memory(const struct candidate *c) {
    static const int factors[] = {FILTERS,     CHANNELS,      TAP_ROWS,
                                  TAP_COLUMNS, FILTER_BLOCKS, CHANNEL_BLOCKS};
    int64_t sums = 1, most = LANE_SUMS_MOST;
    if (target_has_vectors(c->target))
        most = SUMS_MOST / ((int64_t)sizeof(float) * target_lanes(c->target));
    for (int i = 0; i < 6 && sums <= most; i++)
        sums *= c->values[factors[i]];
    return sums <= most;
}

static const struct rule filter_rules[] = {
    {filter_block_is_whole, "there are fewer filters or channels"},
    {filter_fits_registers, "the sums of a tap do not fit the registers"},
    {filter_fits_private_memory, "the sums of all taps do not fit private memory"},
    {0},
};

static const struct space result_space = {file, result_knobs, RESULT_KNOBS, result_rules};
static const struct space filter_space = {file, filter_knobs, FILTER_KNOBS, filter_rules};

/* ---- what suits by default ---- */

/* One of the passes that compute a result pixel by pixel from a source. */
struct result {
    int channels, height, width, sources;
    int rows, columns; /* of the source, that a row of results reads */
};

static struct result result_of(const struct conv *conv, enum conv_pass pass) {
    if (pass == CONV_PASS_FORWARD)
        return (struct result){.channels = conv_k(conv),
                               .height = conv->out.h,
                               .width = conv->out.w,
                               .sources = conv_c(conv),
                               .rows = conv->size,
                               .columns = conv->in.w};
    return (struct result){.channels = conv_c(conv),
                           .height = conv->in.h,
                           .width = conv->in.w,
                           .sources = conv_k(conv),
                           .rows = blocks(conv->size, conv->stride),
                           .columns = conv->out.w};
}

static void open_result(struct choice *choice, const struct result *result,
                        const struct target *target) {
    int *d = choice->defaults, *most = choice->most, lanes = target_lanes(target);
    choice->space = &result_space;
    d[VECTORS] = d[BLOCKS] = d[SPAN] = 1;
    d[BLOCK] = 8;
    d[DEPTH] = result->sources;
    if (target_has_vectors(target)) {
        d[VECTORS] = target->tiling.tile >= 2 * lanes ? 2 : 1;
        d[BLOCK] = target_accumulators(target) / d[VECTORS];
        d[BLOCKS] = 8;
        d[SPAN] = result->width;
        /* Source channels whose rows, as far as a row of results reads them, fit most of the first
         * cache or, where that is more, the share of the second one that needs no waiting for. */
        int row = result->rows * result->columns * lanes * d[VECTORS] * (int)sizeof(float);
        int first = (int)target_cache(target, 1) / 8 * 5,
            second = (int)target_cache(target, 2) / 24;
        d[DEPTH] = clamp((first > second ? first : second) / row, 1, result->sources);
    }
    most[BLOCK] = result->channels;
    most[BLOCKS] = blocks(result->channels, d[BLOCK]);
    most[SPAN] = result->width;
    most[DEPTH] = result->sources;
}

/* Pixels of a part, where `count` are divided as evenly as can be into parts of at most `most`. */
static int even_part(int count, int most) {
    return blocks(count, blocks(count, most));
}

static void default_filter(int d[], const struct conv *conv, const struct target *target) {
    int c = conv_c(conv), k = conv_k(conv), accumulators = target_accumulators(target);
    d[CHANNELS] = clamp(accumulators >= 24 ? 4 : 3, 1, c);
    d[FILTERS] = clamp(accumulators / d[CHANNELS], 1, k);

    /* A run of dy, and of x for one row of taps, stay in the nearest cache for all those taps. */
    int near = (int)target_cache(target, 1) / 100 * 72;
    int pixel =
        (d[FILTERS] + d[CHANNELS] * conv->stride) * target->tiling.tile * (int)sizeof(float);
    d[RUN] = even_part(conv->out.w, clamp(near / pixel, 4, conv->out.w));
    d[ROWS] = clamp(near / (pixel * conv->out.w), 1, conv->out.h);

    /* All taps at once, as far as their sums fit a part of the second cache; and as there is work
     * for all units then. */
    int64_t most = (int64_t)target_cache(target, 2) / 10 * 3;
    if (most > SUMS_MOST)
        most = SUMS_MOST;
    int64_t row_of_sums = (int64_t)conv->size * d[FILTERS] * d[CHANNELS] * target_lanes(target) *
                          (int64_t)sizeof(float);
    int pairs = blocks(k, d[FILTERS]) * blocks(c, d[CHANNELS]) * conv->groups;
    int units = clamp(target->device.compute_units, 1, 4096);
    d[TAP_COLUMNS] = conv->size;
    d[TAP_ROWS] = conv->size;
    while (d[TAP_ROWS] > 1 && (d[TAP_ROWS] * row_of_sums > most ||
                               pairs * blocks(conv->size, d[TAP_ROWS]) < 2 * units))
        d[TAP_ROWS] = even_part(conv->size, d[TAP_ROWS] - 1);

    /* A few register tiles, so that as much is read of dy as of x. */
    int64_t tiles = most / (d[TAP_ROWS] * row_of_sums);
    int64_t tiles_for_all = (int64_t)pairs * blocks(conv->size, d[TAP_ROWS]) / (2 * (int64_t)units);
    if (tiles > tiles_for_all)
        tiles = tiles_for_all;
    d[CHANNEL_BLOCKS] = tiles >= 4 && c > d[CHANNELS] ? 2 : 1;
    int64_t x_bytes = (int64_t)d[CHANNEL_BLOCKS] * d[CHANNELS] * conv->in.h * conv->in.w;
    int64_t y_bytes = (int64_t)d[FILTERS] * conv->out.h * conv->out.w;
    d[FILTER_BLOCKS] = clamp((int)((x_bytes + y_bytes - 1) / y_bytes), 1,
                             clamp((int)(tiles / d[CHANNEL_BLOCKS]), 1, blocks(k, d[FILTERS])));
}

static void open_filter(struct choice *choice, const struct conv *conv,
                        const struct target *target) {
    int *d = choice->defaults, *most = choice->most, c = conv_c(conv), k = conv_k(conv);
    choice->space = &filter_space;
    d[FILTERS] = clamp(4, 1, k);
    d[CHANNELS] = clamp(3, 1, c);
    d[TAP_ROWS] = d[TAP_COLUMNS] = d[ROWS] = d[FILTER_BLOCKS] = d[CHANNEL_BLOCKS] = 1;
    d[RUN] = conv->out.w;
    if (target_has_vectors(target))
        default_filter(d, conv, target);
    most[FILTERS] = k;
    most[CHANNELS] = c;
    most[TAP_ROWS] = most[TAP_COLUMNS] = conv->size;
    most[ROWS] = conv->out.h;
    most[RUN] = conv->out.w;
    most[FILTER_BLOCKS] = blocks(k, d[FILTERS]);
    most[CHANNEL_BLOCKS] = blocks(c, d[CHANNELS]);
}

static int open(struct choice *choice, const struct conv *conv, const struct target *target,
                enum conv_pass pass) {
    struct result result = result_of(conv, pass);
    if (pass == CONV_PASS_FILTER)
        open_filter(choice, conv, target);
    else
        open_result(choice, &result, target);
    return 1;
}

/* ---- the kernels ---- */

/* A program is for one pass. */
static void define(struct kernel_spec *spec, const struct target *target, const struct space *space,
                   const int values[], enum conv_pass pass) {
    kernel_define(spec, "PASS", pass + 1);
    kernel_define(spec, "TUNE_VECTOR", target_lanes(target));
    tuning_define(spec, space, values);
    /* On a CPU one work-item is a work-group; the images of a tile make one elsewhere. */
    spec->local[0] = spec->local[1] = spec->local[2] = target_has_vectors(target);
}

static void add_result(struct conv_specs *out, const struct conv *conv, const struct target *target,
                       enum conv_pass pass, const int v[]) {
    const int is_data = pass == CONV_PASS_DATA;
    const struct result result = result_of(conv, pass);
    int count = blocks(result.channels, v[BLOCK]);
    size_t groups = (size_t)conv->groups;
    struct kernel_spec *spec = &out->specs[is_data ? CONV_BACKWARD_DATA : CONV_FORWARD];
    *spec = kernel_spec(file, is_data ? "conv_backward_data" : "conv_forward",
                        (size_t)(target->tiling.tile / (target_lanes(target) * v[VECTORS])),
                        (size_t)result.height * (size_t)blocks(result.width, v[SPAN]),
                        (size_t)target->tiling.tiles * groups * (size_t)blocks(count, v[BLOCKS]));
    define(spec, target, &result_space, v, pass);
    conv_add_pack(out, conv, pass, v[BLOCK]);
}

static void add_filter(struct conv_specs *out, const struct conv *conv, const struct target *target,
                       const int v[]) {
    struct kernel_spec *spec = &out->specs[CONV_BACKWARD_FILTER];
    *spec = kernel_spec(
        file, "conv_backward_filter",
        (size_t)blocks(conv->size, v[TAP_ROWS]) * (size_t)blocks(conv->size, v[TAP_COLUMNS]),
        (size_t)blocks(blocks(conv_c(conv), v[CHANNELS]), v[CHANNEL_BLOCKS]),
        (size_t)conv->groups * (size_t)blocks(blocks(conv_k(conv), v[FILTERS]), v[FILTER_BLOCKS]));
    define(spec, target, &filter_space, v, CONV_PASS_FILTER);
}

static void add(struct conv_specs *out, const struct conv *conv, const struct target *target,
                enum conv_pass pass, const int values[]) {
    if (pass == CONV_PASS_FILTER)
        add_filter(out, conv, target, values);
    else
        add_result(out, conv, target, pass, values);
}

const struct conv_technique conv_vector = {open, add};
