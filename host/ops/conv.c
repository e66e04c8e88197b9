#include "ops/conv.h"

#include "base/numbers.h"

int conv_c(const struct conv *conv) {
    return conv->in.c / conv->groups;
}

int conv_k(const struct conv *conv) {
    return conv->out.c / conv->groups;
}

static void define_problem(struct kernel_spec *spec, const struct conv *conv,
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

void conv_add_pack(struct conv_specs *out, const struct conv *conv, enum conv_pass pass,
                   int block) {
    const int is_data = pass == CONV_PASS_DATA;
    int results = is_data ? conv_c(conv) : conv_k(conv);
    int sources = is_data ? conv_k(conv) : conv_c(conv);
    size_t taps = (size_t)conv->size * (size_t)conv->size * (size_t)sources;
    size_t packed = (size_t)conv->groups * (size_t)blocks(results, block);
    struct kernel_spec *pack = &out->specs[is_data ? CONV_PACK_BACKWARD : CONV_PACK_FORWARD];
    *pack = kernel_spec("conv_pack.cl", is_data ? "conv_pack_backward" : "conv_pack_forward",
                        (size_t)block, taps, packed);
    kernel_define(pack, "TUNE_BLOCK", block);
    size_t bytes = packed * (size_t)block * taps * sizeof(float);
    if (bytes > out->scratch_bytes)
        out->scratch_bytes = bytes;
}

static void add_reference(struct conv_specs *out, const struct conv *conv,
                          const struct target *target, int needs_dx) {
    struct kernel_spec *specs = out->specs;
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
}

/* The techniques worth trying for a pass, the one to take by default first. */
static int list_techniques(const struct conv_technique *out[CONV_TECHNIQUES],
                           const struct conv *conv, const struct target *target,
                           enum conv_pass pass) {
    const struct conv_technique *const winograd = conv_winograd_for(pass);
    const int is_winograd = conv_winograd_wins(conv, target, pass);
    const int is_rows = conv_rows_fills(target);
    int count = 0;
    if (target_prefers_tiles(target))
        out[count++] = &conv_tiled;
    if (is_rows)
        out[count++] = &conv_rows;
    out[count++] = is_winograd ? winograd : &conv_vector;
    out[count++] = is_winograd ? &conv_vector : winograd;
    if (!is_rows)
        out[count++] = &conv_rows;
    return count;
}

/* Adds the kernels of a pass by the best technique that is known for it: by default the first one
 * that the device has room for. */
static void add_pass(struct conv_specs *out, const struct conv *conv, const struct target *target,
                     enum conv_pass pass) {
    static const char *const passes[] = {"forward", "backward data", "backward weight"};
    const struct conv_technique *listed[CONV_TECHNIQUES], *techniques[CONV_TECHNIQUES];
    const int listed_count = list_techniques(listed, conv, target, pass);
    struct choice *ways = &out->choices[out->choice_count];
    struct kernel_spec problem = {0};
    int count = 0;
    for (int i = 0; i < listed_count; i++) {
        ways[count] = (struct choice){.operation = "conv", .pass = passes[pass]};
        if (listed[i]->open(&ways[count], conv, target, pass))
            techniques[count++] = listed[i];
    }
    define_problem(&problem, conv, target);
    const struct choice *taken = tuning_choose(ways, count, target, conv, &problem);
    techniques[taken - ways]->add(out, conv, target, pass, taken->values);
    out->choice_count += count;
}

struct conv_specs conv_specs(const struct conv *conv, const struct target *target, int needs_dx) {
    struct conv_specs out = {0};
    if (target->technique == TECHNIQUE_REFERENCE) {
        add_reference(&out, conv, target, needs_dx);
    } else {
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            if (pass != CONV_PASS_DATA || needs_dx)
                add_pass(&out, conv, target, (enum conv_pass)pass);
        }
    }
    for (int i = 0; i < CONV_KERNELS; i++) {
        if (out.specs[i].file)
            define_problem(&out.specs[i], conv, target);
    }
    return out;
}
