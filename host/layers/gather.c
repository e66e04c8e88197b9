/* The exit of a fully connected layer of which each device has some rows. */
#include "base/error.h"
#include "layers/part.h"

static const struct option options[] = {{0}};

int part_first(int whole, int rank, int ranks) {
    return (int)((int64_t)whole * rank / ranks);
}

static int infer(struct layer *layer) {
    const struct gather *gather = layer->description;
    layer->plan.output = (struct shape){.c = gather->whole, .h = 1, .w = 1};
    return 0;
}

enum { PUT, TAKE };

static void kernels(const struct layer *layer, const struct target *target, int needs_dx,
                    enum truth truth_kind, struct layer_kernels *out) {
    (void)truth_kind;
    const struct gather *gather = layer->description;
    static const char *const functions[] = {"gather_put", "gather_take"};
    struct shape rows = layer->inputs[0];
    for (int i = PUT; i <= (needs_dx ? TAKE : PUT); i++) {
        struct kernel_spec spec = layer_elementwise_spec("gather.cl", functions[i], target, rows);
        kernel_define(&spec, "WHOLE", gather->whole);
        kernel_define(&spec, "ROWS", rows.c);
        kernel_define(&spec, "FIRST", part_first(gather->whole, gather->rank, gather->ranks));
        kernel_work(&spec, i == PUT ? "forward" : "backward data", 0,
                    2 * layer_bytes(target, rows));
        out->specs[i] = spec;
    }
}

static int forward(const struct layer_run *run) {
    const struct gather *gather = run->layer->description;
    struct tiling tiling = run->target->tiling;
    TRY(LAUNCH(run->kernels[PUT], BUFFER(run->x[0]), BUFFER(run->y)));
    return run->others->gather(run->others->context, run->y, tiling.tiles, gather->whole,
                               tiling.tile);
}

static int backward(const struct layer_run *run) {
    if (!run->dx[0])
        return 0;
    return LAUNCH(run->kernels[TAKE], BUFFER(run->dy), BUFFER(run->dx[0]));
}

const struct layer_type layer_gather = {
    .name = "gather",
    .help = "completes the output of a layer that has parts on several devices",
    .input_count = 1,
    .description_size = sizeof(struct gather),
    .options = options,
    .infer = infer,
    .kernels = kernels,
    .forward = forward,
    .backward = backward,
};
