/* From the time that parts take to a division of the batch. */
#include "support/suite.h"

#include "train/pace.h"

enum { BATCH = 128 };

static struct pace *pace;

static void setup(void) {
    ck_succeeds(pace_create(&pace, 2, BATCH, PACE_SOON));
}

static void teardown(void) {
    pace_free(pace);
}

/* A batch in which these parts take these seconds, where anyone looks at the clock. */
static void work(const int *shares, double first, double second) {
    const double seconds[] = {first, second};
    for (int i = 0; i < 2; i++) {
        if (pace_count(pace, i))
            pace_note(pace, i, shares[i], seconds[i]);
    }
}

START_TEST(pace_times_the_first_batches_but_the_very_first) {
    ck_assert(!pace_count(pace, 1));
    for (int i = 1; i < PACE_SOON; i++)
        ck_assert(pace_count(pace, 1));
    ck_assert(!pace_count(pace, 1));
    ck_assert(!pace_count(pace, 0)); /* its own first one */
}
END_TEST

START_TEST(pace_is_due_soon_at_first_and_then_later) {
    static const int shares[] = {64, 64};
    const int *better;
    for (int i = 0; i < PACE_SOON; i++) {
        ck_assert(!pace_is_due(pace));
        work(shares, 1, 1);
    }
    ck_assert(pace_is_due(pace));
    (void)pace_take(pace, shares, &better);
    for (int i = 0; i < PACE_LATER; i++) {
        ck_assert(!pace_is_due(pace));
        work(shares, 1, 1);
    }
    ck_assert(pace_is_due(pace));
}
END_TEST

START_TEST(pace_finds_the_shares_with_which_all_take_the_same_time) {
    static const int shares[] = {64, 64};
    const int *better = NULL;
    /* 3 s become 1.5 s for both. */
    for (int i = 0; i < 3; i++)
        work(shares, 1, 3);
    ck_assert_double_eq_tol(pace_take(pace, shares, &better), 0.5, 1e-9);
    ck_assert_int_eq(better[0], 96);
    ck_assert_int_eq(better[1], 32);
}
END_TEST

START_TEST(pace_begins_anew_once_its_rates_are_taken) {
    static const int shares[] = {64, 64};
    const int *better = NULL;
    for (int i = 0; i < 3; i++)
        work(shares, 1, 3);
    (void)pace_take(pace, shares, &better);
    for (int i = 0; i < 3; i++)
        work(shares, 3, 1);
    (void)pace_take(pace, shares, &better);
    ck_assert_int_eq(better[0], 32);
}
END_TEST

START_TEST(pace_that_knows_nothing_of_a_device_divides_nothing) {
    static const int shares[] = {64, 64};
    (void)pace_count(pace, 0);
    ck_assert(pace_count(pace, 0));
    pace_note(pace, 0, 64, 1);
    ck_assert_ptr_null(pace_divide(pace, shares));
    ck_assert_ptr_null(pace_divide(pace, shares));
}
END_TEST

/* What takes the second one 80 s / 0.96 or / 0.94 takes 80 s when the first has 80 samples: 4 % are
 * not worth it, 6 % are. */
START_TEST(pace_divides_anew_only_where_that_saves_enough) {
    static const int shares[] = {64, 64};
    for (int i = 0; i < 2; i++)
        work(shares, 64, 80 / 0.96);
    ck_assert_ptr_null(pace_divide(pace, shares));
    for (int i = 0; i < 2; i++)
        work(shares, 64, 80 / 0.94);
    const int *better = pace_divide(pace, shares);
    ck_assert_ptr_nonnull(better);
    ck_assert_int_eq(better[0], 80);
    ck_assert_int_eq(better[1], 48);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("pace");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, pace_times_the_first_batches_but_the_very_first);
    tcase_add_test(tests, pace_is_due_soon_at_first_and_then_later);
    tcase_add_test(tests, pace_finds_the_shares_with_which_all_take_the_same_time);
    tcase_add_test(tests, pace_begins_anew_once_its_rates_are_taken);
    tcase_add_test(tests, pace_that_knows_nothing_of_a_device_divides_nothing);
    tcase_add_test(tests, pace_divides_anew_only_where_that_saves_enough);
    return suite_run("train/pace", tests);
}
