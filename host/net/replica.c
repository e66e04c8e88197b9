#include "net/replica.h"

#include "base/error.h"
#include "base/progress.h"
#include "net/memory_plan.h"
#include "net/parameters.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one layer has on the device. */
struct node_state {
    struct layer_kernels specs;
    struct kernel *kernels[LAYER_KERNELS_MAX];
    struct buffer *output, *gradient, *extra, *keep;
    struct kernel *add; /* gradient += extra */
};

struct replica {
    const struct net *net;
    struct device *device;
    struct replica_options options;
    struct target target;

    struct parameters *parameters;
    struct memory_plan plan;
    struct buffer **arenas; /* one for each segment of the plan */
    struct node_state *nodes;
    struct node_state data;
    struct buffer *scratch;

    struct buffer *samples, *truth, *losses, *ranks;
    struct kernel *input_bytes, *input_floats;
    void *staging; /* truths, padded */

    /* The last forward pass. */
    struct step step;
    int count;
};

static struct node_state *state_of(struct replica *replica, int i) {
    return i == NET_INPUT ? &replica->data : &replica->nodes[i];
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* The largest allocation that this replica may make. */
static size_t allocation_max(const struct replica *replica) {
    size_t limit = (size_t)replica->target.device.allocation_max;
    if (limit == 0)
        limit = SIZE_MAX;
    return replica->options.allocation_limit ? least(limit, replica->options.allocation_limit)
                                             : limit;
}

/* ---- activations and kernels ---- */

static int create_slot(struct replica *replica, struct buffer **out,
                       const struct memory_slot *slot) {
    if (slot->bytes == 0)
        return 0;
    return buffer_view(out, replica->arenas[slot->segment], slot->offset, slot->bytes);
}

static int create_activations(struct replica *replica) {
    size_t alignment = replica->target.device.alignment;
    if (alignment > PARAMETERS_BLOCK * sizeof(float))
        return error_set(ERROR_DEVICE, "device %d (%s): alignment to %zu bytes is not supported",
                         replica->target.device.index, replica->target.device.name, alignment);
    struct memory_plan_options options = {
        .tiling = replica->target.tiling,
        .is_training = replica->options.is_training,
        .input_gradient = replica->options.input_gradient,
        .alignment = alignment > 128 ? alignment : 128,
        .segment_max = allocation_max(replica),
    };
    int rc = memory_plan_create(&replica->plan, replica->net, &options);
    if (rc < 0)
        return error_prefix(rc, "device %d (%s): ", replica->target.device.index,
                            replica->target.device.name);
    replica->arenas = calloc((size_t)replica->plan.segments + 1, sizeof(struct buffer *));
    if (!replica->arenas)
        return error_no_memory("activations", sizeof(struct buffer *));
    for (int i = 0; i < replica->plan.segments; i++)
        TRY(buffer_create(&replica->arenas[i], replica->device, replica->plan.segment_bytes[i],
                          "activations"));
    for (int i = NET_INPUT; i < replica->net->count; i++) {
        const struct node_memory *memory =
            i == NET_INPUT ? &replica->plan.data : &replica->plan.nodes[i];
        struct node_state *state = state_of(replica, i);
        TRY(create_slot(replica, &state->output, &memory->output));
        TRY(create_slot(replica, &state->gradient, &memory->gradient));
        TRY(create_slot(replica, &state->extra, &memory->extra));
        TRY(create_slot(replica, &state->keep, &memory->keep));
    }
    return 0;
}

static int needs_any_dx(const struct replica *replica, int i) {
    int needed = 0;
    if (replica->options.is_training) {
        for (int k = 0; k < replica->net->nodes[i].layer.type->input_count; k++)
            needed |= memory_plan_needs_dx(replica->net, replica->options.input_gradient, i, k);
    }
    return needed;
}

static int create_add(struct replica *replica, struct node_state *state) {
    if (!state->extra)
        return 0;
    int vector = target_vector(&replica->target);
    struct kernel_spec spec = kernel_spec(
        "add.cl", "add", buffer_bytes(state->extra) / sizeof(float) / (size_t)vector, 1, 1);
    layer_define_tiling(&spec, &replica->target);
    return kernel_create(&state->add, replica->device, &spec);
}

static int create_input_kernel(struct replica *replica, struct kernel **kernel,
                               const char *function) {
    struct shape shape = replica->net->input;
    struct tiling tiling = replica->target.tiling;
    struct kernel_spec spec = kernel_spec("input.cl", function, (size_t)tiling.tile,
                                          (size_t)shape_elements(shape), (size_t)tiling.tiles);
    kernel_define(&spec, "T", tiling.tile);
    kernel_define(&spec, "C", shape.c);
    kernel_define(&spec, "PIXELS", (long)shape.h * shape.w);
    return kernel_create(kernel, replica->device, &spec);
}

static int create_kernels(struct replica *replica) {
    size_t scratch_bytes = 0;
    struct progress progress = progress_start("compiling kernels");
    for (int i = 0; i < replica->net->count; i++) {
        const struct layer *layer = &replica->net->nodes[i].layer;
        struct node_state *state = &replica->nodes[i];
        layer->type->kernels(layer, &replica->target, needs_any_dx(replica, i),
                             replica->options.truth_kind, &state->specs);
        for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
            if (state->specs.specs[k].file)
                TRY(kernel_create(&state->kernels[k], replica->device, &state->specs.specs[k]));
        }
        if (state->specs.scratch_bytes > scratch_bytes)
            scratch_bytes = state->specs.scratch_bytes;
        TRY(create_add(replica, state));
        progress_show(&progress, "layer %d of %d (%s)", i + 1, replica->net->count, layer->name);
    }
    progress_end(&progress);
    TRY(create_add(replica, &replica->data));
    TRY(create_input_kernel(replica, &replica->input_bytes, "input_bytes"));
    TRY(create_input_kernel(replica, &replica->input_floats, "input_floats"));
    return scratch_bytes
               ? buffer_create(&replica->scratch, replica->device, scratch_bytes, "scratch memory")
               : 0;
}

/* Room for samples and truths on the device, and for padded truths here. */
static int create_staging(struct replica *replica) {
    size_t padded = (size_t)replica->target.tiling.tiles * (size_t)replica->target.tiling.tile;
    size_t elements = padded * (size_t)shape_elements(replica->net->input);
    size_t truth = padded * sizeof(int32_t);
    if (replica->options.truth_kind == TRUTH_NUMBERS)
        truth = padded * sizeof(float) * (size_t)net_loss(replica->net)->plan.output.c;
    replica->staging = calloc(1, truth);
    if (!replica->staging)
        return error_no_memory("truths", truth);
    TRY(buffer_create(&replica->samples, replica->device, elements * sizeof(float), "samples"));
    TRY(buffer_create(&replica->truth, replica->device, truth, "truths"));
    TRY(buffer_create(&replica->losses, replica->device, padded * sizeof(float), "losses"));
    return buffer_create(&replica->ranks, replica->device, padded * sizeof(int32_t), "ranks");
}

int replica_create(struct replica **out, const struct net *net, struct device *device,
                   const struct replica_options *options) {
    struct replica *replica = calloc(1, sizeof *replica);
    if (!replica)
        return error_no_memory("a replica", sizeof *replica);
    replica->net = net;
    replica->device = device;
    replica->options = *options;
    replica->target = (struct target){.tiling = tiling_for_batch(net_micro_batch(net)),
                                      .technique = options->technique,
                                      .device = *device_info(device)};
    replica->nodes = calloc((size_t)net->count, sizeof *replica->nodes);
    int rc = replica->nodes ? 0 : error_no_memory("a replica", sizeof *replica->nodes);
    if (rc == 0)
        rc = parameters_create(&replica->parameters, net, device, &replica->target,
                               options->is_training, allocation_max(replica));
    if (rc == 0)
        rc = create_activations(replica);
    if (rc == 0)
        rc = create_kernels(replica);
    if (rc == 0)
        rc = create_staging(replica);
    if (rc < 0) {
        replica_free(replica);
        return rc;
    }
    *out = replica;
    return 0;
}

static void free_state(struct node_state *state) {
    for (int k = 0; k < LAYER_KERNELS_MAX; k++)
        kernel_free(state->kernels[k]);
    kernel_free(state->add);
    buffer_free(state->output);
    buffer_free(state->gradient);
    buffer_free(state->extra);
    buffer_free(state->keep);
}

void replica_free(struct replica *replica) {
    if (!replica)
        return;
    /* What is still enqueued works on the memory that goes away here. */
    (void)device_finish(replica->device);
    parameters_free(replica->parameters);
    for (int i = 0; replica->nodes && i < replica->net->count; i++)
        free_state(&replica->nodes[i]);
    free_state(&replica->data);
    for (int i = 0; replica->arenas && i < replica->plan.segments; i++)
        buffer_free(replica->arenas[i]);
    buffer_free(replica->scratch);
    buffer_free(replica->samples);
    buffer_free(replica->truth);
    buffer_free(replica->losses);
    buffer_free(replica->ranks);
    kernel_free(replica->input_bytes);
    kernel_free(replica->input_floats);
    memory_plan_free(&replica->plan);
    free(replica->staging);
    free(replica->arenas);
    free(replica->nodes);
    free(replica);
}

const struct net *replica_net(const struct replica *replica) {
    return replica->net;
}

/* ---- parameters, from and to the host ---- */

int replica_write_parameter(struct replica *replica, int index, const float *values) {
    struct buffer *buffer = parameters_value(replica->parameters, index);
    return buffer_write(buffer, 0, buffer_bytes(buffer), values);
}

int replica_read_parameter(struct replica *replica, int index, float *values) {
    struct buffer *buffer = parameters_value(replica->parameters, index);
    return buffer_read(buffer, 0, buffer_bytes(buffer), values);
}

int replica_read_gradient(struct replica *replica, int index, float *values) {
    struct buffer *buffer = parameters_gradient(replica->parameters, index);
    return buffer_read(buffer, 0, buffer_bytes(buffer), values);
}

int replica_initialise(struct replica *replica, uint32_t seed) {
    for (int i = 0; i < replica->net->parameter_count; i++) {
        const struct parameter *parameter = net_parameter(replica->net, i, NULL);
        int64_t elements = parameter_elements(parameter);
        float *values = malloc((size_t)elements * sizeof *values);
        if (!values)
            return error_no_memory("a parameter", (size_t)elements * sizeof *values);
        initialiser_fill(values, elements, &parameter->initialiser, seed, (uint32_t)i);
        int rc = replica_write_parameter(replica, i, values);
        free(values);
        TRY(rc);
    }
    return 0;
}

/* ---- passes ---- */

static struct layer_run make_run(struct replica *replica, int i) {
    const struct node *node = &replica->net->nodes[i];
    struct node_state *state = &replica->nodes[i];
    struct layer_run run = {
        .layer = &node->layer,
        .target = &replica->target,
        .device = replica->device,
        .kernels = state->kernels,
        .y = state->output,
        .dy = state->gradient,
        .keep = state->keep,
        .scratch = replica->scratch,
        .is_training = replica->step.is_training,
        .seed = replica->step.seed,
        .iteration = replica->step.iteration,
        .index = (uint32_t)i,
        .first_sample = replica->step.first_sample,
        .count = replica->count,
        .truth_kind = replica->options.truth_kind,
        .truth = replica->truth,
        .losses = replica->losses,
        .ranks = replica->ranks,
        .gradient_scale = 1.0F / (float)replica->step.global_count,
    };
    for (int k = 0; k < node->layer.type->input_count; k++)
        run.x[k] = state_of(replica, node->inputs[k])->output;
    for (int p = 0; p < node->layer.plan.parameter_count; p++) {
        run.parameters[p] = parameters_value(replica->parameters, node->parameter_first + p);
        run.gradients[p] = parameters_gradient(replica->parameters, node->parameter_first + p);
    }
    return run;
}

static int send_samples(struct replica *replica, const struct samples *samples) {
    size_t count = (size_t)samples->count;
    size_t elements = count * (size_t)shape_elements(replica->net->input);
    float mean = strtof(replica->net->data.mean, NULL), scale = (float)replica->net->data.scale;
    const void *values = samples->bytes ? (const void *)samples->bytes : samples->floats;
    TRY(buffer_write(replica->samples, 0, elements * (samples->bytes ? 1 : sizeof(float)), values));
    TRY(LAUNCH(samples->bytes ? replica->input_bytes : replica->input_floats,
               BUFFER(replica->samples), BUFFER(replica->data.output), SCALAR(samples->count),
               SCALAR(mean), SCALAR(scale)));

    /* The padding's truths are zeros: a label that exists. */
    size_t bytes = buffer_bytes(replica->truth);
    memset(replica->staging, 0, bytes);
    if (samples->labels)
        memcpy(replica->staging, samples->labels, count * sizeof *samples->labels);
    else
        memcpy(replica->staging, samples->targets,
               count * sizeof(float) * (size_t)net_loss(replica->net)->plan.output.c);
    return buffer_write(replica->truth, 0, bytes, replica->staging);
}

static int forward_layer(struct replica *replica, int i) {
    struct layer_run run = make_run(replica, i);
    return run.layer->type->forward(&run);
}

static int begin(struct replica *replica, const struct samples *samples, const struct step *step) {
    replica->step = *step;
    replica->count = samples->count;
    return send_samples(replica, samples);
}

int replica_forward(struct replica *replica, const struct samples *samples,
                    const struct step *step) {
    TRY(begin(replica, samples, step));
    for (int i = 0; i < replica->net->count; i++)
        TRY(forward_layer(replica, i));
    return 0;
}

/* A layer's backward pass. The first gradient to come back to an output is written, later ones are
 * added: `written` tells, by layer, and [-1] for the data. */
static int backward_layer(struct replica *replica, int i, char *written) {
    const struct node *node = &replica->net->nodes[i];
    struct layer_run run = make_run(replica, i);
    struct node_state *add_to[LAYER_INPUTS_MAX] = {0};
    for (int k = 0; k < node->layer.type->input_count; k++) {
        if (!memory_plan_needs_dx(replica->net, replica->options.input_gradient, i, k))
            continue;
        int source = node->inputs[k];
        struct node_state *to = state_of(replica, source);
        if (written[source])
            add_to[k] = to;
        run.dx[k] = written[source] ? to->extra : to->gradient;
        written[source] = 1;
    }
    TRY(run.layer->type->backward(&run));
    for (int k = 0; k < LAYER_INPUTS_MAX; k++) {
        if (add_to[k])
            TRY(LAUNCH(add_to[k]->add, BUFFER(add_to[k]->extra), BUFFER(add_to[k]->gradient)));
    }
    return 0;
}

int replica_backward(struct replica *replica) {
    int count = replica->net->count;
    char *written = calloc((size_t)count + 1, 1);
    if (!written)
        return error_no_memory("a backward pass", (size_t)count);
    int rc = 0;
    for (int i = count - 1; rc == 0 && i >= 0; i--) {
        int is_loss = i == count - 1;
        if (!is_loss && !replica->nodes[i].gradient)
            continue; /* nothing to learn here or before */
        rc = backward_layer(replica, i, written + 1);
    }
    free(written);
    return rc;
}

int replica_results(struct replica *replica, float *losses, int32_t *ranks) {
    size_t count = (size_t)replica->count;
    TRY(buffer_read(replica->losses, 0, count * sizeof *losses, losses));
    return buffer_read(replica->ranks, 0, count * sizeof *ranks, ranks);
}

int replica_update(struct replica *replica, double rate, double momentum, double decay) {
    return parameters_update(replica->parameters, rate, momentum, decay);
}

/* ---- looking inside ---- */

struct kernel *replica_kernel(struct replica *replica, int i, int k,
                              const struct kernel_spec **spec) {
    *spec = &replica->nodes[i].specs.specs[k];
    return replica->nodes[i].kernels[k];
}

/* Reads an activation, and turns its tiles into [count][C][H][W]. */
static int read_activation(struct replica *replica, struct buffer *buffer, struct shape shape,
                           float *values) {
    struct tiling tiling = replica->target.tiling;
    size_t bytes = (size_t)tiling_elements(tiling, shape) * sizeof(float);
    float *tiled = malloc(bytes);
    if (!tiled)
        return error_no_memory("an activation", bytes);
    int rc = buffer_read(buffer, 0, bytes, tiled);
    int64_t elements = shape_elements(shape);
    for (int n = 0; rc == 0 && n < replica->count; n++) {
        for (int64_t e = 0; e < elements; e++)
            values[n * elements + e] = tiled[tiling_offset(tiling, shape, n, e)];
    }
    free(tiled);
    return rc;
}

int replica_read_output(struct replica *replica, int i, float *values) {
    return read_activation(replica, replica->nodes[i].output,
                           replica->net->nodes[i].layer.plan.output, values);
}

int replica_read_input_gradient(struct replica *replica, float *values) {
    return read_activation(replica, replica->data.gradient, replica->net->input, values);
}

static int all_finite(const float *values, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            return 0;
    }
    return 1;
}

static int find_in_parameters(struct replica *replica, float *values, char *text, size_t size) {
    for (int i = 0; i < replica->net->parameter_count; i++) {
        const struct layer *layer;
        const struct parameter *parameter = net_parameter(replica->net, i, &layer);
        TRY(replica_read_parameter(replica, i, values));
        if (!all_finite(values, parameter_elements(parameter))) {
            (void)snprintf(text, size, "the parameter %s.%s", layer->name, parameter->name);
            return 1;
        }
    }
    return 0;
}

static int find_in_outputs(struct replica *replica, const struct samples *samples,
                           const struct step *step, float *values, char *text, size_t size) {
    TRY(begin(replica, samples, step));
    TRY(read_activation(replica, replica->data.output, replica->net->input, values));
    if (!all_finite(values, samples->count * shape_elements(replica->net->input))) {
        (void)snprintf(text, size, "the data");
        return 1;
    }
    for (int i = 0; i < replica->net->count; i++) {
        const struct layer *layer = &replica->net->nodes[i].layer;
        TRY(forward_layer(replica, i));
        TRY(replica_read_output(replica, i, values));
        if (!all_finite(values, samples->count * shape_elements(layer->plan.output))) {
            (void)snprintf(text, size, "the output of layer %d (%s)", i, layer->name);
            return 1;
        }
    }
    return 0;
}

int replica_find_nonfinite(struct replica *replica, const struct samples *samples,
                           const struct step *step, char *text, size_t size) {
    int64_t most = samples->count * shape_elements(replica->net->input);
    for (int i = 0; i < replica->net->count; i++) {
        int64_t elements =
            samples->count * shape_elements(replica->net->nodes[i].layer.plan.output);
        most = elements > most ? elements : most;
    }
    for (int i = 0; i < replica->net->parameter_count; i++) {
        int64_t elements = parameter_elements(net_parameter(replica->net, i, NULL));
        most = elements > most ? elements : most;
    }
    float *values = calloc((size_t)most, sizeof *values);
    if (!values)
        return error_no_memory("looking for what is not finite", (size_t)most * sizeof *values);
    int rc = find_in_parameters(replica, values, text, size);
    if (rc == 0)
        rc = find_in_outputs(replica, samples, step, values, text, size);
    free(values);
    return rc;
}
