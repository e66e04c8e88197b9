#include "layers/layer.h"

int64_t parameter_elements(const struct parameter *parameter) {
    int64_t elements = 1;
    for (int i = 0; i < parameter->dimensions; i++)
        elements *= parameter->sizes[i];
    return elements;
}

void layer_define_tiling(struct kernel_spec *spec, const struct target *target) {
    kernel_define(spec, "T", target->tiling.tile);
    kernel_define(spec, "TILES", target->tiling.tiles);
    kernel_define(spec, "TUNE_VECTOR", target_vector(target));
}

struct kernel_spec layer_elementwise_spec(const char *file, const char *function,
                                          const struct target *target, struct shape shape) {
    size_t vectors = (size_t)(target->tiling.tile / target_vector(target));
    struct kernel_spec spec =
        kernel_spec(file, function, vectors * (size_t)shape.w, (size_t)shape.h,
                    (size_t)target->tiling.tiles * (size_t)shape.c);
    layer_define_tiling(&spec, target);
    return spec;
}

double layer_bytes(const struct target *target, struct shape shape) {
    return (double)tiling_elements(target->tiling, shape) * sizeof(float);
}
