#include "net/memory_plan.h"

#include "base/error.h"
#include "net/parameter_layout.h"

#include <stdlib.h>

static int later(int a, int b) {
    return a > b ? a : b;
}

int memory_plan_needs_dx(const struct net *net, int input_gradient, int i, int k) {
    if (net->nodes[i].inputs[k] == NET_INPUT)
        return input_gradient;
    return net->nodes[i].needs_dx[k] || input_gradient;
}

int memory_plan_needs_any_dx(const struct net *net, int input_gradient, int i) {
    int needed = 0;
    for (int k = 0; k < net->nodes[i].layer.type->input_count; k++)
        needed |= memory_plan_needs_dx(net, input_gradient, i, k);
    return needed;
}

size_t memory_plan_piece_max(const struct device_info *device, size_t limit) {
    size_t most = device->allocation_max ? (size_t)device->allocation_max : SIZE_MAX;
    return limit && limit < most ? limit : most;
}

int memory_plan_options_for(struct memory_plan_options *out, const struct target *target,
                            int is_training, int input_gradient, size_t segment_max) {
    size_t alignment = target->device.alignment;
    if (alignment > PARAMETERS_BLOCK * sizeof(float))
        return error_set(ERROR_DEVICE, "device %d (%s): alignment to %zu bytes is not supported",
                         target->device.index, target->device.name, alignment);
    *out = (struct memory_plan_options){.tiling = target->tiling,
                                        .is_training = is_training,
                                        .input_gradient = input_gradient,
                                        .alignment = alignment > 128 ? alignment : 128,
                                        .segment_max = segment_max};
    return 0;
}

/* When the output of layer i (or the data, for NET_INPUT) is read for the last time, and, in
 * training, when its gradient is written first. */
static void find_uses(const struct net *net, int i, const struct memory_plan_options *options,
                      int *last_read, int *first_gradient, int *gradients) {
    int steps = 2 * net->count;
    *last_read = i < 0 ? 0 : i;
    *first_gradient = steps;
    *gradients = 0;
    if (i >= 0 && options->is_training && net->nodes[i].layer.plan.backward_reads_output)
        *last_read = steps - 1 - i;
    if (i == net->count - 1 && options->is_training && !net->nodes[i].layer.plan.is_loss) {
        /* A part of a net without the loss: the gradient comes from outside. */
        *first_gradient = i + 1;
        *gradients = 1;
    }
    for (int c = i + 1; c < net->count; c++) {
        const struct node *consumer = &net->nodes[c];
        for (int k = 0; k < consumer->layer.type->input_count; k++) {
            if (consumer->inputs[k] != i)
                continue;
            *last_read = later(*last_read, c);
            if (!options->is_training)
                continue;
            if (consumer->layer.plan.backward_reads_input)
                *last_read = later(*last_read, steps - 1 - c);
            if (memory_plan_needs_dx(net, options->input_gradient, c, k)) {
                (*gradients)++;
                if (steps - 1 - c < *first_gradient)
                    *first_gradient = steps - 1 - c;
            }
        }
    }
}

/* The slots of layer i, or of the data. */
static struct node_memory *memory_of(struct memory_plan *plan, int i) {
    return i == NET_INPUT ? &plan->data : &plan->nodes[i];
}

static void plan_lifetimes(struct memory_plan *plan, const struct net *net,
                           const struct memory_plan_options *options) {
    int steps = 2 * net->count;
    for (int i = NET_INPUT; i < net->count; i++) {
        struct node_memory *memory = memory_of(plan, i);
        struct shape shape = i == NET_INPUT ? net->input : net->nodes[i].layer.plan.output;
        size_t bytes = (size_t)tiling_elements(options->tiling, shape) * sizeof(float);
        int backward = steps - 1 - i; /* for the data: after everything */
        int last_read, first_gradient, gradients;
        find_uses(net, i, options, &last_read, &first_gradient, &gradients);
        memory->output =
            (struct memory_slot){.bytes = bytes, .first = i < 0 ? 0 : i, .last = last_read};
        if (gradients)
            memory->gradient =
                (struct memory_slot){.bytes = bytes, .first = first_gradient, .last = backward};
        if (gradients > 1)
            memory->extra = memory->gradient;
        if (i != NET_INPUT)
            memory->keep = (struct memory_slot){.bytes = net->nodes[i].layer.plan.keep_bytes *
                                                         (size_t)options->tiling.tiles *
                                                         (size_t)options->tiling.tile,
                                                .first = i,
                                                .last = options->is_training ? backward : i};
    }
}

static int compare_sizes(const void *a, const void *b) {
    const struct memory_slot *x = *(struct memory_slot *const *)a;
    const struct memory_slot *y = *(struct memory_slot *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->first != y->first ? x->first - y->first : x->last - y->last;
}

static int compare_offsets(const void *a, const void *b) {
    const struct memory_slot *x = *(struct memory_slot *const *)a;
    const struct memory_slot *y = *(struct memory_slot *const *)b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->first - y->first;
}

/* The lowest offset in a segment at which a slot meets none of those placed that live at its time.
 * `near` is room for as many pointers as there are placed slots. */
static size_t lowest_offset(const struct memory_slot *slot, struct memory_slot **placed, int count,
                            int segment, struct memory_slot **near) {
    int neighbours = 0;
    for (int i = 0; i < count; i++) {
        if (placed[i]->segment == segment && placed[i]->first <= slot->last &&
            slot->first <= placed[i]->last)
            near[neighbours++] = placed[i];
    }
    qsort(near, (size_t)neighbours, sizeof(struct memory_slot *), compare_offsets);
    size_t offset = 0;
    for (int i = 0; i < neighbours; i++) {
        if (offset + slot->bytes <= near[i]->offset)
            break;
        if (near[i]->offset + near[i]->bytes > offset)
            offset = near[i]->offset + near[i]->bytes;
    }
    return offset;
}

/* Places the slots, the largest first, each as low as it fits. */
static void place(struct memory_plan *plan, struct memory_slot **slots, int count,
                  struct memory_slot **near, size_t segment_max) {
    qsort(slots, (size_t)count, sizeof(struct memory_slot *), compare_sizes);
    for (int i = 0; i < count; i++) {
        struct memory_slot *slot = slots[i];
        for (slot->segment = 0;; slot->segment++) {
            slot->offset = lowest_offset(slot, slots, i, slot->segment, near);
            if (!segment_max || slot->offset + slot->bytes <= segment_max)
                break;
        }
        if (slot->segment == plan->segments)
            plan->segments++;
        size_t end = slot->offset + slot->bytes;
        if (end > plan->segment_bytes[slot->segment])
            plan->segment_bytes[slot->segment] = end;
    }
    for (int i = 0; i < plan->segments; i++)
        plan->total_bytes += plan->segment_bytes[i];
}

/* The most that is wanted at once. */
static size_t most_live(struct memory_slot **slots, int count, int steps) {
    size_t most = 0;
    for (int step = 0; step <= steps; step++) {
        size_t live = 0;
        for (int i = 0; i < count; i++)
            live += slots[i]->first <= step && step <= slots[i]->last ? slots[i]->bytes : 0;
        most = live > most ? live : most;
    }
    return most;
}

static int too_large(const struct memory_slot *slot, const char *name, size_t segment_max) {
    return error_set(ERROR_DEVICE,
                     "an activation of %s takes %.1f MiB, and the device gives at most %.1f MiB in "
                     "one piece; a smaller batch (--batch) or more subdivisions (--set "
                     "net.subdivisions=N) would do",
                     name, (double)slot->bytes / (1 << 20), (double)segment_max / (1 << 20));
}

int memory_plan_create(struct memory_plan *plan, const struct net *net,
                       const struct memory_plan_options *options) {
    *plan = (struct memory_plan){.count = net->count};
    size_t alignment = options->alignment ? options->alignment : 128;
    size_t slot_max = 4 * ((size_t)net->count + 1);
    plan->nodes = calloc((size_t)net->count, sizeof *plan->nodes);
    plan->segment_bytes = calloc(slot_max, sizeof *plan->segment_bytes);
    struct memory_slot **slots = calloc(slot_max * 2, sizeof(struct memory_slot *));
    int rc = 0, count = 0;
    if (!plan->nodes || !plan->segment_bytes || !slots) {
        rc = error_no_memory("the memory plan", sizeof *slots * slot_max);
        goto done;
    }
    plan_lifetimes(plan, net, options);
    for (int i = NET_INPUT; i < net->count; i++) {
        struct node_memory *memory = memory_of(plan, i);
        struct memory_slot *own[] = {&memory->output, &memory->gradient, &memory->extra,
                                     &memory->keep};
        for (int k = 0; k < 4; k++) {
            if (own[k]->bytes == 0)
                continue;
            own[k]->bytes = (own[k]->bytes + alignment - 1) / alignment * alignment;
            if (options->segment_max && own[k]->bytes > options->segment_max) {
                rc = too_large(own[k], i == NET_INPUT ? "the input" : net->nodes[i].name,
                               options->segment_max);
                goto done;
            }
            slots[count++] = own[k];
        }
    }
    place(plan, slots, count, slots + slot_max, options->segment_max);
    plan->live_bytes = most_live(slots, count, 2 * net->count);
done:
    free(slots);
    if (rc < 0)
        memory_plan_free(plan);
    return rc;
}

void memory_plan_free(struct memory_plan *plan) {
    free(plan->nodes);
    free(plan->segment_bytes);
    *plan = (struct memory_plan){0};
}
