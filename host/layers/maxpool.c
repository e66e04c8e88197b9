/* Max-pooling, overlapping where size > stride. Darknet's geometry: padding is a total, of which
 * half, rounded down, lies before the first pixel. */
#include "layers/maxpool.h"

#include "base/error.h"
#include "layers/registry.h"

struct maxpool {
    int size, stride, padding;
};

#define FIELD(name) offsetof(struct maxpool, name)

enum { AS_DARKNET = -1 };

static const struct option options[] = {
    {"stride", "pixels from one window to the next", OPTION_INT, FIELD(stride), "1", 1, 64, NULL},
    {"size", "height and width of the window; 0: as stride", OPTION_INT, FIELD(size), "0", 0, 255,
     NULL},
    {"padding", "rows and columns around the picture, both sides together; -1: size - 1",
     OPTION_INT, FIELD(padding), "-1", -1, 254, NULL},
    {0},
};

static int size_of(const struct maxpool *pool) {
    return pool->size ? pool->size : pool->stride;
}

static int padding_of(const struct maxpool *pool) {
    return pool->padding == AS_DARKNET ? size_of(pool) - 1 : pool->padding;
}

static int infer(struct layer *layer) {
    const struct maxpool *pool = layer->description;
    TRY(layer_infer_pool(layer, size_of(pool), pool->stride, padding_of(pool)));
    layer->plan.keep_bytes = (size_t)shape_elements(layer->plan.output) * sizeof(uint16_t);
    return 0;
}

struct reference_pool maxpool_problem(const struct layer *layer, int n) {
    const struct maxpool *pool = layer->description;
    return (struct reference_pool){.n = n,
                                   .in = layer->inputs[0],
                                   .out = layer->plan.output,
                                   .size_h = size_of(pool),
                                   .size_w = size_of(pool),
                                   .stride = pool->stride,
                                   .before = padding_of(pool) / 2};
}

enum { FORWARD, BACKWARD };

static void kernels(const struct layer *layer, const struct target *target, int needs_dx,
                    enum truth truth_kind, struct layer_kernels *out) {
    (void)truth_kind;
    const struct maxpool *pool = layer->description;
    struct shape in = layer->inputs[0], result = layer->plan.output;
    out->specs[FORWARD] = layer_elementwise_spec("maxpool.cl", "maxpool_forward", target, result);
    if (needs_dx)
        out->specs[BACKWARD] = layer_elementwise_spec("maxpool.cl", "maxpool_backward", target, in);
    for (int i = FORWARD; i <= BACKWARD; i++) {
        struct kernel_spec *spec = &out->specs[i];
        if (!spec->file)
            continue;
        kernel_define(spec, "C", in.c);
        kernel_define(spec, "H", in.h);
        kernel_define(spec, "W", in.w);
        kernel_define(spec, "SIZE", size_of(pool));
        kernel_define(spec, "STRIDE", pool->stride);
        kernel_define(spec, "BEFORE", padding_of(pool) / 2);
        kernel_define(spec, "OUT_H", result.h);
        kernel_define(spec, "OUT_W", result.w);
        /* The taps are half as long as floats. */
        kernel_work(spec, i == FORWARD ? "forward" : "backward data", 0,
                    layer_bytes(target, in) + 1.5 * layer_bytes(target, result));
    }
}

static int forward(const struct layer_run *run) {
    return LAUNCH(run->kernels[FORWARD], BUFFER(run->x[0]), BUFFER(run->y), BUFFER(run->keep));
}

static int backward(const struct layer_run *run) {
    if (!run->dx[0])
        return 0;
    return LAUNCH(run->kernels[BACKWARD], BUFFER(run->dy), BUFFER(run->keep), BUFFER(run->dx[0]));
}

static struct element reference(const struct layer_values *values, struct result_index i) {
    struct reference_pool pool = maxpool_problem(values->layer, values->y.tiling.batch);
    return i.result == RESULT_OUTPUT
               ? element_maxpool_forward(&pool, &values->x[0], i.n, i.at)
               : element_maxpool_backward(&pool, &values->x[0], &values->dy, i.n, i.at);
}

static const char *const aliases[] = {"max", NULL};

const struct layer_type layer_maxpool = {
    .name = "maxpool",
    .aliases = aliases,
    .help = "the greatest value of each window",
    .input_count = 1,
    .description_size = sizeof(struct maxpool),
    .options = options,
    .infer = infer,
    .kernels = kernels,
    .forward = forward,
    .backward = backward,
    .reference = reference,
};
