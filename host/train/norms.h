/* How large weights and gradients are, by parameter: a gradient that vanishes can be seen so. */
#ifndef TRAIN_NORMS_H
#define TRAIN_NORMS_H

#include "net/replica.h"

/* Logs the Euclidean norms of each parameter and of its gradient, and their ratio. To be called
 * between a backward pass and the update. */
int norms_log(struct replica *replica, int64_t iteration);

#endif
