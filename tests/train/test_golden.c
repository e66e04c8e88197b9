/* A whole network against PyTorch in double precision: tests/golden/make_golden.py made the
 * numbers. Every layer type but dropout; the same weights, the same batches. */
#include "support/net_bench.h"
#include "support/suite.h"

#include "data/safetensors.h"
#include "net/weights.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 20 };

struct golden {
    struct net_bench bench;
    struct safetensors batches;
    const float *inputs, *labels;
    int64_t batch, elements; /* samples of a batch, numbers of a sample */
    int32_t *label_numbers;  /* of all batches */
};

static void read_golden(struct safetensors *file, const char *name) {
    char *path = source_path(name);
    ck_succeeds(safetensors_read(file, path));
    free(path);
}

static void open_golden(struct golden *golden, enum technique technique) {
    struct replica_options options = {
        .technique = technique, .is_training = 1, .input_gradient = 1, .truth_kind = TRUTH_LABELS};
    net_bench_read(&golden->bench, "tests/golden/everything.cfg", NULL, &options);
    char *weights = source_path("tests/golden/everything-weights.safetensors");
    ck_succeeds(weights_load(weights, golden->bench.replica, NULL));
    free(weights);

    read_golden(&golden->batches, "tests/golden/everything-batches.safetensors");
    golden->inputs = safetensors_find(&golden->batches, "inputs")->values;
    golden->labels = safetensors_find(&golden->batches, "labels")->values;
    golden->batch = golden->bench.net->options.batch;
    golden->elements = shape_elements(golden->bench.net->input);
    golden->label_numbers = calloc((size_t)(STEPS * golden->batch), sizeof(int32_t));
    for (int64_t i = 0; i < STEPS * golden->batch; i++)
        golden->label_numbers[i] = (int32_t)golden->labels[i];
}

static void close_golden(struct golden *golden) {
    free(golden->label_numbers);
    safetensors_free(&golden->batches);
    net_bench_close(&golden->bench);
}

/* Forward and backward over one of the batches; its mean loss. */
static double learn(struct golden *golden, int index) {
    int64_t first = index * golden->batch;
    struct samples samples = {.count = (int)golden->batch,
                              .floats = golden->inputs + first * golden->elements,
                              .labels = golden->label_numbers + first};
    struct step step = {.is_training = 1, .global_count = (int)golden->batch};
    float losses[64];
    int32_t ranks[64];
    ck_succeeds(replica_forward(golden->bench.replica, &samples, &step));
    ck_succeeds(replica_backward(golden->bench.replica, NULL, NULL));
    ck_succeeds(replica_results(golden->bench.replica, losses, ranks));
    double sum = 0;
    for (int i = 0; i < samples.count; i++)
        sum += (double)losses[i];
    return sum / samples.count;
}

/* Asserts that a tensor agrees with PyTorch's, relative to its largest element. Single precision
 * differs from double by 5e-7 here; the least mistake of those that make_golden.py's author tried,
 * by 3e-3. */
static void check_tensor(const char *name, const float *values, const struct safetensors *golden,
                         double tolerance) {
    const struct safetensor *expected = safetensors_find(golden, name);
    ck_assert_msg(expected != NULL, "no golden %s", name);
    int64_t count = 1;
    for (int d = 0; d < expected->dimensions; d++)
        count *= expected->sizes[d];
    double error =
        largest_difference(values, expected->values, count) / largest(expected->values, count);
    ck_assert_msg(error <= tolerance, "%s differs from PyTorch's by %g of its largest", name,
                  error);
}

static void check_parameters(struct golden *golden, int (*read)(struct replica *, int, float *),
                             const struct safetensors *expected, double tolerance) {
    const struct net *net = golden->bench.net;
    float *values = malloc((size_t)net->parameter_elements * sizeof *values);
    for (int i = 0; i < net->parameter_count; i++) {
        char name[128];
        const struct layer *layer;
        const struct parameter *parameter = net_parameter(net, i, &layer);
        (void)snprintf(name, sizeof name, "%s.%s", layer->name, parameter->name);
        ck_succeeds(read(golden->bench.replica, i, values));
        check_tensor(name, values, expected, tolerance);
    }
    free(values);
}

static const enum technique techniques[] = {TECHNIQUE_REFERENCE, TECHNIQUE_AUTO};

START_TEST(gradients_of_every_parameter_and_of_the_input_agree_with_pytorch) {
    struct golden golden = {0};
    struct safetensors expected = {0};
    open_golden(&golden, techniques[_i]);
    read_golden(&expected, "tests/golden/everything-gradients.safetensors");
    (void)learn(&golden, 0);
    check_parameters(&golden, replica_read_gradient, &expected, 1e-4);

    float *gradient = malloc((size_t)(golden.batch * golden.elements) * sizeof *gradient);
    ck_succeeds(replica_read_input_gradient(golden.bench.replica, gradient));
    check_tensor("input", gradient, &expected, 1e-4);
    free(gradient);
    safetensors_free(&expected);
    close_golden(&golden);
}
END_TEST

START_TEST(losses_of_twenty_steps_and_the_final_weights_agree_with_pytorch) {
    struct golden golden = {0};
    struct safetensors expected = {0};
    open_golden(&golden, techniques[_i]);
    read_golden(&expected, "tests/golden/everything-final.safetensors");
    char *path = source_path("tests/golden/everything-losses.json");
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    json_t *losses = json_object_get(root, "losses");
    ck_assert_uint_eq(json_array_size(losses), STEPS);

    const struct net_options *o = &golden.bench.net->options;
    struct update update = {.rate = o->learning_rate, .momentum = o->momentum, .decay = o->decay};
    for (int i = 0; i < STEPS; i++) {
        double loss = learn(&golden, i);
        ck_assert_double_eq_tol(loss, json_number_value(json_array_get(losses, (size_t)i)), 1e-3);
        ck_succeeds(replica_update(golden.bench.replica, &update));
    }
    check_parameters(&golden, replica_read_parameter, &expected, 1e-4);
    json_decref(root);
    free(path);
    safetensors_free(&expected);
    close_golden(&golden);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("golden");
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, gradients_of_every_parameter_and_of_the_input_agree_with_pytorch, 0,
                        2);
    tcase_add_loop_test(tests, losses_of_twenty_steps_and_the_final_weights_agree_with_pytorch, 0,
                        2);
    return suite_run("train/golden", tests);
}
