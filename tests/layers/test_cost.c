/* The costs of linear and of logistic regression, with labels and with numbers. */
#include "reference/reference.h"
#include "support/device.h"
#include "support/layer_bench.h"
#include "support/numbers.h"
#include "support/suite.h"

#include <math.h>
#include <stdlib.h>

struct cost_case {
    enum reference_cost kind;
    enum truth truth;
    struct shape in;
    int batch;
};

static const struct cost_case cases[] = {
    {REFERENCE_SSE, TRUTH_NUMBERS, {1, 1, 1}, 1},
    {REFERENCE_SSE, TRUTH_NUMBERS, {3, 2, 1}, 7},
    {REFERENCE_SSE, TRUTH_LABELS, {10, 1, 1}, 12},
    {REFERENCE_LOGISTIC, TRUTH_NUMBERS, {5, 1, 1}, 33},
    {REFERENCE_LOGISTIC, TRUTH_LABELS, {4, 1, 2}, 2},
};

enum { CASES = sizeof cases / sizeof *cases };

static void open_cost(struct layer_bench *bench, const struct cost_case *c, int technique) {
    static const char *const texts[] = {"[cost]\n", "[cost]\ntype=logistic\n"};
    struct layer_bench_options options = {.input = c->in,
                                          .batch = c->batch,
                                          .technique = (enum technique)technique,
                                          .truth_kind = c->truth};
    layer_bench_open(bench, texts[c->kind], &options);
    fill_uniform(bench->x[0], layer_bench_inputs(bench), -3, 3, 4);
    for (int64_t i = 0; i < layer_bench_outputs(bench); i++)
        bench->numbers[i] = 0.5F + 0.5F * bench->numbers[i];
}

/* The truth as numbers: a label is 1 for its class and 0 for the others. */
static float *truth_of(const struct layer_bench *bench, const struct cost_case *c) {
    int outputs = bench->layer.plan.output.c;
    float *truth = new_floats(layer_bench_outputs(bench));
    for (int i = 0; i < layer_bench_outputs(bench); i++)
        truth[i] = c->truth == TRUTH_NUMBERS ? bench->numbers[i]
                                             : (float)(bench->labels[i / outputs] == i % outputs);
    return truth;
}

static void check_ranks(const struct layer_bench *bench, const struct cost_case *c) {
    int outputs = bench->layer.plan.output.c;
    for (int n = 0; n < c->batch; n++) {
        int rank = c->truth == TRUTH_NUMBERS
                       ? 0
                       : reference_rank(bench->x[0] + n * outputs, bench->labels[n], outputs);
        ck_assert_int_eq(bench->ranks[n], rank);
    }
}

static void check_passes(struct layer_bench *bench, const struct cost_case *c) {
    int outputs = bench->layer.plan.output.c;
    int64_t count = layer_bench_outputs(bench);
    double *y = new_doubles(count), *losses = new_doubles(c->batch);
    float *truth = truth_of(bench, c);
    reference_cost_forward(y, losses, bench->x[0], truth, c->batch, outputs, c->kind);
    layer_bench_forward(bench);
    layer_bench_check(bench, "y", bench->y, y, count, sum_tolerance(1));
    layer_bench_check(bench, "losses", bench->losses, losses, c->batch, sum_tolerance(outputs));
    check_ranks(bench, c);

    bench->run.gradient_scale = 0.125F;
    reference_cost_backward(y, bench->y, truth, c->batch, outputs, 0.125);
    layer_bench_backward(bench);
    layer_bench_check(bench, "dx", bench->dx[0], y, count, sum_tolerance(1));
    free(y);
    free(losses);
    free(truth);
}

START_TEST(cost_matches_reference) {
    for (int technique = TECHNIQUE_REFERENCE; technique <= TECHNIQUE_VECTOR; technique++) {
        struct layer_bench bench;
        open_cost(&bench, &cases[_i], technique);
        check_passes(&bench, &cases[_i]);
        layer_bench_close(&bench);
    }
}
END_TEST

START_TEST(cost_ranks_ties_by_the_order_of_the_classes) {
    struct layer_bench bench;
    open_cost(&bench, &cases[2], TECHNIQUE_VECTOR);
    for (int64_t i = 0; i < layer_bench_inputs(&bench); i++)
        bench.x[0][i] = i < 10 ? 1.5F : floorf(bench.x[0][i]);
    bench.labels[0] = 6;
    check_passes(&bench, &cases[2]);
    ck_assert_int_eq(bench.ranks[0], 6);
    layer_bench_close(&bench);
}
END_TEST

/* Where the prediction rounds to 0 or 1, its logarithm is not there; the loss still is. */
START_TEST(cost_logistic_of_huge_scores_stays_finite) {
    static const float scores[] = {20, -20, 100, -100, 1e4F, -1e4F, 1e30F, -1e30F, 0, 90};
    const struct cost_case one = {REFERENCE_LOGISTIC, TRUTH_NUMBERS, {1, 1, 1}, 20};
    struct layer_bench bench;
    open_cost(&bench, &one, TECHNIQUE_VECTOR);
    for (int n = 0; n < 20; n++) {
        bench.x[0][n] = scores[n % 10];
        bench.numbers[n] = n < 10 ? 0 : 1;
    }
    layer_bench_forward(&bench);
    for (int n = 0; n < 20; n++) {
        double y, loss;
        reference_cost_forward(&y, &loss, &bench.x[0][n], &bench.numbers[n], 1, 1,
                               REFERENCE_LOGISTIC);
        /* Each by its own size: small losses next to huge ones. */
        ck_assert_double_eq_tol((double)bench.losses[n], loss, sum_tolerance(1) * loss + 1e-37);
        ck_assert_double_eq_tol((double)bench.y[n], y, sum_tolerance(1));
    }
    layer_bench_close(&bench);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("cost");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_loop_test(tests, cost_matches_reference, 0, CASES);
    tcase_add_test(tests, cost_ranks_ties_by_the_order_of_the_classes);
    tcase_add_test(tests, cost_logistic_of_huge_scores_stays_finite);
    return suite_run("layers/cost", tests);
}
