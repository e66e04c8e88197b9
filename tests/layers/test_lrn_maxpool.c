/* Normalisation and max-pooling by one kernel: bands that are not whole, windows and channels that
 * end at the edges, and both by the kernels of each. */
#include "layers/fused.h"
#include "layers/lrn.h"
#include "layers/maxpool.h"
#include "reference/reference.h"
#include "support/device.h"
#include "support/layer_bench.h"
#include "support/numbers.h"
#include "support/suite.h"

#include <math.h>
#include <stdlib.h>

struct both_case {
    const char *lrn, *pool;
    struct shape in;
    int batch, tile;
};

static const struct both_case cases[] = {
    {"[lrn]\nalpha=0.5\n", "[maxpool]\nsize=3\nstride=2\npadding=0\n", {9, 9, 7}, 7, 0},
    /* padding on both sides; fewer channels than a window's half */
    {"[lrn]\nsize=9\nalpha=1\nk=1\n", "[maxpool]\nsize=3\n", {3, 4, 5}, 33, 0},
    /* pixels that no window sees; another power */
    {"[lrn]\nsize=3\nbeta=1.7\n", "[maxpool]\nsize=1\nstride=3\n", {5, 7, 8}, 1, 0},
    /* a window higher than the picture */
    {"[lrn]\nsize=1\n", "[maxpool]\nsize=5\nstride=2\npadding=3\n", {3, 2, 9}, 12, 0},
    /* several bands of rows, the last not whole */
    {"[lrn]\n", "[maxpool]\nsize=3\nstride=2\npadding=0\n", {6, 31, 33}, 17, 32},
    /* and of columns: one row of windows is more than a band holds */
    {"[lrn]\n", "[maxpool]\nsize=9\nstride=4\npadding=0\n", {2, 13, 61}, 5, 32},
};

enum { CASES = sizeof cases / sizeof *cases, TOO_LARGE_FOR_SMALL = 4 };

/* The layers by themselves, and both as one. */
struct both {
    struct layer_bench lrn, pool, bench;
};

static void open_case(struct both *both, const struct both_case *c, enum technique technique) {
    struct layer_bench_options options = {
        .input = c->in, .batch = c->batch, .tile = c->tile, .technique = technique};
    ck_succeeds(layer_bench_infer(&both->lrn, c->lrn, &options));
    ck_succeeds(layer_bench_infer(&both->pool, c->pool, &options));
    struct fused fused = {&both->lrn.layer, &both->pool.layer};
    layer_bench_open_as(&both->bench, &layer_lrn_maxpool, &fused, &options);
}

static void close_case(struct both *both) {
    layer_bench_close(&both->bench);
    layer_bench_close(&both->lrn);
    layer_bench_close(&both->pool);
}

static float *rounded(const double *values, int64_t count) {
    float *floats = new_floats(count);
    for (int64_t i = 0; i < count; i++)
        floats[i] = (float)values[i];
    return floats;
}

/* One after the other, in double precision but for what lies between them. */
static void check_passes(struct both *both) {
    struct layer_bench *bench = &both->bench;
    struct reference_lrn lrn = lrn_problem(&both->lrn.layer, bench->options.batch);
    struct reference_pool pool = maxpool_problem(&both->pool.layer, bench->options.batch);
    int64_t inputs = layer_bench_inputs(bench), outputs = layer_bench_outputs(bench);
    double tolerance = 2 * sum_tolerance(lrn.size + (int64_t)pool.size_h * pool.size_w);
    double *between = new_doubles(inputs), *y = new_doubles(outputs), *dx = new_doubles(inputs);
    int *taps = calloc((size_t)outputs, sizeof *taps);
    ck_assert_ptr_nonnull(taps);

    reference_lrn_forward(between, bench->x[0], &lrn);
    float *pooled = rounded(between, inputs);
    reference_maxpool_forward(y, taps, pooled, &pool);
    layer_bench_forward(bench);
    layer_bench_check(bench, "y", bench->y, y, outputs, tolerance);

    reference_maxpool_backward(between, bench->dy, taps, &pool);
    float *slopes = rounded(between, inputs);
    reference_lrn_backward(dx, bench->x[0], slopes, &lrn);
    layer_bench_backward(bench);
    layer_bench_check(bench, "dx", bench->dx[0], dx, inputs, tolerance);
    free(pooled);
    free(slopes);
    free(between);
    free(y);
    free(dx);
    free(taps);
}

START_TEST(lrn_maxpool_matches_reference) {
    static const enum technique techniques[] = {TECHNIQUE_REFERENCE, TECHNIQUE_VECTOR};
    if (_i >= TOO_LARGE_FOR_SMALL && test_is_small())
        SKIP_TEST(TEST_TOO_LARGE);
    for (int i = 0; i < 2; i++) {
        struct both both;
        open_case(&both, &cases[_i], techniques[i]);
        check_passes(&both);
        close_case(&both);
    }
}
END_TEST

/* Equal numbers in a window, of equal channels. */
START_TEST(lrn_maxpool_gives_the_gradient_of_a_tie_to_the_first_of_equals) {
    struct both both;
    open_case(&both, &cases[0], TECHNIQUE_VECTOR);
    for (int64_t i = 0; i < layer_bench_inputs(&both.bench); i++)
        both.bench.x[0][i] = 1;
    check_passes(&both);
    close_case(&both);
}
END_TEST

START_TEST(lrn_maxpool_gives_nan_where_a_window_has_one) {
    struct both both;
    open_case(&both, &cases[0], TECHNIQUE_VECTOR);
    struct layer_bench *bench = &both.bench;
    bench->x[0][0] = NAN; /* of the first channel: it is in the windows of three */
    layer_bench_forward(bench);
    int64_t pixels = (int64_t)bench->layer.plan.output.h * bench->layer.plan.output.w;
    for (int64_t i = 0; i < layer_bench_outputs(bench); i++)
        ck_assert_int_eq(isnan(bench->y[i]) != 0, i % pixels == 0 && i / pixels < 3);
    close_case(&both);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("lrn_maxpool");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_loop_test(tests, lrn_maxpool_matches_reference, 0, CASES);
    tcase_add_test(tests, lrn_maxpool_gives_the_gradient_of_a_tie_to_the_first_of_equals);
    tcase_add_test(tests, lrn_maxpool_gives_nan_where_a_window_has_one);
    return suite_run("layers/lrn_maxpool", tests);
}
