/* Max-pooling: Darknet's geometry, ties, and numbers that are none. */
#include "reference/reference.h"
#include "support/device.h"
#include "support/layer_bench.h"
#include "support/numbers.h"
#include "support/suite.h"

#include <math.h>
#include <stdlib.h>

struct maxpool_case {
    const char *text;
    struct shape in;
    int batch;
    int size, stride, padding; /* what the text means */
};

static const struct maxpool_case cases[] = {
    {"[maxpool]\nsize=3\nstride=2\npadding=0\n", {4, 9, 7}, 7, 3, 2, 0},
    /* Darknet's default padding, of size - 1 */
    {"[maxpool]\nsize=2\nstride=2\n", {3, 5, 6}, 12, 2, 2, 1},
    {"[maxpool]\nsize=3\n", {2, 4, 5}, 33, 3, 1, 2},
    {"[maxpool]\nstride=4\n", {2, 9, 6}, 2, 4, 4, 3},
    /* stride above size: some pixels are seen by no window */
    {"[maxpool]\nsize=1\nstride=3\n", {5, 7, 8}, 1, 1, 3, 0},
    /* a window higher than the picture */
    {"[maxpool]\nsize=5\nstride=2\npadding=3\n", {3, 2, 9}, 64, 5, 2, 3},
};

enum { CASES = sizeof cases / sizeof *cases };

static void open_case(struct layer_bench *bench, const struct maxpool_case *c, int technique) {
    struct layer_bench_options options = {
        .input = c->in, .batch = c->batch, .technique = (enum technique)technique};
    layer_bench_open(bench, c->text, &options);
}

static struct reference_pool pool_of(const struct layer_bench *bench,
                                     const struct maxpool_case *c) {
    return (struct reference_pool){.n = c->batch,
                                   .in = c->in,
                                   .out = bench->layer.plan.output,
                                   .size_h = c->size,
                                   .size_w = c->size,
                                   .stride = c->stride,
                                   .before = c->padding / 2};
}

/* With x as it is. The maximum is exact; its gradient sums at most size^2 terms. */
static void check_passes(struct layer_bench *bench, const struct maxpool_case *c) {
    struct reference_pool pool = pool_of(bench, c);
    int64_t inputs = layer_bench_inputs(bench), outputs = layer_bench_outputs(bench);
    double *y = new_doubles(outputs), *dx = new_doubles(inputs);
    int *taps = calloc((size_t)outputs, sizeof *taps);
    ck_assert_ptr_nonnull(taps);
    reference_maxpool_forward(y, taps, bench->x[0], &pool);
    reference_maxpool_backward(dx, bench->dy, taps, &pool);
    layer_bench_forward(bench);
    layer_bench_check(bench, "y", bench->y, y, outputs, 0);
    layer_bench_backward(bench);
    layer_bench_check(bench, "dx", bench->dx[0], dx, inputs,
                      sum_tolerance((int64_t)c->size * c->size));
    free(y);
    free(dx);
    free(taps);
}

START_TEST(maxpool_matches_reference) {
    for (int technique = TECHNIQUE_REFERENCE; technique <= TECHNIQUE_VECTOR; technique++) {
        struct layer_bench bench;
        open_case(&bench, &cases[_i], technique);
        check_passes(&bench, &cases[_i]);
        layer_bench_close(&bench);
    }
}
END_TEST

START_TEST(maxpool_gives_the_gradient_of_a_tie_to_the_first_of_equals) {
    for (int technique = TECHNIQUE_REFERENCE; technique <= TECHNIQUE_VECTOR; technique++) {
        struct layer_bench bench;
        open_case(&bench, &cases[_i], technique);
        for (int64_t i = 0; i < layer_bench_inputs(&bench); i++)
            bench.x[0][i] = floorf(2 * bench.x[0][i]); /* -2, -1, 0, 1 */
        check_passes(&bench, &cases[_i]);
        layer_bench_close(&bench);
    }
}
END_TEST

START_TEST(maxpool_of_numbers_that_are_all_negative_is_negative) {
    for (int technique = TECHNIQUE_REFERENCE; technique <= TECHNIQUE_VECTOR; technique++) {
        struct layer_bench bench;
        open_case(&bench, &cases[2], technique);
        for (int64_t i = 0; i < layer_bench_inputs(&bench); i++)
            bench.x[0][i] -= 2;
        check_passes(&bench, &cases[2]);
        layer_bench_close(&bench);
    }
}
END_TEST

/* A NaN must come through: it is how a training that went wrong is noticed. */
START_TEST(maxpool_gives_nan_where_a_window_has_one) {
    for (int technique = TECHNIQUE_REFERENCE; technique <= TECHNIQUE_VECTOR; technique++) {
        struct layer_bench bench;
        open_case(&bench, &cases[0], technique);
        struct reference_pool pool = pool_of(&bench, &cases[0]);
        int64_t outputs = layer_bench_outputs(&bench), nans = 0;
        double *y = new_doubles(outputs);
        int *taps = calloc((size_t)outputs, sizeof *taps);
        ck_assert_ptr_nonnull(taps);
        for (int64_t i = 0; i < layer_bench_inputs(&bench); i += 13)
            bench.x[0][i] = NAN;
        reference_maxpool_forward(y, taps, bench.x[0], &pool);
        layer_bench_forward(&bench);
        for (int64_t i = 0; i < outputs; i++) {
            nans += isnan(y[i]) != 0;
            ck_assert(isnan(y[i]) ? isnan(bench.y[i]) : (double)bench.y[i] == y[i]);
        }
        ck_assert_int_gt(nans, 0);
        ck_assert_int_lt(nans, outputs);
        free(y);
        free(taps);
        layer_bench_close(&bench);
    }
}
END_TEST

/* Darknet's padding is a total, half of it, rounded down, before the picture: by hand. */
START_TEST(maxpool_has_darknets_geometry) {
    static const struct {
        const char *text;
        double want[4];
        int count;
    } rows[] = {
        /* 4 1 | 3 2 | and one more column than there is */
        {"[maxpool]\nsize=2\nstride=2\n", {4, 3}, 2},
        /* . 4 1 | 1 3 2 | */
        {"[maxpool]\nsize=3\nstride=2\n", {4, 3}, 2},
        /* . 4 1 3 | 4 1 3 2 | 1 3 2 . | 3 2 . . */
        {"[maxpool]\nsize=4\n", {4, 4, 3, 3}, 4},
        {"[maxpool]\nsize=2\nstride=1\npadding=0\n", {4, 3, 3}, 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        /* Four equal rows, so that each column of the result is one number. */
        static const float row[4] = {4, 1, 3, 2};
        struct layer_bench bench;
        struct layer_bench_options options = {.input = {1, 4, 4}, .batch = 1};
        layer_bench_open(&bench, rows[i].text, &options);
        for (int e = 0; e < 16; e++)
            bench.x[0][e] = row[e % 4];
        layer_bench_forward(&bench);
        ck_assert_int_eq(bench.layer.plan.output.w, rows[i].count);
        ck_assert_int_eq(bench.layer.plan.output.h, rows[i].count);
        layer_bench_check(&bench, "y", bench.y, rows[i].want, rows[i].count, 0);
        layer_bench_close(&bench);
    }
}
END_TEST

START_TEST(maxpool_that_does_not_fit_says_why) {
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"[maxpool]\nsize=3\npadding=3\n", "padding: 3 is not below size 3"},
        {"[maxpool]\nsize=5\npadding=0\n", "size: a 5 x 5 window does not fit the 6 x 4"},
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
    TCase *tests = tcase_create("maxpool");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_loop_test(tests, maxpool_matches_reference, 0, CASES);
    tcase_add_loop_test(tests, maxpool_gives_the_gradient_of_a_tie_to_the_first_of_equals, 0,
                        CASES);
    tcase_add_test(tests, maxpool_of_numbers_that_are_all_negative_is_negative);
    tcase_add_test(tests, maxpool_gives_nan_where_a_window_has_one);
    tcase_add_test(tests, maxpool_has_darknets_geometry);
    tcase_add_test(tests, maxpool_that_does_not_fit_says_why);
    return suite_run("layers/maxpool", tests);
}
