/* Softmax with cross-entropy: the end of a classifier. */
#include "base/error.h"
#include "layers/layer.h"
#include "layers/registry.h"

struct softmax {
    int groups;
    double temperature;
};

#define FIELD(name) offsetof(struct softmax, name)

static const struct option options[] = {
    {"groups", "Darknet's key; only one group is known", OPTION_INT, FIELD(groups), "1", 1, 1,
     NULL},
    {"temperature", "divides the scores", OPTION_FLOAT, FIELD(temperature), "1", 1e-3, 1e3, NULL},
    {0},
};

static int infer(struct layer *layer) {
    struct shape in = layer->inputs[0];
    layer->plan.output = (struct shape){.c = (int)shape_elements(in), .h = 1, .w = 1};
    layer->plan.backward_reads_output = 1;
    layer->plan.is_loss = 1;
    layer->plan.labels_only = 1;
    return 0;
}

enum { FORWARD, BACKWARD };

static void kernels(const struct layer *layer, const struct target *target, int needs_dx,
                    enum truth truth_kind, struct layer_kernels *out) {
    (void)truth_kind;
    /* Then there are no more than 256 work-items, whose places take 16 KiB of local memory: every
     * device has 32. */
    enum { CLASSES_SHARED = 1024 };
    const struct softmax *softmax = layer->description;
    size_t vectors = (size_t)(target->tiling.tile / target_vector(target));
    size_t tiles = (size_t)target->tiling.tiles, classes = (size_t)layer->plan.output.c;
    size_t local = (size_t)target_reduction(target, classes < CLASSES_SHARED ? (int64_t)classes
                                                                             : CLASSES_SHARED);
    out->specs[FORWARD] = kernel_spec("softmax.cl", "softmax_forward", local, vectors, tiles);
    if (local > 1) {
        out->specs[FORWARD].local[0] = local;
        out->specs[FORWARD].local[1] = out->specs[FORWARD].local[2] = 1;
    }
    if (needs_dx)
        out->specs[BACKWARD] =
            kernel_spec("softmax.cl", "softmax_backward", vectors, classes, tiles);
    for (int i = FORWARD; i <= BACKWARD; i++) {
        if (!out->specs[i].file)
            continue;
        layer_define_tiling(&out->specs[i], target);
        kernel_define(&out->specs[i], "K", (long)classes);
        kernel_define(&out->specs[i], "TUNE_LOCAL", (long)local);
        kernel_define_float(&out->specs[i], "TEMPERATURE", softmax->temperature);
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
    const struct softmax *softmax = values->layer->description;
    int label = values->labels[i.n];
    switch (i.result) {
    case RESULT_OUTPUT:
        return element_softmax_forward(&values->x[0], softmax->temperature, i.n, i.at);
    case RESULT_LOSS:
        return element_softmax_loss(&values->x[0], softmax->temperature, label, i.n);
    case RESULT_RANK:
        return element_rank(&values->x[0], label, i.n);
    default:
        return element_softmax_backward(&values->y, softmax->temperature, values->gradient_scale,
                                        label, i.n, i.at);
    }
}

static const char *const aliases[] = {"soft", NULL};

const struct layer_type layer_softmax = {
    .name = "softmax",
    .aliases = aliases,
    .help = "probabilities of classes, trained by cross-entropy; ends a net",
    .input_count = 1,
    .description_size = sizeof(struct softmax),
    .options = options,
    .infer = infer,
    .kernels = kernels,
    .forward = forward,
    .backward = backward,
    .reference = reference,
};
