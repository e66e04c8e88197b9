#include "layers/layer.h"

#include "base/error.h"

#include <string.h>

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

double layer_slack(const struct layer_kernels *kernels, const char *pass) {
    double slack = 0;
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        const struct kernel_spec *spec = &kernels->specs[k];
        if (spec->pass && strcmp(spec->pass, pass) == 0 && spec->slack > slack)
            slack = spec->slack;
    }
    return slack;
}

double layer_bytes(const struct target *target, struct shape shape) {
    return (double)tiling_elements(target->tiling, shape) * sizeof(float);
}

int layer_infer_pool(struct layer *layer, int size, int stride, int padding) {
    struct shape in = layer->inputs[0];
    if (padding >= size)
        return error_set(ERROR_INPUT,
                         "padding: %d is not below size %d: whole windows would see nothing",
                         padding, size);
    if (in.h + padding < size || in.w + padding < size)
        return error_set(ERROR_INPUT,
                         "size: a %d x %d window does not fit the %d x %d (w x h) that comes in "
                         "with padding %d",
                         size, size, in.w, in.h, padding);
    layer->plan.output = (struct shape){
        .c = in.c,
        .h = (in.h + padding - size) / stride + 1,
        .w = (in.w + padding - size) / stride + 1,
    };
    return 0;
}
