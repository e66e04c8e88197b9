/* Average-pooling: over the whole picture, as Darknet does it, or over windows. */
#include "base/error.h"
#include "layers/layer.h"
#include "layers/registry.h"

struct avgpool {
    int size, stride, padding;
};

#define FIELD(name) offsetof(struct avgpool, name)

static const struct option options[] = {
    {"size", "height and width of the window; 0: the whole picture", OPTION_INT, FIELD(size), "0",
     0, 255, NULL},
    {"stride", "pixels from one window to the next; 0: as size", OPTION_INT, FIELD(stride), "0", 0,
     64, NULL},
    {"padding",
     "rows and columns around the picture, both sides together; they do not count in the mean",
     OPTION_INT, FIELD(padding), "0", 0, 254, NULL},
    {0},
};

/* The options with what they leave open filled in. */
struct window {
    int h, w, stride, before;
};

static struct window window_of(const struct avgpool *pool, struct shape in) {
    if (pool->size == 0)
        return (struct window){.h = in.h, .w = in.w, .stride = 1};
    return (struct window){.h = pool->size,
                           .w = pool->size,
                           .stride = pool->stride ? pool->stride : pool->size,
                           .before = pool->padding / 2};
}

static int infer(struct layer *layer) {
    const struct avgpool *pool = layer->description;
    struct shape in = layer->inputs[0];
    if (pool->size == 0) {
        if (pool->stride || pool->padding)
            return error_set(ERROR_INPUT,
                             "%s: has no meaning without size, which is the whole "
                             "picture by default",
                             pool->stride ? "stride" : "padding");
        layer->plan.output = (struct shape){.c = in.c, .h = 1, .w = 1};
        return 0;
    }
    return layer_infer_pool(layer, pool->size, window_of(pool, in).stride, pool->padding);
}

enum { FORWARD, BACKWARD };

static void kernels(const struct layer *layer, const struct target *target, int needs_dx,
                    enum truth truth_kind, struct layer_kernels *out) {
    (void)truth_kind;
    struct shape in = layer->inputs[0], result = layer->plan.output;
    struct window window = window_of(layer->description, in);
    out->specs[FORWARD] = layer_elementwise_spec("avgpool.cl", "avgpool_forward", target, result);
    if (needs_dx)
        out->specs[BACKWARD] = layer_elementwise_spec("avgpool.cl", "avgpool_backward", target, in);
    for (int i = FORWARD; i <= BACKWARD; i++) {
        struct kernel_spec *spec = &out->specs[i];
        if (!spec->file)
            continue;
        kernel_define(spec, "C", in.c);
        kernel_define(spec, "H", in.h);
        kernel_define(spec, "W", in.w);
        kernel_define(spec, "SIZE_H", window.h);
        kernel_define(spec, "SIZE_W", window.w);
        kernel_define(spec, "STRIDE", window.stride);
        kernel_define(spec, "BEFORE", window.before);
        kernel_define(spec, "OUT_H", result.h);
        kernel_define(spec, "OUT_W", result.w);
        kernel_work(spec, i == FORWARD ? "forward" : "backward data", 0,
                    layer_bytes(target, in) + 1 * layer_bytes(target, result));
    }
}

static int forward(const struct layer_run *run) {
    return LAUNCH(run->kernels[FORWARD], BUFFER(run->x[0]), BUFFER(run->y));
}

static int backward(const struct layer_run *run) {
    if (!run->dx[0])
        return 0;
    return LAUNCH(run->kernels[BACKWARD], BUFFER(run->dy), BUFFER(run->dx[0]));
}

static struct element reference(const struct layer_values *values, struct result_index i) {
    struct shape in = values->layer->inputs[0];
    struct window window = window_of(values->layer->description, in);
    struct reference_pool shape = {.n = values->y.tiling.batch,
                                   .in = in,
                                   .out = values->layer->plan.output,
                                   .size_h = window.h,
                                   .size_w = window.w,
                                   .stride = window.stride,
                                   .before = window.before};
    return i.result == RESULT_OUTPUT ? element_avgpool_forward(&shape, &values->x[0], i.n, i.at)
                                     : element_avgpool_backward(&shape, &values->dy, i.n, i.at);
}

static const char *const aliases[] = {"avg", NULL};

const struct layer_type layer_avgpool = {
    .name = "avgpool",
    .aliases = aliases,
    .help = "the mean of each window, or of the whole picture",
    .input_count = 1,
    .description_size = sizeof(struct avgpool),
    .options = options,
    .infer = infer,
    .kernels = kernels,
    .forward = forward,
    .backward = backward,
    .reference = reference,
};
