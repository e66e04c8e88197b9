/* The Winograd technique of backward weight on CPUs: what conv_winograd_filter.cl leaves open, what
 * suits a device by default, and the kernels as they were tuned. */
#include "ops/conv.h"

#include "base/numbers.h"

static const char file[] = "conv_winograd_filter.cl";

/* ---- what is open ---- */

enum { PATCH, ROWS, PATCHES, VECTORS, BLOCK, BLOCKS, KNOBS };

static const struct knob knobs[] = {
    {"TUNE_PATCH", "results along a side of a patch", {2, 4}},
    {"TUNE_ROWS", "rows of points at a time", {1, 2, 3, 4, 6}},
    {"TUNE_PATCHES", "patches at a time", {1, 2, 4, 6, 8, 12, 16, 24, 32}},
    {"TUNE_VECTORS", "vectors of channels held in registers", {1, 2, 3, 4}},
    {"TUNE_BLOCK", "filters held in registers", {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24}},
    {"TUNE_BLOCKS", "such blocks at a time", {1, 2, 4, 8, 12, 16, 24, 32, 48, 64}},
};

enum {
    /* Bytes of scratch memory. */
    SCRATCH_BYTES_MAX = 256 << 20,
};

/* What there is, for some values. */
struct parts {
    int side, points, blocks, slabs, panels, width;
};

static struct parts parts_of(const struct conv *conv, const struct target *target, const int v[]) {
    struct parts p = {.side = conv_winograd_side(conv, v[PATCH]),
                      .width = v[VECTORS] * target_lanes(target)};
    p.points = p.side * p.side;
    p.blocks = blocks(conv_k(conv), v[BLOCK]);
    p.slabs = blocks(p.blocks, v[BLOCKS]);
    p.panels = blocks(conv_winograd_channels(conv), p.width);
    return p;
}

/* Floats of a work-item's place: what is transformed of dy and of x. */
static size_t place_floats(const struct parts *p, const struct target *target, const int v[]) {
    size_t rows = (size_t)(v[BLOCKS] * v[BLOCK]) + (size_t)p->panels * (size_t)p->width;
    return (size_t)v[ROWS] * (size_t)p->side * rows * (size_t)v[PATCHES] *
           (size_t)target->tiling.tile;
}

static int count_works(const struct conv *conv, const struct parts *p, const int v[]) {
    return p->slabs * (p->side / v[ROWS]) * conv->groups;
}

static size_t scratch_bytes(const struct conv *conv, const struct target *target, const int v[]) {
    const struct parts p = parts_of(conv, target, v);
    size_t channels = (size_t)p.panels * (size_t)p.width;
    size_t sums = (size_t)conv->groups * (size_t)p.points * (size_t)(p.blocks * v[BLOCK]);
    size_t places = (size_t)count_works(conv, &p, v) * place_floats(&p, target, v);
    return (sums * channels + places) * sizeof(float);
}

static int is_known_patch(const struct candidate *c) {
    return conv_winograd_knows(c->problem, c->values[PATCH]);
}

static int divides_points(const struct candidate *c) {
    return conv_winograd_side(c->problem, c->values[PATCH]) % c->values[ROWS] == 0;
}

static int fills_vectors(const struct candidate *c) {
    return c->target->tiling.tile % target_lanes(c->target) == 0;
}

static int fits_registers(const struct candidate *c) {
    int64_t vectors = c->values[VECTORS];
    return c->values[BLOCK] * vectors + vectors + 1 <= target_registers(c->target);
}

static int fits_memory(const struct candidate *c) {
    return scratch_bytes(c->problem, c->target, c->values) <=
           target_scratch(c->target, SCRATCH_BYTES_MAX);
}

static const struct rule rules[] = {
    {is_known_patch, conv_winograd_patches},
    {divides_points, "so many rows do not divide those of the points"},
    {fills_vectors, "a tile of images does not fill vectors"},
    {fits_registers, "the sums do not fit the registers"},
    {fits_memory, "what is transformed takes too much memory"},
    {0},
};

static const struct space space = {file, knobs, KNOBS, rules};

/* ---- what suits by default ---- */

/* The most rows of points that leave so many works, or 1: for each x and dy are read again. */
static int rows_for(int side, int works) {
    for (int rows = side; rows > 1; rows--) {
        if (side % rows == 0 && side / rows >= works)
            return rows;
    }
    return 1;
}

static int open(struct choice *choice, const struct conv *conv, const struct target *target,
                enum conv_pass pass) {
    int *d = choice->defaults, *most = choice->most;
    if (pass != CONV_PASS_FILTER || !conv_winograd_knows(conv, 2) || !target_has_vectors(target))
        return 0;
    struct candidate chosen = {.target = target, .problem = conv, .values = d};
    choice->space = &space;
    const int lanes = target_lanes(target), units = target->device.compute_units;
    d[PATCH] = conv_winograd_patch(conv, conv->out.h, conv->out.w);
    const int side = conv_winograd_side(conv, d[PATCH]);
    const int patches = blocks(conv->out.h, d[PATCH]) * blocks(conv->out.w, d[PATCH]);
    /* A work for each compute unit; fewer filters where one row is too much for that, for which x
     * is transformed again. */
    d[ROWS] = rows_for(side, blocks(units, conv->groups));
    /* 2, or 3 where channels are multiples of so many: then nothing is computed in vain. */
    const int vectors = blocks(conv_winograd_channels(conv), lanes);
    d[VECTORS] = vectors % 2 && vectors % 3 == 0 ? 3 : least(vectors, 2);
    d[BLOCK] = target_accumulators(target) / d[VECTORS];
    const int all = blocks(conv_k(conv), d[BLOCK]), works = side / d[ROWS] * conv->groups;
    d[BLOCKS] = blocks(all, clamp(blocks(units, works), 1, all));
    /* What is transformed is to be in the second cache still, the most of it; and M, read and
     * written for each patches, little beside it. */
    d[PATCHES] = 1;
    const struct parts parts = parts_of(conv, target, d);
    const size_t cache = 2 * target_cache(target, 2) / sizeof(float);
    d[PATCHES] = clamp((int)(cache / place_floats(&parts, target, d)), 1, patches);
    most[PATCHES] = patches;
    most[VECTORS] = vectors;
    most[BLOCK] = conv_k(conv);
    most[BLOCKS] = all;
    return tuning_refuse(&space, &chosen) == NULL;
}

/* ---- the kernels ---- */

static void define(struct kernel_spec *spec, const struct target *target, const int values[]) {
    kernel_define(spec, "TUNE_VECTOR", target_lanes(target));
    tuning_define(spec, &space, values);
}

static void add(struct conv_specs *out, const struct conv *conv, const struct target *target,
                enum conv_pass pass, const int v[]) {
    const struct parts p = parts_of(conv, target, v);
    struct kernel_spec *spec = &out->specs[CONV_BACKWARD_FILTER];
    struct kernel_spec *last = &out->specs[CONV_FINISH_FILTER];
    (void)pass; /* it is for this one alone */
    *spec = kernel_spec(file, "conv_backward_filter", (size_t)count_works(conv, &p, v), 1, 1);
    *last = kernel_spec(file, "conv_winograd_gradient", (size_t)p.panels * (size_t)v[VECTORS],
                        (size_t)conv_k(conv), (size_t)conv->groups);
    define(spec, target, v);
    define(last, target, v);
    for (int i = 0; i < 3; i++) /* a work-item is a work-group */
        spec->local[i] = last->local[i] = 1;
    size_t bytes = scratch_bytes(conv, target, v);
    if (bytes > out->scratch_bytes)
        out->scratch_bytes = bytes;
}

const struct conv_technique conv_winograd_filter = {open, add};
