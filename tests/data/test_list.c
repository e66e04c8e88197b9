#include "data/list.h"

#include "support/suite.h"

#include <stdlib.h>
#include <string.h>

static int parse(struct list *list, const char *text) {
    return list_parse(list, "l.txt", text, strlen(text));
}

START_TEST(list_takes_the_last_word_as_the_label) {
    struct list list;
    ck_succeeds(parse(&list, "\xEF\xBB\xBF"
                             "a.jpg 3\r\n\n  sub/b c.png \t cat \n/d 0"));
    ck_assert_int_eq(list.count, 3);
    ck_assert_str_eq(list.rows[0].path, "a.jpg");
    ck_assert_str_eq(list.rows[0].label, "3");
    ck_assert_str_eq(list.rows[1].path, "sub/b c.png");
    ck_assert_str_eq(list.rows[1].label, "cat");
    ck_assert_int_eq(list.rows[1].line, 3);
    ck_assert_str_eq(list.rows[2].path, "/d");
    ck_assert_str_eq(list.rows[2].label, "0");
    list_free(&list);
}
END_TEST

START_TEST(list_says_which_line_is_wrong) {
    struct list list;
    ck_fails(parse(&list, "a 0\n\nalone \n"), ERROR_INPUT, "l.txt:3: one word; expected the path");
    ck_fails(parse(&list, " \n\n"), ERROR_INPUT, "l.txt: no lines of a path and a label");
    ck_fails(list_parse(&list, "l.txt", "a 0\nb\0c 1\n", 10), ERROR_INPUT, "l.txt:2: a zero byte");
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("list");
    tcase_add_test(tests, list_takes_the_last_word_as_the_label);
    tcase_add_test(tests, list_says_which_line_is_wrong);
    return suite_run("data/list", tests);
}
