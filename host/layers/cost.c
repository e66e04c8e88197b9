/* Costs of linear and of logistic regression: kernels_cl/cost.cl has the formulas. */
#include "base/error.h"
#include "layers/layer.h"
#include "layers/registry.h"

struct cost {
    int kind;
};

static const char *const kinds[] = {"sse", "logistic", NULL};

static const struct option options[] = {
    {"type",
     "sse: 1/2N sum (y - truth)^2; logistic: cross-entropy of the logistic function of what comes "
     "in (so the layer before is linear)",
     OPTION_ENUM, offsetof(struct cost, kind), "sse", 0, 0, kinds},
    {0},
};

static int infer(struct layer *layer) {
    struct shape in = layer->inputs[0];
    layer->plan.output = (struct shape){.c = (int)shape_elements(in), .h = 1, .w = 1};
    layer->plan.backward_reads_output = 1;
    layer->plan.is_loss = 1;
    return 0;
}

enum { FORWARD, BACKWARD };

static void kernels(const struct layer *layer, const struct target *target, int needs_dx,
                    enum truth truth_kind, struct layer_kernels *out) {
    const struct cost *cost = layer->description;
    size_t tile = (size_t)target->tiling.tile, tiles = (size_t)target->tiling.tiles;
    size_t outputs = (size_t)layer->plan.output.c;
    out->specs[FORWARD] = kernel_spec("cost.cl", "cost_forward", tile, tiles, 1);
    if (needs_dx)
        out->specs[BACKWARD] = kernel_spec("cost.cl", "cost_backward", tile, outputs, tiles);
    for (int i = FORWARD; i <= BACKWARD; i++) {
        if (!out->specs[i].file)
            continue;
        kernel_define(&out->specs[i], "T", (long)tile);
        kernel_define(&out->specs[i], "K", (long)outputs);
        kernel_define(&out->specs[i], "KIND", cost->kind);
        kernel_define(&out->specs[i], "LABELS", truth_kind == TRUTH_LABELS);
        kernel_work(&out->specs[i], i == FORWARD ? "forward" : "backward data", 0,
                    2 * layer_bytes(target, layer->plan.output));
    }
}

static int forward(const struct layer_run *run) {
    return LAUNCH(run->kernels[FORWARD], BUFFER(run->x[0]), BUFFER(run->truth), BUFFER(run->y),
                  BUFFER(run->losses), BUFFER(run->ranks));
}

static int backward(const struct layer_run *run) {
    if (!run->dx[0])
        return 0;
    return LAUNCH(run->kernels[BACKWARD], BUFFER(run->y), BUFFER(run->truth), BUFFER(run->dx[0]),
                  SCALAR(run->count), SCALAR(run->gradient_scale));
}

static struct element reference(const struct layer_values *values, struct result_index i) {
    const struct cost *cost = values->layer->description;
    enum reference_cost kind = cost->kind ? REFERENCE_LOGISTIC : REFERENCE_SSE;
    const float *truth = values->truth + (int64_t)i.n * values->layer->plan.output.c;
    switch (i.result) {
    case RESULT_OUTPUT:
        return element_cost_forward(&values->x[0], kind, i.n, i.at);
    case RESULT_LOSS:
        return element_cost_loss(&values->x[0], kind, truth, i.n);
    case RESULT_RANK: /* numbers have none */
        return values->labels ? element_rank(&values->x[0], values->labels[i.n], i.n)
                              : (struct element){0};
    default:
        return element_cost_backward(&values->y, truth, values->gradient_scale, i.n, i.at);
    }
}

const struct layer_type layer_cost = {
    .name = "cost",
    .help = "the cost of a regression; ends a net",
    .input_count = 1,
    .description_size = sizeof(struct cost),
    .options = options,
    .infer = infer,
    .kernels = kernels,
    .forward = forward,
    .backward = backward,
    .reference = reference,
};
