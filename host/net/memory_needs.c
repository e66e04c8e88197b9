#include "net/memory_needs.h"

#include "base/error.h"
#include "net/memory_plan.h"
#include "net/net_fusion.h"
#include "net/net_part.h"
#include "net/parameter_layout.h"
#include "net/staging.h"

#include <stdio.h>

/* What is being added up, and for what. */
struct tally {
    struct memory_needs *needs;
    const struct net *net;
    const struct memory_needs_options *options;
    struct target target;
    size_t piece_max;
    int is_back; /* of a net in parts: no samples come to it, but what other devices send */
};

/* One allocation, which adds to one kind of memory. */
static int add(struct tally *tally, uint64_t *kind, size_t bytes, const char *name) {
    const struct device_info *device = &tally->target.device;
    struct memory_needs *needs = tally->needs;
    *kind += bytes;
    needs->total += bytes;
    if (bytes > needs->largest) {
        needs->largest = bytes;
        (void)snprintf(needs->largest_name, sizeof needs->largest_name, "%s", name);
    }
    if (bytes <= tally->piece_max)
        return 0;
    return error_set(ERROR_DEVICE,
                     "device %d (%s): %s: %.1f MiB are needed, and the device gives at most "
                     "%.1f MiB in one piece",
                     device->index, device->name, name, (double)bytes / (1 << 20),
                     (double)tally->piece_max / (1 << 20));
}

static int add_parameters(struct tally *tally) {
    struct memory_needs *needs = tally->needs;
    struct parameter_layout layout;
    TRY(parameter_layout_create(&layout, tally->net, &tally->target.device, tally->piece_max));
    int rc = 0;
    for (int i = 0; rc == 0 && i < layout.segment_count; i++) {
        size_t bytes = layout.segments[i] * sizeof(float);
        rc = add(tally, &needs->parameters, bytes, "the parameters");
        if (rc < 0 || !tally->options->is_training)
            continue;
        needs->gradients += bytes;
        needs->velocity += bytes;
        needs->total += 2 * (uint64_t)bytes;
        rc = add(tally, &needs->multipliers,
                 layout.segments[i] / PARAMETERS_BLOCK * sizeof(float[2]), "the multipliers");
    }
    if (rc == 0 && tally->options->peers > 1)
        rc = add(tally, &needs->exchange,
                 parameter_layout_exchange_room(&layout, tally->options->bucket_bytes,
                                                tally->options->peers),
                 "the exchange of gradients");
    parameter_layout_free(&layout);
    return rc;
}

static int add_activations(struct tally *tally) {
    struct memory_plan_options options;
    struct memory_plan plan;
    TRY(memory_plan_options_for(&options, &tally->target, tally->options->is_training,
                                tally->options->input_gradient, tally->piece_max));
    int rc = memory_plan_create(&plan, tally->net, &options);
    if (rc < 0)
        return error_prefix(rc, "device %d (%s): ", tally->target.device.index,
                            tally->target.device.name);
    for (int i = 0; rc == 0 && i < plan.segments; i++)
        rc = add(tally, &tally->needs->activations, plan.segment_bytes[i], "the activations");
    tally->needs->live += plan.live_bytes;
    if (rc == 0 && tally->is_back)
        rc = add(tally, &tally->needs->activations, plan.data.output.bytes,
                 "the activations of other devices");
    memory_plan_free(&plan);
    return rc;
}

static int add_scratch(struct tally *tally) {
    const struct memory_needs_options *options = tally->options;
    char name[MEMORY_NAME] = "";
    size_t most = 0;
    for (int i = 0; i < tally->net->count; i++) {
        const struct layer *layer = &tally->net->nodes[i].layer;
        int needs_dx = options->is_training &&
                       memory_plan_needs_any_dx(tally->net, options->input_gradient, i);
        struct layer_kernels kernels = {0};
        layer->type->kernels(layer, &tally->target, needs_dx, options->truth_kind, &kernels);
        if (kernels.scratch_bytes > most) {
            most = kernels.scratch_bytes;
            (void)snprintf(name, sizeof name, "scratch memory of %s", layer->name);
        }
    }
    return add(tally, &tally->needs->scratch, most, name);
}

static int add_staging(struct tally *tally) {
    const struct memory_needs_options *options = tally->options;
    uint64_t *staging = &tally->needs->staging;
    struct staging_bytes bytes =
        staging_bytes(tally->net, tally->target.tiling, options->truth_kind, options->is_floats,
                      options->mean_by_pixel);
    for (int i = 0; i < STAGING_SLOTS; i++) {
        if (!tally->is_back)
            TRY(add(tally, staging, bytes.samples, "the samples"));
        TRY(add(tally, staging, bytes.views, "the views"));
        TRY(add(tally, staging, bytes.truth, "the truths"));
    }
    return add(tally, staging, bytes.mean, "the mean");
}

static int add_all(struct tally *tally) {
    size_t padded = (size_t)tally->target.tiling.tiles * (size_t)tally->target.tiling.tile;
    uint64_t *results = &tally->needs->results;
    TRY(add_parameters(tally));
    TRY(add_activations(tally));
    TRY(add_scratch(tally));
    TRY(add_staging(tally));
    TRY(add(tally, results, padded * sizeof(float), "the losses"));
    return add(tally, results, padded * sizeof(int32_t), "the ranks");
}

/* Adds what a replica of the net takes. */
static int add_replica(struct memory_needs *out, const struct net *net,
                       const struct device_info *device, const struct memory_needs_options *options,
                       int is_back) {
    struct net *fused;
    struct tally tally = {
        .needs = out,
        .net = net,
        .options = options,
        .target = {.tiling = tiling_for_batch(options->micro_batch),
                   .technique = options->technique,
                   .device = *device,
                   .tunings = options->tunings},
        .piece_max = memory_plan_piece_max(device, options->allocation_limit),
        .is_back = is_back,
    };
    TRY(net_fuse(&fused, net, &tally.target));
    if (fused)
        tally.net = fused;
    int rc = add_all(&tally);
    net_free(fused);
    return rc;
}

static int add_front(struct memory_needs *out, const struct net *net,
                     const struct device_info *device, struct memory_needs_options options) {
    struct net_part part;
    TRY(net_part_front(&part, net));
    options.truth_kind = TRUTH_LABELS; /* it has none */
    int rc = add_replica(out, part.net, device, &options, 0);
    net_part_free(&part);
    return rc;
}

static int add_back(struct memory_needs *out, const struct net *net,
                    const struct device_info *device, struct memory_needs_options options) {
    struct net_part part;
    TRY(net_part_back(&part, net, options.rank, options.ranks));
    options.input_gradient = 1;
    options.mean_by_pixel = 0;
    int rc = add_replica(out, part.net, device, &options, 1);
    net_part_free(&part);
    return rc;
}

int memory_needs(struct memory_needs *out, const struct net *net, const struct device_info *device,
                 const struct memory_needs_options *options) {
    struct memory_needs_options own = *options;
    if (own.micro_batch == 0)
        own.micro_batch = net_micro_batch(net);
    *out = (struct memory_needs){0};
    if (own.ranks > 0) {
        TRY(add_front(out, net, device, own));
        TRY(add_back(out, net, device, own));
        own.is_training = 0;
    }
    return add_replica(out, net, device, &own, 0);
}

/* ---- fitting ---- */

/* A driver rounds buffers up to pages and keeps kernels and queues beside them: 1/256 of the
 * device, 0.4 %, is theirs: 12 MiB of 3 GiB. */
static uint64_t limit_of(const struct device_info *device, int replicas) {
    uint64_t memory = device->global_memory;
    return memory ? (memory - memory / 256) / (uint64_t)replicas : UINT64_MAX;
}

/* The samples of a part. The padding of its tiles takes memory anyway, so samples may fill it. */
static int micro_batch_of(int samples, int parts) {
    int even = (samples + parts - 1) / parts;
    struct tiling tiling = tiling_for_batch(even);
    int whole = tiling.tiles * tiling.tile;
    return parts == 1 || whole > samples ? even : whole;
}

static int does_not_fit(const struct memory_fit *fit, const struct device_info *device,
                        int replicas) {
    char sharing[64] = "";
    if (replicas > 1)
        (void)snprintf(sharing, sizeof sharing, " for each of the %d replicas on it", replicas);
    return error_set(ERROR_DEVICE,
                     "device %d (%s): not enough memory: even one sample at a time takes %.1f MiB, "
                     "of which %.1f MiB for parameters, gradients and velocity, and the device has "
                     "%.1f MiB%s; a device with more memory or a smaller net would do",
                     device->index, device->name, (double)fit->needs.total / (1 << 20),
                     (double)(fit->needs.parameters + fit->needs.gradients + fit->needs.velocity) /
                         (1 << 20),
                     (double)fit->limit / (1 << 20), sharing);
}

int memory_fit(struct memory_fit *out, const struct net *net, const struct device_info *device,
               const struct memory_needs_options *options, int samples, int least, int replicas) {
    struct memory_needs_options trial = *options;
    int rc = 0, last = 0;
    *out = (struct memory_fit){.limit = limit_of(device, replicas)};
    for (int parts = least < samples ? least : samples; parts <= samples; parts++) {
        trial.micro_batch = micro_batch_of(samples, parts);
        if (trial.micro_batch == last)
            continue;
        last = trial.micro_batch;
        rc = memory_needs(&out->needs, net, device, &trial);
        if (rc < 0 && rc != ERROR_DEVICE)
            return rc;
        out->micro_batch = trial.micro_batch;
        out->subdivisions = (samples + trial.micro_batch - 1) / trial.micro_batch;
        if (rc == 0 && out->needs.total <= out->limit)
            return 0;
    }
    return rc < 0 ? rc : does_not_fit(out, device, replicas);
}
