/* Kernels that gave wrong results on a device, as `clnet doctor` found: a list in the user's cache
 * directory ($XDG_CACHE_HOME/clnet/distrusted, or below ~/.cache), by device, driver, kernel text,
 * macros and geometry. One that is listed is not used there again.
 */
#ifndef LAYERS_TRUST_H
#define LAYERS_TRUST_H

#include "layers/layer.h"

/* Whether none of the kernels is listed for the target's device. Where no list can be read, all are
 * trusted. */
int trust_kernels(const struct layer_kernels *kernels, const struct target *target);

/* Lists the kernels, or takes them off the list. Fails where the list cannot be written. */
int trust_set(const struct layer_kernels *kernels, const struct target *target, int is_trusted);

/* What the layer type says to compile; where the list has one of it, the reference kernels, with a
 * warning. When those are listed too it is ERROR_DEVICE. */
int trust_choose_kernels(const struct layer *layer, const struct target *target, int needs_dx,
                         enum truth truth_kind, struct layer_kernels *out);

#endif
