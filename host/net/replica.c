#include "net/replica.h"

#include "base/error.h"
#include "base/progress.h"
#include "net/memory_plan.h"
#include "net/parameters.h"

#include <assert.h>
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

_Static_assert(sizeof(struct view) == 32, "as kernels_cl/input.cl has it");

/* Where a micro-batch waits for its forward pass. There are two: one is filled while the kernels
 * read the other. */
struct slot {
    struct buffer *samples; /* bytes of frames, or floats: made when they first come */
    struct buffer *views, *truth;
    struct view *host_views; /* what is being sent; padded */
    void *host_truth;
    struct mark sent; /* the end of its last transfer */
    struct mark read; /* the end of the kernels that read what it held */
    int count;
    int is_bytes;
};

enum { SLOTS = 2 };

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

    struct buffer *losses, *ranks;
    struct kernel *input_bytes, *input_floats;
    struct mean mean;           /* no values: none was set */
    struct buffer *mean_values; /* zeros, or those of mean */
    struct slot slots[SLOTS];
    int current;   /* the slot of the last forward pass */
    int is_staged; /* the other slot holds what the next one is for */

    /* The last forward pass. */
    struct step step;
    int count;
};

static struct slot *current_slot(struct replica *replica) {
    return &replica->slots[replica->current];
}

static struct slot *next_slot(struct replica *replica) {
    return &replica->slots[(replica->current + 1) % SLOTS];
}

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

static void define_input(struct kernel_spec *spec, const struct replica *replica) {
    struct shape shape = replica->net->input;
    kernel_define(spec, "T", replica->target.tiling.tile);
    kernel_define(spec, "C", shape.c);
    kernel_define(spec, "H", shape.h);
    kernel_define(spec, "W", shape.w);
}

/* The kernel that takes pictures, for a mean of that kind. */
static int create_input_bytes(struct replica *replica, struct kernel **kernel, int mean_by_pixel) {
    struct shape shape = replica->net->input, frame = replica->net->frame;
    struct tiling tiling = replica->target.tiling;
    int each = shape.c <= 4 ? shape.c : 1;
    struct kernel_spec spec =
        kernel_spec("input.cl", "input_bytes", (size_t)tiling.tile,
                    (size_t)(shape_elements(shape) / each), (size_t)tiling.tiles);
    define_input(&spec, replica);
    kernel_define(&spec, "FH", frame.h);
    kernel_define(&spec, "FW", frame.w);
    kernel_define(&spec, "EACH", each);
    kernel_define(&spec, "MEAN_BY_PIXEL", mean_by_pixel);
    return kernel_create(kernel, replica->device, &spec);
}

static int create_input_floats(struct replica *replica) {
    struct tiling tiling = replica->target.tiling;
    struct kernel_spec spec =
        kernel_spec("input.cl", "input_floats", (size_t)tiling.tile,
                    (size_t)shape_elements(replica->net->input), (size_t)tiling.tiles);
    define_input(&spec, replica);
    /* The file holds the other kernel too. */
    kernel_define(&spec, "FH", replica->net->frame.h);
    kernel_define(&spec, "FW", replica->net->frame.w);
    kernel_define(&spec, "EACH", 1);
    kernel_define(&spec, "MEAN_BY_PIXEL", 0);
    return kernel_create(&replica->input_floats, replica->device, &spec);
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
    TRY(create_input_bytes(replica, &replica->input_bytes, 0));
    TRY(create_input_floats(replica));
    return scratch_bytes
               ? buffer_create(&replica->scratch, replica->device, scratch_bytes, "scratch memory")
               : 0;
}

static size_t padded_batch(const struct replica *replica) {
    return (size_t)replica->target.tiling.tiles * (size_t)replica->target.tiling.tile;
}

static int create_slot_memory(struct replica *replica, struct slot *slot) {
    size_t padded = padded_batch(replica), truth = padded * sizeof(int32_t);
    if (replica->options.truth_kind == TRUTH_NUMBERS)
        truth = padded * sizeof(float) * (size_t)net_loss(replica->net)->plan.output.c;
    slot->host_truth = calloc(1, truth);
    slot->host_views = calloc(padded, sizeof *slot->host_views);
    if (!slot->host_truth || !slot->host_views)
        return error_no_memory("truths", truth);
    TRY(buffer_create(&slot->views, replica->device, padded * sizeof *slot->host_views, "views"));
    return buffer_create(&slot->truth, replica->device, truth, "truths");
}

/* Room for truths and results, and a mean of zero. */
static int create_staging(struct replica *replica) {
    size_t padded = padded_batch(replica);
    for (int i = 0; i < SLOTS; i++)
        TRY(create_slot_memory(replica, &replica->slots[i]));
    TRY(buffer_create(&replica->losses, replica->device, padded * sizeof(float), "losses"));
    TRY(buffer_create(&replica->ranks, replica->device, padded * sizeof(int32_t), "ranks"));
    TRY(buffer_create(&replica->mean_values, replica->device,
                      (size_t)replica->net->input.c * sizeof(float), "the mean"));
    return buffer_fill(replica->mean_values, 0);
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

static void free_slot(struct slot *slot) {
    buffer_free(slot->samples);
    buffer_free(slot->views);
    buffer_free(slot->truth);
    free(slot->host_views);
    free(slot->host_truth);
    mark_free(&slot->sent);
    mark_free(&slot->read);
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
    for (int i = 0; i < SLOTS; i++)
        free_slot(&replica->slots[i]);
    buffer_free(replica->mean_values);
    free(replica->mean.values);
    buffer_free(replica->losses);
    buffer_free(replica->ranks);
    kernel_free(replica->input_bytes);
    kernel_free(replica->input_floats);
    memory_plan_free(&replica->plan);
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

int replica_read_velocity(struct replica *replica, int index, float *values) {
    struct buffer *buffer = parameters_velocity(replica->parameters, index);
    return buffer_read(buffer, 0, buffer_bytes(buffer), values);
}

int replica_write_velocity(struct replica *replica, int index, const float *values) {
    struct buffer *buffer = parameters_velocity(replica->parameters, index);
    return buffer_write(buffer, 0, buffer_bytes(buffer), values);
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

/* ---- the mean ---- */

/* A mean's values as the device takes them, in new memory: a single one serves all channels. */
static int spread_mean(float **out, int *count, const struct net *net, const struct mean *mean) {
    struct shape frame = net->frame;
    *count = mean->by_pixel ? (int)shape_elements(frame) : frame.c;
    if (mean->by_pixel && !shape_equal(mean->frame, frame))
        return error_set(ERROR_INPUT,
                         "the mean by pixel is for frames of %d x %d x %d; the net's are of "
                         "%d x %d x %d",
                         mean->frame.c, mean->frame.h, mean->frame.w, frame.c, frame.h, frame.w);
    if (mean->count != *count && (mean->by_pixel || mean->count != 1))
        return error_set(ERROR_INPUT, "the mean has %d numbers; the net needs %d", mean->count,
                         *count);
    *out = malloc((size_t)*count * sizeof **out);
    if (!*out)
        return error_no_memory("the mean", (size_t)*count * sizeof **out);
    for (int i = 0; i < *count; i++)
        (*out)[i] = mean->values[mean->count == 1 ? 0 : i];
    return 0;
}

/* Puts the new values and the kernel for them in the place of the old. */
static int send_mean(struct replica *replica, const float *values, int count, int by_pixel) {
    struct buffer *buffer = NULL;
    struct kernel *kernel = NULL;
    size_t bytes = (size_t)count * sizeof *values;
    TRY(buffer_create(&buffer, replica->device, bytes, "the mean"));
    int rc = buffer_write(buffer, 0, bytes, values);
    if (rc == 0)
        rc = create_input_bytes(replica, &kernel, by_pixel);
    if (rc < 0) {
        buffer_free(buffer);
        return rc;
    }
    buffer_free(replica->mean_values);
    kernel_free(replica->input_bytes);
    replica->mean_values = buffer;
    replica->input_bytes = kernel;
    return 0;
}

int replica_set_mean(struct replica *replica, const struct mean *mean) {
    float *values = NULL;
    int count = 0;
    TRY(spread_mean(&values, &count, replica->net, mean));
    int rc = send_mean(replica, values, count, mean->by_pixel);
    if (rc < 0) {
        free(values);
        return rc;
    }
    free(replica->mean.values);
    replica->mean = (struct mean){
        .by_pixel = mean->by_pixel, .frame = replica->net->frame, .count = count, .values = values};
    return 0;
}

const struct mean *replica_mean(const struct replica *replica) {
    return replica->mean.values ? &replica->mean : NULL;
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
        .truth = current_slot(replica)->truth,
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

/* Copies views, and the middle of the frame where there are none. */
static void copy_views(const struct replica *replica, struct view *to, const struct view *views,
                       int count) {
    struct shape frame = replica->net->frame, input = replica->net->input;
    struct augmentation middle = {0};
    if (!views)
        augment_centre(&middle, frame, input);
    for (int n = 0; n < count; n++) {
        to[n] = views ? views[n] : middle.view;
        assert(to[n].x >= 0 && to[n].x <= frame.w - input.w);
        assert(to[n].y >= 0 && to[n].y <= frame.h - input.h);
    }
}

/* The padding's truths are zeros: a label that exists. */
static void copy_truth(const struct replica *replica, struct slot *slot,
                       const struct samples *samples) {
    size_t count = (size_t)samples->count;
    memset(slot->host_truth, 0, buffer_bytes(slot->truth));
    if (samples->labels)
        memcpy(slot->host_truth, samples->labels, count * sizeof *samples->labels);
    else if (samples->targets)
        memcpy(slot->host_truth, samples->targets,
               count * sizeof(float) * (size_t)net_loss(replica->net)->plan.output.c);
}

/* Makes room for a whole micro-batch of such samples. Those who read the old room, if any, keep it
 * alive. */
static int reserve_samples(struct replica *replica, struct slot *slot, size_t sample_bytes) {
    size_t bytes = sample_bytes * (size_t)replica->target.tiling.batch;
    if (slot->samples && buffer_bytes(slot->samples) >= bytes)
        return 0;
    buffer_free(slot->samples);
    slot->samples = NULL;
    return buffer_create(&slot->samples, replica->device, bytes, "samples");
}

int replica_stage(struct replica *replica, const struct samples *samples) {
    struct slot *slot = next_slot(replica);
    const struct net *net = replica->net;
    int is_bytes = samples->bytes != NULL;
    size_t sample_bytes = is_bytes ? (size_t)shape_elements(net->frame)
                                   : (size_t)shape_elements(net->input) * sizeof(float);
    assert(samples->count > 0 && samples->count <= replica->target.tiling.batch);
    if (!is_bytes && replica->mean.by_pixel)
        return error_set(ERROR_INPUT, "a mean by pixel is for pictures, not for numbers");
    TRY(reserve_samples(replica, slot, sample_bytes));
    TRY(mark_wait(replica->device, &slot->sent)); /* of the last time: host_truth is still read */
    copy_views(replica, slot->host_views, is_bytes ? samples->views : NULL, samples->count);
    copy_truth(replica, slot, samples);
    slot->count = samples->count;
    slot->is_bytes = is_bytes;

    const void *values = is_bytes ? (const void *)samples->bytes : samples->floats;
    TRY(buffer_transfer(slot->samples, (size_t)samples->count * sample_bytes, values, &slot->read,
                        NULL));
    TRY(buffer_transfer(slot->views, buffer_bytes(slot->views), slot->host_views, NULL, NULL));
    TRY(buffer_transfer(slot->truth, buffer_bytes(slot->truth), slot->host_truth, NULL,
                        &slot->sent));
    replica->is_staged = 1;
    return 0;
}

int replica_stage_wait(struct replica *replica) {
    for (int i = 0; i < SLOTS; i++)
        TRY(mark_wait(replica->device, &replica->slots[i].sent));
    return 0;
}

/* Enqueues the first activation, from the current slot. */
static int enter_samples(struct replica *replica) {
    const struct slot *slot = current_slot(replica);
    float scale = (float)replica->net->data.scale;
    if (slot->is_bytes)
        return LAUNCH(replica->input_bytes, BUFFER(slot->samples), BUFFER(slot->views),
                      BUFFER(replica->mean_values), BUFFER(replica->data.output),
                      SCALAR(slot->count), SCALAR(scale));
    return LAUNCH(replica->input_floats, BUFFER(slot->samples), BUFFER(replica->mean_values),
                  BUFFER(replica->data.output), SCALAR(slot->count), SCALAR(scale));
}

static int forward_layer(struct replica *replica, int i) {
    struct layer_run run = make_run(replica, i);
    return run.layer->type->forward(&run);
}

static int forward(struct replica *replica, const struct step *step) {
    replica->step = *step;
    replica->count = current_slot(replica)->count;
    TRY(enter_samples(replica));
    for (int i = 0; i < replica->net->count; i++)
        TRY(forward_layer(replica, i));
    return 0;
}

int replica_forward_staged(struct replica *replica, const struct step *step) {
    assert(replica->is_staged);
    /* All that reads the slot of the last pass was enqueued by now. */
    TRY(device_mark(replica->device, &current_slot(replica)->read));
    replica->current = (replica->current + 1) % SLOTS;
    replica->is_staged = 0;
    TRY(device_wait_for(replica->device, &current_slot(replica)->sent));
    return forward(replica, step);
}

int replica_forward(struct replica *replica, const struct samples *samples,
                    const struct step *step) {
    TRY(replica_stage(replica, samples));
    TRY(replica_forward_staged(replica, step));
    return mark_wait(replica->device, &current_slot(replica)->sent);
}

int replica_forward_again(struct replica *replica, const struct view *views,
                          const struct step *step) {
    struct slot *slot = current_slot(replica);
    TRY(mark_wait(replica->device, &slot->sent));
    copy_views(replica, slot->host_views, views, slot->count);
    TRY(buffer_write(slot->views, 0, buffer_bytes(slot->views), slot->host_views));
    return forward(replica, step);
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

/* Floats of the largest of what replica_visit_outputs shows. */
static int64_t largest_output(const struct replica *replica) {
    const struct net *net = replica->net;
    int64_t most = shape_elements(net->input);
    for (int i = 0; i < net->count; i++) {
        int64_t elements = shape_elements(net->nodes[i].layer.plan.output);
        most = elements > most ? elements : most;
    }
    return most * replica->target.tiling.batch;
}

static int visit_all(struct replica *replica, replica_visitor *visit, void *context,
                     float *values) {
    const struct net *net = replica->net;
    TRY(enter_samples(replica));
    TRY(read_activation(replica, replica->data.output, net->input, values));
    int rc = visit(context, NET_INPUT, net->input, values);
    for (int i = 0; rc == 0 && i < net->count; i++) {
        TRY(forward_layer(replica, i));
        TRY(replica_read_output(replica, i, values));
        rc = visit(context, i, net->nodes[i].layer.plan.output, values);
    }
    return rc;
}

int replica_visit_outputs(struct replica *replica, const struct step *step, replica_visitor *visit,
                          void *context) {
    size_t bytes = (size_t)largest_output(replica) * sizeof(float);
    float *values = calloc(1, bytes);
    if (!values)
        return error_no_memory("the outputs of layers", bytes);
    replica->step = *step;
    int rc = visit_all(replica, visit, context, values);
    free(values);
    return rc;
}

static int all_finite(const float *values, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            return 0;
    }
    return 1;
}

static int find_in_parameters(struct replica *replica, char *text, size_t size) {
    int rc = 0;
    for (int i = 0; rc == 0 && i < replica->net->parameter_count; i++) {
        const struct layer *layer;
        const struct parameter *parameter = net_parameter(replica->net, i, &layer);
        size_t elements = (size_t)parameter_elements(parameter);
        float *values = calloc(elements, sizeof *values);
        if (!values)
            return error_no_memory("a parameter", elements * sizeof *values);
        rc = replica_read_parameter(replica, i, values);
        if (rc == 0 && !all_finite(values, (int64_t)elements)) {
            (void)snprintf(text, size, "the parameter %s.%s", layer->name, parameter->name);
            rc = 1;
        }
        free(values);
    }
    return rc;
}

struct search {
    const struct replica *replica;
    char *text;
    size_t size;
};

static int find_in_output(void *context, int layer, struct shape shape, const float *values) {
    struct search *search = context;
    const struct replica *replica = search->replica;
    if (all_finite(values, replica->count * shape_elements(shape)))
        return 0;
    if (layer == NET_INPUT)
        (void)snprintf(search->text, search->size, "the data");
    else
        (void)snprintf(search->text, search->size, "the output of layer %d (%s)", layer,
                       replica->net->nodes[layer].layer.name);
    return 1;
}

int replica_find_nonfinite(struct replica *replica, const struct step *step, char *text,
                           size_t size) {
    struct search search = {.replica = replica, .text = text, .size = size};
    int rc = find_in_parameters(replica, text, size);
    return rc ? rc : replica_visit_outputs(replica, step, find_in_output, &search);
}
