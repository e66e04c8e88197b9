#include "support/suite.h"

#include "train/schedule.h"

#include <math.h>
#include <string.h>

static struct net_options options(enum learning_policy policy) {
    struct net_options o;
    options_defaults(&o, net_option_table);
    o.learning_rate = 0.5;
    o.policy = policy;
    o.step = 10;
    o.scale = 0.5;
    o.gamma = 0.9;
    o.power = 2;
    return o;
}

static double rate(const struct net_options *o, int64_t iteration) {
    struct schedule schedule = schedule_start(o, 100);
    return schedule_rate(&schedule, iteration);
}

START_TEST(schedule_constant_stays) {
    struct net_options o = options(POLICY_CONSTANT);
    ck_assert_double_eq(rate(&o, 0), 0.5);
    ck_assert_double_eq(rate(&o, 99), 0.5);
}
END_TEST

START_TEST(schedule_step_falls_every_step) {
    struct net_options o = options(POLICY_STEP);
    ck_assert_double_eq_tol(rate(&o, 9), 0.5, 1e-15);
    ck_assert_double_eq_tol(rate(&o, 10), 0.25, 1e-15);
    ck_assert_double_eq_tol(rate(&o, 25), 0.125, 1e-15);
}
END_TEST

START_TEST(schedule_steps_multiplies_by_every_scale_that_is_reached) {
    struct net_options o = options(POLICY_STEPS);
    o.steps = (struct option_ints){.count = 2, .values = {20, 40}};
    o.scales = (struct option_floats){.count = 2, .values = {0.1, 10}};
    ck_assert_double_eq_tol(rate(&o, 19), 0.5, 1e-15);
    ck_assert_double_eq_tol(rate(&o, 20), 0.05, 1e-15);
    ck_assert_double_eq_tol(rate(&o, 40), 0.5, 1e-15);
}
END_TEST

START_TEST(schedule_exp_poly_and_sig_follow_their_formulas) {
    struct net_options o = options(POLICY_EXP);
    ck_assert_double_eq_tol(rate(&o, 3), 0.5 * 0.9 * 0.9 * 0.9, 1e-15);
    o = options(POLICY_POLY);
    ck_assert_double_eq_tol(rate(&o, 75), 0.5 * 0.25 * 0.25, 1e-15);
    o = options(POLICY_SIG);
    ck_assert_double_eq_tol(rate(&o, 10), 0.25, 1e-15);
    ck_assert_double_eq_tol(rate(&o, 12), 0.5 / (1 + exp(1.8)), 1e-15);
}
END_TEST

START_TEST(schedule_burn_in_rises_to_the_rate) {
    struct net_options o = options(POLICY_CONSTANT);
    o.burn_in = 4;
    ck_assert_double_eq_tol(rate(&o, 0), 0.5 / 16, 1e-15);
    ck_assert_double_eq_tol(rate(&o, 1), 0.5 / 4, 1e-15);
    ck_assert_double_eq_tol(rate(&o, 3), 0.5, 1e-15);
    ck_assert_double_eq_tol(rate(&o, 4), 0.5, 1e-15);
}
END_TEST

START_TEST(schedule_plateau_falls_after_patience_and_never_below_the_least_rate) {
    struct net_options o = options(POLICY_PLATEAU);
    o.patience = 2;
    o.factor = 0.1;
    o.least_rate = 0.01;
    struct schedule schedule = schedule_start(&o, 100);
    ck_assert_int_eq(schedule_evaluated(&schedule, 0.9), 0);
    ck_assert_int_eq(schedule_evaluated(&schedule, 0.8), 0);
    ck_assert_int_eq(schedule_evaluated(&schedule, 0.8), 0); /* not better: once */
    ck_assert_int_eq(schedule_evaluated(&schedule, 0.7), 0); /* better: count anew */
    ck_assert_int_eq(schedule_evaluated(&schedule, 0.7), 0);
    ck_assert_int_eq(schedule_evaluated(&schedule, 0.75), 1);
    ck_assert_double_eq_tol(schedule_rate(&schedule, 50), 0.05, 1e-15);
    ck_assert_int_eq(schedule_evaluated(&schedule, 0.7), 0);
    ck_assert_int_eq(schedule_evaluated(&schedule, 0.7), 1);
    ck_assert_double_eq_tol(schedule_rate(&schedule, 51), 0.01, 1e-15);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(schedule_evaluated(&schedule, 0.7), 0);
    ck_assert_double_eq_tol(schedule_rate(&schedule, 52), 0.01, 1e-15);
}
END_TEST

START_TEST(schedule_plateau_ignores_an_improvement_below_the_threshold) {
    struct net_options o = options(POLICY_PLATEAU);
    o.patience = 1;
    o.threshold = 0.1;
    struct schedule schedule = schedule_start(&o, 100);
    (void)schedule_evaluated(&schedule, 1.0);
    ck_assert_int_eq(schedule_evaluated(&schedule, 0.95), 1);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("schedule");
    tcase_add_test(tests, schedule_constant_stays);
    tcase_add_test(tests, schedule_step_falls_every_step);
    tcase_add_test(tests, schedule_steps_multiplies_by_every_scale_that_is_reached);
    tcase_add_test(tests, schedule_exp_poly_and_sig_follow_their_formulas);
    tcase_add_test(tests, schedule_burn_in_rises_to_the_rate);
    tcase_add_test(tests, schedule_plateau_falls_after_patience_and_never_below_the_least_rate);
    tcase_add_test(tests, schedule_plateau_ignores_an_improvement_below_the_threshold);
    return suite_run("train/schedule", tests);
}
