/* Convolution with a bias for each filter and an activation. Square windows, as in Darknet. */
#include "base/error.h"
#include "layers/layer.h"
#include "layers/registry.h"
#include "ops/bias_activation.h"
#include "ops/conv.h"

#include <string.h>

struct convolutional {
    int filters, size, stride, pad, padding, groups;
    int activation; /* enum activation */
    struct parameter_options parameters;
};

#define FIELD(name) offsetof(struct convolutional, name)

static const struct option options[] = {
    {"filters", "how many filters, which is how many channels come out", OPTION_INT, FIELD(filters),
     "1", 1, 65536, NULL},
    {"size", "height and width of the window", OPTION_INT, FIELD(size), "1", 1, 255, NULL},
    {"stride", "pixels from one window to the next", OPTION_INT, FIELD(stride), "1", 1, 64, NULL},
    {"pad", "1: padding is size / 2, whatever `padding` says", OPTION_BOOL, FIELD(pad), "0", 0, 1,
     NULL},
    {"padding", "zeros around the picture, on each side", OPTION_INT, FIELD(padding), "0", 0, 254,
     NULL},
    {"groups", "channels and filters are split into so many groups that do not see each other",
     OPTION_INT, FIELD(groups), "1", 1, 65536, NULL},
    {"activation", "of the output", OPTION_ENUM, FIELD(activation), "logistic", 0, 0,
     activation_names},
    PARAMETER_OPTIONS(struct convolutional, parameters),
    {0},
};

static int padding_of(const struct convolutional *conv) {
    return conv->pad ? conv->size / 2 : conv->padding;
}

static int infer(struct layer *layer) {
    const struct convolutional *conv = layer->description;
    struct shape in = layer->inputs[0];
    int padding = padding_of(conv);
    if (padding >= conv->size)
        return error_set(ERROR_INPUT,
                         "padding: %d is not below size %d: whole windows would see nothing",
                         padding, conv->size);
    if (conv->filters % conv->groups)
        return error_set(ERROR_INPUT, "groups: %d does not divide the %d filters", conv->groups,
                         conv->filters);
    if (in.c % conv->groups)
        return error_set(ERROR_INPUT, "groups: %d does not divide the %d channels that come in",
                         conv->groups, in.c);
    if (in.h + 2 * padding < conv->size || in.w + 2 * padding < conv->size)
        return error_set(ERROR_INPUT,
                         "size: a %d x %d window does not fit the %d x %d (w x h) that comes in "
                         "with padding %d",
                         conv->size, conv->size, in.w, in.h, padding);

    struct layer_plan *plan = &layer->plan;
    plan->output = (struct shape){
        .c = conv->filters,
        .h = (in.h + 2 * padding - conv->size) / conv->stride + 1,
        .w = (in.w + 2 * padding - conv->size) / conv->stride + 1,
    };
    int window = conv->size * conv->size, c = in.c / conv->groups;
    plan->macs = shape_elements(plan->output) * c * window;
    plan->backward_reads_input = 1;
    plan->backward_reads_output = plan->has_slope = conv->activation != ACTIVATION_LINEAR;

    double fan_in = (double)c * window, fan_out = (double)conv->filters / conv->groups * window;
    const struct parameter_options *p = &conv->parameters;
    plan->parameter_count = 2;
    plan->parameters[0] = (struct parameter){.name = "weight",
                                             .dimensions = 4,
                                             .sizes = {conv->filters, c, conv->size, conv->size},
                                             .initialiser = p->weight,
                                             .lr = p->weight_lr,
                                             .decay = p->weight_decay};
    plan->parameters[1] = (struct parameter){.name = "bias",
                                             .dimensions = 1,
                                             .sizes = {conv->filters},
                                             .initialiser = p->bias,
                                             .lr = p->bias_lr,
                                             .decay = p->bias_decay};
    for (int i = 0; i < 2; i++) {
        plan->parameters[i].initialiser.fan_in = fan_in;
        plan->parameters[i].initialiser.fan_out = fan_out;
    }
    return 0;
}

enum { BACKWARD_BIAS = CONV_KERNELS };

static struct conv problem_of(const struct layer *layer) {
    const struct convolutional *conv = layer->description;
    return (struct conv){.in = layer->inputs[0],
                         .out = layer->plan.output,
                         .size = conv->size,
                         .stride = conv->stride,
                         .padding = padding_of(conv),
                         .groups = conv->groups,
                         .activation = (enum activation)conv->activation};
}

static void describe_work(const struct layer *layer, const struct target *target,
                          struct kernel_spec specs[]) {
    double flops = 2.0 * (double)layer->plan.macs * target->tiling.batch;
    double x = layer_bytes(target, layer->inputs[0]), y = layer_bytes(target, layer->plan.output);
    double w = (double)parameter_elements(&layer->plan.parameters[0]) * sizeof(float);
    kernel_work(&specs[CONV_PACK_FORWARD], "forward", 0, 2 * w);
    kernel_work(&specs[CONV_FORWARD], "forward", flops, x + y + w);
    kernel_work(&specs[CONV_PACK_BACKWARD], "backward data", 0, 2 * w);
    kernel_work(&specs[CONV_BACKWARD_DATA], "backward data", flops, x + y + w);
    kernel_work(&specs[CONV_BACKWARD_FILTER], "backward weight", flops, x + y + 2 * w);
    kernel_work(&specs[CONV_FINISH_FILTER], "backward weight", 0, 3 * w);
}

static void kernels(const struct layer *layer, const struct target *target, int needs_dx,
                    enum truth truth_kind, struct layer_kernels *out) {
    (void)truth_kind;
    struct conv conv = problem_of(layer);
    struct conv_specs specs = conv_specs(&conv, target, needs_dx);
    memcpy(out->specs, specs.specs, sizeof specs.specs);
    memcpy(out->choices, specs.choices, sizeof specs.choices);
    out->choice_count = specs.choice_count;
    out->scratch_bytes = specs.scratch_bytes;
    describe_work(layer, target, out->specs);
    out->specs[BACKWARD_BIAS] =
        bias_activation_backward_spec(target, layer->plan.output, conv.activation);
}

/* The filters as the kernel wants them: repacked into scratch memory, or as they are. */
static int pack(const struct layer_run *run, int kernel, const struct buffer **weights) {
    *weights = run->parameters[0];
    if (!run->kernels[kernel])
        return 0;
    *weights = run->scratch;
    return LAUNCH(run->kernels[kernel], BUFFER(run->parameters[0]), BUFFER(run->scratch));
}

static int forward(const struct layer_run *run) {
    const struct buffer *weights;
    TRY(pack(run, CONV_PACK_FORWARD, &weights));
    return LAUNCH(run->kernels[CONV_FORWARD], BUFFER(run->x[0]), BUFFER(weights),
                  BUFFER(run->parameters[1]), BUFFER(run->y));
}

static int backward_filter(const struct layer_run *run) {
    struct kernel *finish = run->kernels[CONV_FINISH_FILTER];
    TRY(LAUNCH(run->kernels[CONV_BACKWARD_FILTER], BUFFER(run->dy), BUFFER(run->x[0]),
               BUFFER(finish ? run->scratch : run->gradients[0])));
    return finish ? LAUNCH(finish, BUFFER(run->scratch), BUFFER(run->gradients[0])) : 0;
}

static int backward(const struct layer_run *run) {
    TRY(LAUNCH(run->kernels[BACKWARD_BIAS], BUFFER(run->y), BUFFER(run->dy),
               BUFFER(run->gradients[1])));
    TRY(backward_filter(run));
    if (!run->dx[0])
        return 0;
    const struct buffer *weights;
    TRY(pack(run, CONV_PACK_BACKWARD, &weights));
    return LAUNCH(run->kernels[CONV_BACKWARD_DATA], BUFFER(run->dy), BUFFER(weights),
                  BUFFER(run->dx[0]));
}

static struct element reference(const struct layer_values *values, struct result_index i) {
    const struct convolutional *conv = values->layer->description;
    enum activation activation = (enum activation)conv->activation;
    struct reference_conv shape = {.n = values->y.tiling.batch,
                                   .in = values->layer->inputs[0],
                                   .out = values->layer->plan.output,
                                   .size = conv->size,
                                   .stride = conv->stride,
                                   .padding = padding_of(conv),
                                   .groups = conv->groups};
    if (i.result == RESULT_OUTPUT)
        return element_activate(element_conv_forward(&shape, &values->x[0], values->parameters[0],
                                                     values->parameters[1], i.n, i.at),
                                activation);
    if (i.result == RESULT_SLOPE)
        return element_slope(&values->y, &values->dy, activation, i.n, i.at);
    if (i.result == RESULT_INPUT_GRADIENT)
        return element_conv_data(&shape, &values->dz, values->parameters[0], i.n, i.at);
    double start = (double)values->gradients[i.which][i.at];
    return i.which == 0 ? element_conv_filter(&shape, &values->dz, &values->x[0], start, i.at)
                        : element_bias(&values->dz, start, (int)i.at);
}

static const char *const aliases[] = {"conv", NULL};

const struct layer_type layer_convolutional = {
    .name = "convolutional",
    .aliases = aliases,
    .help = "filters that slide over the picture, a bias for each, and an activation",
    .input_count = 1,
    .description_size = sizeof(struct convolutional),
    .options = options,
    .infer = infer,
    .kernels = kernels,
    .forward = forward,
    .backward = backward,
    .reference = reference,
};
