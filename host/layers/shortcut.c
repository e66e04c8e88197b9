/* The sum of two layers' outputs, as residual networks have it (Darknet's [shortcut]). */
#include "base/error.h"
#include "layers/layer.h"
#include "layers/registry.h"
#include "ops/bias_activation.h"

struct shortcut {
    int activation; /* enum activation */
};

static const struct option options[] = {
    {"activation", "of the sum", OPTION_ENUM, offsetof(struct shortcut, activation), "linear", 0, 0,
     activation_names},
    {0},
};

static int infer(struct layer *layer) {
    const struct shortcut *shortcut = layer->description;
    struct shape a = layer->inputs[0], b = layer->inputs[1];
    if (!shape_equal(a, b))
        return error_set(ERROR_INPUT,
                         "from: a %d x %d x %d (c x h x w) cannot be added to a %d x %d x %d", b.c,
                         b.h, b.w, a.c, a.h, a.w);
    layer->plan.output = a;
    layer->plan.backward_reads_output = shortcut->activation != ACTIVATION_LINEAR;
    return 0;
}

enum { FORWARD, BACKWARD };

static void kernels(const struct layer *layer, const struct target *target, int needs_dx,
                    enum truth truth_kind, struct layer_kernels *out) {
    (void)truth_kind;
    const struct shortcut *shortcut = layer->description;
    static const char *const functions[] = {"shortcut_forward", "shortcut_backward"};
    for (int i = FORWARD; i <= (needs_dx ? BACKWARD : FORWARD); i++) {
        out->specs[i] =
            layer_elementwise_spec("shortcut.cl", functions[i], target, layer->plan.output);
        kernel_define(&out->specs[i], "ACTIVATION", shortcut->activation);
        kernel_work(&out->specs[i], i == FORWARD ? "forward" : "backward data", 0,
                    3 * layer_bytes(target, layer->plan.output));
    }
}

static int forward(const struct layer_run *run) {
    return LAUNCH(run->kernels[FORWARD], BUFFER(run->x[0]), BUFFER(run->x[1]), BUFFER(run->y));
}

static int backward(const struct layer_run *run) {
    for (int i = 0; i < 2; i++) {
        if (run->dx[i])
            TRY(LAUNCH(run->kernels[BACKWARD], BUFFER(run->y), BUFFER(run->dy),
                       BUFFER(run->dx[i])));
    }
    return 0;
}

static struct element reference(const struct layer_values *values, struct result_index i) {
    const struct shortcut *shortcut = values->layer->description;
    enum activation activation = (enum activation)shortcut->activation;
    if (i.result == RESULT_INPUT_GRADIENT)
        return element_slope(&values->y, &values->dy, activation, i.n, i.at);
    struct sum sum = {0};
    for (int k = 0; k < 2; k++) {
        double term = tensor_at(&values->x[k], i.n, i.at);
        sum_add(&sum, term, term);
    }
    return element_activate(sum_element(&sum), activation);
}

const struct layer_type layer_shortcut = {
    .name = "shortcut",
    .help = "adds the output of another layer, named by `from`",
    .input_count = 2,
    .description_size = sizeof(struct shortcut),
    .options = options,
    .infer = infer,
    .kernels = kernels,
    .forward = forward,
    .backward = backward,
    .reference = reference,
};
