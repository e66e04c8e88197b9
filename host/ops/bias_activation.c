#include "ops/bias_activation.h"

const char *const activation_names[] = {"linear", "logistic", "tanh", "relu", "leaky", NULL};

/* Work-items that sum a channel's gradient together. */
static int reduction(const struct target *target, struct shape shape) {
    int vectors = target->tiling.tile / target_vector(target);
    return target_reduction(target, (int64_t)shape.h * shape.w * vectors);
}

static void define_problem(struct kernel_spec *spec, const struct target *target,
                           struct shape shape, enum activation activation) {
    kernel_define(spec, "T", target->tiling.tile);
    kernel_define(spec, "TILES", target->tiling.tiles);
    kernel_define(spec, "K", shape.c);
    kernel_define(spec, "PIXELS", (long)shape.h * shape.w);
    kernel_define(spec, "ACTIVATION", activation);
    kernel_define(spec, "TUNE_VECTOR", target_vector(target));
    kernel_define(spec, "TUNE_LOCAL", reduction(target, shape));
}

struct kernel_spec bias_activation_forward_spec(const struct target *target, struct shape shape,
                                                enum activation activation) {
    size_t vectors = (size_t)(target->tiling.tile / target_vector(target));
    struct kernel_spec spec = kernel_spec("bias_activation.cl", "bias_activation_forward",
                                          (size_t)shape.h * (size_t)shape.w * vectors,
                                          (size_t)shape.c, (size_t)target->tiling.tiles);
    define_problem(&spec, target, shape, activation);
    kernel_work(&spec, "forward", 0,
                2 * sizeof(float) * (double)tiling_elements(target->tiling, shape));
    return spec;
}

struct kernel_spec bias_activation_backward_spec(const struct target *target, struct shape shape,
                                                 enum activation activation) {
    size_t local = (size_t)reduction(target, shape);
    struct kernel_spec spec =
        kernel_spec("bias_activation.cl", "bias_activation_backward", local, (size_t)shape.c, 1);
    spec.local[0] = local;
    spec.local[1] = spec.local[2] = 1;
    define_problem(&spec, target, shape, activation);
    /* A linear layer's gradient is only read. */
    double passes = activation == ACTIVATION_LINEAR ? 1 : 3;
    kernel_work(&spec, "backward bias", 0,
                passes * sizeof(float) * (double)tiling_elements(target->tiling, shape));
    return spec;
}
