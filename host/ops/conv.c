#include "ops/conv.h"

int conv_c(const struct conv *conv) {
    return conv->in.c / conv->groups;
}

int conv_k(const struct conv *conv) {
    return conv->out.c / conv->groups;
}

void conv_define_problem(struct kernel_spec *spec, const struct conv *conv,
                         const struct target *target) {
    kernel_define(spec, "T", target->tiling.tile);
    kernel_define(spec, "TILES", target->tiling.tiles);
    kernel_define(spec, "GROUPS", conv->groups);
    kernel_define(spec, "C", conv_c(conv));
    kernel_define(spec, "H", conv->in.h);
    kernel_define(spec, "W", conv->in.w);
    kernel_define(spec, "K", conv_k(conv));
    kernel_define(spec, "R", conv->size);
    kernel_define(spec, "S", conv->size);
    kernel_define(spec, "STRIDE", conv->stride);
    kernel_define(spec, "PADDING", conv->padding);
    kernel_define(spec, "OUT_H", conv->out.h);
    kernel_define(spec, "OUT_W", conv->out.w);
    kernel_define(spec, "ACTIVATION", conv->activation);
}

struct conv_specs conv_reference_specs(const struct conv *conv, const struct target *target,
                                       int needs_dx) {
    struct conv_specs out = {0};
    struct kernel_spec *specs = out.specs;
    size_t tile = (size_t)target->tiling.tile, tiles = (size_t)target->tiling.tiles;
    specs[CONV_FORWARD] =
        kernel_spec("conv_reference.cl", "conv_forward", tile * (size_t)conv->out.w,
                    (size_t)conv->out.h, tiles * (size_t)conv->out.c);
    if (needs_dx)
        specs[CONV_BACKWARD_DATA] =
            kernel_spec("conv_reference.cl", "conv_backward_data", tile * (size_t)conv->in.w,
                        (size_t)conv->in.h, tiles * (size_t)conv->in.c);
    specs[CONV_BACKWARD_FILTER] = kernel_spec("conv_reference.cl", "conv_backward_filter",
                                              (size_t)conv->size * (size_t)conv->size,
                                              (size_t)conv_c(conv), (size_t)conv->out.c);
    for (int i = 0; i < CONV_KERNELS; i++) {
        if (specs[i].file)
            conv_define_problem(&specs[i], conv, target);
    }
    return out;
}
