#include "train/doctor.h"

#include "base/error.h"
#include "base/progress.h"
#include "base/rng.h"
#include "train/doctor_net.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEED = 11, ITERATION = 5, RANDOM_MAX = 1000, EDGES = 96 };

/* Seconds after which a result has been compared enough. */
static const double budget = 0.25;

/* An array on the host and its buffer; a buffer of its own for each. */
struct array {
    float *values;
    struct buffer *buffer;
    int64_t count;
};

/* What is known of a kernel. */
enum verdict { UNKNOWN, RIGHT, WRONG };

/* One layer on the device. */
struct patient {
    const struct doctor_options *options;
    struct device *device;
    const struct layer *layer;
    struct target target;
    struct layer_kernels specs;
    enum verdict verdicts[LAYER_KERNELS_MAX];
    struct kernel *kernels[LAYER_KERNELS_MAX];
    struct array x[LAYER_INPUTS_MAX], dx[LAYER_INPUTS_MAX], y, dy;
    struct array parameters[LAYER_PARAMETERS_MAX], gradients[LAYER_PARAMETERS_MAX];
    struct array truth, losses, ranks;
    float *starts[LAYER_PARAMETERS_MAX]; /* gradients before the pass */
    float *start_dy;                     /* dy before the pass */
    struct buffer *keep, *scratch;
    struct layer_run run;
    struct layer_values values;
    struct rng rng;
    int is_running; /* all is built and allocated */
    int failures;
};

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

/* One that cannot be built is wrong; of the others nothing is known by that. */
static int create_kernels(struct patient *patient) {
    int rc = 0;
    for (int k = 0; rc == 0 && k < LAYER_KERNELS_MAX; k++) {
        if (!patient->specs.specs[k].file)
            continue;
        rc = kernel_create(&patient->kernels[k], patient->device, &patient->specs.specs[k]);
        if (rc == ERROR_DEVICE)
            patient->verdicts[k] = WRONG;
    }
    return rc;
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

static int create_activations(struct patient *patient) {
    const struct layer *layer = patient->layer;
    struct tiling tiling = patient->target.tiling;
    int64_t outputs = tiling_elements(tiling, layer->plan.output);
    for (int i = 0; i < layer->type->input_count; i++) {
        int64_t inputs = tiling_elements(tiling, layer->inputs[i]);
        TRY(create_array(patient, &patient->x[i], inputs, 1));
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

static void discharge(struct patient *patient) {
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

/* Whether a kernel has a part in a pass, or in all, for NULL. */
static int serves(const struct kernel_spec *spec, const char *pass) {
    return trust_is_kernel(spec) &&
           (!pass || strcmp(spec->pass, pass) == 0 || strstr(spec->pass, " and "));
}

static void list_kernels(const struct patient *patient, const char *pass, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        const struct kernel_spec *spec = &patient->specs.specs[k];
        if (serves(spec, pass) && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? " + " : "",
                                     spec->file ? spec->function : "CLBlast");
    }
}

static void report(struct patient *patient, struct finding *finding, const char *pass) {
    finding->layer = patient->layer;
    finding->passed = !finding->message && finding->not_written == 0 && finding->worst <= 1;
    list_kernels(patient, pass, finding->kernels, sizeof finding->kernels);
    for (int k = 0; pass && k < LAYER_KERNELS_MAX; k++) {
        if (serves(&patient->specs.specs[k], pass) && patient->verdicts[k] != WRONG)
            patient->verdicts[k] = finding->passed ? RIGHT : WRONG;
    }
    patient->failures += !finding->passed;
    patient->options->found(patient->options->context, finding);
}

/* Padding included: what comes after reads it, and a NaN there would spread. */
static int64_t count_not_finite(const struct array *array) {
    int64_t count = 0;
    for (int64_t i = 0; i < array->count; i++)
        count += !isfinite(array->values[i]);
    return count;
}

static int compare(struct patient *patient, struct array *array, struct shape shape,
                   struct result_index kind, const char *result, const char *pass) {
    TRY(buffer_read(array->buffer, 0, buffer_bytes(array->buffer), array->values));
    if (patient->options->disturb)
        patient->options->disturb(patient->options->context, kind.result, array->values,
                                  array->count);
    struct finding finding = {.result = result};
    if (kind.result != RESULT_RANK)
        finding.not_written = count_not_finite(array);
    double started = clock_seconds();
    for (int64_t i = 0; i < RANDOM_MAX + EDGES; i++) {
        if (i >= 16 && clock_seconds() - started > budget)
            break;
        struct result_index index = choose_index(patient, kind, shape, array->count, i);
        struct element want = patient->layer->type->reference(&patient->values, index);
        double got = result_value(patient, array, shape, index);
        finding.worst = fmax(finding.worst, element_excess(got, want));
        finding.compared++;
    }
    report(patient, &finding, pass);
    return 0;
}

static int compare_all(struct patient *patient) {
    const struct layer *layer = patient->layer;
    struct shape out = layer->plan.output;
    TRY(compare(patient, &patient->y, out, (struct result_index){.result = RESULT_OUTPUT},
                "forward", "forward"));
    if (layer->plan.is_loss) {
        TRY(compare(patient, &patient->losses, out, (struct result_index){.result = RESULT_LOSS},
                    "losses", "forward"));
        TRY(compare(patient, &patient->ranks, out, (struct result_index){.result = RESULT_RANK},
                    "ranks", "forward"));
    }
    TRY(layer->type->backward(&patient->run));
    /* First, since what follows is held against what comes of it. */
    if (layer->plan.has_slope)
        TRY(compare(patient, &patient->dy, out, (struct result_index){.result = RESULT_SLOPE},
                    "backward dz", "backward bias"));
    for (int i = 0; i < layer->type->input_count; i++)
        TRY(compare(patient, &patient->dx[i], layer->inputs[i],
                    (struct result_index){.result = RESULT_INPUT_GRADIENT, .which = i},
                    "backward data", "backward data"));
    static const char *const passes[LAYER_PARAMETERS_MAX] = {"backward weight", "backward bias"};
    assert(layer->plan.parameter_count <= LAYER_PARAMETERS_MAX);
    for (int p = 0; p < layer->plan.parameter_count; p++)
        TRY(compare(patient, &patient->gradients[p], out,
                    (struct result_index){.result = RESULT_GRADIENT, .which = p}, passes[p],
                    passes[p]));
    return 0;
}

static int examine(struct patient *patient) {
    TRY(create_kernels(patient));
    TRY(create_parameters(patient));
    TRY(create_activations(patient));
    patient->is_running = 1;
    TRY(patient->layer->type->forward(&patient->run));
    return compare_all(patient);
}

/* Has the list say what was found. Where the device gave up, those that nothing is known of yet are
 * to blame. */
static int record(const struct patient *patient, struct trust_examination *examination,
                  int gave_up) {
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        const struct kernel_spec *spec = &patient->specs.specs[k];
        enum verdict verdict = patient->verdicts[k];
        if (trust_is_kernel(spec) && (verdict != UNKNOWN || (gave_up && patient->is_running)))
            TRY(trust_found(examination, spec, &patient->target, verdict == RIGHT));
    }
    return 0;
}

/* Returns failures, or an error: of a device too that works no more. */
static int examine_kernels(struct patient *patient, struct trust_examination *examination) {
    int rc = examine(patient), gave_up = rc == ERROR_DEVICE;
    if (gave_up) {
        struct finding finding = {.result = "all", .message = error_message()};
        report(patient, &finding, NULL);
        rc = 0;
    }
    if (rc == 0)
        rc = record(patient, examination, gave_up);
    if (rc == 0 && gave_up)
        rc = device_finish(patient->device);
    error_hold();
    discharge(patient);
    error_release();
    return rc < 0 ? rc : patient->failures;
}

static struct patient new_patient(const struct net *net, struct device *device, int i,
                                  const struct doctor_options *options) {
    struct patient patient = {
        .options = options,
        .device = device,
        .layer = &net->nodes[i].layer,
        .target = {.tiling = tiling_for_batch(net_micro_batch(net)),
                   .technique = options->technique,
                   .device = *device_info(device)},
        .rng = rng_start(SEED, RNG_SHUFFLE, (uint32_t)i, 0),
    };
    int count = patient.target.tiling.batch;
    patient.run = (struct layer_run){.layer = patient.layer,
                                     .device = device,
                                     .is_training = 1,
                                     .seed = SEED,
                                     .iteration = ITERATION,
                                     .index = (uint32_t)i,
                                     .count = count,
                                     .truth_kind = net_loss(net)->plan.labels_only ? TRUTH_LABELS
                                                                                   : TRUTH_NUMBERS,
                                     .gradient_scale = 1.0F / (float)count};
    patient.values = (struct layer_values){.layer = patient.layer,
                                           .seed = SEED,
                                           .iteration = ITERATION,
                                           .index = (uint32_t)i,
                                           .gradient_scale = 1.0 / count};
    return patient;
}

/* Examines one set of a layer's kernels. */
static int examine_set(const struct net *net, struct device *device, int i,
                       const struct doctor_options *options, const struct layer_kernels *kernels,
                       struct trust_examination *examination) {
    struct patient patient = new_patient(net, device, i, options);
    patient.run.target = &patient.target;
    patient.run.kernels = patient.kernels;
    patient.specs = *kernels;
    return examine_kernels(&patient, examination);
}

static int has_listed(const struct layer_kernels *kernels, const struct target *target) {
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        if (trust_is_kernel(&kernels->specs[k]) && !trust_kernel(&kernels->specs[k], target))
            return 1;
    }
    return 0;
}

/* Where chosen kernels are wrong, those too that then take their place, beside the others; and the
 * plain ones where they are listed, as they may be right by now. */
static int examine_layer(const struct net *net, struct device *device, int i,
                         const struct doctor_options *options,
                         struct trust_examination *examination) {
    struct patient patient = new_patient(net, device, i, options);
    const struct layer *layer = patient.layer;
    struct target target = patient.target;
    struct layer_kernels kernels = {0}, plain = {0};
    enum truth truth = patient.run.truth_kind;
    int failures = 0;
    layer->type->kernels(layer, &target, 1, truth, &kernels);
    do {
        int rc = examine_set(net, device, i, options, &kernels, examination);
        TRY(rc);
        failures += rc;
    } while (trust_replace(layer, &target, 1, truth, &kernels));
    if (failures)
        return failures;
    target.technique = TECHNIQUE_REFERENCE;
    layer->type->kernels(layer, &target, 1, truth, &plain);
    return has_listed(&plain, &target) ? examine_set(net, device, i, options, &plain, examination)
                                       : 0;
}

int doctor_examine(const struct net *net, struct device *device,
                   const struct doctor_options *options) {
    int failures = 0, rc = 0;
    struct trust_examination examination = {0};
    struct progress progress = progress_start("examining");
    for (int i = 0; rc >= 0 && i < net->count; i++) {
        progress_show(&progress, "layer %d of %d (%s)", i + 1, net->count,
                      net->nodes[i].layer.name);
        rc = examine_layer(net, device, i, options, &examination);
        failures += rc > 0 ? rc : 0;
    }
    progress_end(&progress);
    if (rc >= 0) {
        rc = doctor_examine_net(net, device, options, &examination);
        failures += rc > 0 ? rc : 0;
    }
    trust_examination_free(&examination);
    return rc < 0 ? rc : failures;
}
