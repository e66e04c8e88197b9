#include "train/doctor.h"

#include "base/error.h"
#include "base/progress.h"
#include "layers/trust.h"
#include "train/patient.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct examination {
    const struct doctor_options *options;
    struct patient patient;
    int failures;
};

static void list_kernels(const struct patient *patient, const char *pass, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        const struct kernel_spec *spec = &patient->specs.specs[k];
        if (!spec->pass || used >= size)
            continue;
        int serves =
            strcmp(spec->pass, pass) == 0 || strstr(spec->pass, " and ") ||
            (strcmp(pass, "backward weight") == 0 && strcmp(spec->pass, "backward filter") == 0);
        if (serves)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? " + " : "",
                                     spec->file ? spec->function : "CLBlast");
    }
}

static void report(struct examination *self, struct finding *finding) {
    finding->layer = self->patient.layer;
    finding->passed = !finding->message && finding->not_written == 0 && finding->worst <= 1;
    self->failures += !finding->passed;
    self->options->found(self->options->context, finding);
}

static int compare(struct examination *self, struct array *array, struct shape shape,
                   struct result_index kind, const char *result, const char *pass) {
    struct comparison comparison;
    struct finding finding = {.result = result};
    TRY(patient_compare(&comparison, &self->patient, array, shape, kind));
    finding.compared = comparison.compared;
    finding.not_written = comparison.not_written;
    finding.worst = comparison.worst;
    list_kernels(&self->patient, pass, finding.kernels, sizeof finding.kernels);
    report(self, &finding);
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

/* Returns failures, or an error. What was found of the kernels goes into the list of those that are
 * not to be used. */
static int examine_kernels(const struct net *net, struct device *device, int i,
                           const struct doctor_options *options) {
    struct examination self = {.options = options};
    const struct target target = {.tiling = tiling_for_batch(net_micro_batch(net)),
                                  .technique = options->technique,
                                  .device = *device_info(device),
                                  .tunings = device_tunings(device)};
    const struct patient_options how = {
        .index = (uint32_t)i,
        .truth_kind = net_loss(net)->plan.labels_only ? TRUTH_LABELS : TRUTH_NUMBERS,
        .needs_dx = 1,
        .disturb = options->disturb,
        .context = options->context};
    struct patient *patient = &self.patient;
    int rc = patient_open(patient, device, &net->nodes[i].layer, &target, &how);
    if (rc == 0)
        rc = patient->layer->type->forward(&patient->run);
    if (rc == 0)
        rc = compare_all(&self);
    if (rc == ERROR_DEVICE) {
        struct finding finding = {.result = "all", .message = error_message()};
        report(&self, &finding);
        rc = 0;
    }
    if (rc == 0)
        rc = trust_set(&patient->specs, &patient->target, self.failures == 0);
    patient_close(patient);
    return rc < 0 ? rc : self.failures;
}

/* Where the chosen kernels are wrong, the plain ones, which then take their place, too. */
static int examine_layer(const struct net *net, struct device *device, int i,
                         const struct doctor_options *options) {
    int failures = examine_kernels(net, device, i, options);
    if (failures <= 0 || options->technique == TECHNIQUE_REFERENCE)
        return failures;
    struct doctor_options plain = *options;
    plain.technique = TECHNIQUE_REFERENCE;
    int rc = examine_kernels(net, device, i, &plain);
    return rc < 0 ? rc : failures + rc;
}

int doctor_examine(const struct net *net, struct device *device,
                   const struct doctor_options *options) {
    int failures = 0;
    struct progress progress = progress_start("examining");
    for (int i = 0; i < net->count; i++) {
        progress_show(&progress, "layer %d of %d (%s)", i + 1, net->count,
                      net->nodes[i].layer.name);
        int rc = examine_layer(net, device, i, options);
        if (rc < 0) {
            progress_end(&progress);
            return rc;
        }
        failures += rc;
    }
    progress_end(&progress);
    return failures;
}
