#include "support/layer_bench.h"

#include "support/device.h"
#include "support/numbers.h"
#include "support/suite.h"

#include "base/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- host memory ---- */

static void *new_memory(int64_t count, size_t size) {
    void *memory = calloc((size_t)count + 1, size);
    ck_assert_ptr_nonnull(memory);
    return memory;
}

static float *new_uniform(int64_t count, uint32_t salt) {
    float *values = new_memory(count, sizeof *values);
    fill_uniform(values, count, -1, 1, salt);
    return values;
}

/* ---- activations: [batch][C][H][W] here, tiles of lanes there ---- */

static void write_activation(const struct layer_bench *bench, struct guarded *to,
                             const float *values, struct shape shape, float padding) {
    struct tiling tiling = bench->target.tiling;
    int64_t elements = shape_elements(shape);
    float *tiled = new_memory(tiling_elements(tiling, shape), sizeof *tiled);
    for (int n = 0; n < tiling.tiles * tiling.tile; n++) {
        for (int64_t e = 0; e < elements; e++)
            tiled[tiling_offset(tiling, shape, n, e)] =
                n < bench->run.count ? values[n * elements + e] : padding;
    }
    guarded_write(to, tiled);
    free(tiled);
}

/* Reads the samples that count; the others, the padding, are left as they are. With `zero_padding`
 * the padding must be zero. */
static void read_activation(const struct layer_bench *bench, const struct guarded *from,
                            float *values, struct shape shape, int zero_padding) {
    struct tiling tiling = bench->target.tiling;
    int64_t elements = shape_elements(shape);
    float *tiled = new_memory(tiling_elements(tiling, shape), sizeof *tiled);
    guarded_read(from, tiled);
    for (int n = 0; n < tiling.tiles * tiling.tile; n++) {
        for (int64_t e = 0; e < elements; e++) {
            float value = tiled[tiling_offset(tiling, shape, n, e)];
            if (n < bench->run.count)
                values[n * elements + e] = value;
            else if (zero_padding)
                ck_assert_msg(value == 0, "%s: padding %d got the gradient %g", bench->text, n,
                              (double)value);
        }
    }
    free(tiled);
}

/* Truths and results lie sample by sample; the padding's truths are zeros. */
static void write_truth(struct layer_bench *bench) {
    int numbers = bench->options.truth_kind == TRUTH_NUMBERS;
    size_t size =
        numbers ? sizeof(float) * (size_t)bench->layer.plan.output.c : sizeof *bench->labels;
    unsigned char *padded = new_memory((int64_t)bench->truth.bytes, 1);
    const void *values = numbers ? (const void *)bench->numbers : bench->labels;
    memcpy(padded, values, (size_t)bench->run.count * size);
    guarded_write(&bench->truth, padded);
    free(padded);
}

static void read_results(struct layer_bench *bench) {
    size_t bytes = (size_t)bench->run.count * sizeof(float);
    ck_succeeds(buffer_read(bench->loss.view, 0, bytes, bench->losses));
    ck_succeeds(buffer_read(bench->rank.view, 0, bytes, bench->ranks));
}

/* ---- opening ---- */

int64_t layer_bench_inputs(const struct layer_bench *bench) {
    return bench->options.batch * shape_elements(bench->options.input);
}

int64_t layer_bench_outputs(const struct layer_bench *bench) {
    return bench->options.batch * shape_elements(bench->layer.plan.output);
}

int64_t layer_bench_parameters(const struct layer_bench *bench, int index) {
    return parameter_elements(&bench->layer.plan.parameters[index]);
}

static struct target make_target(const struct layer_bench_options *options) {
    struct target target = {.tiling = tiling_for_batch(options->batch),
                            .technique = options->technique,
                            .device =
                                options->device ? *options->device : *device_info(test_device())};
    if (options->tile) {
        target.tiling.tile = options->tile;
        target.tiling.tiles = (options->batch + options->tile - 1) / options->tile;
    }
    return target;
}

static void begin(struct layer_bench *bench, const char *text,
                  const struct layer_bench_options *options) {
    *bench = (struct layer_bench){
        .options = *options, .padding = 0.5F, .text = strdup(text), .target = make_target(options)};
    ck_assert_ptr_nonnull(bench->text);
}

/* With its description filled. */
static int infer(struct layer_bench *bench, const struct layer_type *type, const char *name) {
    bench->layer = (struct layer){.type = type, .name = name, .description = bench->description};
    for (int i = 0; i < type->input_count; i++)
        bench->layer.inputs[i] = bench->options.input;
    return type->infer(&bench->layer);
}

int layer_bench_infer(struct layer_bench *bench, const char *text,
                      const struct layer_bench_options *options) {
    begin(bench, text, options);
    ck_succeeds(config_parse(&bench->config, "layer.cfg", text, strlen(text)));
    const struct config_section *section = &bench->config->sections[0];
    const struct layer_type *type = layer_type_find(section->name);
    ck_assert_msg(type != NULL, "[%s] is no layer", section->name);
    bench->description = new_memory(1, type->description_size);
    struct config_binding binding = {type->options, bench->description};
    ck_succeeds(config_bind(bench->config, section, &binding, 1));
    return infer(bench, type, section->name);
}

void layer_bench_plan_kernels(struct layer_bench *bench) {
    const struct layer_bench_options *options = &bench->options;
    bench->layer.type->kernels(&bench->layer, &bench->target, !options->no_dx, options->truth_kind,
                               &bench->kernels);
}

static void create_host_arrays(struct layer_bench *bench) {
    const struct layer_plan *plan = &bench->layer.plan;
    int64_t outputs = layer_bench_outputs(bench), batch = bench->options.batch;
    uint32_t salt = 1;
    for (int i = 0; i < bench->layer.type->input_count; i++) {
        bench->x[i] = new_uniform(layer_bench_inputs(bench), salt++);
        bench->dx[i] = new_uniform(layer_bench_inputs(bench), salt++);
    }
    for (int i = 0; i < plan->parameter_count; i++) {
        bench->parameters[i] = new_uniform(layer_bench_parameters(bench, i), salt++);
        bench->gradients[i] = new_uniform(layer_bench_parameters(bench, i), salt++);
    }
    bench->y = new_uniform(outputs, salt++);
    bench->dy = new_uniform(outputs, salt++);
    bench->numbers = new_uniform(outputs, salt++);
    bench->losses = new_uniform(batch, salt++);
    bench->labels = new_memory(batch, sizeof *bench->labels);
    bench->ranks = new_memory(batch, sizeof *bench->ranks);
    struct rng rng = rng_start(1, RNG_SHUFFLE, salt, 0);
    for (int64_t n = 0; n < batch; n++)
        bench->labels[n] = (int32_t)rng_below(&rng, (uint32_t)plan->output.c);
}

static void create_truth(struct layer_bench *bench, size_t padded) {
    size_t truth = padded * sizeof(int32_t);
    if (bench->options.truth_kind == TRUTH_NUMBERS)
        truth = padded * sizeof(float) * (size_t)bench->layer.plan.output.c;
    guarded_create(&bench->truth, truth, "truths");
    guarded_create(&bench->loss, padded * sizeof(float), "losses");
    guarded_create(&bench->rank, padded * sizeof(int32_t), "ranks");
}

static void create_buffers(struct layer_bench *bench) {
    const struct layer_plan *plan = &bench->layer.plan;
    struct tiling tiling = bench->target.tiling;
    size_t padded = (size_t)tiling.tiles * (size_t)tiling.tile;
    size_t in = padded * (size_t)shape_elements(bench->options.input) * sizeof(float);
    size_t out = padded * (size_t)shape_elements(plan->output) * sizeof(float);
    for (int i = 0; i < bench->layer.type->input_count; i++) {
        guarded_create(&bench->in[i], in, "x");
        if (!bench->options.no_dx)
            guarded_create(&bench->in_gradients[i], in, "dx");
    }
    for (int i = 0; i < plan->parameter_count; i++) {
        size_t bytes = (size_t)layer_bench_parameters(bench, i) * sizeof(float);
        guarded_create(&bench->weights[i], bytes, "parameter");
        guarded_create(&bench->weight_gradients[i], bytes, "gradient");
    }
    guarded_create(&bench->out, out, "y");
    if (plan->is_loss)
        create_truth(bench, padded);
    else
        guarded_create(&bench->out_gradient, out, "dy");
    guarded_create(&bench->keep, plan->keep_bytes * padded, "keep");
    guarded_create(&bench->scratch, bench->kernels.scratch_bytes, "scratch");
}

static void make_run(struct layer_bench *bench) {
    bench->run = (struct layer_run){.layer = &bench->layer,
                                    .target = &bench->target,
                                    .device = test_device(),
                                    .kernels = bench->compiled,
                                    .y = bench->out.view,
                                    .dy = bench->out_gradient.view,
                                    .keep = bench->keep.view,
                                    .scratch = bench->scratch.view,
                                    .is_training = 1,
                                    .seed = 11,
                                    .iteration = 5,
                                    .index = 3,
                                    .count = bench->options.batch,
                                    .truth_kind = bench->options.truth_kind,
                                    .truth = bench->truth.view,
                                    .losses = bench->loss.view,
                                    .ranks = bench->rank.view,
                                    .gradient_scale = 1.0F / (float)bench->options.batch};
    for (int i = 0; i < LAYER_INPUTS_MAX; i++) {
        bench->run.x[i] = bench->in[i].view;
        bench->run.dx[i] = bench->in_gradients[i].view;
    }
    for (int i = 0; i < LAYER_PARAMETERS_MAX; i++) {
        bench->run.parameters[i] = bench->weights[i].view;
        bench->run.gradients[i] = bench->weight_gradients[i].view;
    }
}

void layer_bench_build(struct layer_bench *bench) {
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        if (bench->kernels.specs[k].file)
            ck_succeeds(
                kernel_create(&bench->compiled[k], test_device(), &bench->kernels.specs[k]));
    }
    create_host_arrays(bench);
    create_buffers(bench);
    make_run(bench);
}

void layer_bench_open(struct layer_bench *bench, const char *text,
                      const struct layer_bench_options *options) {
    ck_succeeds(layer_bench_infer(bench, text, options));
    layer_bench_plan_kernels(bench);
    layer_bench_build(bench);
}

void layer_bench_open_as(struct layer_bench *bench, const struct layer_type *type,
                         const void *description, const struct layer_bench_options *options) {
    begin(bench, type->name, options);
    bench->description = new_memory((int64_t)type->description_size, 1);
    memcpy(bench->description, description, type->description_size);
    ck_succeeds(infer(bench, type, type->name));
    layer_bench_plan_kernels(bench);
    layer_bench_build(bench);
}

void layer_bench_close(struct layer_bench *bench) {
    for (int k = 0; k < LAYER_KERNELS_MAX; k++)
        kernel_free(bench->compiled[k]);
    for (int i = 0; i < LAYER_INPUTS_MAX; i++) {
        guarded_free(&bench->in[i]);
        guarded_free(&bench->in_gradients[i]);
        free(bench->x[i]);
        free(bench->dx[i]);
    }
    for (int i = 0; i < LAYER_PARAMETERS_MAX; i++) {
        guarded_free(&bench->weights[i]);
        guarded_free(&bench->weight_gradients[i]);
        free(bench->parameters[i]);
        free(bench->gradients[i]);
    }
    struct guarded *others[] = {&bench->out,   &bench->out_gradient, &bench->keep, &bench->scratch,
                                &bench->truth, &bench->loss,         &bench->rank};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        guarded_free(others[i]);
    void *arrays[] = {bench->y,      bench->dy,    bench->numbers, bench->losses,
                      bench->labels, bench->ranks, bench->text,    bench->description};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
    config_free(bench->config);
}

/* ---- passes ---- */

static void check_guards(const struct layer_bench *bench) {
    for (int i = 0; i < LAYER_INPUTS_MAX; i++) {
        guarded_check(&bench->in[i], "x");
        guarded_check(&bench->in_gradients[i], "dx");
    }
    for (int i = 0; i < LAYER_PARAMETERS_MAX; i++) {
        guarded_check(&bench->weights[i], "parameter");
        guarded_check(&bench->weight_gradients[i], "gradient");
    }
    guarded_check(&bench->out, "y");
    guarded_check(&bench->out_gradient, "dy");
    guarded_check(&bench->keep, "keep");
    guarded_check(&bench->scratch, "scratch");
    guarded_check(&bench->truth, "truth");
    guarded_check(&bench->loss, "losses");
    guarded_check(&bench->rank, "ranks");
}

void layer_bench_forward(struct layer_bench *bench) {
    const struct layer_plan *plan = &bench->layer.plan;
    struct guarded *written[] = {&bench->out, &bench->keep, &bench->scratch, &bench->loss,
                                 &bench->rank};
    for (size_t i = 0; i < sizeof written / sizeof *written; i++)
        guarded_poison(written[i]);
    for (int i = 0; i < bench->layer.type->input_count; i++)
        write_activation(bench, &bench->in[i], bench->x[i], bench->options.input, bench->padding);
    for (int i = 0; i < plan->parameter_count; i++)
        guarded_write(&bench->weights[i], bench->parameters[i]);
    if (plan->is_loss)
        write_truth(bench);

    ck_succeeds(bench->layer.type->forward(&bench->run));
    read_activation(bench, &bench->out, bench->y, plan->output, 0);
    if (plan->is_loss)
        read_results(bench);
    check_guards(bench);
}

void layer_bench_backward(struct layer_bench *bench) {
    const struct layer_plan *plan = &bench->layer.plan;
    int inputs = bench->layer.type->input_count;
    guarded_poison(&bench->scratch);
    if (!plan->backward_reads_output)
        guarded_poison(&bench->out);
    for (int i = 0; i < inputs; i++) {
        guarded_poison(&bench->in_gradients[i]);
        if (!plan->backward_reads_input)
            guarded_poison(&bench->in[i]);
    }
    for (int i = 0; i < plan->parameter_count; i++)
        guarded_write(&bench->weight_gradients[i], bench->gradients[i]);
    if (!plan->is_loss)
        write_activation(bench, &bench->out_gradient, bench->dy, plan->output, 0);

    ck_succeeds(bench->layer.type->backward(&bench->run));
    for (int i = 0; i < inputs && !bench->options.no_dx; i++)
        read_activation(bench, &bench->in_gradients[i], bench->dx[i], bench->options.input, 1);
    for (int i = 0; i < plan->parameter_count; i++)
        guarded_read(&bench->weight_gradients[i], bench->gradients[i]);
    check_guards(bench);
}

/* ---- comparing ---- */

double *layer_bench_gradient(const struct layer_bench *bench, int index) {
    int64_t count = layer_bench_parameters(bench, index);
    double *gradient = new_doubles(count);
    for (int64_t i = 0; i < count; i++)
        gradient[i] = (double)bench->gradients[index][i];
    return gradient;
}

void layer_bench_check(const struct layer_bench *bench, const char *what, const float *got,
                       const double *want, int64_t count, double tolerance) {
    const struct target *target = &bench->target;
    char text[1024];
    (void)snprintf(text, sizeof text,
                   "%s(technique %d, %s, vectors of %d, batch %d in %d tiles of %d): %s",
                   bench->text, (int)target->technique, target->device.is_cpu ? "CPU" : "GPU",
                   target_vector(target), target->tiling.batch, target->tiling.tiles,
                   target->tiling.tile, what);
    check_close(text, got, want, count, tolerance);
}
