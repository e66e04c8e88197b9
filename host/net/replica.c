#include "net/replica.h"

#include "base/error.h"
#include "layers/trust.h"
#include "net/memory_plan.h"
#include "net/net_fusion.h"
#include "net/parameters.h"
#include "ops/net_kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* What one layer has on the device. */
struct node_state {
    struct layer_kernels specs;
    struct kernel *kernels[LAYER_KERNELS_MAX];
    struct buffer *output, *gradient, *extra, *keep;
    struct kernel *add; /* gradient += extra */
};

struct replica {
    const struct net *made_of, *net; /* the latter as it runs */
    struct net *fused;               /* owned; what `net` is, unless that is what it was made of */
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
    struct staging *staging;

    /* On the host, of the last forward pass: there once `results` is reached. */
    float *host_losses;
    int32_t *host_ranks;
    struct mark results;

    /* The last forward pass. */
    struct step step;
    int count;
};

static struct node_state *state_of(struct replica *replica, int i) {
    return i == NET_INPUT ? &replica->data : &replica->nodes[i];
}

/* The largest allocation that this replica may make. */
static size_t allocation_max(const struct replica *replica) {
    return memory_plan_piece_max(&replica->target.device, replica->options.allocation_limit);
}

/* ---- activations and kernels ---- */

static int create_slot(struct replica *replica, struct buffer **out,
                       const struct memory_slot *slot) {
    if (slot->bytes == 0)
        return 0;
    return buffer_view(out, replica->arenas[slot->segment], slot->offset, slot->bytes);
}

static int create_activations(struct replica *replica) {
    struct memory_plan_options options;
    TRY(memory_plan_options_for(&options, &replica->target, replica->options.is_training,
                                replica->options.input_gradient, allocation_max(replica)));
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
    return replica->options.is_training &&
           memory_plan_needs_any_dx(replica->net, replica->options.input_gradient, i);
}

static int create_add(struct replica *replica, struct node_state *state) {
    if (!state->extra)
        return 0;
    struct target reference = replica->target;
    reference.technique = TECHNIQUE_REFERENCE;
    size_t floats = buffer_bytes(state->extra) / sizeof(float);
    struct kernel_spec spec = add_spec(&replica->target, floats);
    struct kernel_spec plain = add_spec(&reference, floats);
    return trust_create_kernel(&state->add, replica->device, &spec, &plain);
}

/* Has the kernels of all layers compiled, several at a time. */
static int build_kernels(struct replica *replica) {
    int count = 0;
    const struct kernel_spec **specs =
        calloc((size_t)replica->net->count * LAYER_KERNELS_MAX, sizeof *specs);
    if (!specs)
        return error_no_memory("the list of kernels", sizeof *specs);
    for (int i = 0; i < replica->net->count; i++) {
        for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
            if (replica->nodes[i].specs.specs[k].file)
                specs[count++] = &replica->nodes[i].specs.specs[k];
        }
    }
    int rc = kernels_build(replica->device, specs, count);
    free(specs);
    return rc;
}

static int create_layer_kernels(struct replica *replica, struct node_state *state,
                                const char *name) {
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        if (!state->specs.specs[k].file)
            continue;
        TRY(kernel_create(&state->kernels[k], replica->device, &state->specs.specs[k]));
        kernel_set_label(state->kernels[k], name);
    }
    return create_add(replica, state);
}

static int create_kernels(struct replica *replica) {
    size_t scratch_bytes = 0;
    for (int i = 0; i < replica->net->count; i++) {
        struct layer_kernels *specs = &replica->nodes[i].specs;
        TRY(trust_choose_kernels(&replica->net->nodes[i].layer, &replica->target,
                                 needs_any_dx(replica, i), replica->options.truth_kind, specs));
        if (specs->scratch_bytes > scratch_bytes)
            scratch_bytes = specs->scratch_bytes;
    }
    TRY(build_kernels(replica));
    for (int i = 0; i < replica->net->count; i++)
        TRY(create_layer_kernels(replica, &replica->nodes[i], replica->net->nodes[i].layer.name));
    TRY(create_add(replica, &replica->data));
    return scratch_bytes
               ? buffer_create(&replica->scratch, replica->device, scratch_bytes, "scratch memory")
               : 0;
}

static int create_results(struct replica *replica) {
    size_t padded = (size_t)replica->target.tiling.tiles * (size_t)replica->target.tiling.tile;
    TRY(buffer_create(&replica->losses, replica->device, padded * sizeof(float), "losses"));
    TRY(buffer_create(&replica->ranks, replica->device, padded * sizeof(int32_t), "ranks"));
    replica->host_losses = calloc(padded, sizeof *replica->host_losses);
    replica->host_ranks = calloc(padded, sizeof *replica->host_ranks);
    return replica->host_losses && replica->host_ranks
               ? 0
               : error_no_memory("the results", padded * sizeof(float));
}

/* Builds what depends on the micro-batch: all but the parameters. */
static int build(struct replica *replica, int micro_batch) {
    replica->options.micro_batch = micro_batch;
    replica->target.tiling = tiling_for_batch(micro_batch);
    replica->nodes = calloc((size_t)replica->net->count, sizeof *replica->nodes);
    if (!replica->nodes)
        return error_no_memory("a replica", sizeof *replica->nodes);
    TRY(create_activations(replica));
    TRY(create_kernels(replica));
    return create_results(replica);
}

/* Sets up staging memory, whose mean stays when it replaces another. */
static int restage(struct replica *replica) {
    struct staging *old = replica->staging;
    replica->staging = NULL;
    int rc = staging_create(&replica->staging, replica->net, replica->device, &replica->target,
                            replica->options.truth_kind);
    if (rc == 0 && old && staging_mean(old))
        rc = staging_set_mean(replica->staging, staging_mean(old));
    if (rc < 0 && old) { /* someone may still ask it whether all was sent */
        staging_free(replica->staging);
        replica->staging = old;
        return rc;
    }
    staging_free(old);
    return rc;
}

int replica_create(struct replica **out, const struct net *net, struct device *device,
                   const struct replica_options *options) {
    struct replica *replica = calloc(1, sizeof *replica);
    if (!replica)
        return error_no_memory("a replica", sizeof *replica);
    replica->made_of = replica->net = net;
    replica->device = device;
    replica->options = *options;
    int micro_batch = options->micro_batch ? options->micro_batch : net_micro_batch(net);
    replica->target = (struct target){.tiling = tiling_for_batch(micro_batch),
                                      .technique = options->technique,
                                      .device = *device_info(device),
                                      .tunings = device_tunings(device)};
    int rc = options->is_apart ? 0 : net_fuse(&replica->fused, net, &replica->target);
    if (replica->fused)
        replica->net = replica->fused;
    if (rc == 0)
        rc =
            parameters_create(&replica->parameters, replica->net, device, &replica->target,
                              options->is_training, allocation_max(replica), options->bucket_bytes);
    if (rc == 0)
        rc = build(replica, micro_batch);
    if (rc == 0)
        rc = restage(replica);
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

/* Frees what build made; the device is idle. */
static void tear_down(struct replica *replica) {
    for (int i = 0; replica->nodes && i < replica->net->count; i++)
        free_state(&replica->nodes[i]);
    free_state(&replica->data);
    for (int i = 0; replica->arenas && i < replica->plan.segments; i++)
        buffer_free(replica->arenas[i]);
    buffer_free(replica->scratch);
    buffer_free(replica->losses);
    buffer_free(replica->ranks);
    memory_plan_free(&replica->plan);
    mark_free(&replica->results);
    free(replica->host_losses);
    free(replica->host_ranks);
    free(replica->arenas);
    free(replica->nodes);
    replica->nodes = NULL;
    replica->data = (struct node_state){0};
    replica->arenas = NULL;
    replica->scratch = replica->losses = replica->ranks = NULL;
    replica->plan = (struct memory_plan){0};
    replica->host_losses = NULL;
    replica->host_ranks = NULL;
    replica->count = 0;
}

void replica_free(struct replica *replica) {
    if (!replica)
        return;
    /* What is still enqueued works on the memory that goes away here, the host's too. */
    error_hold();
    (void)device_finish(replica->device);
    error_release();
    tear_down(replica);
    staging_free(replica->staging);
    parameters_free(replica->parameters);
    net_free(replica->fused);
    free(replica);
}

int replica_resize(struct replica *replica, int micro_batch) {
    TRY(device_finish(replica->device));
    tear_down(replica);
    TRY(build(replica, micro_batch));
    return restage(replica);
}

const struct net *replica_net(const struct replica *replica) {
    return replica->made_of;
}

const struct net *replica_running_net(const struct replica *replica) {
    return replica->net;
}

struct device *replica_device(const struct replica *replica) {
    return replica->device;
}

int replica_micro_batch(const struct replica *replica) {
    return replica->options.micro_batch;
}

int replica_count(const struct replica *replica) {
    return replica->count;
}

/* ---- parameters, from and to the host ---- */

static struct buffer *tensor_buffer(const struct replica *replica, enum replica_tensor tensor,
                                    int index) {
    switch (tensor) {
    case TENSOR_VALUE:
        return parameters_value(replica->parameters, index);
    case TENSOR_GRADIENT:
        return parameters_gradient(replica->parameters, index);
    default:
        return parameters_velocity(replica->parameters, index);
    }
}

static int read_tensor(struct replica *replica, enum replica_tensor tensor, int index,
                       float *values) {
    const struct replica_store *store = &replica->options.store;
    if (store->read)
        return store->read(store->context, tensor, index, values);
    struct buffer *buffer = tensor_buffer(replica, tensor, index);
    return buffer_read(buffer, 0, buffer_bytes(buffer), values);
}

static int write_tensor(struct replica *replica, enum replica_tensor tensor, int index,
                        const float *values) {
    const struct replica_store *store = &replica->options.store;
    if (store->write)
        return store->write(store->context, tensor, index, values);
    struct buffer *buffer = tensor_buffer(replica, tensor, index);
    return buffer_write(buffer, 0, buffer_bytes(buffer), values);
}

int replica_write_parameter(struct replica *replica, int index, const float *values) {
    return write_tensor(replica, TENSOR_VALUE, index, values);
}

int replica_read_parameter(struct replica *replica, int index, float *values) {
    return read_tensor(replica, TENSOR_VALUE, index, values);
}

int replica_read_gradient(struct replica *replica, int index, float *values) {
    return read_tensor(replica, TENSOR_GRADIENT, index, values);
}

int replica_read_velocity(struct replica *replica, int index, float *values) {
    return read_tensor(replica, TENSOR_VELOCITY, index, values);
}

int replica_write_velocity(struct replica *replica, int index, const float *values) {
    return write_tensor(replica, TENSOR_VELOCITY, index, values);
}

int replica_refresh(struct replica *replica) {
    for (int i = 0; replica->options.store.read && i < replica->net->parameter_count; i++) {
        struct buffer *buffer = tensor_buffer(replica, TENSOR_VALUE, i);
        float *values = malloc(buffer_bytes(buffer));
        if (!values)
            return error_no_memory("a parameter", buffer_bytes(buffer));
        int rc = replica_read_parameter(replica, i, values);
        if (rc == 0)
            rc = buffer_write(buffer, 0, buffer_bytes(buffer), values);
        free(values);
        TRY(rc);
    }
    return 0;
}

typedef int tensor_reader(struct replica *replica, int index, float *values);

static int hash_tensors(struct replica *replica, tensor_reader *read, XXH3_state_t *state) {
    for (int i = 0; i < replica->net->parameter_count; i++) {
        size_t bytes =
            (size_t)parameter_elements(net_parameter(replica->net, i, NULL)) * sizeof(float);
        float *values = malloc(bytes);
        if (!values)
            return error_no_memory("a parameter", bytes);
        int rc = read(replica, i, values);
        if (rc == 0)
            (void)XXH3_64bits_update(state, values, bytes);
        free(values);
        TRY(rc);
    }
    return 0;
}

int replica_digest(struct replica *replica, uint64_t *digest) {
    XXH3_state_t *state = XXH3_createState();
    if (!state)
        return error_no_memory("a digest", 0);
    (void)XXH3_64bits_reset(state);
    int rc = hash_tensors(replica, replica_read_parameter, state);
    if (rc == 0 && (replica->options.is_training || replica->options.store.read))
        rc = hash_tensors(replica, replica_read_velocity, state);
    *digest = XXH3_64bits_digest(state);
    (void)XXH3_freeState(state);
    return rc;
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
        .others = &replica->options.others,
        .is_training = replica->step.is_training,
        .seed = replica->step.seed,
        .iteration = replica->step.iteration,
        .index = (uint32_t)node->index,
        .first_sample = replica->step.first_sample,
        .count = replica->count,
        .truth_kind = replica->options.truth_kind,
        .truth = staging_truth(replica->staging),
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

static int forward_layer(struct replica *replica, int i) {
    struct layer_run run = make_run(replica, i);
    return run.layer->type->forward(&run);
}

static int forward(struct replica *replica, const struct step *step) {
    replica->step = *step;
    replica->count = staging_count(replica->staging);
    TRY(staging_enter(replica->staging, replica->data.output));
    for (int i = 0; i < replica->net->count; i++)
        TRY(forward_layer(replica, i));
    size_t count = (size_t)replica->count;
    TRY(buffer_read_later(replica->losses, count * sizeof(float), replica->host_losses,
                          &replica->results));
    return buffer_read_later(replica->ranks, count * sizeof(int32_t), replica->host_ranks,
                             &replica->results);
}

int replica_set_mean(struct replica *replica, const struct mean *mean) {
    return staging_set_mean(replica->staging, mean);
}

const struct mean *replica_mean(const struct replica *replica) {
    return staging_mean(replica->staging);
}

int replica_stage(struct replica *replica, const struct samples *samples) {
    return staging_send(replica->staging, samples);
}

int replica_stage_wait(struct replica *replica) {
    return staging_wait(replica->staging);
}

int replica_forward_staged(struct replica *replica, const struct step *step) {
    TRY(staging_advance(replica->staging));
    return forward(replica, step);
}

int replica_forward(struct replica *replica, const struct samples *samples,
                    const struct step *step) {
    TRY(replica_stage(replica, samples));
    int rc = replica_forward_staged(replica, step);
    if (rc == 0)
        return replica_stage_wait(replica);
    error_hold(); /* the samples are the caller's: nobody may read them any more */
    (void)replica_stage_wait(replica);
    error_release();
    return rc;
}

int replica_forward_again(struct replica *replica, const struct view *views,
                          const struct step *step) {
    TRY(staging_set_views(replica->staging, views));
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

/* A backward pass in progress: which bucket is next to be told to whom. */
struct listening {
    bucket_listener *ready;
    void *context;
    int next;
};

/* Tells the buckets that are complete once the backward pass of layer i, and of all after it, is
 * enqueued. */
static int tell_buckets(const struct replica *replica, int i, struct listening *to) {
    int count = parameters_bucket_count(replica->parameters), rc = 0;
    while (rc == 0 && to->ready && to->next < count &&
           parameters_bucket_layer(replica->parameters, to->next) >= i)
        rc = to->ready(to->context, to->next++);
    return rc;
}

int replica_backward(struct replica *replica, bucket_listener *ready, void *context) {
    int count = replica->net->count;
    struct listening to = {.ready = ready, .context = context};
    char *written = calloc((size_t)count + 1, 1);
    if (!written)
        return error_no_memory("a backward pass", (size_t)count);
    int rc = 0;
    for (int i = count - 1; rc == 0 && i >= 0; i--) {
        int is_loss = i == count - 1;
        /* Without a gradient there is nothing to learn here or before. */
        if (is_loss || replica->nodes[i].gradient)
            rc = backward_layer(replica, i, written + 1);
        if (rc == 0)
            rc = tell_buckets(replica, i, &to);
    }
    free(written);
    if (rc != 0)
        return rc;
    /* The host may have a batch to wait for before it asks for the results. */
    return device_flush(replica->device);
}

int replica_results(struct replica *replica, float *losses, int32_t *ranks) {
    size_t count = (size_t)replica->count;
    TRY(mark_wait(replica->device, &replica->results));
    memcpy(losses, replica->host_losses, count * sizeof *losses);
    memcpy(ranks, replica->host_ranks, count * sizeof *ranks);
    return 0;
}

struct replica_ends replica_ends(const struct replica *replica) {
    const struct net *net = replica->net;
    const struct node_state *last = &replica->nodes[net->count - 1];
    struct tiling tiling = replica->target.tiling;
    return (struct replica_ends){
        .input = replica->data.output,
        .input_gradient = replica->data.gradient,
        .output = last->output,
        .output_gradient = last->gradient,
        .input_floats = (size_t)tiling_elements(tiling, net->input),
        .output_floats = (size_t)tiling_elements(tiling, net_loss(net)->plan.output),
    };
}

/* ---- buckets ---- */

int replica_bucket_count(const struct replica *replica) {
    return parameters_bucket_count(replica->parameters);
}

struct buffer *replica_bucket(const struct replica *replica, int bucket) {
    return parameters_bucket(replica->parameters, bucket);
}

int replica_update_bucket(struct replica *replica, int bucket, const struct update *update) {
    return parameters_update(replica->parameters, bucket, (float)update->rate,
                             (float)update->momentum, (float)update->decay);
}

int replica_update(struct replica *replica, const struct update *update) {
    for (int i = 0; i < replica_bucket_count(replica); i++)
        TRY(replica_update_bucket(replica, i, update));
    return 0;
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

static int read_output(struct replica *replica, int i, float *values) {
    return read_activation(replica, replica->nodes[i].output,
                           replica->net->nodes[i].layer.plan.output, values);
}

int replica_read_output(struct replica *replica, float *values) {
    return read_output(replica, replica->net->count - 1, values);
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
    TRY(staging_enter(replica->staging, replica->data.output));
    TRY(read_activation(replica, replica->data.output, net->input, values));
    int rc = visit(context, NET_INPUT, net->input, values);
    for (int i = 0; rc == 0 && i < net->count; i++) {
        TRY(forward_layer(replica, i));
        TRY(read_output(replica, i, values));
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
