#include "data/csv.h"

#include "support/suite.h"

#include <string.h>

static int parse(struct csv *csv, const char *text) {
    return csv_parse(csv, "f.csv", text, strlen(text));
}

START_TEST(csv_parses_rows_of_numbers) {
    struct csv csv;
    ck_succeeds(parse(&csv, "1,2.5,-3e2\n.5,+7,0\n"));
    ck_assert_int_eq(csv.columns, 3);
    ck_assert_int_eq(csv.rows, 2);
    ck_assert_ptr_null(csv.names);
    const float expected[] = {1, 2.5F, -300, .5F, 7, 0};
    for (int i = 0; i < 6; i++)
        ck_assert_float_eq(csv.values[i], expected[i]);
    csv_free(&csv);
    csv_free(&csv);
}
END_TEST

START_TEST(csv_takes_a_first_line_without_numbers_as_header) {
    struct csv csv;
    ck_succeeds(parse(&csv, "width, \"the \"\"real\"\" height, m\" ,\n1,2,3\n"));
    ck_assert_int_eq(csv.rows, 1);
    ck_assert_str_eq(csv.names[0], "width");
    ck_assert_str_eq(csv.names[1], "the \"real\" height, m");
    ck_assert_str_eq(csv.names[2], "");
    csv_free(&csv);
}
END_TEST

START_TEST(csv_ignores_spaces_quotes_empty_lines_and_a_byte_order_mark) {
    struct csv csv;
    ck_succeeds(parse(&csv, "\xEF\xBB\xBF\r\n 1 ,\t\"2\"\r\n\r\n   \n3,\" 4 \" "));
    ck_assert_int_eq(csv.columns, 2);
    ck_assert_int_eq(csv.rows, 2);
    for (int i = 0; i < 4; i++)
        ck_assert_float_eq(csv.values[i], (float)(i + 1));
    csv_free(&csv);
}
END_TEST

START_TEST(csv_remembers_the_line_of_each_row) {
    struct csv csv;
    ck_succeeds(parse(&csv, "\na\n\n1\n\n\n2\n"));
    ck_assert_int_eq(csv.lines[0], 4);
    ck_assert_int_eq(csv.lines[1], 7);
    csv_free(&csv);
}
END_TEST

START_TEST(csv_rejects_fields_that_are_no_finite_numbers) {
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"1,2\n3,x\n", "f.csv:2: column 2: 'x' is not a number"},
        {"1,2\n3,4x\n", "f.csv:2: column 2: '4x' is not a number"},
        {"1,2\n0x10,4\n", "f.csv:2: column 1: '0x10' is not a number"},
        {"1,2\n3 4,5\n", "f.csv:2: column 1: '3 4' is not a number"},
        {"1,2\n-,5\n", "f.csv:2: column 1: '-' is not a number"},
        {"1,2\n,5\n", "f.csv:2: column 1: this field is empty"},
        {"1,2\n5,\n", "f.csv:2: column 2: this field is empty"},
        {"1,2\n5,\"\"\n", "f.csv:2: column 2: this field is empty"},
        {"a,b\n1,nan\n", "f.csv:2: column 2 (b): 'nan' is not a finite number"},
        {"a,b\n-Inf,1\n", "f.csv:2: column 1 (a): '-Inf' is not a finite number"},
        {"nan\n", "f.csv:1: column 1: 'nan' is not a finite number"},
        {"1e39\n", "f.csv:1: column 1: '1e39' is not a finite number"},
        {"1\n\x01\n", "f.csv:2: column 1: '?' is not a number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct csv csv;
        ck_fails(parse(&csv, cases[i].text), ERROR_INPUT, cases[i].message);
        ck_assert_ptr_null(csv.values);
    }
}
END_TEST

START_TEST(csv_rejects_ragged_rows) {
    struct csv csv;
    ck_fails(parse(&csv, "1,2\n3\n"), ERROR_INPUT, "f.csv:2: column 2 is missing");
    ck_fails(parse(&csv, "1,2\n3,4,5\n"), ERROR_INPUT, "f.csv:2: column 3 is one too many");
    ck_fails(parse(&csv, "a,b\n3\n"), ERROR_INPUT, "f.csv:2: column 2 is missing");
}
END_TEST

START_TEST(csv_rejects_a_first_line_of_names_and_numbers) {
    struct csv csv;
    ck_fails(parse(&csv, "1,2O,3\n1,2,3\n"), ERROR_INPUT,
             "f.csv:1: column 2: '2O' is not a number");
}
END_TEST

START_TEST(csv_rejects_broken_quotes) {
    struct csv csv;
    ck_fails(parse(&csv, "1,\"2\n3\",4\n"), ERROR_INPUT,
             "f.csv:1: column 2: a quote is not closed");
    ck_fails(parse(&csv, "1,\"2\"3\n"), ERROR_INPUT,
             "f.csv:1: column 2: text follows the closing quote");
}
END_TEST

START_TEST(csv_rejects_files_without_rows) {
    struct csv csv;
    ck_fails(parse(&csv, ""), ERROR_INPUT, "f.csv: no rows");
    ck_fails(parse(&csv, "\n \n"), ERROR_INPUT, "f.csv: no rows");
    ck_fails(parse(&csv, "a,b\n"), ERROR_INPUT, "f.csv: no rows");
}
END_TEST

START_TEST(csv_rejects_binary_files) {
    struct csv csv;
    ck_fails(csv_parse(&csv, "f.csv", "1\n\0002\n", 5), ERROR_INPUT, "f.csv:2: a zero byte");
}
END_TEST

START_TEST(csv_reads_no_byte_behind_the_text) {
    struct csv csv;
    ck_succeeds(csv_parse(&csv, "f.csv", "12,345678", 5));
    ck_assert_float_eq(csv.values[1], 34);
    csv_free(&csv);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("csv");
    tcase_add_test(tests, csv_parses_rows_of_numbers);
    tcase_add_test(tests, csv_takes_a_first_line_without_numbers_as_header);
    tcase_add_test(tests, csv_ignores_spaces_quotes_empty_lines_and_a_byte_order_mark);
    tcase_add_test(tests, csv_remembers_the_line_of_each_row);
    tcase_add_test(tests, csv_rejects_fields_that_are_no_finite_numbers);
    tcase_add_test(tests, csv_rejects_ragged_rows);
    tcase_add_test(tests, csv_rejects_a_first_line_of_names_and_numbers);
    tcase_add_test(tests, csv_rejects_broken_quotes);
    tcase_add_test(tests, csv_rejects_files_without_rows);
    tcase_add_test(tests, csv_rejects_binary_files);
    tcase_add_test(tests, csv_reads_no_byte_behind_the_text);
    return suite_run("data/csv", tests);
}
