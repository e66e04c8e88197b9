/* Layers that no config knows: with them a net is divided among devices (net/net_part.h), each of
 * which has some rows of every fully connected layer. Around such a layer stand a fan-out, which
 * gives its input to all devices, and a gather, which gives its rows to all: the f and g of
 * Shoeybi et al., "Megatron-LM" (2019). Between a gather and the next fan-out every device computes
 * the same.
 */
#ifndef LAYERS_PART_H
#define LAYERS_PART_H

#include "layers/layer.h"

/* Forward hands its input on, which all devices have; backward sums the gradients, of which each
 * device has what comes from its rows. */
extern const struct layer_type layer_fanout;

/* Forward completes the rows to the whole; backward takes the rows' part of the gradient. */
extern const struct layer_type layer_gather;

/* The description of a gather: which rows of the whole come in. */
struct gather {
    int whole; /* rows */
    int rank, ranks;
};

/* The first of the rows that belong to a rank; that of rank `ranks` is `whole`. */
int part_first(int whole, int rank, int ranks);

#endif
