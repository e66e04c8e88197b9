/* Errors: what error_message says after each call. */
#include "support/suite.h"

#include <pthread.h>
#include <string.h>

START_TEST(error_set_writes_the_message_and_returns_the_code) {
    ck_assert_int_eq(error_set(ERROR_INPUT, "%s:%d: %s", "a.cfg", 14, "bad"), ERROR_INPUT);
    ck_assert_str_eq(error_message(), "a.cfg:14: bad");
    ck_assert_int_eq(error_set(ERROR_SYSTEM, "another"), ERROR_SYSTEM);
    ck_assert_str_eq(error_message(), "another");
}
END_TEST

START_TEST(error_prefix_puts_text_in_front) {
    error_set(ERROR_INPUT, "inner");
    ck_assert_int_eq(error_prefix(ERROR_INPUT, "middle %d: ", 2), ERROR_INPUT);
    ck_assert_int_eq(error_prefix(ERROR_INPUT, "outer: "), ERROR_INPUT);
    ck_assert_str_eq(error_message(), "outer: middle 2: inner");
}
END_TEST

START_TEST(error_prefix_may_quote_the_message_itself) {
    error_set(ERROR_INPUT, "once");
    error_prefix(ERROR_INPUT, "%s, ", error_message());
    ck_assert_str_eq(error_message(), "once, once");
}
END_TEST

START_TEST(error_set_cuts_a_message_that_is_too_long) {
    static char text[2 * ERROR_LENGTH];
    memset(text, 'x', sizeof text - 1);
    error_set(ERROR_INPUT, "%s", text);
    ck_assert_uint_eq(strlen(error_message()), ERROR_LENGTH - 1);
}
END_TEST

START_TEST(error_prefix_cuts_the_end_of_a_message_that_grows_too_long) {
    static char text[ERROR_LENGTH];
    memset(text, 'x', sizeof text - 1);
    error_set(ERROR_INPUT, "%s", text);
    for (int i = 0; i < 40; i++) {
        /* Each is longer than what error_prefix keeps of one: 40 of them fill the whole message. */
        error_prefix(ERROR_INPUT, "%.2000s: ", text);
        ck_assert_uint_eq(strlen(error_message()), ERROR_LENGTH - 1);
    }
    error_prefix(ERROR_INPUT, "front: ");
    ck_assert_int_eq(strncmp(error_message(), "front: x", 8), 0);
    ck_assert_uint_eq(strlen(error_message()), ERROR_LENGTH - 1);
}
END_TEST

START_TEST(error_no_memory_says_what_for_and_how_much) {
    ck_assert_int_eq(error_no_memory("the batch", 123456789012ULL), ERROR_MEMORY);
    ck_assert_str_eq(error_message(),
                     "not enough memory for the batch: 123456789012 bytes were asked for");
}
END_TEST

static void *fail_in_a_thread(void *seen) {
    *(int *)seen = strcmp(error_message(), "") == 0;
    error_set(ERROR_DEVICE, "of the thread");
    return NULL;
}

START_TEST(error_message_is_kept_per_thread) {
    pthread_t thread;
    int was_empty = 0;
    error_set(ERROR_INPUT, "of main");
    ck_assert_int_eq(pthread_create(&thread, NULL, fail_in_a_thread, &was_empty), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(was_empty, 1);
    ck_assert_str_eq(error_message(), "of main");
}
END_TEST

static int calls;

static int count_call(int result) {
    calls++;
    return result;
}

static int try_two(int first, int second) {
    TRY(count_call(first));
    TRY(count_call(second));
    return 0;
}

static int try_or_two(int first, int second, int *released) {
    int rc;
    TRY_OR(release, count_call(first));
    TRY_OR(release, count_call(second));
release:
    *released = 1;
    return rc;
}

START_TEST(try_hands_up_the_first_failure_and_nothing_else) {
    calls = 0;
    ck_assert_int_eq(try_two(ERROR_MEMORY, ERROR_INPUT), ERROR_MEMORY);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(try_two(3, ERROR_INPUT), ERROR_INPUT);
    ck_assert_int_eq(try_two(0, 1), 0);
}
END_TEST

START_TEST(try_or_goes_to_the_label_with_rc_set) {
    calls = 0;
    int released = 0;
    ck_assert_int_eq(try_or_two(ERROR_MEMORY, ERROR_INPUT, &released), ERROR_MEMORY);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(released, 1);
    ck_assert_int_eq(try_or_two(0, 0, &released), 0);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("error");
    tcase_add_test(tests, error_set_writes_the_message_and_returns_the_code);
    tcase_add_test(tests, error_prefix_puts_text_in_front);
    tcase_add_test(tests, error_prefix_may_quote_the_message_itself);
    tcase_add_test(tests, error_set_cuts_a_message_that_is_too_long);
    tcase_add_test(tests, error_prefix_cuts_the_end_of_a_message_that_grows_too_long);
    tcase_add_test(tests, error_no_memory_says_what_for_and_how_much);
    tcase_add_test(tests, error_message_is_kept_per_thread);
    tcase_add_test(tests, try_hands_up_the_first_failure_and_nothing_else);
    tcase_add_test(tests, try_or_goes_to_the_label_with_rc_set);
    return suite_run("base/error", tests);
}
