/* Dropout: its mask is a function of where an element stands, and of nothing else. */
#include "support/device.h"
#include "support/layer_bench.h"
#include "support/numbers.h"
#include "support/suite.h"

#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct shape odd_shape = {3, 3, 7}; /* 63 elements, not whole words of four */

static const char *const quarter = "[dropout]\nprobability=0.25\n";

static void open_dropout(struct layer_bench *bench, const char *text, int batch, int tile,
                         enum technique technique) {
    struct layer_bench_options options = {
        .input = odd_shape, .batch = batch, .tile = tile, .technique = technique};
    layer_bench_open(bench, text, &options);
}

/* What a sample's element is multiplied by, as kernels_cl/dropout.cl says it. */
static float factor(const struct layer_run *run, int sample, int element, double probability) {
    uint32_t words[4];
    const uint32_t counter[4] = {(uint32_t)element / 4, run->first_sample + (uint32_t)sample,
                                 run->iteration, run->index};
    rng_words(words, run->seed, RNG_DROPOUT, counter);
    int is_dropped = words[element % 4] < probability * 4294967296.0;
    return is_dropped ? 0.0F : (float)(1 / (1 - probability));
}

/* Bit for bit: forward and backward multiply by the same factor. */
static void check_mask(struct layer_bench *bench, double probability) {
    int elements = (int)shape_elements(odd_shape);
    layer_bench_forward(bench);
    layer_bench_backward(bench);
    for (int i = 0; i < layer_bench_inputs(bench); i++) {
        float f = factor(&bench->run, i / elements, i % elements, probability);
        ck_assert_msg(bench->y[i] == bench->x[0][i] * f, "y[%d] is %g", i, (double)bench->y[i]);
        ck_assert_msg(bench->dx[0][i] == bench->dy[i] * f, "dx[%d] is %g", i,
                      (double)bench->dx[0][i]);
    }
}

START_TEST(dropout_mask_is_that_of_philox) {
    static const struct { int batch, tile; } rows[] = {{1, 0}, {7, 0}, {12, 0}, {33, 32}};
    for (int technique = TECHNIQUE_REFERENCE; technique <= TECHNIQUE_VECTOR; technique++) {
        struct layer_bench bench;
        open_dropout(&bench, quarter, rows[_i].batch, rows[_i].tile, (enum technique)technique);
        check_mask(&bench, 0.25);
        bench.run.seed = UINT32_MAX;
        bench.run.iteration = 1000000;
        bench.run.index = 17;
        bench.run.first_sample = UINT32_C(0x80000000);
        check_mask(&bench, 0.25);
        layer_bench_close(&bench);
    }
}
END_TEST

/* The same samples in one batch, and as two micro-batches with another tile. */
START_TEST(dropout_does_not_depend_on_how_a_batch_is_divided) {
    enum { BATCH = 12, FIRST = 5 };
    struct layer_bench whole, part;
    int elements = (int)shape_elements(odd_shape);
    open_dropout(&whole, quarter, BATCH, 0, TECHNIQUE_VECTOR);
    layer_bench_forward(&whole);
    for (int begin = 0; begin < BATCH; begin += FIRST) {
        int count = BATCH - begin < FIRST ? BATCH - begin : FIRST;
        size_t bytes = (size_t)(count * elements) * sizeof(float);
        open_dropout(&part, quarter, count, 2, TECHNIQUE_VECTOR);
        memcpy(part.x[0], whole.x[0] + begin * elements, bytes);
        part.run.first_sample = (uint32_t)begin;
        layer_bench_forward(&part);
        ck_assert_mem_eq(part.y, whole.y + begin * elements, bytes);
        layer_bench_close(&part);
    }
    layer_bench_close(&whole);
}
END_TEST

static void count_zeros(const struct layer_bench *bench, int64_t *zeros) {
    for (int64_t i = 0; i < layer_bench_outputs(bench); i++)
        *zeros += bench->y[i] == 0;
}

/* A count of n draws strays from n p by 5 sqrt(n p (1 - p)) with a probability of 6e-7. */
START_TEST(dropout_drops_with_its_probability) {
    static const struct {
        const char *text;
        double probability;
    } rows[] = {{"[dropout]\nprobability=0.25\n", 0.25},
                {"[dropout]\n", 0.5},
                {"[dropout]\nprobability=0.9\n", 0.9}};
    enum { ITERATIONS = 20 };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct layer_bench bench;
        int64_t zeros = 0;
        open_dropout(&bench, rows[i].text, 12, 0, TECHNIQUE_VECTOR);
        for (uint32_t iteration = 0; iteration < ITERATIONS; iteration++) {
            bench.run.iteration = iteration;
            layer_bench_forward(&bench);
            count_zeros(&bench, &zeros);
        }
        double p = rows[i].probability, n = ITERATIONS * (double)layer_bench_outputs(&bench);
        ck_assert_double_eq_tol((double)zeros, n * p, 5 * sqrt(n * p * (1 - p)));
        layer_bench_close(&bench);
    }
}
END_TEST

START_TEST(dropout_with_probability_0_drops_nothing) {
    struct layer_bench bench;
    open_dropout(&bench, "[dropout]\nprobability=0\n", 7, 0, TECHNIQUE_VECTOR);
    check_mask(&bench, 0);
    layer_bench_close(&bench);
}
END_TEST

START_TEST(dropout_changes_nothing_outside_training) {
    for (int technique = TECHNIQUE_REFERENCE; technique <= TECHNIQUE_VECTOR; technique++) {
        struct layer_bench bench;
        open_dropout(&bench, "[dropout]\n", 7, 0, (enum technique)technique);
        size_t bytes = (size_t)layer_bench_outputs(&bench) * sizeof(float);
        bench.run.is_training = 0;
        layer_bench_forward(&bench);
        ck_assert_mem_eq(bench.y, bench.x[0], bytes);
        layer_bench_close(&bench);
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("dropout");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_loop_test(tests, dropout_mask_is_that_of_philox, 0, 4);
    tcase_add_test(tests, dropout_does_not_depend_on_how_a_batch_is_divided);
    tcase_add_test(tests, dropout_drops_with_its_probability);
    tcase_add_test(tests, dropout_with_probability_0_drops_nothing);
    tcase_add_test(tests, dropout_changes_nothing_outside_training);
    return suite_run("layers/dropout", tests);
}
