/* Tunings: a table says what is best, and is believed where it makes sense. */
#include "cl/tuning.h"

#include "support/suite.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH, HEIGHT, KNOBS };

static const struct knob knobs[] = {
    {"TUNE_WIDTH", "how wide", {1, 2, 4}},
    {"TUNE_HEIGHT", "how high", {1, 2, 3}},
};

static int is_even(const struct candidate *candidate) {
    return candidate->values[WIDTH] % *(const int *)candidate->problem == 0;
}

static const struct rule rules[] = {{is_even, "the width is odd"}, {0}};
static const struct space first = {"limits.cl", knobs, KNOBS, rules};
static const struct space second = {"input.cl", knobs, KNOBS, rules};

/* Both ways, as they were chosen between; returns the one that was taken. */
static struct choice ways[2];

static struct choice choose(struct tunings *tunings, long size) {
    static const int two = 2;
    struct target target = {.tunings = tunings};
    ways[0] =
        (struct choice){.operation = "any", .pass = "forward", .space = &first, .defaults = {4, 3}};
    ways[1] = (struct choice){
        .operation = "any", .pass = "forward", .space = &second, .defaults = {2, 1}};
    struct kernel_spec spec = kernel_spec("limits.cl", "any", 1, 1, 1);
    kernel_define(&spec, "SIZE", size);
    kernel_define(&spec, "T", 32);
    const struct choice *taken = tuning_choose(ways, 2, &target, &two, &spec);
    ck_assert_int_eq(taken->is_taken, 1);
    ck_assert_int_eq(ways[0].is_taken + ways[1].is_taken, 1);
    return *taken;
}

static void assert_chosen(const struct choice *choice, int width, int height, enum origin origin) {
    ck_assert_int_eq(choice->values[WIDTH], width);
    ck_assert_int_eq(choice->values[HEIGHT], height);
    ck_assert_int_eq(choice->origin, origin);
}

/* A row for size 5; source 1 stands for the text as it is now. */
static void set(struct tunings *tunings, const char *values, uint64_t source, enum origin origin) {
    struct choice choice = choose(NULL, 5);
    struct tuning tuning = tuning_of(&choice, choice.defaults, origin);
    if (source != 1)
        tuning.source = source;
    (void)snprintf(tuning.values, sizeof tuning.values, "%s", values);
    ck_succeeds(tunings_set(tunings, &tuning));
}

START_TEST(choice_is_the_default_until_a_table_knows_better) {
    struct tunings *tunings = tunings_create();
    struct choice choice = choose(NULL, 5);
    ck_assert_str_eq(choice.problem, "SIZE=5 T=32");
    assert_chosen(&choice, 4, 3, ORIGIN_DEFAULT);
    choice = choose(tunings, 5);
    assert_chosen(&choice, 4, 3, ORIGIN_DEFAULT);
    set(tunings, "limits.cl WIDTH=2 HEIGHT=77", 0, ORIGIN_SHIPPED);
    choice = choose(tunings, 5);
    assert_chosen(&choice, 2, 77, ORIGIN_SHIPPED);
    set(tunings, "limits.cl WIDTH=6 HEIGHT=1", 1, ORIGIN_QUICK);
    choice = choose(tunings, 5);
    assert_chosen(&choice, 6, 1, ORIGIN_QUICK);
    ck_assert_int_eq(tunings_count(tunings), 1);
    choice = choose(tunings, 6); /* another problem */
    assert_chosen(&choice, 4, 3, ORIGIN_DEFAULT);
    tunings_free(tunings);
}
END_TEST

START_TEST(choice_is_the_way_that_the_table_names) {
    struct tunings *tunings = tunings_create();
    set(tunings, "input.cl WIDTH=2 HEIGHT=5", 0, ORIGIN_QUICK);
    struct choice choice = choose(tunings, 5);
    ck_assert_str_eq(choice.space->file, "input.cl");
    assert_chosen(&choice, 2, 5, ORIGIN_QUICK);
    set(tunings, "input.cl WIDTH=3 HEIGHT=5", 0, ORIGIN_QUICK); /* which cannot be */
    choice = choose(tunings, 5);
    ck_assert_str_eq(choice.space->file, "limits.cl");
    assert_chosen(&choice, 4, 3, ORIGIN_DEFAULT);
    ck_assert_str_eq(ways[1].refused, "the width is odd");
    set(tunings, "softmax.cl WIDTH=2 HEIGHT=5", 0, ORIGIN_QUICK); /* no way for this */
    choice = choose(tunings, 5);
    assert_chosen(&choice, 4, 3, ORIGIN_DEFAULT);
    tunings_free(tunings);
}
END_TEST

START_TEST(table_leaves_out_a_tuning_of_another_kernel_text) {
    struct tunings *tunings = tunings_create();
    set(tunings, "limits.cl WIDTH=2 HEIGHT=1", 1, ORIGIN_SHIPPED);
    set(tunings, "limits.cl WIDTH=2 HEIGHT=2", 12345, ORIGIN_FULL);
    set(tunings, "nosuch.cl WIDTH=2 HEIGHT=2", 0, ORIGIN_FULL);
    struct choice choice = choose(tunings, 5);
    assert_chosen(&choice, 2, 1, ORIGIN_SHIPPED);
    tunings_free(tunings);
}
END_TEST

START_TEST(choice_refuses_what_cannot_be_and_says_why) {
    static const struct {
        const char *values, *why;
    } rows[] = {
        {"limits.cl WIDTH=3 HEIGHT=1", "the width is odd"},
        {"limits.cl WIDTH=2 HEIGHT=0", "a value is less than 1"},
        {"limits.cl WIDTH=2", "it does not name the knobs that there are"},
        {"limits.cl HEIGHT=1 WIDTH=2", "it does not name the knobs that there are"},
        {"limits.cl WIDTH=2 HEIGHT=1 DEPTH=1", "it does not name the knobs that there are"},
        {"limits.cl WIDTH=2 HEIGHT=-1", "it does not name the knobs that there are"},
        {"limits.cl WIDTH=2 HEIGHT=99999999999999999999",
         "it does not name the knobs that there are"},
        {"limits.cl WIDTH=2  HEIGHT=1", "it does not name the knobs that there are"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tunings *tunings = tunings_create();
        set(tunings, rows[i].values, 1, ORIGIN_IMPORTED);
        struct choice choice = choose(tunings, 5);
        assert_chosen(&choice, 4, 3, ORIGIN_DEFAULT);
        ck_assert_ptr_nonnull(choice.refused);
        ck_assert_str_eq(choice.refused, rows[i].why);
        tunings_free(tunings);
    }
}
END_TEST

START_TEST(choice_becomes_macros_and_text) {
    struct choice choice = choose(NULL, 5);
    struct kernel_spec spec = kernel_spec("limits.cl", "any", 1, 1, 1);
    tuning_define(&spec, choice.space, choice.values);
    ck_assert_int_eq(spec.define_count, 2);
    ck_assert_str_eq(spec.defines[1].name, "TUNE_HEIGHT");
    ck_assert_str_eq(spec.defines[1].value, "3");
    struct tuning tuning = tuning_of(&choice, (const int[KNOBS_MAX]){2, 1}, ORIGIN_FULL);
    ck_assert_str_eq(tuning.kernel, "any forward");
    ck_assert_str_eq(tuning.problem, "SIZE=5 T=32");
    ck_assert_str_eq(tuning.values, "limits.cl WIDTH=2 HEIGHT=1");
    ck_assert_uint_eq(tuning.source, kernel_text_hash("limits.cl"));
    ck_assert_uint_ne(tuning.source, kernel_text_hash("input.cl"));
}
END_TEST

START_TEST(choice_steps_over_the_values_that_are_worth_trying) {
    struct choice choice = choose(NULL, 5);
    ck_assert_int_eq(choice_step(&choice, WIDTH, 1, 1), 2);
    ck_assert_int_eq(choice_step(&choice, WIDTH, 3, 1), 4);
    ck_assert_int_eq(choice_step(&choice, WIDTH, 4, 1), 0);
    ck_assert_int_eq(choice_step(&choice, WIDTH, 4, -1), 2);
    ck_assert_int_eq(choice_step(&choice, WIDTH, 1, -1), 0);
    choice.most[WIDTH] = 2; /* the default, 4, is beyond */
    ck_assert_int_eq(choice_step(&choice, WIDTH, 2, 1), 0);
    ck_assert_int_eq(choice_step(&choice, WIDTH, 4, -1), 2);
    ck_assert_int_eq(choice_step(&choice, WIDTH, 4, 1), 0);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("tuning");
    tcase_add_test(tests, choice_is_the_default_until_a_table_knows_better);
    tcase_add_test(tests, choice_is_the_way_that_the_table_names);
    tcase_add_test(tests, table_leaves_out_a_tuning_of_another_kernel_text);
    tcase_add_test(tests, choice_refuses_what_cannot_be_and_says_why);
    tcase_add_test(tests, choice_becomes_macros_and_text);
    tcase_add_test(tests, choice_steps_over_the_values_that_are_worth_trying);
    return suite_run("cl/tuning", tests);
}
