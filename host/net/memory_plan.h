/* Where each activation lives: buffers whose lifetimes do not meet share memory.
 *
 * Time is counted in steps: the forward pass of layer i is step i, its backward pass step 2L - 1 -
 * i. Host only, so that a config's memory can be told without a device.
 */
#ifndef NET_MEMORY_PLAN_H
#define NET_MEMORY_PLAN_H

#include "net/net.h"

#include "cl/target.h"

/* A piece of memory that is wanted from one step to another. */
struct memory_slot {
    size_t bytes; /* 0: not wanted */
    int first, last;
    int segment;
    size_t offset;
};

/* The slots of one layer, or of the data, which has no keep. */
struct node_memory {
    struct memory_slot output;   /* y */
    struct memory_slot gradient; /* dy, of the output */
    struct memory_slot extra;    /* for a gradient that is added to another one */
    struct memory_slot keep;
};

struct memory_plan {
    int count; /* layers */
    struct node_memory *nodes;
    struct node_memory data;
    int segments; /* buffers that the slots lie in */
    size_t *segment_bytes;
    size_t total_bytes;
    size_t
        live_bytes; /* of the slots that are wanted at the same step, at most: no plan takes less */
};

struct memory_plan_options {
    struct tiling tiling;
    int is_training;    /* room for gradients, and for what backward reads */
    int input_gradient; /* the gradient of the data is wanted too */
    size_t alignment;   /* of every slot; 0: 128 */
    size_t segment_max; /* no buffer may be larger; 0: no limit */
};

/* The options for a target, no buffer above segment_max. An alignment that no layout here serves is
 * ERROR_DEVICE. */
int memory_plan_options_for(struct memory_plan_options *out, const struct target *target,
                            int is_training, int input_gradient, size_t segment_max);

/* The largest allocation that the device allows, or `limit` where that is less and not 0. */
size_t memory_plan_piece_max(const struct device_info *device, size_t limit);

/* A single slot above segment_max is ERROR_DEVICE, naming the layer and the bytes. Free with
 * memory_plan_free. */
int memory_plan_create(struct memory_plan *plan, const struct net *net,
                       const struct memory_plan_options *options);

void memory_plan_free(struct memory_plan *plan);

/* Whether the gradient with respect to the k-th input of layer i is computed at all. */
int memory_plan_needs_dx(const struct net *net, int input_gradient, int i, int k);

/* Whether that of any of them is, in training. */
int memory_plan_needs_any_dx(const struct net *net, int input_gradient, int i);

#endif
