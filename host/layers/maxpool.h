/* Max-pooling, for the layers that it is a part of. */
#ifndef LAYERS_MAXPOOL_H
#define LAYERS_MAXPOOL_H

#include "layers/layer.h"

/* What a [maxpool] computes, of n samples. */
struct reference_pool maxpool_problem(const struct layer *layer, int n);

#endif
