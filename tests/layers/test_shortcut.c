/* The sum of two layers' outputs. */
#include "reference/reference.h"
#include "support/device.h"
#include "support/layer_bench.h"
#include "support/numbers.h"
#include "support/suite.h"

#include <stdio.h>
#include <stdlib.h>

static void check_activation(enum activation activation, int batch, enum technique technique) {
    char text[64];
    struct layer_bench bench;
    struct layer_bench_options options = {
        .input = {3, 5, 4}, .batch = batch, .technique = technique};
    (void)snprintf(text, sizeof text, "[shortcut]\nactivation=%s\n", activation_names[activation]);
    layer_bench_open(&bench, text, &options);
    int64_t count = layer_bench_outputs(&bench);
    double *y = new_doubles(count), *dx = new_doubles(count);
    for (int64_t i = 0; i < count; i++)
        y[i] = reference_activate(activation, (double)bench.x[0][i] + (double)bench.x[1][i]);
    layer_bench_forward(&bench);
    layer_bench_check(&bench, "y", bench.y, y, count, sum_tolerance(2));

    reference_activation_backward(dx, bench.y, bench.dy, count, activation);
    layer_bench_backward(&bench);
    layer_bench_check(&bench, "the first dx", bench.dx[0], dx, count, sum_tolerance(2));
    layer_bench_check(&bench, "the second dx", bench.dx[1], dx, count, sum_tolerance(2));
    free(y);
    free(dx);
    layer_bench_close(&bench);
}

START_TEST(shortcut_matches_reference_with_every_activation) {
    static const int batches[] = {1, 7, 12, 2, 33};
    check_activation((enum activation)_i, batches[_i], TECHNIQUE_REFERENCE);
    check_activation((enum activation)_i, batches[_i], TECHNIQUE_VECTOR);
}
END_TEST

/* A layer that only one of the two needs a gradient from: the data, say. */
START_TEST(shortcut_gives_a_gradient_to_one_input_alone) {
    struct layer_bench bench;
    struct layer_bench_options options = {.input = {3, 5, 4}, .batch = 7};
    layer_bench_open(&bench, "[shortcut]\n", &options);
    layer_bench_forward(&bench);
    bench.run.dx[0] = NULL;
    ck_succeeds(bench.layer.type->backward(&bench.run));
    layer_bench_close(&bench);
}
END_TEST

START_TEST(shortcut_of_different_shapes_says_so) {
    struct layer_bench bench;
    struct layer_bench_options options = {.input = {3, 5, 4}, .batch = 7};
    ck_succeeds(layer_bench_infer(&bench, "[shortcut]\n", &options));
    bench.layer.inputs[1].w = 2;
    ck_fails(bench.layer.type->infer(&bench.layer), ERROR_INPUT,
             "from: a 3 x 5 x 2 (c x h x w) cannot be added to a 3 x 5 x 4");
    layer_bench_close(&bench);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("shortcut");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_loop_test(tests, shortcut_matches_reference_with_every_activation, 0,
                        ACTIVATION_LEAKY + 1);
    tcase_add_test(tests, shortcut_gives_a_gradient_to_one_input_alone);
    tcase_add_test(tests, shortcut_of_different_shapes_says_so);
    return suite_run("layers/shortcut", tests);
}
