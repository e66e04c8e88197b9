/* The entrance to a fully connected layer of which each device has some rows. */
#include "base/error.h"
#include "layers/part.h"

static const struct option options[] = {{0}};

static int infer(struct layer *layer) {
    layer->plan.output = layer->inputs[0];
    return 0;
}

static void kernels(const struct layer *layer, const struct target *target, int needs_dx,
                    enum truth truth_kind, struct layer_kernels *out) {
    (void)layer;
    (void)target;
    (void)needs_dx;
    (void)truth_kind;
    (void)out;
}

static int forward(const struct layer_run *run) {
    return buffer_copy(run->y, run->x[0]);
}

static int backward(const struct layer_run *run) {
    if (!run->dx[0])
        return 0;
    TRY(buffer_copy(run->dx[0], run->dy));
    size_t floats = (size_t)tiling_elements(run->target->tiling, run->layer->inputs[0]);
    return run->others->sum(run->others->context, run->dx[0], floats);
}

const struct layer_type layer_fanout = {
    .name = "fanout",
    .help = "gives its input to the parts of a layer on several devices",
    .input_count = 1,
    .description_size = 1,
    .options = options,
    .infer = infer,
    .kernels = kernels,
    .forward = forward,
    .backward = backward,
};
