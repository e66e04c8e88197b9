/* Convolution with a bias for each filter and an activation. Square windows, as in Darknet. */
#include "base/error.h"
#include "layers/layer.h"
#include "layers/registry.h"
#include "ops/bias_activation.h"
#include "ops/conv_tiled.h"

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

enum {
    PACK_FORWARD,
    FORWARD,
    PACK_BACKWARD,
    BACKWARD_DATA,
    BACKWARD_FILTER,
    ADD_SPLITS,
    BACKWARD_BIAS,
};

static size_t blocks(int size, int block) {
    return (size_t)((size + block - 1) / block);
}

static void define_problem(struct kernel_spec *spec, const struct layer *layer,
                           const struct target *target) {
    const struct convolutional *conv = layer->description;
    struct shape in = layer->inputs[0], out = layer->plan.output;
    kernel_define(spec, "T", target->tiling.tile);
    kernel_define(spec, "TILES", target->tiling.tiles);
    kernel_define(spec, "GROUPS", conv->groups);
    kernel_define(spec, "C", in.c / conv->groups);
    kernel_define(spec, "H", in.h);
    kernel_define(spec, "W", in.w);
    kernel_define(spec, "K", conv->filters / conv->groups);
    kernel_define(spec, "R", conv->size);
    kernel_define(spec, "S", conv->size);
    kernel_define(spec, "STRIDE", conv->stride);
    kernel_define(spec, "PADDING", padding_of(conv));
    kernel_define(spec, "OUT_H", out.h);
    kernel_define(spec, "OUT_W", out.w);
    kernel_define(spec, "ACTIVATION", conv->activation);
}

static void reference_kernels(const struct layer *layer, const struct target *target, int needs_dx,
                              struct kernel_spec specs[]) {
    const struct convolutional *conv = layer->description;
    struct shape in = layer->inputs[0], out = layer->plan.output;
    size_t tile = (size_t)target->tiling.tile, tiles = (size_t)target->tiling.tiles;
    specs[FORWARD] = kernel_spec("conv_reference.cl", "conv_forward", tile * (size_t)out.w,
                                 (size_t)out.h, tiles * (size_t)out.c);
    if (needs_dx)
        specs[BACKWARD_DATA] = kernel_spec("conv_reference.cl", "conv_backward_data",
                                           tile * (size_t)in.w, (size_t)in.h, tiles * (size_t)in.c);
    specs[BACKWARD_FILTER] = kernel_spec("conv_reference.cl", "conv_backward_filter",
                                         (size_t)conv->size * (size_t)conv->size,
                                         (size_t)(in.c / conv->groups), (size_t)conv->filters);
}

/* The tuning of the vector kernels: conv_vector.cl says what each means. */
struct tuning {
    int vector, vectors, block, blocks, span, span_data, depth, depth_data;
    int filters, channels, filter_blocks, channel_blocks, tap_rows, tap_columns, run;
};

enum {
    /* Bytes of the nearest cache that what is read again and again may fill: most of 32 KiB. */
    NEAREST_CACHE = 20480,
    /* Bytes of sums that backward filter may keep in the second cache. */
    SUMS = 98304,
};

static int clamp(int value, int least, int most) {
    return value < least ? least : value > most ? most : value;
}

/* Source channels whose rows, as far as a row of results reads them, fit the nearest cache. */
static int choose_depth(int rows, int columns, int lanes, int channels) {
    return clamp(NEAREST_CACHE / (rows * columns * lanes * (int)sizeof(float)), 1, channels);
}

static void tune_for_cpu(struct tuning *tuning, const struct layer *layer,
                         const struct target *target) {
    const struct convolutional *conv = layer->description;
    struct shape in = layer->inputs[0], out = layer->plan.output;
    int c = in.c / conv->groups, k = conv->filters / conv->groups;
    /* As many accumulators as leave a few registers for what is multiplied. */
    int accumulators = target_registers(target) >= 32 ? 24 : 12;
    tuning->vectors = target->tiling.tile >= 2 * tuning->vector ? 2 : 1;
    tuning->block = accumulators / tuning->vectors;
    tuning->blocks = 8;
    tuning->span = out.w;
    tuning->span_data = in.w;
    int lanes = tuning->vector * tuning->vectors;
    int taps = (conv->size + conv->stride - 1) / conv->stride;
    tuning->depth = choose_depth(conv->size, in.w, lanes, c);
    tuning->depth_data = choose_depth(taps, out.w, lanes, k);

    tuning->channels = clamp(accumulators >= 24 ? 4 : 3, 1, c);
    tuning->filters = accumulators / tuning->channels;
    /* As many rows of taps at once as leave room for eight register tiles. */
    int row_of_sums = conv->size * accumulators * tuning->vector * (int)sizeof(float);
    tuning->tap_columns = conv->size;
    tuning->tap_rows = clamp(SUMS / (8 * row_of_sums), 1, conv->size);
    int pairs = clamp(SUMS / (tuning->tap_rows * row_of_sums), 1, 32);
    tuning->channel_blocks = clamp(pairs / 8, 1, (c + tuning->channels - 1) / tuning->channels);
    tuning->filter_blocks = clamp(pairs / tuning->channel_blocks, 1, 8);
    int pixel = (tuning->filters + tuning->channels * conv->stride) * target->tiling.tile *
                (int)sizeof(float);
    tuning->run = clamp(NEAREST_CACHE / pixel, 4, out.w);
}

static struct tuning choose_tuning(const struct layer *layer, const struct target *target) {
    const struct convolutional *conv = layer->description;
    struct tuning tuning = {
        .vector = 1, /* images run along the work-items */
        .vectors = 1,
        .block = 8,
        .blocks = 1,
        .span = 1,
        .span_data = 1,
        .depth = layer->inputs[0].c / conv->groups,
        .depth_data = conv->filters / conv->groups,
        .filters = 4,
        .channels = 3,
        .filter_blocks = 1,
        .channel_blocks = 1,
        .tap_rows = 1,
        .tap_columns = 1,
        .run = layer->plan.output.w,
    };
    if (target_has_vectors(target)) {
        tuning.vector = target_vector(target);
        tune_for_cpu(&tuning, layer, target);
    }
    return tuning;
}

static void vector_kernels(const struct layer *layer, const struct target *target, int needs_dx,
                           struct layer_kernels *out) {
    const struct convolutional *conv = layer->description;
    struct shape in = layer->inputs[0], result = layer->plan.output;
    struct tuning tuning = choose_tuning(layer, target);
    int c = in.c / conv->groups, k = conv->filters / conv->groups;
    int taps = conv->size * conv->size;
    size_t groups = (size_t)conv->groups, tiles = (size_t)target->tiling.tiles;
    size_t lanes = (size_t)(target->tiling.tile / (tuning.vector * tuning.vectors));
    size_t block = (size_t)tuning.block;
    const char *file = "conv_vector.cl";
    struct kernel_spec *specs = out->specs;

    specs[PACK_FORWARD] = kernel_spec(file, "conv_pack_forward", block, (size_t)taps * (size_t)c,
                                      groups * blocks(k, tuning.block));
    specs[FORWARD] =
        kernel_spec(file, "conv_forward", lanes, (size_t)result.h * blocks(result.w, tuning.span),
                    tiles * groups * blocks((int)blocks(k, tuning.block), tuning.blocks));
    out->scratch_bytes =
        groups * blocks(k, tuning.block) * block * (size_t)taps * (size_t)c * sizeof(float);
    if (needs_dx) {
        specs[PACK_BACKWARD] =
            kernel_spec(file, "conv_pack_backward", block, (size_t)taps * (size_t)k,
                        groups * blocks(c, tuning.block));
        specs[BACKWARD_DATA] = kernel_spec(
            file, "conv_backward_data", lanes, (size_t)in.h * blocks(in.w, tuning.span_data),
            tiles * groups * blocks((int)blocks(c, tuning.block), tuning.blocks));
        size_t bytes =
            groups * blocks(c, tuning.block) * block * (size_t)taps * (size_t)k * sizeof(float);
        if (bytes > out->scratch_bytes)
            out->scratch_bytes = bytes;
    }
    specs[BACKWARD_FILTER] =
        kernel_spec(file, "conv_backward_filter",
                    blocks(conv->size, tuning.tap_rows) * blocks(conv->size, tuning.tap_columns),
                    blocks(c, tuning.channels * tuning.channel_blocks),
                    groups * blocks(k, tuning.filters * tuning.filter_blocks));
    for (int i = PACK_FORWARD; i <= BACKWARD_FILTER; i++) {
        if (!specs[i].file)
            continue;
        /* On a CPU one work-item is a work-group; the images of a tile make one elsewhere. */
        if (target_has_vectors(target) && i != PACK_FORWARD && i != PACK_BACKWARD)
            specs[i].local[0] = specs[i].local[1] = specs[i].local[2] = 1;
        kernel_define(&specs[i], "TUNE_VECTOR", tuning.vector);
        kernel_define(&specs[i], "TUNE_VECTORS", tuning.vectors);
        kernel_define(&specs[i], "TUNE_BLOCK", tuning.block);
        kernel_define(&specs[i], "TUNE_BLOCKS", tuning.blocks);
        kernel_define(&specs[i], "TUNE_DEPTH", tuning.depth);
        kernel_define(&specs[i], "TUNE_DEPTH_DATA", tuning.depth_data);
        kernel_define(&specs[i], "TUNE_TAP_ROWS", tuning.tap_rows);
        kernel_define(&specs[i], "TUNE_TAP_COLUMNS", tuning.tap_columns);
        kernel_define(&specs[i], "TUNE_FILTER_BLOCKS", tuning.filter_blocks);
        kernel_define(&specs[i], "TUNE_CHANNEL_BLOCKS", tuning.channel_blocks);
        kernel_define(&specs[i], "TUNE_RUN", tuning.run);
        kernel_define(&specs[i], "TUNE_SPAN", tuning.span);
        kernel_define(&specs[i], "TUNE_SPAN_DATA", tuning.span_data);
        kernel_define(&specs[i], "TUNE_FILTERS", tuning.filters);
        kernel_define(&specs[i], "TUNE_CHANNELS", tuning.channels);
    }
}

/* Returns 0 where the device has too little for tiles. */
static int tiled_kernels(const struct layer *layer, const struct target *target, int needs_dx,
                         struct layer_kernels *out) {
    const struct convolutional *conv = layer->description;
    struct conv_problem problem = {.in = layer->inputs[0],
                                   .out = layer->plan.output,
                                   .groups = conv->groups,
                                   .size = conv->size,
                                   .stride = conv->stride,
                                   .padding = padding_of(conv)};
    struct conv_tiles tiles;
    if (!conv_tiled_choose(&tiles, &problem, target))
        return 0;
    struct conv_tiled_specs specs = conv_tiled_specs(&problem, target, &tiles);
    out->specs[FORWARD] = specs.forward;
    if (needs_dx)
        out->specs[BACKWARD_DATA] = specs.backward_data;
    out->specs[BACKWARD_FILTER] = specs.backward_filter;
    out->specs[ADD_SPLITS] = specs.add_splits;
    out->scratch_bytes = specs.scratch_bytes;
    return 1;
}

static void describe_work(const struct layer *layer, const struct target *target,
                          struct kernel_spec specs[]) {
    double flops = 2.0 * (double)layer->plan.macs * target->tiling.batch;
    double x = layer_bytes(target, layer->inputs[0]), y = layer_bytes(target, layer->plan.output);
    double w = (double)parameter_elements(&layer->plan.parameters[0]) * sizeof(float);
    kernel_work(&specs[PACK_FORWARD], "forward", 0, 2 * w);
    kernel_work(&specs[FORWARD], "forward", flops, x + y + w);
    kernel_work(&specs[PACK_BACKWARD], "backward data", 0, 2 * w);
    if (specs[BACKWARD_DATA].file) /* without one it would pass for a product of CLBlast's */
        kernel_work(&specs[BACKWARD_DATA], "backward data", flops, x + y + w);
    kernel_work(&specs[BACKWARD_FILTER], "backward weight", flops, x + y + 2 * w);
    kernel_work(&specs[ADD_SPLITS], "backward weight", 0, 3 * w);
}

static void kernels(const struct layer *layer, const struct target *target, int needs_dx,
                    enum truth truth_kind, struct layer_kernels *out) {
    (void)truth_kind;
    const struct convolutional *conv = layer->description;
    if (target->technique == TECHNIQUE_REFERENCE)
        reference_kernels(layer, target, needs_dx, out->specs);
    else if (!target_prefers_tiles(target) || !tiled_kernels(layer, target, needs_dx, out))
        vector_kernels(layer, target, needs_dx, out);
    for (int i = PACK_FORWARD; i <= ADD_SPLITS; i++) {
        if (out->specs[i].file)
            define_problem(&out->specs[i], layer, target);
    }
    describe_work(layer, target, out->specs);
    out->specs[BACKWARD_BIAS] = bias_activation_backward_spec(target, layer->plan.output,
                                                              (enum activation)conv->activation);
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
    TRY(pack(run, PACK_FORWARD, &weights));
    return LAUNCH(run->kernels[FORWARD], BUFFER(run->x[0]), BUFFER(weights),
                  BUFFER(run->parameters[1]), BUFFER(run->y));
}

static int backward_filter(const struct layer_run *run) {
    struct kernel *add = run->kernels[ADD_SPLITS];
    TRY(LAUNCH(run->kernels[BACKWARD_FILTER], BUFFER(run->dy), BUFFER(run->x[0]),
               BUFFER(add ? run->scratch : run->gradients[0])));
    return add ? LAUNCH(add, BUFFER(run->scratch), BUFFER(run->gradients[0])) : 0;
}

static int backward(const struct layer_run *run) {
    TRY(LAUNCH(run->kernels[BACKWARD_BIAS], BUFFER(run->y), BUFFER(run->dy),
               BUFFER(run->gradients[1])));
    TRY(backward_filter(run));
    if (!run->dx[0])
        return 0;
    const struct buffer *weights;
    TRY(pack(run, PACK_BACKWARD, &weights));
    return LAUNCH(run->kernels[BACKWARD_DATA], BUFFER(run->dy), BUFFER(weights),
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
