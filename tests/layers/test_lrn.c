/* Local response normalisation: windows that end at the first and last channel, and powers. */
#include "reference/reference.h"
#include "support/device.h"
#include "support/layer_bench.h"
#include "support/numbers.h"
#include "support/suite.h"

#include <stdio.h>
#include <stdlib.h>

struct lrn_case {
    struct shape shape;
    int batch, size;
    double k, alpha, beta;
    float range; /* of the input; 0: 1 */
};

/* alpha is large, so that what is divided by matters as much as what is divided. */
static const struct lrn_case cases[] = {
    {.shape = {9, 3, 5}, .batch = 7, .size = 5, .k = 2, .alpha = 0.5, .beta = 0.75},
    {.shape = {9, 3, 5}, .batch = 33, .size = 5, .k = 2, .alpha = 1e-4, .beta = 0.75},
    /* fewer channels than half a window */
    {.shape = {1, 2, 3}, .batch = 2, .size = 7, .k = 1, .alpha = 1, .beta = 0.75},
    {.shape = {3, 4, 1}, .batch = 12, .size = 9, .k = 1, .alpha = 1, .beta = 0.5},
    {.shape = {6, 1, 1}, .batch = 1, .size = 3, .k = 0.1, .alpha = 2, .beta = 1.7},
    {.shape = {4, 2, 2}, .batch = 7, .size = 1, .k = 1, .alpha = 1, .beta = 0},
    /* more channels than a GPU's work-item takes */
    {.shape = {50, 3, 5}, .batch = 7, .size = 5, .k = 2, .alpha = 0.5, .beta = 0.75},
    {.shape = {33, 2, 3}, .batch = 2, .size = 9, .k = 1, .alpha = 0.5, .beta = 0.6},
    /* scales far from 1 */
    {.shape = {5, 2, 2}, .batch = 12, .size = 3, .k = 2, .alpha = 1, .beta = 0.75, .range = 1e8F},
    {.shape = {5, 2, 2},
     .batch = 12,
     .size = 3,
     .k = 1e-6,
     .alpha = 1,
     .beta = 0.75,
     .range = 1e-4F},
};

static void check_case(const struct lrn_case *c, enum technique technique) {
    char text[128];
    struct layer_bench bench;
    struct layer_bench_options options = {
        .input = c->shape, .batch = c->batch, .technique = technique};
    struct reference_lrn lrn = {c->batch, c->shape, c->size, c->k, c->alpha, c->beta};
    (void)snprintf(text, sizeof text, "[lrn]\nsize=%d\nk=%g\nalpha=%g\nbeta=%g\n", c->size, c->k,
                   c->alpha, c->beta);
    layer_bench_open(&bench, text, &options);
    int64_t count = layer_bench_inputs(&bench);
    double *want = new_doubles(count);
    if (c->range != 0)
        fill_uniform(bench.x[0], count, -c->range, c->range, 9);

    layer_bench_forward(&bench);
    reference_lrn_forward(want, bench.x[0], &lrn);
    layer_bench_check(&bench, "y", bench.y, want, count, sum_tolerance(c->size));
    layer_bench_backward(&bench);
    reference_lrn_backward(want, bench.x[0], bench.dy, &lrn);
    layer_bench_check(&bench, "dx", bench.dx[0], want, count, 2 * sum_tolerance(c->size));
    free(want);
    layer_bench_close(&bench);
}

START_TEST(lrn_matches_reference) {
    check_case(&cases[_i], TECHNIQUE_REFERENCE);
    check_case(&cases[_i], TECHNIQUE_VECTOR);
}
END_TEST

START_TEST(lrn_with_an_even_size_says_why_not) {
    struct layer_bench bench;
    struct layer_bench_options options = {.input = {4, 1, 1}, .batch = 1};
    ck_fails(layer_bench_infer(&bench, "[lrn]\nsize=4\n", &options), ERROR_INPUT,
             "size: 4 is even");
    layer_bench_close(&bench);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("lrn");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_loop_test(tests, lrn_matches_reference, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(tests, lrn_with_an_even_size_says_why_not);
    return suite_run("layers/lrn", tests);
}
