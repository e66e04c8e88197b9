/* Average-pooling, over windows and over the whole picture. */
#include "reference/reference.h"
#include "support/device.h"
#include "support/layer_bench.h"
#include "support/numbers.h"
#include "support/suite.h"

#include <stdlib.h>

struct avgpool_case {
    const char *text;
    struct shape in;
    int batch;
    int size_h, size_w, stride, padding; /* what the text means */
};

static const struct avgpool_case cases[] = {
    {"[avgpool]\n", {5, 4, 7}, 7, 4, 7, 1, 0},
    {"[avgpool]\nsize=2\n", {3, 5, 6}, 12, 2, 2, 2, 0},
    {"[avgpool]\nsize=3\nstride=2\npadding=2\n", {2, 6, 5}, 33, 3, 3, 2, 2},
    {"[avgpool]\nsize=4\nstride=1\npadding=3\n", {2, 3, 2}, 2, 4, 4, 1, 3},
    {"[avgpool]\nsize=2\nstride=3\npadding=1\n", {3, 7, 4}, 1, 2, 2, 3, 1},
};

static void check_case(const struct avgpool_case *c, enum technique technique) {
    struct layer_bench bench;
    struct layer_bench_options options = {
        .input = c->in, .batch = c->batch, .technique = technique};
    layer_bench_open(&bench, c->text, &options);
    struct reference_pool pool = {.n = c->batch,
                                  .in = c->in,
                                  .out = bench.layer.plan.output,
                                  .size_h = c->size_h,
                                  .size_w = c->size_w,
                                  .stride = c->stride,
                                  .before = c->padding / 2};
    int64_t inputs = layer_bench_inputs(&bench), outputs = layer_bench_outputs(&bench);
    double tolerance = sum_tolerance((int64_t)c->size_h * c->size_w);
    double *y = new_doubles(outputs), *dx = new_doubles(inputs);
    reference_avgpool_forward(y, bench.x[0], &pool);
    reference_avgpool_backward(dx, bench.dy, &pool);
    layer_bench_forward(&bench);
    layer_bench_check(&bench, "y", bench.y, y, outputs, tolerance);
    layer_bench_backward(&bench);
    layer_bench_check(&bench, "dx", bench.dx[0], dx, inputs, tolerance);
    free(y);
    free(dx);
    layer_bench_close(&bench);
}

START_TEST(avgpool_matches_reference) {
    check_case(&cases[_i], TECHNIQUE_REFERENCE);
    check_case(&cases[_i], TECHNIQUE_VECTOR);
}
END_TEST

/* With padding in the mean, ones would become less than one. */
START_TEST(avgpool_of_ones_is_one_at_the_border_too) {
    struct layer_bench bench;
    struct layer_bench_options options = {.input = cases[2].in, .batch = 1};
    layer_bench_open(&bench, cases[2].text, &options);
    for (int64_t i = 0; i < layer_bench_inputs(&bench); i++)
        bench.x[0][i] = 1;
    layer_bench_forward(&bench);
    for (int64_t i = 0; i < layer_bench_outputs(&bench); i++)
        ck_assert_double_eq_tol((double)bench.y[i], 1, sum_tolerance(9));
    layer_bench_close(&bench);
}
END_TEST

START_TEST(avgpool_that_does_not_fit_says_why) {
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"[avgpool]\nstride=2\n", "stride: has no meaning without size"},
        {"[avgpool]\npadding=2\n", "padding: has no meaning without size"},
        {"[avgpool]\nsize=3\npadding=3\n", "padding: 3 is not below size 3"},
        {"[avgpool]\nsize=5\n", "size: a 5 x 5 window does not fit the 6 x 4"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct layer_bench bench;
        struct layer_bench_options options = {.input = {1, 4, 6}, .batch = 1};
        ck_fails(layer_bench_infer(&bench, rows[i].text, &options), ERROR_INPUT, rows[i].message);
        layer_bench_close(&bench);
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("avgpool");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_loop_test(tests, avgpool_matches_reference, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(tests, avgpool_of_ones_is_one_at_the_border_too);
    tcase_add_test(tests, avgpool_that_does_not_fit_says_why);
    return suite_run("layers/avgpool", tests);
}
