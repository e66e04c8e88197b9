#include "train/gradient_check.h"

#include "base/error.h"
#include "base/rng.h"
#include "net/replica.h"

#include <math.h>
#include <stdlib.h>

enum { SAMPLES = 8, SEED = 11 };

/* What a step of a ten-thousandth of the loss may bend: kinks and curvature. */
static const double bend = 0.05;

struct check {
    struct replica *replica;
    const struct net *net;
    const struct doctor_options *options;
    struct samples samples;
    float *floats, *targets;
    int32_t labels[SAMPLES];
};

static void fill_random(float *values, int64_t count, uint32_t salt, double range) {
    struct rng rng = rng_start(SEED, RNG_SHUFFLE, salt, 1);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)range * (2 * rng_uniform(&rng) - 1);
}

static float *new_random(int64_t count, uint32_t salt, double range) {
    float *values = malloc((size_t)count * sizeof *values);
    if (values)
        fill_random(values, count, salt, range);
    return values;
}

/* The mean loss of the samples. */
static int find_loss(struct check *check, double *loss) {
    struct step step = {.is_training = 1, .seed = SEED, .global_count = check->samples.count};
    float losses[SAMPLES];
    int32_t ranks[SAMPLES];
    TRY(replica_forward(check->replica, &check->samples, &step));
    TRY(replica_results(check->replica, losses, ranks));
    *loss = 0;
    for (int n = 0; n < check->samples.count; n++)
        *loss += (double)losses[n] / check->samples.count;
    return 0;
}

/* Weights that keep activations about as large as they are. */
static int write_parameters(struct check *check) {
    for (int i = 0; i < check->net->parameter_count; i++) {
        const struct parameter *parameter = net_parameter(check->net, i, NULL);
        int64_t count = parameter_elements(parameter), terms = count / parameter->sizes[0];
        float *values = new_random(count, (uint32_t)i, terms > 1 ? sqrt(6.0 / (double)terms) : 0.1);
        if (!values)
            return error_no_memory("a parameter", (size_t)count * sizeof *values);
        int rc = replica_write_parameter(check->replica, i, values);
        free(values);
        TRY(rc);
    }
    return 0;
}

/* The loss with parameter i moved by so much along a direction. */
static int loss_along(struct check *check, int i, const float *values, const float *direction,
                      float *moved, int64_t count, double step, double *loss) {
    for (int64_t k = 0; k < count; k++)
        moved[k] = (float)((double)values[k] + step * (double)direction[k]);
    TRY(replica_write_parameter(check->replica, i, moved));
    return find_loss(check, loss);
}

static int read_gradient(struct check *check, int i, float *gradient, int64_t count) {
    TRY(replica_read_gradient(check->replica, i, gradient));
    if (check->options->disturb)
        check->options->disturb(check->options->context, RESULT_GRADIENT, gradient, count);
    return 0;
}

static int check_parameter(struct check *check, int i, double loss, struct finding *finding) {
    const struct parameter *parameter = net_parameter(check->net, i, &finding->layer);
    int64_t count = parameter_elements(parameter);
    float *memory = malloc((size_t)count * 3 * sizeof *memory);
    if (!memory)
        return error_no_memory("a parameter", (size_t)count * 3 * sizeof *memory);
    float *values = memory, *gradient = memory + count, *moved = memory + 2 * count;
    double square = 0, size = 0, above = 0, below = 0;
    int rc = replica_read_parameter(check->replica, i, values);
    if (rc == 0)
        rc = read_gradient(check, i, gradient, count);
    for (int64_t k = 0; rc == 0 && k < count; k++) {
        square += (double)gradient[k] * (double)gradient[k];
        size += (double)values[k] * (double)values[k];
    }
    /* A ten-thousandth of the loss, but no more than a tenth of the parameter. */
    double step = square > 0 ? fmin(1e-4 * loss / square, 0.1 * sqrt(size / square)) : 0;
    if (square <=
        0) { /* it says that the loss stays: then wherever the parameter moves, a little */
        fill_random(gradient, count, (uint32_t)i, 1);
        step = 0.1 * sqrt(size / (double)count);
    }
    if (rc == 0)
        rc = loss_along(check, i, values, gradient, moved, count, step, &above);
    if (rc == 0)
        rc = loss_along(check, i, values, gradient, moved, count, -step, &below);
    if (rc == 0)
        rc = replica_write_parameter(check->replica, i, values);
    free(memory);
    /* The loss itself is rounded: to some 16 units. */
    double want = 2 * step * square, noise = 32.0 / 16777216 * loss;
    finding->compared = count;
    double error = fabs(above - below - want);
    finding->worst = error > 0 || isnan(error) ? error / (bend * want + noise) : 0;
    finding->passed = finding->worst <= 1;
    return rc;
}

static int check_all(struct check *check) {
    double loss;
    int failures = 0;
    TRY(write_parameters(check));
    TRY(find_loss(check, &loss));
    TRY(replica_backward(check->replica, NULL, NULL));
    for (int i = 0; i < check->net->parameter_count; i++) {
        struct finding finding = {.result = i % 2 ? "slope of bias" : "slope of weight",
                                  .kernels = "the whole net, by finite differences"};
        TRY(check_parameter(check, i, loss, &finding));
        failures += !finding.passed;
        check->options->found(check->options->context, &finding);
    }
    return failures;
}

int gradient_check(const struct net *full, struct device *device,
                   const struct doctor_options *options) {
    struct net *net;
    TRY(net_create(&net, full->config));
    net_limit_batch(net, SAMPLES);
    int outputs = net_loss(net)->plan.output.c, labels = net_loss(net)->plan.labels_only;
    struct check check = {.net = net, .options = options};
    struct replica_options how = {.technique = options->technique,
                                  .is_training = 1,
                                  .truth_kind = labels ? TRUTH_LABELS : TRUTH_NUMBERS};
    int count = net_micro_batch(net) < SAMPLES ? net_micro_batch(net) : SAMPLES;
    check.floats = new_random(count * shape_elements(net->input), 1000, 1);
    check.targets = new_random((int64_t)count * outputs, 1001, 1);
    for (int n = 0; n < count; n++)
        check.labels[n] = n % outputs;
    check.samples = (struct samples){.count = count,
                                     .floats = check.floats,
                                     .labels = labels ? check.labels : NULL,
                                     .targets = labels ? NULL : check.targets};
    int rc = check.floats && check.targets ? 0 : error_no_memory("samples", 0);
    if (rc == 0)
        rc = replica_create(&check.replica, net, device, &how);
    if (rc == 0)
        rc = check_all(&check);
    replica_free(check.replica);
    free(check.floats);
    free(check.targets);
    net_free(net);
    return rc;
}
