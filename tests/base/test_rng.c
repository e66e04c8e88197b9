/* The random generator: the published answers, and statistics coarse enough to be certain. The
 * seeds are fixed, so each test gives the same result always. */
#include "base/rng.h"

#include "support/suite.h"

#include <math.h>
#include <string.h>

enum { SAMPLES = 1 << 20 };

/* Salmon et al.'s known answers for philox4x32-10, from the Random123 distribution. The stream is
 * the second word of the key, so that it takes values that are no stream's here. */
START_TEST(rng_words_are_the_published_answers_of_philox4x32_10) {
    static const struct {
        uint32_t counter[4], key[2], words[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t words[4];
        rng_words(words, known[i].key[0], (enum rng_stream)known[i].key[1], known[i].counter);
        ck_assert_mem_eq(words, known[i].words, sizeof words);
    }
}
END_TEST

START_TEST(rng_next_walks_the_counters_in_order) {
    struct rng rng = rng_start(42, RNG_SHUFFLE, 7, 9);
    for (uint32_t block = 0; block < 3; block++) {
        uint32_t words[4];
        rng_words(words, 42, RNG_SHUFFLE, (uint32_t[]){block, 0, 9, 7});
        for (int i = 0; i < 4; i++)
            ck_assert_uint_eq(rng_next(&rng), words[i]);
    }
}
END_TEST

START_TEST(rng_next_carries_into_the_second_word_of_the_counter) {
    struct rng rng = rng_start(1, RNG_SHUFFLE, 0, 0);
    rng.counter[0] = UINT32_MAX;
    for (int i = 0; i < 4; i++)
        (void)rng_next(&rng);
    uint32_t words[4];
    rng_words(words, 1, RNG_SHUFFLE, (uint32_t[]){0, 1, 0, 0});
    ck_assert_uint_eq(rng_next(&rng), words[0]);
}
END_TEST

START_TEST(rng_streams_seeds_and_counters_give_different_numbers) {
    struct rng others[] = {
        rng_start(2, RNG_SHUFFLE, 0, 0),
        rng_start(1, RNG_DROPOUT, 0, 0),
        rng_start(1, RNG_SHUFFLE, 1, 0),
        rng_start(1, RNG_SHUFFLE, 0, 1),
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct rng rng = rng_start(1, RNG_SHUFFLE, 0, 0);
        int equal = 0;
        for (int n = 0; n < 1000; n++)
            equal += rng_next(&rng) == rng_next(&others[i]);
        ck_assert_int_eq(equal, 0);
    }
}
END_TEST

START_TEST(rng_below_stays_below_its_bound) {
    static const uint32_t bounds[] = {1, 2, 3, 10, 1000003, 0x80000000, 0x80000001, UINT32_MAX};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        struct rng rng = rng_start(5, RNG_SHUFFLE, 0, 0);
        for (int n = 0; n < 10000; n++)
            ck_assert_uint_lt(rng_below(&rng, bounds[i]), bounds[i]);
    }
}
END_TEST

/* A side's count is binomial; it strays by 5 standard deviations with a probability of 6e-7. */
START_TEST(rng_below_is_fair) {
    enum { BOUND = 7 };
    struct rng rng = rng_start(6, RNG_SHUFFLE, 0, 0);
    int counts[BOUND] = {0};
    for (int n = 0; n < SAMPLES; n++)
        counts[rng_below(&rng, BOUND)]++;
    double expected = (double)SAMPLES / BOUND;
    double deviation = sqrt(expected * (1 - 1.0 / BOUND));
    for (int i = 0; i < BOUND; i++)
        ck_assert_double_eq_tol(counts[i], expected, 5 * deviation);
}
END_TEST

/* With a plain modulus the lower third of 0..3*2^30-1 would come twice as often as the others. */
START_TEST(rng_below_does_not_favour_small_numbers_of_a_large_bound) {
    const uint32_t bound = UINT32_C(3) << 30;
    struct rng rng = rng_start(7, RNG_SHUFFLE, 0, 0);
    int thirds[3] = {0};
    for (int n = 0; n < SAMPLES; n++)
        thirds[rng_below(&rng, bound) >> 30]++;
    double expected = SAMPLES / 3.0;
    double deviation = sqrt(expected * 2 / 3);
    for (int i = 0; i < 3; i++)
        ck_assert_double_eq_tol(thirds[i], expected, 5 * deviation);
}
END_TEST

/* The mean of n uniform numbers strays by sqrt(1/12n), their variance by sqrt(1/180n). */
START_TEST(rng_uniform_has_the_mean_and_variance_of_the_unit_interval) {
    struct rng rng = rng_start(8, RNG_INITIALISE, 0, 0);
    double sum = 0, squares = 0;
    for (int n = 0; n < SAMPLES; n++) {
        double x = rng_uniform(&rng);
        ck_assert(x > 0 && x < 1);
        sum += x;
        squares += (x - 0.5) * (x - 0.5);
    }
    ck_assert_double_eq_tol(sum / SAMPLES, 0.5, 5 * sqrt(1.0 / 12 / SAMPLES));
    ck_assert_double_eq_tol(squares / SAMPLES, 1.0 / 12, 5 * sqrt(1.0 / 180 / SAMPLES));
}
END_TEST

START_TEST(rng_uniform_of_the_extreme_words_is_inside_the_open_interval) {
    struct rng rng = {.words = {0, UINT32_MAX, 0, UINT32_MAX}, .left = 4};
    float least = rng_uniform(&rng), greatest = rng_uniform(&rng);
    ck_assert(least > 0.0F);
    ck_assert(greatest < 1.0F);
    ck_assert(least == 1.0F - greatest);
}
END_TEST

/* Of n gaussians the mean strays by 1/sqrt(n), the variance by sqrt(2/n), the correlation of pairs
 * by 1/sqrt(n/2), and the third and fourth moments by sqrt(15/n) and sqrt(96/n). */
START_TEST(rng_gaussian_pair_has_the_moments_of_the_normal_distribution) {
    struct rng rng = rng_start(9, RNG_INITIALISE, 0, 0);
    double moments[5] = {0}, product = 0;
    for (int n = 0; n < SAMPLES / 2; n++) {
        float pair[2];
        rng_gaussian_pair(&rng, pair);
        product += (double)pair[0] * pair[1];
        for (int i = 0; i < 2; i++) {
            ck_assert(isfinite(pair[i]));
            for (int power = 1; power <= 4; power++)
                moments[power] += pow(pair[i], power) / SAMPLES;
        }
    }
    ck_assert_double_eq_tol(moments[1], 0, 5 * sqrt(1.0 / SAMPLES));
    ck_assert_double_eq_tol(moments[2], 1, 5 * sqrt(2.0 / SAMPLES));
    ck_assert_double_eq_tol(moments[3], 0, 5 * sqrt(15.0 / SAMPLES));
    ck_assert_double_eq_tol(moments[4], 3, 5 * sqrt(96.0 / SAMPLES));
    ck_assert_double_eq_tol(product / (SAMPLES / 2), 0, 5 * sqrt(2.0 / SAMPLES));
}
END_TEST

START_TEST(rng_gaussian_pair_is_finite_for_the_extreme_words) {
    static const uint32_t extremes[] = {0, UINT32_MAX};
    for (int i = 0; i < 4; i++) {
        struct rng rng = {.words = {0, 0, extremes[i & 1], extremes[i >> 1]}, .left = 2};
        float pair[2];
        rng_gaussian_pair(&rng, pair);
        ck_assert(isfinite(pair[0]) && isfinite(pair[1]));
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("rng");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, rng_words_are_the_published_answers_of_philox4x32_10);
    tcase_add_test(tests, rng_next_walks_the_counters_in_order);
    tcase_add_test(tests, rng_next_carries_into_the_second_word_of_the_counter);
    tcase_add_test(tests, rng_streams_seeds_and_counters_give_different_numbers);
    tcase_add_test(tests, rng_below_stays_below_its_bound);
    tcase_add_test(tests, rng_below_is_fair);
    tcase_add_test(tests, rng_below_does_not_favour_small_numbers_of_a_large_bound);
    tcase_add_test(tests, rng_uniform_has_the_mean_and_variance_of_the_unit_interval);
    tcase_add_test(tests, rng_uniform_of_the_extreme_words_is_inside_the_open_interval);
    tcase_add_test(tests, rng_gaussian_pair_has_the_moments_of_the_normal_distribution);
    tcase_add_test(tests, rng_gaussian_pair_is_finite_for_the_extreme_words);
    return suite_run("base/rng", tests);
}
