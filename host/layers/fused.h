/* Layers that stand for two layers of a config, where one kernel computes both: what lies between
 * them is never written to memory. No config knows them; nets are fused by net/net_fusion.h.
 */
#ifndef LAYERS_FUSED_H
#define LAYERS_FUSED_H

#include "layers/layer.h"

/* The description of one: the layers, which must outlive it; the second reads what the first
 * makes. */
struct fused {
    const struct layer *first, *second;
};

/* Local response normalisation and max-pooling. Where a kernel for both is wrong on a device the
 * kernels of each take its place, and what lies between them is in scratch memory. */
extern const struct layer_type layer_lrn_maxpool;

/* Whether that is faster for the target than one after the other: on CPUs, where it was measured,
 * and of windows that are small beside a cache. */
int lrn_maxpool_wins(const struct fused *fused, const struct target *target);

#endif
