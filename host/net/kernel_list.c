#include "net/kernel_list.h"

#include "base/error.h"
#include "layers/trust.h"
#include "net/memory_plan.h"
#include "net/net_fusion.h"
#include "net/net_part.h"
#include "net/parameter_layout.h"
#include "ops/limits.h"
#include "ops/net_kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add(struct kernel_list *list, const char *who, const struct kernel_spec *spec) {
    if (list->count == list->room) {
        int room = 2 * list->room + 64;
        struct listed_kernel *grown = realloc(list->kernels, (size_t)room * sizeof *grown);
        if (!grown)
            return error_no_memory("the list of kernels", (size_t)room * sizeof *grown);
        list->kernels = grown;
        list->room = room;
    }
    struct listed_kernel *kernel = &list->kernels[list->count++];
    *kernel = (struct listed_kernel){.spec = *spec};
    (void)snprintf(kernel->who, sizeof kernel->who, "%s", who);
    return 0;
}

/* The same for what its specification says nothing of. */
static int add_work(struct kernel_list *list, const char *who, struct kernel_spec spec,
                    const char *pass, double bytes) {
    kernel_work(&spec, pass, 0, bytes);
    return add(list, who, &spec);
}

static void ask_layer(struct layer_kernels *out, const struct net *net, const struct target *target,
                      int i, int input_gradient, enum truth truth_kind) {
    const struct layer *layer = &net->nodes[i].layer;
    *out = (struct layer_kernels){0};
    layer->type->kernels(layer, target, memory_plan_needs_any_dx(net, input_gradient, i),
                         truth_kind, out);
}

static int add_layer(struct kernel_list *list, const struct net *net, const struct target *target,
                     int i, int input_gradient, enum truth truth_kind) {
    struct layer_kernels kernels;
    ask_layer(&kernels, net, target, i, input_gradient, truth_kind);
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        if (trust_is_kernel(&kernels.specs[k]))
            TRY(add(list, net->nodes[i].layer.name, &kernels.specs[k]));
    }
    return 0;
}

static int add_layers(struct kernel_list *list, const struct net *net, const struct target *target,
                      int input_gradient) {
    for (int i = 0; i < net->count; i++) {
        const struct layer_plan *plan = &net->nodes[i].layer.plan;
        TRY(add_layer(list, net, target, i, input_gradient, TRUTH_LABELS));
        if (plan->is_loss && !plan->labels_only)
            TRY(add_layer(list, net, target, i, input_gradient, TRUTH_NUMBERS));
    }
    return 0;
}

/* Gradients that add up, where an output goes to several layers. */
static int add_sums(struct kernel_list *list, const struct net *net, const struct target *target,
                    int input_gradient) {
    struct memory_plan_options options;
    struct memory_plan plan;
    TRY(memory_plan_options_for(&options, target, 1, input_gradient,
                                memory_plan_piece_max(&target->device, 0)));
    TRY(memory_plan_create(&plan, net, &options));
    int rc = 0;
    for (int i = NET_INPUT; rc == 0 && i < net->count; i++) {
        size_t bytes = (i == NET_INPUT ? &plan.data : &plan.nodes[i])->extra.bytes;
        if (bytes)
            rc = add_work(list, i == NET_INPUT ? "input" : net->nodes[i].layer.name,
                          add_spec(target, bytes / sizeof(float)), "gradient sum",
                          3 * (double)bytes);
    }
    memory_plan_free(&plan);
    return rc;
}

/* A frame's byte is read once, at most, for each number of the input. */
static int add_input(struct kernel_list *list, const struct net *net, const struct target *target) {
    double count = (double)tiling_elements(target->tiling, net->input);
    double pictures = (1 + sizeof(float)) * count, floats = 2 * sizeof(float) * count;
    for (int by_pixel = 0; by_pixel <= 1; by_pixel++)
        TRY(add_work(list, "input", input_bytes_spec(target, net->input, net->frame, by_pixel),
                     "forward", pictures));
    return add_work(list, "input", input_floats_spec(target, net->input, net->frame), "forward",
                    floats);
}

/* The update of all parameters: values, gradients and velocity, each read and written. */
static int add_update(struct kernel_list *list, const struct net *net,
                      const struct target *target) {
    struct parameter_layout layout;
    size_t floats = 0;
    TRY(parameter_layout_create(&layout, net, &target->device,
                                memory_plan_piece_max(&target->device, 0)));
    for (int i = 0; i < layout.segment_count; i++)
        floats += layout.segments[i];
    parameter_layout_free(&layout);
    if (floats == 0)
        return 0;
    return add_work(list, "update", solver_spec(target, floats, PARAMETERS_BLOCK), "update",
                    6 * sizeof(float) * (double)floats);
}

static int add_net(struct kernel_list *list, const struct net *net, const struct target *target,
                   int is_back) {
    TRY(add_layers(list, net, target, is_back));
    TRY(add_sums(list, net, target, is_back));
    TRY(add_input(list, net, target));
    return add_update(list, net, target);
}

/* What a replica compiles; of a back, what comes from other devices has a gradient, too. */
static int add_replica(struct kernel_list *list, const struct net *net, const struct target *target,
                       int is_back) {
    struct net *fused;
    TRY(net_fuse(&fused, net, target));
    int rc = add_net(list, fused ? fused : net, target, is_back);
    net_free(fused);
    return rc;
}

static int add_front(struct kernel_list *list, const struct net *net, const struct target *target) {
    struct net_part part;
    TRY(net_part_front(&part, net));
    int rc = add_replica(list, part.net, target, 0);
    net_part_free(&part);
    return rc;
}

static int add_back(struct kernel_list *list, const struct net *net, const struct target *target,
                    int rank, int devices) {
    struct net_part part;
    TRY(net_part_back(&part, net, rank, devices));
    int rc = add_replica(list, part.net, target, 1);
    net_part_free(&part);
    return rc;
}

/* What a device compiles beside its replica of the whole net to work with others. */
static int add_team(struct kernel_list *list, const struct net *net, const struct target *target,
                    int devices) {
    for (int rank = 0; rank < devices; rank++) {
        struct kernel_spec sum = sum_spec(target, PARAMETERS_BLOCK, rank, devices);
        TRY(add_work(list, "exchange", sum, "gradient sum",
                     (devices + 1) * sizeof(float) * (double)PARAMETERS_BLOCK));
    }
    if (net->options.parallel != PARALLEL_HYBRID)
        return 0;
    TRY(add_front(list, net, target));
    for (int rank = 0; rank < devices; rank++)
        TRY(add_back(list, net, target, rank, devices));
    return 0;
}

static int fill(struct kernel_list *list, const struct net *net, const struct target *target,
                int devices) {
    struct kernel_spec limits[] = {limits_multiply_add_spec(&target->device),
                                   limits_copy_spec(&target->device, TILE_MAX)};
    TRY(add_replica(list, net, target, 0));
    if (devices > 1)
        TRY(add_team(list, net, target, devices));
    TRY(add(list, "limits", &limits[0]));
    return add(list, "limits", &limits[1]);
}

int kernel_list_create(struct kernel_list *out, const struct net *net, const struct target *device,
                       int devices) {
    struct target target = *device;
    target.tiling = tiling_for_batch((net_micro_batch(net) + devices - 1) / devices);
    *out = (struct kernel_list){0};
    int rc = fill(out, net, &target, devices);
    if (rc < 0)
        kernel_list_free(out);
    return rc;
}

/* ---- candidates ---- */

/* Whether the pass is computed that way. */
static int is_taken(const struct layer_kernels *kernels, const struct choice *way) {
    for (int i = 0; i < kernels->choice_count; i++) {
        const struct choice *choice = &kernels->choices[i];
        if (choice->is_taken && choice->space == way->space && strcmp(choice->pass, way->pass) == 0)
            return !choice->refused;
    }
    return 0;
}

/* Those of a pass that are of the way's operation. */
static int add_pass(struct kernel_list *list, const char *who, const struct layer_kernels *kernels,
                    const struct tuning *tuning, const struct choice *way) {
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        const struct kernel_spec *spec = &kernels->specs[k];
        if (!kernel_is_ours(spec) ||
            strncmp(spec->file, way->operation, strlen(way->operation)) != 0 ||
            strcmp(spec->pass, way->pass) != 0)
            continue;
        TRY(add(list, who, spec));
        memcpy(list->kernels[list->count - 1].tuning, tuning->values, sizeof tuning->values);
    }
    return 0;
}

/* The kernels of a pass that is computed some way with some values. */
static int add_candidate(struct kernel_list *list, const struct net *net,
                         const struct target *device, int i, const struct choice *way,
                         const int values[KNOBS_MAX]) {
    const struct tuning tuning = tuning_of(way, values, ORIGIN_QUICK);
    struct layer_kernels kernels;
    struct target target = *device;
    struct tunings *tunings = tunings_create();
    if (!tunings)
        return error_no_memory("tunings", 0);
    target.tunings = tunings;
    int rc = tunings_set(tunings, &tuning);
    if (rc == 0) {
        ask_layer(&kernels, net, &target, i, 0, net_truth_kind(net));
        if (is_taken(&kernels, way))
            rc = add_pass(list, net->nodes[i].layer.name, &kernels, &tuning, way);
    }
    tunings_free(tunings);
    return rc;
}

static int add_way(struct kernel_list *list, const struct net *net, const struct target *target,
                   int i, const struct choice *way) {
    TRY(add_candidate(list, net, target, i, way, way->values));
    for (int turn = 0; turn < 2 * way->space->knob_count; turn++) {
        const int knob = turn / 2, step = turn % 2 ? 1 : -1;
        int values[KNOBS_MAX];
        memcpy(values, way->values, sizeof values);
        values[knob] = choice_step(way, knob, values[knob], step);
        if (values[knob] != 0)
            TRY(add_candidate(list, net, target, i, way, values));
    }
    return 0;
}

static int fill_candidates(struct kernel_list *list, const struct net *net,
                           const struct target *target) {
    for (int i = 0; i < net->count; i++) {
        struct layer_kernels kernels;
        ask_layer(&kernels, net, target, i, 0, net_truth_kind(net));
        for (int c = 0; c < kernels.choice_count; c++)
            TRY(add_way(list, net, target, i, &kernels.choices[c]));
    }
    return 0;
}

int kernel_list_create_candidates(struct kernel_list *out, const struct net *net,
                                  const struct target *device) {
    struct target target = *device;
    target.tiling = tiling_for_batch(net_micro_batch(net));
    *out = (struct kernel_list){0};
    int rc = fill_candidates(out, net, &target);
    if (rc < 0)
        kernel_list_free(out);
    return rc;
}

void kernel_list_free(struct kernel_list *list) {
    free(list->kernels);
    *list = (struct kernel_list){0};
}
