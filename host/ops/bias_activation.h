/* Bias and activation after a product or a convolution, and backwards. */
#ifndef OPS_BIAS_ACTIVATION_H
#define OPS_BIAS_ACTIVATION_H

#include "cl/kernel.h"
#include "cl/target.h"

/* The numbers that kernels_cl/common.clh knows them by; leaky has the slope 0.1 below zero. */
enum activation {
    ACTIVATION_LINEAR,
    ACTIVATION_LOGISTIC,
    ACTIVATION_TANH,
    ACTIVATION_RELU,
    ACTIVATION_LEAKY,
};

/* Their names in a config, in that order, NULL-terminated. */
extern const char *const activation_names[];

/* y = activate(y + b), for y of this shape and one b a channel: LAUNCH(kernel, b, y). */
struct kernel_spec bias_activation_forward_spec(const struct target *target, struct shape shape,
                                                enum activation activation);

/* dy *= activation'(y) in place, and db += its sum: LAUNCH(kernel, y, dy, db). */
struct kernel_spec bias_activation_backward_spec(const struct target *target, struct shape shape,
                                                 enum activation activation);

#endif
