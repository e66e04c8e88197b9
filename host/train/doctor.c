#include "train/doctor.h"

#include "base/error.h"
#include "base/progress.h"
#include "layers/trust.h"
#include "net/net_fusion.h"
#include "train/doctor_net.h"
#include "train/patient.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* What is known of a kernel. */
enum verdict { UNKNOWN, RIGHT, WRONG };

/* The examination of a set of a layer's kernels. */
struct examination {
    const struct doctor_options *options;
    struct patient patient;
    enum verdict verdicts[LAYER_KERNELS_MAX];
    int failures;
};

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
                                     spec->function);
    }
}

static void report(struct examination *self, struct finding *finding, const char *pass) {
    const struct patient *patient = &self->patient;
    finding->layer = patient->layer;
    finding->passed = !finding->message && finding->not_written == 0 && finding->worst <= 1;
    list_kernels(patient, pass, finding->kernels, sizeof finding->kernels);
    for (int k = 0; pass && k < LAYER_KERNELS_MAX; k++) {
        if (serves(&patient->specs.specs[k], pass) && self->verdicts[k] != WRONG)
            self->verdicts[k] = finding->passed ? RIGHT : WRONG;
    }
    self->failures += !finding->passed;
    self->options->found(self->options->context, finding);
}

static int compare(struct examination *self, struct array *array, struct shape shape,
                   struct result_index kind, const char *result, const char *pass) {
    struct comparison comparison;
    struct finding finding = {.result = result};
    TRY(patient_compare(&comparison, &self->patient, array, shape, kind,
                        layer_slack(&self->patient.specs, pass)));
    finding.compared = comparison.compared;
    finding.not_written = comparison.not_written;
    finding.worst = comparison.worst;
    report(self, &finding, pass);
    return 0;
}

static int compare_all(struct examination *self) {
    struct patient *patient = &self->patient;
    const struct layer *layer = patient->layer;
    struct shape out = layer->plan.output;
    TRY(compare(self, &patient->y, out, (struct result_index){.result = RESULT_OUTPUT}, "forward",
                "forward"));
    if (layer->plan.is_loss) {
        TRY(compare(self, &patient->losses, out, (struct result_index){.result = RESULT_LOSS},
                    "losses", "forward"));
        TRY(compare(self, &patient->ranks, out, (struct result_index){.result = RESULT_RANK},
                    "ranks", "forward"));
    }
    TRY(layer->type->backward(&patient->run));
    /* First, since what follows is held against what comes of it. */
    if (layer->plan.has_slope)
        TRY(compare(self, &patient->dy, out, (struct result_index){.result = RESULT_SLOPE},
                    "backward dz", "backward bias"));
    for (int i = 0; i < layer->type->input_count; i++)
        TRY(compare(self, &patient->dx[i], layer->inputs[i],
                    (struct result_index){.result = RESULT_INPUT_GRADIENT, .which = i},
                    "backward data", "backward data"));
    static const char *const passes[LAYER_PARAMETERS_MAX] = {"backward weight", "backward bias"};
    assert(layer->plan.parameter_count <= LAYER_PARAMETERS_MAX);
    for (int p = 0; p < layer->plan.parameter_count; p++)
        TRY(compare(self, &patient->gradients[p], out,
                    (struct result_index){.result = RESULT_GRADIENT, .which = p}, passes[p],
                    passes[p]));
    return 0;
}

/* Has the list say what was found. Where the device gave up, those that nothing is known of yet are
 * to blame; one that cannot be built is wrong, and of the others nothing is known by that. */
static int record(struct examination *self, struct trust_examination *examination, int gave_up) {
    const struct patient *patient = &self->patient;
    if (gave_up && patient->unbuilt >= 0)
        self->verdicts[patient->unbuilt] = WRONG;
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        const struct kernel_spec *spec = &patient->specs.specs[k];
        enum verdict verdict = self->verdicts[k];
        if (trust_is_kernel(spec) && (verdict != UNKNOWN || (gave_up && patient->is_open)))
            TRY(trust_found(examination, spec, &patient->target, verdict == RIGHT));
    }
    return 0;
}

/* What is examined: a layer of a net on a device. */
struct bed {
    const struct doctor_options *options;
    struct device *device;
    const struct layer *layer;
    int node;
    enum truth truth_kind;
    struct target target;
};

/* Examines one set of the layer's kernels. Returns failures, or an error: of a device too that
 * works no more. */
static int examine_set(const struct bed *bed, const struct layer_kernels *kernels,
                       struct trust_examination *examination) {
    struct examination self = {.options = bed->options};
    const struct patient_options how = {.index = (uint32_t)bed->node,
                                        .truth_kind = bed->truth_kind,
                                        .needs_dx = 1,
                                        .disturb = bed->options->disturb,
                                        .context = bed->options->context};
    struct patient *patient = &self.patient;
    int rc = patient_open(patient, bed->device, bed->layer, &bed->target, kernels, &how);
    if (rc == 0)
        rc = bed->layer->type->forward(&patient->run);
    if (rc == 0)
        rc = compare_all(&self);
    int gave_up = rc == ERROR_DEVICE;
    if (gave_up) {
        struct finding finding = {.result = "all", .message = error_message()};
        report(&self, &finding, NULL);
        rc = 0;
    }
    if (rc == 0)
        rc = record(&self, examination, gave_up);
    if (rc == 0 && gave_up)
        rc = device_finish(patient->device);
    error_hold();
    patient_close(patient);
    error_release();
    return rc < 0 ? rc : self.failures;
}

/* Where chosen kernels are wrong, those too that then take their place, beside the others; and the
 * plain ones where they are listed, as they may be right by now. */
static int examine_layer(const struct bed *bed, struct trust_examination *examination) {
    const struct layer *layer = bed->layer;
    struct target plain_target = bed->target;
    struct layer_kernels kernels = {0}, plain = {0};
    int failures = 0;
    layer->type->kernels(layer, &bed->target, 1, bed->truth_kind, &kernels);
    do {
        int rc = examine_set(bed, &kernels, examination);
        TRY(rc);
        failures += rc;
    } while (trust_replace(layer, &bed->target, 1, bed->truth_kind, &kernels));
    if (failures)
        return failures;
    plain_target.technique = TECHNIQUE_REFERENCE;
    layer->type->kernels(layer, &plain_target, 1, bed->truth_kind, &plain);
    return trust_has_listed(&plain, &plain_target) ? examine_set(bed, &plain, examination) : 0;
}

static struct bed bed_of(const struct net *net, struct device *device, int node,
                         const struct doctor_options *options) {
    return (struct bed){.options = options,
                        .device = device,
                        .layer = &net->nodes[node].layer,
                        .node = node,
                        .truth_kind = net_truth_kind(net),
                        .target = {.tiling = tiling_for_batch(net_micro_batch(net)),
                                   .technique = options->technique,
                                   .device = *device_info(device),
                                   .tunings = device_tunings(device)}};
}

static int examine(const struct net *net, struct device *device,
                   const struct doctor_options *options) {
    int failures = 0, rc = 0;
    struct trust_examination examination = {0};
    struct progress progress = progress_start("examining");
    for (int i = 0; rc >= 0 && i < net->count; i++) {
        progress_show(&progress, "layer %d of %d (%s)", i + 1, net->count,
                      net->nodes[i].layer.name);
        struct bed bed = bed_of(net, device, i, options);
        rc = examine_layer(&bed, &examination);
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

int doctor_examine(const struct net *net, struct device *device,
                   const struct doctor_options *options) {
    const struct target target = {.tiling = tiling_for_batch(net_micro_batch(net)),
                                  .technique = options->technique,
                                  .device = *device_info(device)};
    struct net *fused;
    TRY(net_fuse(&fused, net, &target));
    int rc = examine(fused ? fused : net, device, options);
    net_free(fused);
    return rc;
}
