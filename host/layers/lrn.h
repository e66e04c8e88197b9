/* Local response normalisation, for the layers that it is a part of. */
#ifndef LAYERS_LRN_H
#define LAYERS_LRN_H

#include "layers/layer.h"

/* What an [lrn] computes, of n samples. */
struct reference_lrn lrn_problem(const struct layer *layer, int n);

/* TUNE_SPAN of lrn_vector.cl, and all macros of its kernels. */
int lrn_span(const struct target *target);
void lrn_define(struct kernel_spec *spec, const struct layer *layer, const struct target *target);

#endif
