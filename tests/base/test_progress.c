/* The line that shows progress on a terminal. */
#include "support/suite.h"

#include "base/progress.h"

#include <string.h>

enum { SIZE = 256 };

START_TEST(progress_line_has_a_bar_that_grows_with_the_share) {
    char line[SIZE];
    static const struct {
        double share;
        const char *line;
    } cases[] = {
        {0, "training [>                             ] 0 % epoch 1"},
        {0.5, "training [===============>              ] 50 % epoch 1"},
        {1, "training [==============================] 100 % epoch 1"},
    };
    for (int i = 0; i < 3; i++) {
        int length = progress_line(line, SIZE, 79, "training", cases[i].share, "epoch 1");
        ck_assert_str_eq(line, cases[i].line);
        ck_assert_int_eq(length, (int)strlen(line));
    }
}
END_TEST

START_TEST(progress_line_without_a_share_has_no_bar) {
    char line[SIZE];
    (void)progress_line(line, SIZE, 79, "testing", -1, "5 of 9");
    ck_assert_str_eq(line, "testing: 5 of 9");
}
END_TEST

START_TEST(progress_line_never_exceeds_the_terminal) {
    char line[SIZE], text[SIZE];
    memset(text, 'x', sizeof text);
    for (int length = 0; length < SIZE; length += 5) {
        text[length] = '\0';
        for (int width = 0; width < 200; width += 7) {
            int got = progress_line(line, SIZE, width, "training", 0.3, text);
            ck_assert_int_le(got, width);
            ck_assert_int_eq(got, (int)strlen(line));
        }
        text[length] = 'x';
    }
}
END_TEST

START_TEST(progress_line_makes_its_bar_shorter_where_text_is_long) {
    char line[SIZE];
    (void)progress_line(line, SIZE, 50, "training", 0.5, "a text of thirty letters or so");
    ck_assert_str_eq(line, "training [=====>    ] 50 % a text of thirty letter");
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("progress");
    tcase_add_test(tests, progress_line_has_a_bar_that_grows_with_the_share);
    tcase_add_test(tests, progress_line_without_a_share_has_no_bar);
    tcase_add_test(tests, progress_line_never_exceeds_the_terminal);
    tcase_add_test(tests, progress_line_makes_its_bar_shorter_where_text_is_long);
    return suite_run("base/progress", tests);
}
