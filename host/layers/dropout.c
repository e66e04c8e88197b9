/* Dropout: in training, each input is zero with the given probability. */
#include "base/error.h"
#include "base/rng.h"
#include "layers/layer.h"
#include "layers/registry.h"

struct dropout {
    double probability;
};

static const struct option options[] = {
    {"probability", "of dropping an element, in training", OPTION_FLOAT,
     offsetof(struct dropout, probability), "0.5", 0, 0.999, NULL},
    {0},
};

static int infer(struct layer *layer) {
    layer->plan.output = layer->inputs[0];
    return 0;
}

enum { DROP };

static void kernels(const struct layer *layer, const struct target *target, int needs_dx,
                    enum truth truth_kind, struct layer_kernels *out) {
    (void)needs_dx;
    (void)truth_kind;
    const struct dropout *dropout = layer->description;
    long elements = (long)shape_elements(layer->inputs[0]);
    struct kernel_spec spec =
        kernel_spec("dropout.cl", "dropout", (size_t)(target->tiling.tile / target_vector(target)),
                    (size_t)(elements + 3) / 4, (size_t)target->tiling.tiles);
    layer_define_tiling(&spec, target);
    kernel_define(&spec, "ELEMENTS", elements);
    kernel_define(&spec, "DROP", (long)(dropout->probability * 4294967296.0));
    kernel_define_float(&spec, "SCALE", 1.0 / (1.0 - dropout->probability));
    kernel_define(&spec, "STREAM", RNG_DROPOUT);
    kernel_work(&spec, "forward and backward", 0, 4 * layer_bytes(target, layer->inputs[0]));
    out->specs[DROP] = spec;
}

/* Forward and backward multiply by the same mask. */
static int drop(const struct layer_run *run, const struct buffer *in, struct buffer *out) {
    if (!run->is_training)
        return buffer_copy(out, in);
    return LAUNCH(run->kernels[DROP], BUFFER(in), BUFFER(out), SCALAR(run->seed),
                  SCALAR(run->iteration), SCALAR(run->index), SCALAR(run->first_sample));
}

static int forward(const struct layer_run *run) {
    return drop(run, run->x[0], run->y);
}

static int backward(const struct layer_run *run) {
    return run->dx[0] ? drop(run, run->dy, run->dx[0]) : 0;
}

static struct element reference(const struct layer_values *values, struct result_index i) {
    const struct dropout *dropout = values->layer->description;
    const struct tensor *from = i.result == RESULT_OUTPUT ? &values->x[0] : &values->dy;
    uint32_t words[4];
    const uint32_t place[4] = {(uint32_t)(i.at / 4), (uint32_t)i.n + values->first_sample,
                               values->iteration, values->index};
    rng_words(words, values->seed, RNG_DROPOUT, place);
    double value = tensor_at(from, i.n, i.at) / (1 - dropout->probability);
    if (words[i.at % 4] < (uint32_t)(dropout->probability * 4294967296.0))
        value = 0;
    return element_of(value, 4, value);
}

const struct layer_type layer_dropout = {
    .name = "dropout",
    .help = "in training, drops elements at random, and scales up what it keeps",
    .input_count = 1,
    .description_size = sizeof(struct dropout),
    .options = options,
    .infer = infer,
    .kernels = kernels,
    .forward = forward,
    .backward = backward,
    .reference = reference,
};
