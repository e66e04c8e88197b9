#include "support/suite.h"

#include "train/split.h"

#include <string.h>

static int sum(const int *shares, int count) {
    int all = 0;
    for (int i = 0; i < count; i++)
        all += shares[i];
    return all;
}

START_TEST(split_even_gives_the_first_ones_what_is_left_over) {
    int shares[3];
    ck_succeeds(split_even(shares, 3, 128));
    ck_assert_int_eq(shares[0], 43);
    ck_assert_int_eq(shares[1], 43);
    ck_assert_int_eq(shares[2], 42);
    ck_fails(split_even(shares, 3, 2), ERROR_INPUT, "3 devices cannot share a batch of 2");
}
END_TEST

START_TEST(split_parse_takes_shares_that_add_up) {
    int shares[2];
    ck_succeeds(split_parse(shares, 2, 128, "96,32"));
    ck_assert_int_eq(shares[0], 96);
    ck_assert_int_eq(shares[1], 32);
    ck_succeeds(split_parse(shares, 1, 128, "128"));
    ck_assert_int_eq(shares[0], 128);
}
END_TEST

START_TEST(split_parse_says_what_is_wrong) {
    int shares[2];
    ck_fails(split_parse(shares, 2, 128, "96,31"), ERROR_INPUT, "add up to 127, and the batch is");
    ck_fails(split_parse(shares, 2, 128, "128"), ERROR_INPUT, "1 share for 2 devices");
    ck_fails(split_parse(shares, 2, 128, "64,32,32"), ERROR_INPUT, "more shares than devices");
    ck_fails(split_parse(shares, 2, 128, "128,0"), ERROR_INPUT, "share 2 must be at least 1");
    ck_fails(split_parse(shares, 2, 128, "64,"), ERROR_INPUT, "share 2");
    ck_fails(split_parse(shares, 2, 128, ""), ERROR_INPUT, "share 1");
    ck_fails(split_parse(shares, 2, 128, "a,b"), ERROR_INPUT, "share 1");
    ck_fails(split_parse(shares, 2, 128, "11111111111111111111,1"), ERROR_INPUT, "share 1");
}
END_TEST

START_TEST(split_by_rates_gives_each_in_proportion_and_in_tiles) {
    int shares[3];
    split_by_rates(shares, (double[]){300, 100}, 2, 128);
    ck_assert_int_eq(shares[0], 96);
    ck_assert_int_eq(shares[1], 32);
    split_by_rates(shares, (double[]){1, 1, 1}, 3, 96);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(shares[i], 32);
    /* However slow, a device has a share. */
    split_by_rates(shares, (double[]){1e6, 1, 1}, 3, 128);
    ck_assert_int_eq(sum(shares, 3), 128);
    ck_assert_int_ge(shares[1], 1);
    ck_assert_int_ge(shares[2], 1);
    ck_assert_int_gt(shares[0], 100);
}
END_TEST

START_TEST(split_by_rates_adds_up_to_every_batch) {
    for (int batch = 4; batch <= 300; batch++) {
        int shares[4];
        split_by_rates(shares, (double[]){3.1, 0.2, 1, 7}, 4, batch);
        ck_assert_int_eq(sum(shares, 4), batch);
        for (int i = 0; i < 4; i++)
            ck_assert_int_ge(shares[i], 1);
    }
}
END_TEST

/* No other division into whole tiles takes less time: all of them are tried. */
START_TEST(split_by_rates_is_the_fastest_that_there_is) {
    static const double rates[] = {211, 77};
    int shares[2];
    split_by_rates(shares, rates, 2, 64);
    double found = split_seconds(shares, rates, 2);
    for (int first = 8; first < 64; first += 8) {
        int other[] = {first, 64 - first};
        ck_assert_double_ge(split_seconds(other, rates, 2), found);
    }
}
END_TEST

START_TEST(split_first_covers_every_sample_once_and_nobody_gets_more_than_a_share) {
    static const int shares[] = {96, 7, 25};
    for (int samples = 0; samples <= 128; samples++) {
        ck_assert_int_eq(split_first(shares, 3, samples, 0), 0);
        ck_assert_int_eq(split_first(shares, 3, samples, 3), samples);
        for (int i = 0; i < 3; i++) {
            int part = split_first(shares, 3, samples, i + 1) - split_first(shares, 3, samples, i);
            ck_assert_int_ge(part, 0);
            ck_assert_int_le(part, shares[i]);
        }
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("split");
    tcase_add_test(tests, split_even_gives_the_first_ones_what_is_left_over);
    tcase_add_test(tests, split_parse_takes_shares_that_add_up);
    tcase_add_test(tests, split_parse_says_what_is_wrong);
    tcase_add_test(tests, split_by_rates_gives_each_in_proportion_and_in_tiles);
    tcase_add_test(tests, split_by_rates_adds_up_to_every_batch);
    tcase_add_test(tests, split_by_rates_is_the_fastest_that_there_is);
    tcase_add_test(tests, split_first_covers_every_sample_once_and_nobody_gets_more_than_a_share);
    return suite_run("train/split", tests);
}
