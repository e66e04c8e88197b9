/* Fully connected: y = activate(W x + b). The input is flattened in the order C, H, W, which costs
 * nothing: inside a tile it is a matrix of features x images already. */
#include "base/error.h"
#include "layers/layer.h"
#include "layers/registry.h"
#include "ops/bias_activation.h"
#include "ops/gemm.h"

#include <string.h>

struct connected {
    int output;
    int activation; /* enum activation */
    struct parameter_options parameters;
};

#define FIELD(name) offsetof(struct connected, name)

static const struct option options[] = {
    {"output", "how many numbers come out", OPTION_INT, FIELD(output), "1", 1, 1048576, NULL},
    {"activation", "of the output", OPTION_ENUM, FIELD(activation), "logistic", 0, 0,
     activation_names},
    PARAMETER_OPTIONS(struct connected, parameters),
    {0},
};

static int infer(struct layer *layer) {
    const struct connected *connected = layer->description;
    const struct parameter_options *p = &connected->parameters;
    int64_t inputs = shape_elements(layer->inputs[0]);
    if (inputs * connected->output > INT32_MAX)
        return error_set(ERROR_INPUT, "output: %lld x %d weights are more than a layer can have",
                         (long long)inputs, connected->output);

    struct layer_plan *plan = &layer->plan;
    plan->output = (struct shape){.c = connected->output, .h = 1, .w = 1};
    plan->macs = inputs * connected->output;
    plan->backward_reads_input = 1;
    plan->backward_reads_output = plan->has_slope = connected->activation != ACTIVATION_LINEAR;
    plan->parameter_count = 2;
    plan->parameters[0] = (struct parameter){.name = "weight",
                                             .dimensions = 2,
                                             .sizes = {connected->output, (int)inputs},
                                             .initialiser = p->weight,
                                             .lr = p->weight_lr,
                                             .decay = p->weight_decay};
    plan->parameters[1] = (struct parameter){.name = "bias",
                                             .dimensions = 1,
                                             .sizes = {connected->output},
                                             .initialiser = p->bias,
                                             .lr = p->bias_lr,
                                             .decay = p->bias_decay};
    for (int i = 0; i < 2; i++) {
        plan->parameters[i].initialiser.fan_in = (double)inputs;
        plan->parameters[i].initialiser.fan_out = connected->output;
    }
    return 0;
}

/* A product's kernel, and at FINISH after it the one that adds its splits. */
enum {
    FORWARD,
    BACKWARD_DATA = 2,
    BACKWARD_WEIGHT = 4,
    FINISH = 1,
    FORWARD_BIAS = 6, /* where the product leaves it */
    TRANSPOSE,        /* of the input, for BACKWARD_WEIGHT */
    BACKWARD_BIAS,
};

/* The three products. A tile of activations is a matrix of features x T images. */
static struct gemm product(const struct layer *layer, struct tiling tiling, int which) {
    const struct connected *connected = layer->description;
    int inputs = (int)shape_elements(layer->inputs[0]), outputs = connected->output;
    long x_stride = (long)inputs * tiling.tile, y_stride = (long)outputs * tiling.tile;
    switch (which) {
    case FORWARD: /* y = activate(W x + b) */
        return (struct gemm){.m = outputs,
                             .n = tiling.tile,
                             .k = inputs,
                             .batch = tiling.tiles,
                             .stride_b = x_stride,
                             .stride_c = y_stride,
                             .bias = GEMM_BIAS_OF_ROWS,
                             .activation = (enum activation)connected->activation};
    case BACKWARD_DATA: /* dx = W' dy */
        return (struct gemm){.m = inputs,
                             .n = tiling.tile,
                             .k = outputs,
                             .transpose_a = 1,
                             .batch = tiling.tiles,
                             .stride_b = y_stride,
                             .stride_c = x_stride};
    default: /* dW += dy x', summed over the tiles */
        return (struct gemm){.m = outputs,
                             .n = inputs,
                             .k = tiling.tile,
                             .transpose_b = 1,
                             .batch = tiling.tiles,
                             .stride_a = y_stride,
                             .stride_b = x_stride,
                             .accumulate = 1};
    }
}

static void kernels(const struct layer *layer, const struct target *target, int needs_dx,
                    enum truth truth_kind, struct layer_kernels *out) {
    (void)truth_kind;
    const struct connected *connected = layer->description;
    static const int products[] = {FORWARD, BACKWARD_WEIGHT, BACKWARD_DATA};
    static const char *const passes[] = {"forward", "backward weight", "backward data"};
    double x = layer_bytes(target, layer->inputs[0]), y = layer_bytes(target, layer->plan.output);
    double w = (double)parameter_elements(&layer->plan.parameters[0]) * sizeof(float);
    enum activation activation = (enum activation)connected->activation;
    for (int i = 0; i < (needs_dx ? 3 : 2); i++) {
        struct gemm gemm = product(layer, target->tiling, products[i]);
        struct gemm_specs specs = gemm_specs(&gemm, target, passes[i]);
        kernel_work(&specs.product, passes[i],
                    2.0 * (double)layer->plan.macs * target->tiling.batch,
                    x + y + (i == 1 ? 2 : 1) * w);
        out->specs[products[i]] = specs.product;
        if (specs.transpose.file) {
            kernel_work(&specs.transpose, passes[i], 0, 2 * x);
            out->specs[TRANSPOSE] = specs.transpose;
        }
        if (specs.finish.file) {
            kernel_work(&specs.finish, passes[i], 0,
                        (double)specs.scratch_bytes + (i == 1 ? w : y));
            out->specs[products[i] + FINISH] = specs.finish;
        }
        if (products[i] == FORWARD && specs.leaves_bias)
            out->specs[FORWARD_BIAS] =
                bias_activation_forward_spec(target, layer->plan.output, activation);
        memcpy(&out->choices[out->choice_count], specs.choices, sizeof specs.choices);
        out->choice_count += specs.choice_count;
        if (specs.scratch_bytes > out->scratch_bytes)
            out->scratch_bytes = specs.scratch_bytes;
    }
    out->specs[BACKWARD_BIAS] =
        bias_activation_backward_spec(target, layer->plan.output, activation);
}

static int multiply(const struct layer_run *run, int which, const struct buffer *a,
                    const struct buffer *b, const struct buffer *bias, struct buffer *c) {
    struct gemm gemm = product(run->layer, run->target->tiling, which);
    struct gemm_kernels kernels = {.product = run->kernels[which],
                                   .transpose =
                                       which == BACKWARD_WEIGHT ? run->kernels[TRANSPOSE] : NULL,
                                   .finish = run->kernels[which + FINISH]};
    return gemm_run(&gemm, &kernels, a, b, bias, c, run->scratch);
}

static int forward(const struct layer_run *run) {
    const struct buffer *bias = run->parameters[1];
    TRY(multiply(run, FORWARD, run->parameters[0], run->x[0], bias, run->y));
    return run->kernels[FORWARD_BIAS]
               ? LAUNCH(run->kernels[FORWARD_BIAS], BUFFER(bias), BUFFER(run->y))
               : 0;
}

static int backward(const struct layer_run *run) {
    TRY(LAUNCH(run->kernels[BACKWARD_BIAS], BUFFER(run->y), BUFFER(run->dy),
               BUFFER(run->gradients[1])));
    TRY(multiply(run, BACKWARD_WEIGHT, run->dy, run->x[0], NULL, run->gradients[0]));
    if (!run->dx[0])
        return 0;
    return multiply(run, BACKWARD_DATA, run->parameters[0], run->dy, NULL, run->dx[0]);
}

static struct element reference(const struct layer_values *values, struct result_index i) {
    const struct connected *connected = values->layer->description;
    enum activation activation = (enum activation)connected->activation;
    if (i.result == RESULT_OUTPUT)
        return element_activate(element_connected_forward(&values->x[0], values->parameters[0],
                                                          values->parameters[1], i.n, i.at),
                                activation);
    if (i.result == RESULT_SLOPE)
        return element_slope(&values->y, &values->dy, activation, i.n, i.at);
    if (i.result == RESULT_INPUT_GRADIENT)
        return element_connected_data(&values->dz, values->parameters[0],
                                      (int)shape_elements(values->layer->inputs[0]), i.n, i.at);
    double start = (double)values->gradients[i.which][i.at];
    return i.which == 0 ? element_connected_weight(&values->dz, &values->x[0], start, i.at)
                        : element_bias(&values->dz, start, (int)i.at);
}

static const char *const aliases[] = {"conn", NULL};

const struct layer_type layer_connected = {
    .name = "connected",
    .aliases = aliases,
    .help = "every output sees every input: a matrix product, a bias, and an activation",
    .input_count = 1,
    .description_size = sizeof(struct connected),
    .options = options,
    .infer = infer,
    .kernels = kernels,
    .forward = forward,
    .backward = backward,
    .reference = reference,
};
