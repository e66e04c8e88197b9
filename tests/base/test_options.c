/* Options: each type, from text to field and back. */
#include "base/options.h"

#include "support/suite.h"

#include <float.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char *const policies[] = {"constant", "step", "polynomial", NULL};

struct example {
    int integer;
    double number;
    int boolean;
    const char *string;
    int policy;
    struct option_ints integers;
    struct option_floats numbers;
    int without_default;
    const char *path;
};

#define FIELD(name) offsetof(struct example, name)

static const struct option table[] = {
    {"integer", "a whole number", OPTION_INT, FIELD(integer), "5", 1, 64, NULL},
    {"number", "a number", OPTION_FLOAT, FIELD(number), "0.1", -1, 1, NULL},
    {"boolean", "a switch", OPTION_BOOL, FIELD(boolean), "1", 0, 1, NULL},
    {"string", "a text", OPTION_STRING, FIELD(string), "some text", 0, 0, NULL},
    {"policy", "a choice", OPTION_ENUM, FIELD(policy), "step", 0, 0, policies},
    {"integers", "whole numbers", OPTION_INTS, FIELD(integers), "1,2,3", 0, 100000, NULL},
    {"numbers", "numbers", OPTION_FLOATS, FIELD(numbers), ".5,.25", 0, 1, NULL},
    {"without_default", "starts zeroed", OPTION_INT, FIELD(without_default), NULL, 0, INT_MAX,
     NULL},
    {"path", "starts as NULL", OPTION_STRING, FIELD(path), NULL, 0, 0, NULL},
    {0},
};

static const struct option *row(const char *key) {
    const struct option *found = options_find(table, key);
    ck_assert_ptr_nonnull(found);
    return found;
}

/* The field as text, in memory that the next call reuses; NULL when nothing is written. */
static const char *printed(const struct example *example, const char *key) {
    static char text[8192];
    memset(text, 0, sizeof text);
    FILE *stream = fmemopen(text, sizeof text, "w");
    ck_assert_ptr_nonnull(stream);
    int written = option_print(stream, example, row(key));
    ck_assert_int_eq(fclose(stream), 0);
    ck_assert_int_eq(written, text[0] != '\0');
    return written ? text : NULL;
}

START_TEST(options_defaults_fill_every_field) {
    struct example example;
    memset(&example, 0xff, sizeof example);
    options_defaults(&example, table);
    ck_assert_int_eq(example.integer, 5);
    ck_assert(example.number == 0.1);
    ck_assert_int_eq(example.boolean, 1);
    ck_assert_str_eq(example.string, "some text");
    ck_assert_int_eq(example.policy, 1);
    ck_assert_int_eq(example.integers.count, 3);
    ck_assert_int_eq(example.integers.values[2], 3);
    ck_assert_int_eq(example.numbers.count, 2);
    ck_assert(example.numbers.values[1] == 0.25);
}
END_TEST

START_TEST(options_defaults_zero_a_field_without_a_default) {
    struct example example;
    memset(&example, 0xff, sizeof example);
    options_defaults(&example, table);
    ck_assert_int_eq(example.without_default, 0);
    ck_assert_ptr_null(example.path);
}
END_TEST

START_TEST(options_find_knows_whole_keys_only) {
    ck_assert_ptr_eq(options_find(table, "policy"), &table[4]);
    ck_assert_ptr_null(options_find(table, "polic"));
    ck_assert_ptr_null(options_find(table, ""));
}
END_TEST

START_TEST(option_set_takes_numbers_within_their_range_inclusive) {
    struct example example = {0};
    ck_succeeds(option_set(&example, row("integer"), "1"));
    ck_assert_int_eq(example.integer, 1);
    ck_succeeds(option_set(&example, row("integer"), "64"));
    ck_assert_int_eq(example.integer, 64);
    ck_succeeds(option_set(&example, row("number"), "-1"));
    ck_assert(example.number == -1);
    ck_succeeds(option_set(&example, row("number"), "1e-3"));
    ck_assert(example.number == 1e-3);
    ck_succeeds(option_set(&example, row("without_default"), "2147483647"));
    ck_assert_int_eq(example.without_default, INT_MAX);
}
END_TEST

START_TEST(option_set_says_the_range_that_a_number_is_outside_of) {
    struct example example = {.integer = 7, .number = 0.5};
    ck_fails(option_set(&example, row("integer"), "0"), ERROR_INPUT, "integer: 0 is outside 1..64");
    ck_fails(option_set(&example, row("integer"), "65"), ERROR_INPUT,
             "integer: 65 is outside 1..64");
    ck_fails(option_set(&example, row("number"), "1.5"), ERROR_INPUT,
             "number: 1.5 is outside -1..1");
    ck_assert_int_eq(example.integer, 7);
    ck_assert(example.number == 0.5);
}
END_TEST

START_TEST(option_set_refuses_what_is_no_whole_number) {
    static const char *const wrong[] = {"", "x", "1x", "1.5", "1 2", "0x10", "1,2", "--1"};
    struct example example = {.integer = 7};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_fails(option_set(&example, row("integer"), wrong[i]), ERROR_INPUT,
                 "is not a whole number");
    ck_fails(option_set(&example, row("integer"), "2147483648"), ERROR_INPUT, "too large");
    ck_fails(option_set(&example, row("integer"), "99999999999999999999"), ERROR_INPUT,
             "too large");
    ck_assert_int_eq(example.integer, 7);
}
END_TEST

START_TEST(option_set_refuses_what_is_no_finite_number) {
    static const char *const wrong[] = {"", "x", "1x", "1,5", "nan", "inf", "-inf", "1e999"};
    struct example example = {.number = 0.5};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_fails(option_set(&example, row("number"), wrong[i]), ERROR_INPUT, "is not a number");
    ck_assert(example.number == 0.5);
}
END_TEST

START_TEST(option_set_takes_0_and_1_as_a_switch_and_nothing_else) {
    static const char *const wrong[] = {"", "2", "true", "01", "yes", "-1"};
    struct example example = {0};
    ck_succeeds(option_set(&example, row("boolean"), "1"));
    ck_assert_int_eq(example.boolean, 1);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_fails(option_set(&example, row("boolean"), wrong[i]), ERROR_INPUT, "is neither 0 nor 1");
    ck_assert_int_eq(example.boolean, 1);
    ck_succeeds(option_set(&example, row("boolean"), "0"));
    ck_assert_int_eq(example.boolean, 0);
}
END_TEST

START_TEST(option_set_borrows_a_string) {
    struct example example = {0};
    const char text[] = "a/path with spaces";
    ck_succeeds(option_set(&example, row("string"), text));
    ck_assert_ptr_eq(example.string, text);
}
END_TEST

START_TEST(option_set_suggests_the_name_that_was_meant) {
    struct example example = {.policy = 2};
    ck_succeeds(option_set(&example, row("policy"), "constant"));
    ck_assert_int_eq(example.policy, 0);
    ck_fails(option_set(&example, row("policy"), "polinomial"), ERROR_INPUT,
             "policy: 'polinomial' is not known; did you mean 'polynomial'? (one of constant, "
             "step, polynomial)");
    ck_fails(option_set(&example, row("policy"), "sigmoid"), ERROR_INPUT,
             "policy: 'sigmoid' is not known; it is one of constant, step, polynomial");
    ck_fails(option_set(&example, row("policy"), ""), ERROR_INPUT, "is not known");
    ck_assert_int_eq(example.policy, 0);
}
END_TEST

START_TEST(option_set_takes_lists_with_spaces_around_elements) {
    struct example example = {0};
    ck_succeeds(option_set(&example, row("integers"), "40000, 60000 ,\t80000"));
    ck_assert_int_eq(example.integers.count, 3);
    ck_assert_int_eq(example.integers.values[0], 40000);
    ck_assert_int_eq(example.integers.values[2], 80000);
    ck_succeeds(option_set(&example, row("numbers"), ".1"));
    ck_assert_int_eq(example.numbers.count, 1);
    ck_assert(example.numbers.values[0] == .1);
    ck_succeeds(option_set(&example, row("numbers"), ""));
    ck_assert_int_eq(example.numbers.count, 0);
}
END_TEST

START_TEST(option_set_checks_each_element_and_keeps_the_old_list_on_failure) {
    static const char *const wrong[] = {",", "1,", ",1", "1,,2", "1,x", "1;2", "1 2", " "};
    struct example example = {.integers = {.count = 1, .values = {9}}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_fails(option_set(&example, row("integers"), wrong[i]), ERROR_INPUT,
                 "is not a whole number");
    ck_fails(option_set(&example, row("integers"), "1,100001"), ERROR_INPUT,
             "integers: 100001 is outside 0..100000");
    ck_fails(option_set(&example, row("numbers"), "1,1.5"), ERROR_INPUT,
             "numbers: 1.5 is outside 0..1");
    ck_assert_int_eq(example.integers.count, 1);
    ck_assert_int_eq(example.integers.values[0], 9);
}
END_TEST

START_TEST(option_set_takes_lists_up_to_the_greatest_length) {
    struct example example = {0};
    char text[2 * (OPTION_LIST_MAX + 1)];
    for (int i = 0; i <= OPTION_LIST_MAX; i++) {
        text[2 * i] = '1';
        text[2 * i + 1] = ',';
    }
    text[2 * OPTION_LIST_MAX + 1] = '\0';
    ck_fails(option_set(&example, row("integers"), text), ERROR_INPUT,
             "integers: a list has at most 64 elements");
    text[2 * OPTION_LIST_MAX - 1] = '\0';
    ck_succeeds(option_set(&example, row("integers"), text));
    ck_assert_int_eq(example.integers.count, OPTION_LIST_MAX);
}
END_TEST

START_TEST(option_set_refuses_an_element_longer_than_any_number) {
    struct example example = {0};
    char text[400];
    memset(text, '1', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    ck_fails(option_set(&example, row("integers"), text), ERROR_INPUT, "not a number");
}
END_TEST

START_TEST(option_print_writes_what_a_config_would_say) {
    struct example example;
    options_defaults(&example, table);
    ck_assert_str_eq(printed(&example, "integer"), "5");
    ck_assert_str_eq(printed(&example, "number"), "0.1");
    ck_assert_str_eq(printed(&example, "boolean"), "1");
    ck_assert_str_eq(printed(&example, "string"), "some text");
    ck_assert_str_eq(printed(&example, "policy"), "step");
    ck_assert_str_eq(printed(&example, "integers"), "1,2,3");
    ck_assert_str_eq(printed(&example, "numbers"), "0.5,0.25");
}
END_TEST

START_TEST(option_print_writes_nothing_for_a_null_string_or_an_empty_list) {
    struct example example = {0};
    ck_assert_ptr_null(printed(&example, "path"));
    ck_assert_ptr_null(printed(&example, "integers"));
    ck_assert_ptr_null(printed(&example, "numbers"));
}
END_TEST

START_TEST(option_print_and_option_set_are_inverse) {
    static const double numbers[] = {0.1, 1.0 / 3, DBL_MIN, DBL_EPSILON, 5e-324, 0.0005, -0.75};
    struct example example = {0}, back = {0};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        example.number = numbers[i];
        ck_succeeds(option_set(&back, row("number"), printed(&example, "number")));
        ck_assert(back.number == numbers[i]);
        if (numbers[i] < 0)
            continue;
        example.numbers.values[example.numbers.count++] = numbers[i];
    }
    ck_succeeds(option_set(&back, row("numbers"), printed(&example, "numbers")));
    ck_assert_mem_eq(&back.numbers, &example.numbers, sizeof back.numbers);
    for (int i = 0; i < OPTION_LIST_MAX; i++)
        example.integers.values[example.integers.count++] = i * 1587;
    ck_succeeds(option_set(&back, row("integers"), printed(&example, "integers")));
    ck_assert_mem_eq(&back.integers, &example.integers, sizeof back.integers);
    for (example.policy = 0; policies[example.policy]; example.policy++) {
        ck_succeeds(option_set(&back, row("policy"), printed(&example, "policy")));
        ck_assert_int_eq(back.policy, example.policy);
    }
}
END_TEST

START_TEST(options_document_names_every_key_with_range_and_default) {
    char text[4096] = "";
    FILE *stream = fmemopen(text, sizeof text, "w");
    ck_assert_ptr_nonnull(stream);
    options_document(stream, table);
    ck_assert_int_eq(fclose(stream), 0);
    for (const struct option *each = table; each->key; each++) {
        ck_assert_msg(strstr(text, each->key) && strstr(text, each->help), "%s", each->key);
        ck_assert(!each->default_text || strstr(text, each->default_text));
    }
    ck_assert_ptr_nonnull(strstr(text, "(whole number, 1..64; default 5)"));
    ck_assert_ptr_nonnull(strstr(text, "(whole number, 0..)"));
    ck_assert_ptr_nonnull(strstr(text, "(one of constant, step, polynomial; default step)"));
}
END_TEST

START_TEST(nearest_name_finds_typing_mistakes_and_leaves_the_rest) {
    static const char *const names[] = {"filters", "size", "stride", "padding"};
    ck_assert_str_eq(nearest_name("filter", names, 4), "filters");
    ck_assert_str_eq(nearest_name("sized", names, 4), "size");
    ck_assert_str_eq(nearest_name("strdie", names, 4), "stride");
    ck_assert_str_eq(nearest_name("size", names, 4), "size");
    ck_assert_ptr_null(nearest_name("momentum", names, 4));
    ck_assert_ptr_null(nearest_name("", names, 4));
    ck_assert_ptr_null(nearest_name("size", names, 0));
}
END_TEST

START_TEST(nearest_name_passes_over_words_too_long_to_compare) {
    char word[1000];
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    const char *const names[] = {word, "short"};
    ck_assert_ptr_null(nearest_name(word, names, 2));
    ck_assert_str_eq(nearest_name("shirt", names, 2), "short");
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("options");
    tcase_add_test(tests, options_defaults_fill_every_field);
    tcase_add_test(tests, options_defaults_zero_a_field_without_a_default);
    tcase_add_test(tests, options_find_knows_whole_keys_only);
    tcase_add_test(tests, option_set_takes_numbers_within_their_range_inclusive);
    tcase_add_test(tests, option_set_says_the_range_that_a_number_is_outside_of);
    tcase_add_test(tests, option_set_refuses_what_is_no_whole_number);
    tcase_add_test(tests, option_set_refuses_what_is_no_finite_number);
    tcase_add_test(tests, option_set_takes_0_and_1_as_a_switch_and_nothing_else);
    tcase_add_test(tests, option_set_borrows_a_string);
    tcase_add_test(tests, option_set_suggests_the_name_that_was_meant);
    tcase_add_test(tests, option_set_takes_lists_with_spaces_around_elements);
    tcase_add_test(tests, option_set_checks_each_element_and_keeps_the_old_list_on_failure);
    tcase_add_test(tests, option_set_takes_lists_up_to_the_greatest_length);
    tcase_add_test(tests, option_set_refuses_an_element_longer_than_any_number);
    tcase_add_test(tests, option_print_writes_what_a_config_would_say);
    tcase_add_test(tests, option_print_writes_nothing_for_a_null_string_or_an_empty_list);
    tcase_add_test(tests, option_print_and_option_set_are_inverse);
    tcase_add_test(tests, options_document_names_every_key_with_range_and_default);
    tcase_add_test(tests, nearest_name_finds_typing_mistakes_and_leaves_the_rest);
    tcase_add_test(tests, nearest_name_passes_over_words_too_long_to_compare);
    return suite_run("base/options", tests);
}
