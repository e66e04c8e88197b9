/* Local response normalisation and the max-pooling that follows, by the kernels of both in
 * kernels_cl/lrn_vector.cl. */
#include "base/error.h"
#include "base/numbers.h"
#include "layers/fused.h"
#include "layers/lrn.h"
#include "layers/maxpool.h"

enum {
    /* Kernels of both, and behind them those of each layer by its own numbering. */
    FORWARD,
    BACKWARD,
    OF_LRN,
    OF_POOL = OF_LRN + 2,

    /* Channels that a work-item of forward normalises together, and vectors of each that it keeps:
     * they are pooled from the nearest caches. */
    BLOCK = 4,
    BAND_VECTORS = 1024,
    /* Work-items of forward for each compute unit, where there is work for so many. */
    WORKS_A_UNIT = 2,
};

static const struct option options[] = {{0}};

static int infer(struct layer *layer) {
    const struct fused *fused = layer->description;
    layer->plan.output = fused->second->plan.output;
    layer->plan.keep_bytes = fused->second->plan.keep_bytes;
    layer->plan.backward_reads_input = 1;
    return 0;
}

/* ---- the kernels of both ---- */

/* The outputs that a work-item of forward takes: as many rows as its band has room for, unless that
 * leaves compute units idle, and of them all columns where there is room for one row. */
struct band {
    int rows, columns;
};

static int band_vectors(const struct reference_pool *pool, const struct target *target,
                        struct band band) {
    int height = (band.rows - 1) * pool->stride + pool->size_h;
    int width = (band.columns - 1) * pool->stride + pool->size_w;
    return least(height, pool->in.h) * least(width, pool->in.w) * target->tiling.tile /
           target_vector(target);
}

static struct band band_of(const struct reference_pool *pool, const struct target *target) {
    struct band band = {1, pool->out.w};
    while (band.columns > 1 && band_vectors(pool, target, band) > BAND_VECTORS)
        band.columns--;
    while (band.rows < pool->out.h &&
           band_vectors(pool, target, (struct band){band.rows + 1, band.columns}) <= BAND_VECTORS)
        band.rows++;
    int works = WORKS_A_UNIT * target->device.compute_units;
    int columns = blocks(pool->out.w, band.columns) * target->tiling.tiles;
    band.rows = least(band.rows, blocks(pool->out.h, blocks(works, columns)));
    return band;
}

int lrn_maxpool_wins(const struct fused *fused, const struct target *target) {
    struct reference_pool pool = maxpool_problem(fused->second, target->tiling.batch);
    return target->technique != TECHNIQUE_REFERENCE && target_has_vectors(target) &&
           band_vectors(&pool, target, (struct band){1, 1}) <= BAND_VECTORS;
}

static void add_fused(struct layer_kernels *out, const struct fused *fused,
                      const struct target *target, int needs_dx) {
    struct reference_pool pool = maxpool_problem(fused->second, target->tiling.batch);
    struct band band = band_of(&pool, target);
    size_t tiles = (size_t)target->tiling.tiles;
    size_t vectors = (size_t)(target->tiling.tile / target_vector(target));
    size_t pixels = (size_t)pool.in.h * (size_t)pool.in.w, span = (size_t)lrn_span(target);
    double in = layer_bytes(target, pool.in), result = layer_bytes(target, pool.out);
    out->specs[FORWARD] = kernel_spec("lrn_vector.cl", "lrn_maxpool_forward",
                                      (size_t)blocks(pool.out.w, band.columns),
                                      (size_t)blocks(pool.out.h, band.rows), tiles);
    if (needs_dx)
        out->specs[BACKWARD] = kernel_spec("lrn_vector.cl", "lrn_maxpool_backward",
                                           (pixels * vectors + span - 1) / span, tiles, 1);
    for (int i = FORWARD; i <= BACKWARD; i++) {
        struct kernel_spec *spec = &out->specs[i];
        if (!spec->file)
            continue;
        spec->local[0] = spec->local[1] = spec->local[2] = 1;
        lrn_define(spec, fused->first, target);
        kernel_define(spec, "H", pool.in.h);
        kernel_define(spec, "W", pool.in.w);
        kernel_define(spec, "POOL", pool.size_h);
        kernel_define(spec, "STRIDE", pool.stride);
        kernel_define(spec, "BEFORE", pool.before);
        kernel_define(spec, "OUT_H", pool.out.h);
        kernel_define(spec, "OUT_W", pool.out.w);
        kernel_define(spec, "TUNE_BLOCK", BLOCK);
        kernel_define(spec, "TUNE_ROWS", band.rows);
        kernel_define(spec, "TUNE_COLUMNS", band.columns);
        /* The taps are half as long as floats. */
        kernel_work(spec, i == FORWARD ? "forward" : "backward data", 0,
                    (i == FORWARD ? 1 : 2) * in + 1.5 * result);
    }
}

/* ---- those of each, with what lies between them in scratch memory ---- */

static void add_layer(struct layer_kernels *out, int first, const struct layer *layer,
                      const struct target *target, int needs_dx) {
    struct layer_kernels own = {0};
    layer->type->kernels(layer, target, needs_dx, TRUTH_LABELS, &own);
    for (int i = 0; i < 2; i++)
        out->specs[first + i] = own.specs[i];
}

static void kernels(const struct layer *layer, const struct target *target, int needs_dx,
                    enum truth truth_kind, struct layer_kernels *out) {
    (void)truth_kind;
    const struct fused *fused = layer->description;
    if (lrn_maxpool_wins(fused, target)) {
        add_fused(out, fused, target, needs_dx);
        return;
    }
    add_layer(out, OF_LRN, fused->first, target, needs_dx);
    add_layer(out, OF_POOL, fused->second, target, needs_dx);
    out->scratch_bytes = (size_t)layer_bytes(target, fused->first->plan.output);
}

static struct layer_run run_of(const struct layer_run *run, const struct layer *layer, int first) {
    struct layer_run own = *run;
    own.layer = layer;
    own.kernels = run->kernels + first;
    return own;
}

static int forward(const struct layer_run *run) {
    const struct fused *fused = run->layer->description;
    if (run->kernels[FORWARD])
        return LAUNCH(run->kernels[FORWARD], BUFFER(run->x[0]), BUFFER(run->y), BUFFER(run->keep));
    struct layer_run lrn = run_of(run, fused->first, OF_LRN);
    struct layer_run pool = run_of(run, fused->second, OF_POOL);
    lrn.y = pool.x[0] = run->scratch;
    TRY(lrn.layer->type->forward(&lrn));
    return pool.layer->type->forward(&pool);
}

static int backward(const struct layer_run *run) {
    const struct fused *fused = run->layer->description;
    if (!run->dx[0])
        return 0;
    if (run->kernels[BACKWARD])
        return LAUNCH(run->kernels[BACKWARD], BUFFER(run->x[0]), BUFFER(run->dy), BUFFER(run->keep),
                      BUFFER(run->dx[0]));
    struct layer_run lrn = run_of(run, fused->first, OF_LRN);
    struct layer_run pool = run_of(run, fused->second, OF_POOL);
    lrn.dy = pool.dx[0] = run->scratch;
    TRY(pool.layer->type->backward(&pool));
    return lrn.layer->type->backward(&lrn);
}

static struct element reference(const struct layer_values *values, struct result_index i) {
    const struct fused *fused = values->layer->description;
    int batch = values->y.tiling.batch;
    struct reference_lrn lrn = lrn_problem(fused->first, batch);
    struct reference_pool pool = maxpool_problem(fused->second, batch);
    return i.result == RESULT_OUTPUT
               ? element_lrn_maxpool_forward(&lrn, &pool, &values->x[0], i.n, i.at)
               : element_lrn_maxpool_backward(&lrn, &pool, &values->x[0], &values->dy, i.n, i.at);
}

const struct layer_type layer_lrn_maxpool = {
    .name = "lrn+maxpool",
    .help = "local response normalisation across channels, then the greatest value of each window",
    .input_count = 1,
    .description_size = sizeof(struct fused),
    .options = options,
    .infer = infer,
    .kernels = kernels,
    .forward = forward,
    .backward = backward,
    .reference = reference,
};
