/* How parameters begin: the moments of each distribution, and that numbers depend on seed and index
 * alone. The seeds are fixed, so each test gives the same result always. */
#include "support/numbers.h"
#include "support/suite.h"

#include "layers/initialiser.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 100001 }; /* odd: gaussians come in pairs */

struct moments {
    double mean, deviation, least, greatest;
};

static struct moments moments_of(const struct initialiser *initialiser) {
    float *values = new_floats(COUNT);
    double sum = 0, squares = 0;
    struct moments moments = {.least = INFINITY, .greatest = -INFINITY};
    initialiser_fill(values, COUNT, initialiser, 7, 3);
    for (int i = 0; i < COUNT; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
        moments.least = fmin(moments.least, (double)values[i]);
        moments.greatest = fmax(moments.greatest, (double)values[i]);
    }
    free(values);
    moments.mean = sum / COUNT;
    moments.deviation = sqrt(squares / COUNT - moments.mean * moments.mean);
    return moments;
}

/* The mean of n numbers of deviation s strays by s / sqrt n, their deviation, if they are gaussian,
 * by s / sqrt(2 n). */
static void check_gaussian(const struct initialiser *initialiser, double sigma) {
    struct moments m = moments_of(initialiser);
    ck_assert_double_eq_tol(m.mean, 0, 5 * sigma / sqrt(COUNT));
    ck_assert_double_eq_tol(m.deviation, sigma, 5 * sigma / sqrt(2.0 * COUNT));
    ck_assert_double_gt(m.greatest, 3.5 * sigma); /* 23 of them are expected */
}

/* The deviation is range / sqrt 3, and nearly all of the range is reached. */
static void check_uniform(const struct initialiser *initialiser, double range) {
    struct moments m = moments_of(initialiser);
    ck_assert_double_eq_tol(m.mean, 0, 5 * range / sqrt(3.0 * COUNT));
    ck_assert_double_eq_tol(m.deviation, range / sqrt(3), 5 * range / sqrt(3.0 * COUNT));
    ck_assert_double_ge(m.least, -range * (1 + 1e-6));
    ck_assert_double_le(m.greatest, range * (1 + 1e-6));
    ck_assert_double_lt(m.least, -0.999 * range);
    ck_assert_double_gt(m.greatest, 0.999 * range);
}

START_TEST(initialiser_constant_is_its_value) {
    struct moments m =
        moments_of(&(struct initialiser){.kind = INITIALISER_CONSTANT, .value = -1.5});
    ck_assert_double_eq(m.least, -1.5);
    ck_assert_double_eq(m.greatest, -1.5);
}
END_TEST

START_TEST(initialiser_gaussian_has_its_sigma) {
    check_gaussian(&(struct initialiser){.kind = INITIALISER_GAUSSIAN, .sigma = 0.01}, 0.01);
}
END_TEST

START_TEST(initialiser_uniform_has_its_range) {
    check_uniform(&(struct initialiser){.kind = INITIALISER_UNIFORM, .range = 0.05}, 0.05);
}
END_TEST

/* Glorot and Bengio: uniform, range sqrt(6 / (fan in + fan out)). */
START_TEST(initialiser_xavier_takes_its_range_from_both_fans) {
    check_uniform(&(struct initialiser){.kind = INITIALISER_XAVIER, .fan_in = 363, .fan_out = 96},
                  sqrt(6.0 / 459));
}
END_TEST

/* He et al.: gaussian, sigma sqrt(2 / fan in). */
START_TEST(initialiser_msra_takes_its_sigma_from_the_fan_in) {
    check_gaussian(&(struct initialiser){.kind = INITIALISER_MSRA, .fan_in = 363, .fan_out = 96},
                   sqrt(2.0 / 363));
}
END_TEST

START_TEST(initialiser_depends_on_seed_and_index_alone) {
    enum { FEW = 101 };
    const struct initialiser gaussian = {.kind = INITIALISER_GAUSSIAN, .sigma = 1};
    float first[FEW], again[FEW + 1], other_seed[FEW], other_index[FEW];
    again[FEW] = 42;
    initialiser_fill(first, FEW, &gaussian, 1, 2);
    initialiser_fill(again, FEW, &gaussian, 1, 2);
    initialiser_fill(other_seed, FEW, &gaussian, 2, 2);
    initialiser_fill(other_index, FEW, &gaussian, 1, 3);
    ck_assert_mem_eq(first, again, sizeof first);
    ck_assert_mem_ne(first, other_seed, sizeof first);
    ck_assert_mem_ne(first, other_index, sizeof first);
    ck_assert(again[FEW] == 42); /* an odd count ends where it should */
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("initialiser");
    tcase_add_test(tests, initialiser_constant_is_its_value);
    tcase_add_test(tests, initialiser_gaussian_has_its_sigma);
    tcase_add_test(tests, initialiser_uniform_has_its_range);
    tcase_add_test(tests, initialiser_xavier_takes_its_range_from_both_fans);
    tcase_add_test(tests, initialiser_msra_takes_its_sigma_from_the_fan_in);
    tcase_add_test(tests, initialiser_depends_on_seed_and_index_alone);
    return suite_run("layers/initialiser", tests);
}
