#include "ops/net_kernels.h"

static void define_input(struct kernel_spec *spec, const struct target *target, struct shape input,
                         struct shape frame) {
    kernel_define(spec, "T", target->tiling.tile);
    kernel_define(spec, "C", input.c);
    kernel_define(spec, "H", input.h);
    kernel_define(spec, "W", input.w);
    kernel_define(spec, "FH", frame.h);
    kernel_define(spec, "FW", frame.w);
}

struct kernel_spec input_bytes_spec(const struct target *target, struct shape input,
                                    struct shape frame, int mean_by_pixel) {
    int each = input.c <= 4 ? input.c : 1;
    struct kernel_spec spec =
        kernel_spec("input.cl", "input_bytes", (size_t)target->tiling.tile,
                    (size_t)(shape_elements(input) / each), (size_t)target->tiling.tiles);
    define_input(&spec, target, input, frame);
    kernel_define(&spec, "EACH", each);
    kernel_define(&spec, "MEAN_BY_PIXEL", mean_by_pixel);
    return spec;
}

struct kernel_spec input_floats_spec(const struct target *target, struct shape input,
                                     struct shape frame) {
    struct kernel_spec spec =
        kernel_spec("input.cl", "input_floats", (size_t)target->tiling.tile,
                    (size_t)shape_elements(input), (size_t)target->tiling.tiles);
    define_input(&spec, target, input, frame);
    /* The file holds the other kernel too. */
    kernel_define(&spec, "EACH", 1);
    kernel_define(&spec, "MEAN_BY_PIXEL", 0);
    return spec;
}

struct kernel_spec add_spec(const struct target *target, size_t floats) {
    int vector = target_vector(target);
    struct kernel_spec spec = kernel_spec("add.cl", "add", floats / (size_t)vector, 1, 1);
    kernel_define(&spec, "T", target->tiling.tile);
    kernel_define(&spec, "TUNE_VECTOR", vector);
    return spec;
}

struct kernel_spec sum_spec(const struct target *target, size_t floats, int rank, int count) {
    int vector = target_vector(target);
    struct kernel_spec spec = kernel_spec("sum.cl", "sum_slice", floats / (size_t)vector, 1, 1);
    kernel_define(&spec, "T", TILE_MAX);
    kernel_define(&spec, "TUNE_VECTOR", vector);
    kernel_define(&spec, "RANK", rank);
    kernel_define(&spec, "COUNT", count);
    return spec;
}

struct kernel_spec solver_spec(const struct target *target, size_t floats, int block) {
    int vector = target_flat_vector(target);
    struct kernel_spec spec =
        kernel_spec("solver.cl", "solver_update", floats / (size_t)vector, 1, 1);
    kernel_define(&spec, "T", TILE_MAX);
    kernel_define(&spec, "TUNE_VECTOR", vector);
    kernel_define(&spec, "BLOCK", block);
    return spec;
}
