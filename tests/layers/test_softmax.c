/* Softmax with cross-entropy. */
#include "reference/reference.h"
#include "support/device.h"
#include "support/layer_bench.h"
#include "support/numbers.h"
#include "support/suite.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct softmax_case {
    struct shape in;
    int batch, tile;
    double temperature;
};

static const struct softmax_case cases[] = {
    {.in = {10, 1, 1}, .batch = 7, .temperature = 1},
    {.in = {5, 3, 2}, .batch = 33, .tile = 32, .temperature = 1},
    {.in = {1, 1, 1}, .batch = 1, .temperature = 1},
    {.in = {2, 1, 1}, .batch = 12, .temperature = 3},
    {.in = {301, 1, 1}, .batch = 5, .temperature = 1},
    /* more classes than a work-group has room for, one each */
    {.in = {5000, 1, 1}, .batch = 3, .temperature = 1},
};

static void open_softmax(struct layer_bench *bench, const struct softmax_case *c, int technique) {
    char text[64];
    struct layer_bench_options options = {
        .input = c->in, .batch = c->batch, .tile = c->tile, .technique = (enum technique)technique};
    (void)snprintf(text, sizeof text, "[softmax]\ntemperature=%g\n", c->temperature);
    layer_bench_open(bench, text, &options);
}

/* With x and labels as they are. */
static void check_passes(struct layer_bench *bench, const struct softmax_case *c) {
    int classes = bench->layer.plan.output.c;
    int64_t count = layer_bench_outputs(bench);
    double *y = new_doubles(count), *losses = new_doubles(c->batch);
    int *ranks = calloc((size_t)c->batch, sizeof *ranks);
    ck_assert_ptr_nonnull(ranks);
    reference_softmax_forward(y, losses, ranks, bench->x[0], bench->labels, c->batch, classes,
                              c->temperature);
    layer_bench_forward(bench);
    layer_bench_check(bench, "y", bench->y, y, count, sum_tolerance(classes));
    layer_bench_check(bench, "losses", bench->losses, losses, c->batch, sum_tolerance(classes));
    for (int n = 0; n < c->batch; n++)
        ck_assert_int_eq(bench->ranks[n], ranks[n]);

    bench->run.gradient_scale = 0.125F;
    reference_softmax_backward(y, bench->y, bench->labels, c->batch, classes, c->temperature,
                               0.125);
    layer_bench_backward(bench);
    layer_bench_check(bench, "dx", bench->dx[0], y, count, sum_tolerance(1));
    free(y);
    free(losses);
    free(ranks);
}

START_TEST(softmax_matches_reference) {
    for (int technique = TECHNIQUE_REFERENCE; technique <= TECHNIQUE_VECTOR; technique++) {
        struct layer_bench bench;
        open_softmax(&bench, &cases[_i], technique);
        fill_uniform(bench.x[0], layer_bench_inputs(&bench), -5, 5, 3);
        check_passes(&bench, &cases[_i]);
        layer_bench_close(&bench);
    }
}
END_TEST

/* The loss is a difference of scores, far beyond where e^x overflows or underflows. */
START_TEST(softmax_of_huge_scores_stays_finite) {
    for (int technique = TECHNIQUE_REFERENCE; technique <= TECHNIQUE_VECTOR; technique++) {
        struct layer_bench bench;
        open_softmax(&bench, &cases[0], technique);
        fill_uniform(bench.x[0], layer_bench_inputs(&bench), -1e30F, 1e30F, 3);
        for (int i = 0; i < 10; i++)
            bench.x[0][i] = i == 3 ? 1e4F : -1e4F;
        bench.labels[0] = 4;
        check_passes(&bench, &cases[0]);
        ck_assert_double_eq((double)bench.losses[0], 20000);
        layer_bench_close(&bench);
    }
}
END_TEST

/* A class that scores as high as the label's and comes before it is ahead of it. */
START_TEST(softmax_ranks_ties_by_the_order_of_the_classes) {
    for (int technique = TECHNIQUE_REFERENCE; technique <= TECHNIQUE_VECTOR; technique++) {
        struct layer_bench bench;
        open_softmax(&bench, &cases[0], technique);
        for (int64_t i = 0; i < layer_bench_inputs(&bench); i++)
            bench.x[0][i] = i < 10 ? 1.5F : floorf(2 * bench.x[0][i]);
        bench.labels[0] = 6;
        check_passes(&bench, &cases[0]);
        ck_assert_int_eq(bench.ranks[0], 6);
        layer_bench_close(&bench);
    }
}
END_TEST

START_TEST(softmax_of_a_nan_gives_that_sample_a_loss_of_nan) {
    for (int technique = TECHNIQUE_REFERENCE; technique <= TECHNIQUE_VECTOR; technique++) {
        struct layer_bench bench;
        open_softmax(&bench, &cases[0], technique);
        for (int n = 0; n < 3; n++)
            bench.x[0][n * 10 + n * 4] = NAN;
        layer_bench_forward(&bench);
        for (int n = 0; n < cases[0].batch; n++)
            ck_assert_int_eq(isnan(bench.losses[n]) != 0, n < 3);
        layer_bench_close(&bench);
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("softmax");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_loop_test(tests, softmax_matches_reference, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(tests, softmax_of_huge_scores_stays_finite);
    tcase_add_test(tests, softmax_ranks_ties_by_the_order_of_the_classes);
    tcase_add_test(tests, softmax_of_a_nan_gives_that_sample_a_loss_of_nan);
    return suite_run("layers/softmax", tests);
}
