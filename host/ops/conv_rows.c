/* The technique of convolutions by rows, for CPUs and tiles of few images: what conv_rows.cl leaves
 * open, what suits a device by default, and the kernels as they were tuned. */
#include "ops/conv.h"

#include "base/numbers.h"

static const char file[] = "conv_rows.cl";

/* ---- what is open ---- */

/* Of forward and backward data. */
enum { VECTORS, BLOCK, BLOCKS, DEPTH, RESULT_KNOBS };

static const struct knob result_knobs[] = {
    {"TUNE_VECTORS", "vectors of a row held in registers", {1, 2, 3, 4, 5, 6, 7, 8}},
    {"TUNE_BLOCK",
     "result channels held in registers",
     {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24}},
    {"TUNE_BLOCKS", "such blocks that a work-item takes", {1, 2, 3, 4, 6, 8, 12, 16, 32}},
    {"TUNE_DEPTH",
     "source channels at a time",
     {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 256}},
};

/* Of backward filter. */
enum { FILTERS, CHANNELS, ROWS, FILTER_BLOCKS, FILTER_KNOBS };

static const struct knob filter_knobs[] = {
    {"TUNE_FILTERS", "filters held in registers", {1, 2, 3, 4, 5, 6, 7, 8, 10, 12}},
    {"TUNE_CHANNELS", "channels held in registers", {1, 2, 3, 4, 5, 6, 8}},
    {"TUNE_ROWS", "rows of results at a time", {1, 2, 3, 4, 6, 8, 13, 16}},
    {"TUNE_FILTER_BLOCKS", "blocks of filters that a work-item takes", {1, 2, 3, 4, 6, 8, 12, 16}},
};

enum {
    /* Bytes of a work-item's private memory at most: they lie on the stack of a CPU's thread. */
    PRIVATE_MOST = 655360,
};

/* What a pass walks along: rows of results, and the source that their windows see. */
struct walk {
    int results, height, width;
    int sources, stride;
};

static struct walk walk_of(const struct conv *conv, enum conv_pass pass) {
    if (pass == CONV_PASS_DATA)
        return (struct walk){conv_c(conv), conv->in.h, conv->in.w, conv_k(conv), 1};
    return (struct walk){conv_k(conv), conv->out.h, conv->out.w, conv_c(conv), conv->stride};
}

/* Floats of a line and of a row as it is copied, as conv_rows.cl has them. */
static int64_t row_floats(const struct walk *walk, const struct target *target, int span) {
    return (int64_t)blocks(walk->width * target->tiling.tile, span) * span;
}

static int64_t line_floats(const struct conv *conv, const struct walk *walk,
                           const struct target *target, int span) {
    int reach = (conv->size - 1) / walk->stride * target->tiling.tile;
    return walk->stride * (row_floats(walk, target, span) + reach);
}

static int64_t lines_bytes(const struct conv *conv, const struct walk *walk,
                           const struct target *target, const int v[]) {
    int span = v[VECTORS] * target_flat_vector(target);
    return (int64_t)v[DEPTH] * conv->size * line_floats(conv, walk, target, span) *
           (int64_t)sizeof(float);
}

static int64_t filter_bytes(const struct conv *conv, const struct target *target, const int v[]) {
    struct walk walk = walk_of(conv, CONV_PASS_FILTER);
    int lanes = target_flat_vector(target), filters = v[FILTERS] * v[FILTER_BLOCKS];
    int64_t lines = (int64_t)v[CHANNELS] * ((v[ROWS] - 1) * conv->stride + conv->size) *
                    line_floats(conv, &walk, target, lanes);
    int64_t copies = (int64_t)filters * v[ROWS] * row_floats(&walk, target, lanes);
    int64_t sums = (int64_t)filters * v[CHANNELS] * conv->size * conv->size * lanes;
    return (lines + copies + sums) * (int64_t)sizeof(float);
}

static int result_fits_registers(const struct candidate *c) {
    int vectors = c->values[VECTORS], block = c->values[BLOCK];
    return (int64_t)block * vectors + least(block, vectors) + 1 <= target_registers(c->target);
}

/* Whichever of the two passes it is for. */
static int lines_fit_private_memory(const struct candidate *c) {
    for (int pass = CONV_PASS_FORWARD; pass <= CONV_PASS_DATA; pass++) {
        struct walk walk = walk_of(c->problem, (enum conv_pass)pass);
        if (lines_bytes(c->problem, &walk, c->target, c->values) > PRIVATE_MOST)
            return 0;
    }
    return 1;
}

static const struct rule result_rules[] = {
    {result_fits_registers, "the sums do not fit the registers"},
    {lines_fit_private_memory, "the lines do not fit private memory"},
    {0},
};

static int filter_fits_registers(const struct candidate *c) {
    int channels = c->values[CHANNELS];
    return (int64_t)c->values[FILTERS] * channels + channels + 1 <= target_registers(c->target);
}

static int filter_fits_private_memory(const struct candidate *c) {
    return filter_bytes(c->problem, c->target, c->values) <= PRIVATE_MOST;
}

static const struct rule filter_rules[] = {
    {filter_fits_registers, "the sums of a tap do not fit the registers"},
    {filter_fits_private_memory, "sums, lines and rows do not fit private memory"},
    {0},
};

static const struct space result_space = {file, result_knobs, RESULT_KNOBS, result_rules};
static const struct space filter_space = {file, filter_knobs, FILTER_KNOBS, filter_rules};

/* ---- what suits by default ---- */

/* Vectors of a row at a time, so that it wastes few of the last ones. A few of them with a few
 * channels need fewer loads than many of one with the other. */
static int default_vectors(int in_row, const struct target *target) {
    int most = target_registers(target) >= 32 ? 7 : 4;
    return blocks(in_row, blocks(in_row, most));
}

/* The lines take half of the nearest cache: those of a channel, or of several. */
static int open_result(struct choice *choice, const struct conv *conv, const struct target *target,
                       enum conv_pass pass) {
    enum { CHANNELS_AT_ONCE = 96 }; /* for which lines are copied once */
    int *d = choice->defaults, *most = choice->most;
    struct walk walk = walk_of(conv, pass);
    int vectors = blocks(walk.width * target->tiling.tile, target_flat_vector(target));
    choice->space = &result_space;
    d[VECTORS] = default_vectors(vectors, target);
    d[BLOCK] = clamp(target_accumulators(target) / d[VECTORS], 1, walk.results);
    d[BLOCKS] = clamp(CHANNELS_AT_ONCE / d[BLOCK], 1, blocks(walk.results, d[BLOCK]));
    d[DEPTH] = 1;
    int64_t channel = lines_bytes(conv, &walk, target, d);
    d[DEPTH] = clamp((int)((int64_t)target_cache(target, 1) / 2 / channel), 1, walk.sources);
    most[VECTORS] = vectors;
    most[BLOCK] = walk.results;
    most[BLOCKS] = blocks(walk.results, d[BLOCK]);
    most[DEPTH] = walk.sources;
    struct candidate chosen = {.target = target, .problem = conv, .values = d};
    return tuning_refuse(choice->space, &chosen) == NULL;
}

/* As many rows as keep what a register tile walks over within the nearest cache, and as many
 * filters as fit a quarter of the second one, and leave work for all units. */
static int open_filter(struct choice *choice, const struct conv *conv,
                       const struct target *target) {
    enum { ROWS_LEAST = 3 }; /* for which the sums are taken up once */
    int *d = choice->defaults, *most = choice->most, c = conv_c(conv), k = conv_k(conv);
    struct walk walk = walk_of(conv, CONV_PASS_FILTER);
    int lanes = target_flat_vector(target), accumulators = target_accumulators(target);
    choice->space = &filter_space;
    d[CHANNELS] = clamp(accumulators >= 24 ? 4 : 3, 1, c);
    d[FILTERS] = clamp(accumulators / d[CHANNELS], 1, k);
    int64_t line = d[CHANNELS] * line_floats(conv, &walk, target, lanes);
    int64_t row = conv->stride * line + d[FILTERS] * row_floats(&walk, target, lanes);
    int64_t near = (int64_t)target_cache(target, 1) / (int64_t)sizeof(float) / 5 * 3;
    d[ROWS] = clamp((int)((near - (conv->size - conv->stride) * line) / row),
                    least(ROWS_LEAST, conv->out.h), conv->out.h);
    d[ROWS] = blocks(conv->out.h, blocks(conv->out.h, d[ROWS]));
    d[FILTER_BLOCKS] = 1;
    int items = blocks(c, d[CHANNELS]) * conv->groups;
    int units = clamp(target->device.compute_units, 1, 4096);
    int64_t room = least64((int64_t)target_cache(target, 2) / 4, PRIVATE_MOST);
    while (d[FILTER_BLOCKS] < 8 && 2 * filter_bytes(conv, target, d) < room &&
           items * blocks(blocks(k, d[FILTERS]), 2 * d[FILTER_BLOCKS]) >= 4 * units)
        d[FILTER_BLOCKS] *= 2;
    most[FILTERS] = k;
    most[CHANNELS] = c;
    most[ROWS] = conv->out.h;
    most[FILTER_BLOCKS] = blocks(k, d[FILTERS]);
    struct candidate chosen = {.target = target, .problem = conv, .values = d};
    return tuning_refuse(choice->space, &chosen) == NULL;
}

static int open(struct choice *choice, const struct conv *conv, const struct target *target,
                enum conv_pass pass) {
    if (!target_has_vectors(target) || (pass == CONV_PASS_DATA && conv->stride != 1))
        return 0;
    return pass == CONV_PASS_FILTER ? open_filter(choice, conv, target)
                                    : open_result(choice, conv, target, pass);
}

/* ---- the kernels ---- */

/* A program is for one pass; one work-item is a work-group. */
static void define(struct kernel_spec *spec, const struct target *target, const struct space *space,
                   const int values[], enum conv_pass pass) {
    kernel_define(spec, "PASS", pass + 1);
    kernel_define(spec, "TUNE_VECTOR", target_flat_vector(target));
    tuning_define(spec, space, values);
    spec->local[0] = spec->local[1] = spec->local[2] = 1;
}

static void add(struct conv_specs *out, const struct conv *conv, const struct target *target,
                enum conv_pass pass, const int v[]) {
    static const int kernels[] = {CONV_FORWARD, CONV_BACKWARD_DATA, CONV_BACKWARD_FILTER};
    static const char *const functions[] = {"conv_forward", "conv_backward_data",
                                            "conv_backward_filter"};
    const struct walk walk = walk_of(conv, pass);
    const int is_filter = pass == CONV_PASS_FILTER;
    struct kernel_spec *spec = &out->specs[kernels[pass]];
    size_t groups = (size_t)conv->groups;
    if (is_filter) {
        *spec =
            kernel_spec(file, functions[pass], (size_t)blocks(conv_c(conv), v[CHANNELS]),
                        (size_t)blocks(blocks(conv_k(conv), v[FILTERS]), v[FILTER_BLOCKS]), groups);
    } else {
        *spec = kernel_spec(file, functions[pass],
                            (size_t)blocks(blocks(walk.results, v[BLOCK]), v[BLOCKS]),
                            (size_t)walk.height, (size_t)target->tiling.tiles * groups);
        conv_add_pack(out, conv, pass, v[BLOCK]);
    }
    define(spec, target, is_filter ? &filter_space : &result_space, v, pass);
}

const struct conv_technique conv_rows = {open, add};

int conv_rows_fills(const struct target *target) {
    return target_has_vectors(target) && target_lanes(target) < target_flat_vector(target);
}
