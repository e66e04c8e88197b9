#include "train/patient.h"

#include "base/error.h"
#include "base/progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SEED = 11, ITERATION = 5, RANDOM_MAX = 1000, EDGES = 96 };

/* Seconds after which a result has been compared enough. */
static const double budget = 0.25;

static int create_array(struct patient *patient, struct array *array, int64_t count, double range) {
    array->count = count;
    array->values = malloc((size_t)count * sizeof *array->values);
    if (!array->values)
        return error_no_memory("an examination", (size_t)count * sizeof *array->values);
    for (int64_t i = 0; i < count; i++)
        array->values[i] = range > 0 ? (float)range * (2 * rng_uniform(&patient->rng) - 1) : NAN;
    size_t bytes = (size_t)count * sizeof(float);
    TRY(buffer_create(&array->buffer, patient->device, bytes, "an examination"));
    return buffer_write(array->buffer, 0, bytes, array->values);
}

/* The lanes of the padding: no gradient comes back to them. */
static int clear_padding(struct patient *patient, struct array *array, struct shape shape) {
    struct tiling tiling = patient->target.tiling;
    for (int n = tiling.batch; n < tiling.tiles * tiling.tile; n++) {
        for (int64_t e = 0; e < shape_elements(shape); e++)
            array->values[tiling_offset(tiling, shape, n, e)] = 0;
    }
    return buffer_write(array->buffer, 0, buffer_bytes(array->buffer), array->values);
}

static int create_kernels(struct patient *patient) {
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        if (!patient->specs.specs[k].file)
            continue;
        patient->unbuilt = k;
        TRY(kernel_create(&patient->kernels[k], patient->device, &patient->specs.specs[k]));
    }
    patient->unbuilt = -1;
    return 0;
}

static float *copy_of(const struct array *array) {
    size_t bytes = (size_t)array->count * sizeof *array->values;
    float *copy = malloc(bytes);
    if (copy)
        memcpy(copy, array->values, bytes);
    else
        (void)error_no_memory("an examination", bytes);
    return copy;
}

/* Weights such that sums are about 1, where no activation is flat. */
static int create_parameters(struct patient *patient) {
    const struct layer_plan *plan = &patient->layer->plan;
    for (int p = 0; p < plan->parameter_count; p++) {
        int64_t count = parameter_elements(&plan->parameters[p]);
        int64_t terms = count / plan->parameters[p].sizes[0];
        TRY(create_array(patient, &patient->parameters[p], count,
                         terms > 1 ? 3 / sqrt((double)terms) : 1));
        TRY(create_array(patient, &patient->gradients[p], count, 1));
        patient->starts[p] = copy_of(&patient->gradients[p]);
        if (!patient->starts[p])
            return ERROR_MEMORY;
        patient->values.parameters[p] = patient->parameters[p].values;
        patient->values.gradients[p] = patient->starts[p];
        patient->run.parameters[p] = patient->parameters[p].buffer;
        patient->run.gradients[p] = patient->gradients[p].buffer;
    }
    return 0;
}

static int create_truth(struct patient *patient) {
    struct tiling tiling = patient->target.tiling;
    int64_t padded = (int64_t)tiling.tiles * tiling.tile, classes = patient->layer->plan.output.c;
    int is_labels = patient->run.truth_kind == TRUTH_LABELS;
    TRY(create_array(patient, &patient->losses, padded, 0));
    TRY(create_array(patient, &patient->ranks, padded, 0));
    TRY(create_array(patient, &patient->truth, is_labels ? padded : padded * classes, 1));
    int32_t *labels = (int32_t *)patient->truth.values;
    for (int64_t n = 0; is_labels && n < padded; n++)
        labels[n] = (int32_t)rng_below(&patient->rng, (uint32_t)classes);
    patient->values.labels = is_labels ? labels : NULL;
    patient->values.truth = is_labels ? NULL : patient->truth.values;
    patient->run.truth = patient->truth.buffer;
    patient->run.losses = patient->losses.buffer;
    patient->run.ranks = patient->ranks.buffer;
    return buffer_write(patient->truth.buffer, 0, buffer_bytes(patient->truth.buffer), labels);
}

static int create_activations(struct patient *patient, int needs_dx) {
    const struct layer *layer = patient->layer;
    struct tiling tiling = patient->target.tiling;
    int64_t outputs = tiling_elements(tiling, layer->plan.output);
    for (int i = 0; i < layer->type->input_count; i++) {
        int64_t inputs = tiling_elements(tiling, layer->inputs[i]);
        TRY(create_array(patient, &patient->x[i], inputs, 1));
        if (needs_dx)
            TRY(create_array(patient, &patient->dx[i], inputs, 0));
        patient->run.x[i] = patient->x[i].buffer;
        patient->run.dx[i] = patient->dx[i].buffer;
        patient->values.x[i] = (struct tensor){patient->x[i].values, tiling, layer->inputs[i]};
    }
    TRY(create_array(patient, &patient->y, outputs, 0));
    TRY(create_array(patient, &patient->dy, outputs, 1));
    TRY(clear_padding(patient, &patient->dy, layer->plan.output));
    patient->run.y = patient->y.buffer;
    patient->run.dy = patient->dy.buffer;
    patient->values.y = (struct tensor){patient->y.values, tiling, layer->plan.output};
    patient->start_dy = copy_of(&patient->dy);
    if (!patient->start_dy)
        return ERROR_MEMORY;
    patient->values.dy = (struct tensor){patient->start_dy, tiling, layer->plan.output};
    patient->values.dz = (struct tensor){patient->dy.values, tiling, layer->plan.output};
    size_t keep = layer->plan.keep_bytes * (size_t)tiling.tiles * (size_t)tiling.tile;
    if (keep)
        TRY(buffer_create(&patient->keep, patient->device, keep, "an examination"));
    if (patient->specs.scratch_bytes)
        TRY(buffer_create(&patient->scratch, patient->device, patient->specs.scratch_bytes,
                          "scratch memory"));
    patient->run.keep = patient->keep;
    patient->run.scratch = patient->scratch;
    return layer->plan.is_loss ? create_truth(patient) : 0;
}

static void free_array(struct array *array) {
    buffer_free(array->buffer);
    free(array->values);
}

void patient_close(struct patient *patient) {
    struct array *arrays[] = {&patient->x[0],
                              &patient->x[1],
                              &patient->dx[0],
                              &patient->dx[1],
                              &patient->y,
                              &patient->dy,
                              &patient->parameters[0],
                              &patient->parameters[1],
                              &patient->gradients[0],
                              &patient->gradients[1],
                              &patient->truth,
                              &patient->losses,
                              &patient->ranks};
    (void)device_finish(patient->device);
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free_array(arrays[i]);
    for (int p = 0; p < LAYER_PARAMETERS_MAX; p++)
        free(patient->starts[p]);
    free(patient->start_dy);
    for (int k = 0; k < LAYER_KERNELS_MAX; k++)
        kernel_free(patient->kernels[k]);
    buffer_free(patient->keep);
    buffer_free(patient->scratch);
}

int patient_open(struct patient *patient, struct device *device, const struct layer *layer,
                 const struct target *target, const struct layer_kernels *kernels,
                 const struct patient_options *options) {
    int count = target->tiling.batch;
    *patient = (struct patient){.device = device,
                                .layer = layer,
                                .target = *target,
                                .specs = *kernels,
                                .unbuilt = -1,
                                .disturb = options->disturb,
                                .context = options->context,
                                .rng = rng_start(SEED, RNG_SHUFFLE, options->index, 0)};
    patient->run = (struct layer_run){.layer = layer,
                                      .target = &patient->target,
                                      .device = device,
                                      .kernels = patient->kernels,
                                      .is_training = 1,
                                      .seed = SEED,
                                      .iteration = ITERATION,
                                      .index = options->index,
                                      .count = count,
                                      .truth_kind = options->truth_kind,
                                      .gradient_scale = 1.0F / (float)count};
    patient->values = (struct layer_values){.layer = layer,
                                            .seed = SEED,
                                            .iteration = ITERATION,
                                            .index = options->index,
                                            .gradient_scale = 1.0 / count};
    TRY(create_kernels(patient));
    TRY(create_parameters(patient));
    TRY(create_activations(patient, options->needs_dx));
    patient->is_open = 1;
    return 0;
}

int patient_reset(struct patient *patient) {
    TRY(buffer_write(patient->dy.buffer, 0, buffer_bytes(patient->dy.buffer), patient->start_dy));
    for (int p = 0; p < patient->layer->plan.parameter_count; p++) {
        struct buffer *gradient = patient->gradients[p].buffer;
        TRY(buffer_write(gradient, 0, buffer_bytes(gradient), patient->starts[p]));
    }
    for (int i = 0; i < patient->layer->type->input_count; i++) {
        if (patient->run.dx[i])
            TRY(buffer_fill(patient->run.dx[i], NAN));
    }
    return 0;
}

/* ---- comparing ---- */

/* Which of `count` to look at: the ends and the middle first, then at random. */
static int64_t choose(struct patient *patient, int64_t i, int64_t count) {
    const int64_t ends[] = {0, count - 1, count / 2, 1 % count};
    return i < 4 ? ends[i] : (int64_t)rng_below(&patient->rng, (uint32_t)count);
}

/* An image: the first and the last, and both sides of where the first tile ends. */
static int choose_image(struct patient *patient, int64_t i) {
    struct tiling tiling = patient->target.tiling;
    const int edges[] = {0, tiling.batch - 1, tiling.tile - 1, tiling.tile};
    int n = i < EDGES ? edges[i % 4] : (int)rng_below(&patient->rng, (uint32_t)tiling.batch);
    return n < tiling.batch ? n : tiling.batch - 1;
}

static struct result_index choose_index(struct patient *patient, struct result_index kind,
                                        struct shape shape, int64_t count, int64_t i) {
    kind.n = choose_image(patient, i);
    if (kind.result == RESULT_GRADIENT) {
        kind.n = 0;
        kind.at = choose(patient, i, count);
    } else if (kind.result != RESULT_LOSS && kind.result != RESULT_RANK) {
        /* The corners of the first, the last and other channels. */
        int64_t c = choose(patient, i < EDGES ? i / 16 : i, shape.c);
        int64_t h = i < EDGES ? (i / 8 % 2) * (shape.h - 1) : choose(patient, i, shape.h);
        int64_t w = i < EDGES ? (i / 4 % 2) * (shape.w - 1) : choose(patient, i, shape.w);
        kind.at = (c * shape.h + h) * shape.w + w;
    }
    return kind;
}

static double result_value(const struct patient *patient, const struct array *array,
                           struct shape shape, struct result_index index) {
    if (index.result == RESULT_GRADIENT)
        return (double)array->values[index.at];
    if (index.result == RESULT_LOSS)
        return (double)array->values[index.n];
    if (index.result == RESULT_RANK)
        return ((const int32_t *)array->values)[index.n];
    return (double)array->values[tiling_offset(patient->target.tiling, shape, index.n, index.at)];
}

/* Padding included: what comes after reads it, and a NaN there would spread. */
static int64_t count_not_finite(const struct array *array) {
    int64_t count = 0;
    for (int64_t i = 0; i < array->count; i++)
        count += !isfinite(array->values[i]);
    return count;
}

int patient_compare(struct comparison *out, struct patient *patient, struct array *array,
                    struct shape shape, struct result_index kind, double slack) {
    *out = (struct comparison){0};
    TRY(buffer_read(array->buffer, 0, buffer_bytes(array->buffer), array->values));
    if (patient->disturb)
        patient->disturb(patient->context, kind.result, array->values, array->count);
    if (kind.result != RESULT_RANK)
        out->not_written = count_not_finite(array);
    double started = clock_seconds();
    for (int64_t i = 0; i < RANDOM_MAX + EDGES; i++) {
        if (i >= 16 && clock_seconds() - started > budget)
            break;
        struct result_index index = choose_index(patient, kind, shape, array->count, i);
        struct element want = patient->layer->type->reference(&patient->values, index);
        want.tolerance *= 1 + slack;
        out->worst =
            fmax(out->worst, element_excess(result_value(patient, array, shape, index), want));
        out->compared++;
    }
    return 0;
}
