/* Local response normalisation across channels: kernels_cl/lrn_reference.cl has the formula. */
#include "layers/lrn.h"

#include "base/error.h"
#include "base/numbers.h"
#include "layers/registry.h"

struct lrn {
    int size;
    double k, alpha, beta;
};

#define FIELD(name) offsetof(struct lrn, name)

static const struct option options[] = {
    {"size", "channels that a window spans, an odd number", OPTION_INT, FIELD(size), "5", 1, 63,
     NULL},
    {"k", "what the sum starts from", OPTION_FLOAT, FIELD(k), "2", 1e-6, 1e6, NULL},
    {"alpha", "multiplies the sum of squares; not divided by size, as in the 2012 paper",
     OPTION_FLOAT, FIELD(alpha), "1e-4", 0, 1e6, NULL},
    {"beta", "the power", OPTION_FLOAT, FIELD(beta), "0.75", 0, 100, NULL},
    {0},
};

static int infer(struct layer *layer) {
    const struct lrn *lrn = layer->description;
    if (lrn->size % 2 == 0)
        return error_set(ERROR_INPUT,
                         "size: %d is even; a window reaches equally far to both sides", lrn->size);
    layer->plan.output = layer->inputs[0];
    layer->plan.backward_reads_input = 1;
    return 0;
}

struct reference_lrn lrn_problem(const struct layer *layer, int n) {
    const struct lrn *lrn = layer->description;
    return (struct reference_lrn){.n = n,
                                  .shape = layer->inputs[0],
                                  .size = lrn->size,
                                  .k = lrn->k,
                                  .alpha = lrn->alpha,
                                  .beta = lrn->beta};
}

int lrn_span(const struct target *target) {
    return target_has_vectors(target) ? 32 : 1;
}

/* Channels of a work-item: all, unless that leaves a GPU with fewer work-items than hide its
 * memory's latency. */
static int channels(const struct target *target, struct shape shape) {
    enum { ITEMS_A_UNIT = 1024, CHANNELS_LEAST = 16 };
    int vectors = target->tiling.tile / target_vector(target);
    double items = (double)shape.h * shape.w * vectors * target->tiling.tiles;
    double wanted = (double)target->device.compute_units * ITEMS_A_UNIT;
    int most = shape.c;
    if (target->device.is_cpu)
        return most;
    while (most > CHANNELS_LEAST && items * blocks(shape.c, most) < wanted)
        most = blocks(most, 2);
    return most;
}

void lrn_define(struct kernel_spec *spec, const struct layer *layer, const struct target *target) {
    const struct lrn *lrn = layer->description;
    struct shape shape = layer->inputs[0];
    layer_define_tiling(spec, target);
    kernel_define(spec, "TUNE_SPAN", lrn_span(target));
    kernel_define(spec, "TUNE_CHANNELS", channels(target, shape));
    kernel_define(spec, "C", shape.c);
    kernel_define(spec, "PIXELS", (long)shape.h * shape.w);
    kernel_define(spec, "SIZE", lrn->size);
    kernel_define_float(spec, "KAPPA", lrn->k);
    kernel_define_float(spec, "ALPHA", lrn->alpha);
    kernel_define_float(spec, "BETA", lrn->beta);
    kernel_define(spec, "BETA_IS_3_4", lrn->beta == 0.75);
}

enum { FORWARD, BACKWARD };

static void kernels(const struct layer *layer, const struct target *target, int needs_dx,
                    enum truth truth_kind, struct layer_kernels *out) {
    (void)truth_kind;
    struct shape shape = layer->inputs[0];
    size_t pixels = (size_t)shape.h * (size_t)shape.w, tiles = (size_t)target->tiling.tiles;
    static const char *const functions[] = {"lrn_forward", "lrn_backward"};
    static const char *const passes[] = {"forward", "backward data"};
    for (int i = 0; i < (needs_dx ? 2 : 1); i++) {
        struct kernel_spec spec;
        if (target->technique == TECHNIQUE_REFERENCE) {
            spec = kernel_spec("lrn_reference.cl", functions[i],
                               pixels * (size_t)target->tiling.tile, (size_t)shape.c, tiles);
        } else {
            size_t vectors = (size_t)(target->tiling.tile / target_vector(target));
            size_t span = (size_t)lrn_span(target);
            spec = kernel_spec("lrn_vector.cl", functions[i], (pixels * vectors + span - 1) / span,
                               tiles, (size_t)blocks(shape.c, channels(target, shape)));
            if (target_has_vectors(target))
                spec.local[0] = spec.local[1] = spec.local[2] = 1;
        }
        lrn_define(&spec, layer, target);
        kernel_work(&spec, passes[i], 0, (i == FORWARD ? 2 : 3) * layer_bytes(target, shape));
        out->specs[i] = spec;
    }
}

static int forward(const struct layer_run *run) {
    return LAUNCH(run->kernels[FORWARD], BUFFER(run->x[0]), BUFFER(run->y));
}

static int backward(const struct layer_run *run) {
    if (!run->dx[0])
        return 0;
    return LAUNCH(run->kernels[BACKWARD], BUFFER(run->x[0]), BUFFER(run->dy), BUFFER(run->dx[0]));
}

static struct element reference(const struct layer_values *values, struct result_index i) {
    struct reference_lrn lrn = lrn_problem(values->layer, values->y.tiling.batch);
    return i.result == RESULT_OUTPUT
               ? element_lrn_forward(&lrn, &values->x[0], i.n, i.at)
               : element_lrn_backward(&lrn, &values->x[0], &values->dy, i.n, i.at);
}

const struct layer_type layer_lrn = {
    .name = "lrn",
    .help = "local response normalisation across channels: x / (k + alpha * sum of x^2)^beta",
    .input_count = 1,
    .description_size = sizeof(struct lrn),
    .options = options,
    .infer = infer,
    .kernels = kernels,
    .forward = forward,
    .backward = backward,
    .reference = reference,
};
