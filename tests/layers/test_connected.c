/* The fully connected layer, whose three products must fit together with the tiles. */
#include "reference/reference.h"
#include "support/device.h"
#include "support/layer_bench.h"
#include "support/numbers.h"
#include "support/suite.h"

#include <stdio.h>
#include <stdlib.h>

struct connected_case {
    struct shape in;
    int batch, tile, outputs;
    enum activation activation;
    int is_large;
};

static const struct connected_case cases[] = {
    {.in = {7, 1, 1}, .batch = 1, .outputs = 1, .activation = ACTIVATION_LINEAR},
    {.in = {3, 2, 5}, .batch = 2, .outputs = 13, .activation = ACTIVATION_TANH},
    {.in = {2, 3, 3}, .batch = 7, .outputs = 5, .activation = ACTIVATION_LEAKY},
    {.in = {1, 1, 1}, .batch = 12, .outputs = 3, .activation = ACTIVATION_LOGISTIC},
    /* more terms than a register tile sums at a time, and a tile of one image */
    {.in = {5, 11, 10},
     .batch = 33,
     .tile = 32,
     .outputs = 27,
     .activation = ACTIVATION_RELU,
     .is_large = 1},
    {.in = {19, 1, 1},
     .batch = 64,
     .outputs = 12,
     .activation = ACTIVATION_LOGISTIC,
     .is_large = 1},
};

static void check_forward(struct layer_bench *bench, const struct connected_case *c) {
    int inputs = (int)shape_elements(c->in);
    int64_t outputs = layer_bench_outputs(bench);
    double *want = new_doubles(outputs);
    reference_connected_forward(want, bench->x[0], bench->parameters[0], bench->parameters[1],
                                c->batch, inputs, c->outputs);
    for (int64_t i = 0; i < outputs; i++)
        want[i] = reference_activate(c->activation, want[i]);
    layer_bench_forward(bench);
    layer_bench_check(bench, "y", bench->y, want, outputs, sum_tolerance(inputs));
    free(want);
}

static void check_backward(struct layer_bench *bench, const struct connected_case *c) {
    int inputs = (int)shape_elements(c->in);
    int64_t count = layer_bench_inputs(bench), weights = layer_bench_parameters(bench, 0);
    double *dz = new_doubles(layer_bench_outputs(bench)), *dx = new_doubles(count);
    double *dw = layer_bench_gradient(bench, 0), *db = layer_bench_gradient(bench, 1);
    reference_activation_backward(dz, bench->y, bench->dy, layer_bench_outputs(bench),
                                  c->activation);
    reference_connected_backward_data(dx, dz, bench->parameters[0], c->batch, inputs, c->outputs);
    reference_connected_backward_weight(dw, dz, bench->x[0], c->batch, inputs, c->outputs);
    reference_bias_backward(db, dz, c->batch, bench->layer.plan.output);

    layer_bench_backward(bench);
    layer_bench_check(bench, "dx", bench->dx[0], dx, count, sum_tolerance(c->outputs));
    layer_bench_check(bench, "dw", bench->gradients[0], dw, weights, sum_tolerance(c->batch));
    layer_bench_check(bench, "db", bench->gradients[1], db, c->outputs, sum_tolerance(c->batch));
    free(dz);
    free(dx);
    free(dw);
    free(db);
}

static void check_case(const struct connected_case *c, enum technique technique,
                       const struct device_info *device) {
    char text[128];
    struct layer_bench bench;
    struct layer_bench_options options = {.input = c->in,
                                          .batch = c->batch,
                                          .tile = c->tile,
                                          .technique = technique,
                                          .device = device};
    (void)snprintf(text, sizeof text, "[connected]\noutput=%d\nactivation=%s\n", c->outputs,
                   activation_names[c->activation]);
    layer_bench_open(&bench, text, &options);
    check_forward(&bench, c);
    check_backward(&bench, c);
    layer_bench_close(&bench);
}

START_TEST(connected_matches_reference) {
    const struct connected_case *c = &cases[_i];
    if (c->is_large && test_is_small())
        SKIP_TEST(TEST_TOO_LARGE);
    check_case(c, TECHNIQUE_REFERENCE, NULL);
    check_case(c, TECHNIQUE_VECTOR, NULL);
    check_case(c, TECHNIQUE_TILED, NULL);
}
END_TEST

/* A GPU's products are ours by tiles in local memory; where it has too little for them, CLBlast's,
 * which must take the tiles of images as they are. */
START_TEST(connected_matches_reference_with_the_products_of_a_gpu) {
    if (test_is_small())
        SKIP_TEST(TEST_TOO_LARGE);
    struct device_info gpu = *device_info(test_device());
    gpu.is_cpu = 0;
    check_case(&cases[2], TECHNIQUE_AUTO, &gpu);
    gpu.local_memory = 1024;
    check_case(&cases[2], TECHNIQUE_AUTO, &gpu);
}
END_TEST

START_TEST(connected_with_more_weights_than_an_index_reaches_says_so) {
    struct layer_bench bench;
    struct layer_bench_options options = {.input = {64, 64, 64}, .batch = 1};
    ck_fails(layer_bench_infer(&bench, "[connected]\noutput=8192\n", &options), ERROR_INPUT,
             "output: 262144 x 8192 weights are more than a layer can have");
    layer_bench_close(&bench);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("connected");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_loop_test(tests, connected_matches_reference, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(tests, connected_matches_reference_with_the_products_of_a_gpu);
    tcase_add_test(tests, connected_with_more_weights_than_an_index_reaches_says_so);
    return suite_run("layers/connected", tests);
}
