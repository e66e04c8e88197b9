/* Tunings as a text: what is read and refused, and how it comes into a device's table. */
#include "cl/tuning_file.h"

#include "support/device.h"
#include "support/suite.h"

#include "base/file.h"
#include "cl/internal.h"
#include "cl/source.h"
#include "cl/store.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_LINE                                                                                \
    "clnet tunings 1: platform\tdevice\tdriver\tkernel\tproblem\tvalues\tsource\tms\tms before\t" \
    "origin\n"
#define ROW "PoCL\tcpu\t1.0\tconv forward\tC=3\tlimits.cl WIDTH=2\tany\t1.5\t3\tfull\n"

static int parse(struct tuning_file *file, const char *text) {
    return tuning_file_parse(file, "t.tsv", text, strlen(text));
}

static struct tuning tuning_for(const char *problem, const char *values, enum origin origin) {
    struct tuning tuning = {.kernel = "any forward",
                            .source = kernel_text_hash("limits.cl"),
                            .seconds = 0.0125,
                            .seconds_before = 0.25,
                            .origin = origin};
    (void)snprintf(tuning.problem, sizeof tuning.problem, "%s", problem);
    (void)snprintf(tuning.values, sizeof tuning.values, "%s", values);
    return tuning;
}

static void assert_same(const struct tuning *a, const struct tuning *b) {
    ck_assert_str_eq(a->kernel, b->kernel);
    ck_assert_str_eq(a->problem, b->problem);
    ck_assert_str_eq(a->values, b->values);
    ck_assert(a->source == b->source);
    ck_assert_double_eq_tol(a->seconds, b->seconds, 1e-6 * b->seconds); /* six digits */
    ck_assert_double_eq_tol(a->seconds_before, b->seconds_before, 1e-6 * b->seconds_before);
    ck_assert_int_eq(a->origin, b->origin);
}

/* ---- the text ---- */

static char *written(const struct tuning_row *rows, int count) {
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    ck_assert_ptr_nonnull(out);
    tuning_file_begin(out);
    for (int i = 0; i < count; i++)
        tuning_row_write(out, &rows[i]);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

START_TEST(tuning_file_reads_what_it_writes) {
    struct tuning_row rows[2] = {{.platform = "A platform (TM)", .device = "GPU", .driver = "1.2"},
                                 {.device = "CPU"}};
    rows[0].tuning = tuning_for("C=3 K=4", "limits.cl WIDTH=2", ORIGIN_FULL);
    rows[1].tuning = tuning_for("C=4 K=4", "limits.cl WIDTH=3", ORIGIN_SHIPPED);
    rows[1].tuning.source = 0;
    char *text = written(rows, 2);
    ck_assert_msg(strncmp(text, FIRST_LINE, strlen(FIRST_LINE)) == 0, "it begins: %s", text);
    ck_assert_ptr_nonnull(strstr(text, "\tany\t12.5\t250\tshipped\n"));
    struct tuning_file file;
    ck_succeeds(parse(&file, text));
    ck_assert_int_eq(file.count, 2);
    for (int i = 0; i < 2; i++) {
        ck_assert_str_eq(file.rows[i].platform, rows[i].platform);
        ck_assert_str_eq(file.rows[i].device, rows[i].device);
        ck_assert_str_eq(file.rows[i].driver, rows[i].driver);
        assert_same(&file.rows[i].tuning, &rows[i].tuning);
    }
    tuning_file_free(&file);
    free(text);
}
END_TEST

START_TEST(tuning_file_reads_back_names_that_no_line_can_hold) {
    struct tuning_row row = {.platform = "#1\t", .device = "a\nb\x7f", .driver = "\r"};
    const struct device_info device = {.platform = "#1\t", .name = "a\nb\x7f"};
    row.tuning = tuning_for("C=3", "limits.cl WIDTH=2", ORIGIN_QUICK);
    char *text = written(&row, 1);
    struct tuning_file file;
    ck_succeeds(parse(&file, text));
    ck_assert_int_eq(file.count, 1);
    ck_assert(tuning_row_is_of(&file.rows[0], &device));
    tuning_file_free(&file);
    free(text);
}
END_TEST

START_TEST(tuning_file_passes_over_comments_and_repeated_first_lines) {
    static const char *const texts[] = {
        FIRST_LINE ROW ROW,
        "# a comment\n\n" FIRST_LINE "#\n" ROW "\n" ROW "# the end",
        FIRST_LINE ROW FIRST_LINE ROW,
        "clnet tunings 1: platform\tdevice\tdriver\tkernel\tproblem\tvalues\tsource\tms\tms "
        "before\torigin\r\nPoCL\tcpu\t1.0\tconv forward\tC=3\tlimits.cl "
        "WIDTH=2\tany\t1.5\t3\tfull\r\n"
        "\r\n" ROW,
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct tuning_file file;
        ck_succeeds(parse(&file, texts[i]));
        ck_assert_int_eq(file.count, 2);
        ck_assert_str_eq(file.rows[0].driver, "1.0");
        ck_assert_int_eq(file.rows[0].tuning.origin, ORIGIN_FULL);
        tuning_file_free(&file);
    }
}
END_TEST

START_TEST(tuning_file_names_line_and_column_of_what_is_wrong) {
    static const struct {
        const char *row, *message;
    } rows[] = {
        {"P\td\tv\tk\tp\n", "t.tsv:3: column 6 (values): it is missing"},
        {"P\td\tv\t\tp\tf A=1\tany\t1\t1\tfull\n", "t.tsv:3: column 4 (kernel): it is empty"},
        {"P\td\tv\tk\t\tf A=1\tany\t1\t1\tfull\n", "t.tsv:3: column 5 (problem): it is empty"},
        {"P\td\tv\tk\tp\t\tany\t1\t1\tfull\n", "t.tsv:3: column 6 (values): it is empty"},
        {"P\td\x01\tv\tk\tp\tf A=1\tany\t1\t1\tfull\n", "column 2 (device): a control character"},
        {"P\td\tv\tk\tp\tf A=1\tsome\t1\t1\tfull\n", "column 7 (source): expected 16"},
        {"P\td\tv\tk\tp\tf A=1\t0123\t1\t1\tfull\n", "column 7 (source): expected 16"},
        {"P\td\tv\tk\tp\tf A=1\t0123456789abcdeg\t1\t1\tfull\n", "column 7 (source): expected 16"},
        {"P\td\tv\tk\tp\tf A=1\tany\tfast\t1\tfull\n", "column 8 (ms): 'fast' is not a number"},
        {"P\td\tv\tk\tp\tf A=1\tany\t1\t-1\tfull\n", "column 9 (ms before): -1 is outside"},
        {"P\td\tv\tk\tp\tf A=1\tany\tnan\t1\tfull\n", "column 8 (ms): 'nan' is not a number"},
        {"P\td\tv\tk\tp\tf A=1\tany\t1e99\t1\tfull\n", "column 8 (ms): 1e99 is outside"},
        {"P\td\tv\tk\tp\tf A=1\tany\t1\t1\tbest\n", "column 10 (origin): 'best' is no origin"},
        {"P\td\tv\tk\tp\tf A=1\tany\t1\t1\tfull\tmore\n", "t.tsv:3: it has more columns"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tuning_file file;
        char text[512];
        (void)snprintf(text, sizeof text, "%s%s%s", FIRST_LINE, ROW, rows[i].row);
        ck_fails(parse(&file, text), ERROR_INPUT, rows[i].message);
        tuning_file_free(&file);
    }
}
END_TEST

START_TEST(tuning_file_refuses_what_is_no_table_of_tunings) {
    static const struct {
        const char *text, *message;
    } texts[] = {
        {"", "t.tsv: there are no tunings in it"},
        {"# a comment\n", "t.tsv: there are no tunings in it"},
        {ROW, "t.tsv:1: these are no tunings"},
        {"[net]\nbatch=3\n", "t.tsv:1: these are no tunings"},
        {"clnet tunings 2: platform\n", "t.tsv:1: these tunings are of another version"},
        {"#\nclnet tunings 1: platform\n", "t.tsv:2: these tunings are of another version"},
    };
    struct tuning_file file;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ck_fails(parse(&file, texts[i].text), ERROR_INPUT, texts[i].message);
        tuning_file_free(&file);
    }
    ck_fails(tuning_file_read(&file, "/nonexistent/t.tsv"), ERROR_SYSTEM, "/nonexistent/t.tsv");
    tuning_file_free(&file);
}
END_TEST

START_TEST(tuning_file_takes_what_fits_its_place_and_no_more) {
    for (int more = 0; more < 2; more++) {
        char text[1024], values[TUNING_PROBLEM + 1] = "";
        struct tuning_file file;
        memset(values, 'x', TUNING_PROBLEM - 1 + (size_t)more);
        (void)snprintf(text, sizeof text, "%sP\td\tv\tk\tp\t%s\tany\t1\t1\tfull\n", FIRST_LINE,
                       values);
        if (more)
            ck_fails(parse(&file, text), ERROR_INPUT,
                     "t.tsv:2: column 6 (values): 256 bytes; there may be 255 at most");
        else
            ck_succeeds(parse(&file, text));
        tuning_file_free(&file);
    }
}
END_TEST

START_TEST(tuning_file_reads_no_byte_behind_the_text) {
    struct tuning_file file;
    ck_succeeds(tuning_file_parse(&file, "t.tsv", FIRST_LINE ROW "P\t", strlen(FIRST_LINE ROW)));
    ck_assert_int_eq(file.count, 1);
    tuning_file_free(&file);
}
END_TEST

START_TEST(tuning_row_is_of_devices_by_name_or_pattern) {
    static const struct {
        const char *platform, *device;
        int holds;
    } rows[] = {
        {"PoCL", "cpu [avx512]", 1},
        {"PoCL", "cpu*", 1},
        {"*", "*avx512]", 1},
        {"PoCL", "cpu", 0},
        {"PoCL", "cpu?av*", 0},
        {"Mesa", "cpu*", 0},
        {"", "*", 0},
        {"Po[CD]L", "[bc]*", 1},
        {"[", "*", 0},
    };
    const struct device_info device = {.platform = "PoCL", .name = "cpu [avx512]"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tuning_row row = {0};
        (void)snprintf(row.platform, sizeof row.platform, "%s", rows[i].platform);
        (void)snprintf(row.device, sizeof row.device, "%s", rows[i].device);
        ck_assert_msg(tuning_row_is_of(&row, &device) == rows[i].holds, "%s, %s", row.platform,
                      row.device);
    }
}
END_TEST

/* ---- a device's table ---- */

static char directory[] = "/tmp/clnet-tunings-XXXXXX";
static char path[sizeof directory + 16];

static void open_device_and_directory(void) {
    ck_assert_ptr_nonnull(mkdtemp(directory));
    (void)snprintf(path, sizeof path, "%s/t.tsv", directory);
    test_device_open();
}

static void close_device_and_directory(void) {
    test_device_close();
    (void)unlink(path);
    ck_assert_int_eq(rmdir(directory), 0);
}

static void empty_table(void) {
    tunings_clear(device_tunings(test_device()));
}

static const struct tuning *known(const char *problem) {
    return tunings_about(device_tunings(test_device()), "any forward", problem);
}

static void set(const char *problem, const char *values, enum origin origin) {
    struct tuning tuning = tuning_for(problem, values, origin);
    ck_succeeds(tunings_set(device_tunings(test_device()), &tuning));
}

static void write_text(const char *text) {
    struct file_writer writer;
    ck_succeeds(file_create(&writer, path));
    (void)fputs(text, writer.stream);
    ck_succeeds(file_commit(&writer));
    file_discard(&writer);
}

/* A file with a row for each tuning: for this device, or for one that is not here. */
struct written_row {
    int is_here;
    struct tuning tuning;
};

static void write_rows(const struct written_row *rows, int count) {
    const struct device_info *info = device_info(test_device());
    struct tuning_row out[8] = {0};
    ck_assert_int_le(count, 8);
    for (int i = 0; i < count; i++) {
        memcpy(out[i].platform, info->platform, sizeof out[i].platform);
        (void)snprintf(out[i].device, DEVICE_TEXT, "%s", rows[i].is_here ? info->name : "another");
        out[i].tuning = rows[i].tuning;
    }
    char *text = written(out, count);
    write_text(text);
    free(text);
}

START_TEST(table_of_a_device_comes_back_from_its_file) {
    struct device *devices[] = {test_device(), test_device()};
    set("C=1", "limits.cl WIDTH=1", ORIGIN_SHIPPED);
    set("C=2", "limits.cl WIDTH=2", ORIGIN_IMPORTED);
    set("C=3", "limits.cl WIDTH=3", ORIGIN_FULL);
    const struct tuning before = *known("C=3");
    ck_assert_int_eq(tuning_file_save(path, devices, 2, ORIGIN_SHIPPED), 3);
    set("C=3", "limits.cl WIDTH=4", ORIGIN_FULL);
    set("C=4", "limits.cl WIDTH=4", ORIGIN_FULL);
    ck_assert_int_eq(tuning_file_load(path, test_device()), 0);
    ck_assert_int_eq(tunings_count(device_tunings(test_device())), 3);
    ck_assert_int_eq(known("C=1")->origin, ORIGIN_SHIPPED);
    assert_same(known("C=3"), &before);
    ck_assert_int_eq(tuning_file_save(path, devices, 1, ORIGIN_IMPORTED), 2);
    ck_assert_int_eq(tuning_file_load(path, test_device()), 0);
    ck_assert_ptr_null(known("C=1"));
}
END_TEST

START_TEST(table_is_emptied_by_a_file_that_has_nothing_for_the_device) {
    const struct written_row row = {0, tuning_for("C=1", "limits.cl WIDTH=1", ORIGIN_FULL)};
    set("C=1", "limits.cl WIDTH=2", ORIGIN_FULL);
    write_rows(&row, 1);
    ck_assert_int_eq(tuning_file_load(path, test_device()), 0);
    ck_assert_int_eq(tunings_count(device_tunings(test_device())), 0);
}
END_TEST

START_TEST(table_stays_where_its_file_cannot_be_read) {
    set("C=1", "limits.cl WIDTH=2", ORIGIN_FULL);
    write_text(FIRST_LINE "nonsense\n");
    ck_fails(tuning_file_load(path, test_device()), ERROR_INPUT, "t.tsv:2: column 2");
    ck_assert_int_eq(tunings_count(device_tunings(test_device())), 1);
}
END_TEST

START_TEST(load_counts_what_is_of_other_kernel_texts) {
    struct written_row rows[] = {{1, tuning_for("C=1", "limits.cl WIDTH=1", ORIGIN_FULL)},
                                 {1, tuning_for("C=2", "limits.cl WIDTH=1", ORIGIN_FULL)},
                                 {1, tuning_for("C=3", "nosuch.cl WIDTH=1", ORIGIN_FULL)},
                                 {0, tuning_for("C=4", "nosuch.cl WIDTH=1", ORIGIN_FULL)}};
    rows[1].tuning.source++;
    write_rows(rows, 4);
    ck_assert_int_eq(tuning_file_load(path, test_device()), 2);
    ck_assert_int_eq(tunings_count(device_tunings(test_device())), 1);
}
END_TEST

START_TEST(import_keeps_what_is_new_here_for_later_runs) {
    struct written_row rows[] = {{1, tuning_for("C=91", "limits.cl WIDTH=1", ORIGIN_FULL)},
                                 {1, tuning_for("C=92", "limits.cl WIDTH=1", ORIGIN_FULL)},
                                 {1, tuning_for("C=93", "limits.cl WIDTH=1", ORIGIN_FULL)},
                                 {1, tuning_for("C=94", "limits.cl WIDTH=1", ORIGIN_FULL)},
                                 {0, tuning_for("C=95", "limits.cl WIDTH=1", ORIGIN_FULL)}};
    struct tuning_import done;
    struct tuning_file file;
    rows[0].tuning.source = 0;
    rows[3].tuning.source++;
    set("C=92", "limits.cl WIDTH=2", ORIGIN_QUICK);
    set("C=93", "limits.cl WIDTH=2", ORIGIN_SHIPPED);
    write_rows(rows, 5);
    ck_succeeds(tuning_file_read(&file, path));
    ck_succeeds(tuning_file_import(&file, test_device(), &done));
    ck_assert_int_eq(done.imported, 2);
    ck_assert_int_eq(done.found_here, 1);
    ck_assert_int_eq(done.other_sources, 1);
    ck_assert_str_eq(known("C=92")->values, "limits.cl WIDTH=2");
    ck_assert_str_eq(known("C=93")->values, "limits.cl WIDTH=1");
    ck_assert_int_eq(known("C=91")->origin, ORIGIN_IMPORTED);
    ck_assert(known("C=91")->source == kernel_text_hash("limits.cl"));
    ck_assert_ptr_null(known("C=95"));

    struct device *later;
    ck_succeeds(device_open(&later, WHOLE_DEVICE(test_device_index())));
    const struct tuning *row = tunings_about(device_tunings(later), "any forward", "C=93");
    ck_assert_ptr_nonnull(row);
    ck_assert_str_eq(row->values, "limits.cl WIDTH=1");
    ck_assert_int_eq(row->origin, ORIGIN_IMPORTED);
    ck_assert_ptr_null(tunings_about(device_tunings(later), "any forward", "C=94"));
    device_close(later);
    tuning_file_free(&file);
}
END_TEST

START_TEST(import_fails_where_nothing_can_be_kept) {
    struct written_row row = {1, tuning_for("C=1", "limits.cl WIDTH=1", ORIGIN_FULL)};
    struct store *store = test_device()->store;
    struct tuning_import done;
    struct tuning_file file;
    write_rows(&row, 1);
    ck_succeeds(tuning_file_read(&file, path));
    test_device()->store = NULL;
    int rc = tuning_file_import(&file, test_device(), &done);
    test_device()->store = store;
    ck_fails(rc, ERROR_SYSTEM, "cannot be written");
    ck_assert_int_eq(tunings_count(device_tunings(test_device())), 0);
    tuning_file_free(&file);
}
END_TEST

START_TEST(shipped_rows_are_of_any_source_and_give_way_to_what_was_found) {
    struct device *device = test_device();
    char key[DEVICE_KEY];
    struct tuning found = tuning_for("C=82", "limits.cl WIDTH=2", ORIGIN_FULL);
    const char text[] = FIRST_LINE
        "*\t*\t\tany forward\tC=81\tlimits.cl WIDTH=1\t0123456789abcdef\t1\t2\tfull\n"
        "*\t*\t\tany forward\tC=82\tlimits.cl WIDTH=1\t0123456789abcdef\t1\t2\tfull\n"
        "*\tanother\t\tany forward\tC=83\tlimits.cl WIDTH=1\t0123456789abcdef\t1\t2\tfull\n";
    device_key(key, device_info(device));
    ck_assert(store_keep_tuning(device->store, key, &found));
    ck_succeeds(tuning_file_add_shipped(device_tunings(device), device_info(device), text));
    ck_assert_int_eq(tunings_count(device_tunings(device)), 2);
    ck_assert_str_eq(known("C=82")->values, "limits.cl WIDTH=1");
    ck_succeeds(store_find_tunings(device->store, key, device_tunings(device)));
    ck_assert_int_eq(known("C=81")->origin, ORIGIN_SHIPPED);
    ck_assert(known("C=81")->source == 0);
    ck_assert_str_eq(known("C=82")->values, "limits.cl WIDTH=2");
    ck_assert_int_eq(known("C=82")->origin, ORIGIN_FULL);
}
END_TEST

START_TEST(device_opens_with_what_is_shipped_for_it) {
    struct device *device;
    struct tuning_file file;
    ck_succeeds(tuning_file_parse(&file, "tunings.tsv", shipped_tunings, strlen(shipped_tunings)));
    ck_succeeds(device_open(&device, WHOLE_DEVICE(test_device_index())));
    for (int i = 0; i < file.count; i++) {
        const struct tuning *row = &file.rows[i].tuning;
        if (tuning_row_is_of(&file.rows[i], device_info(device)))
            ck_assert_ptr_nonnull(tunings_about(device_tunings(device), row->kernel, row->problem));
    }
    device_close(device);
    tuning_file_free(&file);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("tuning file");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, open_device_and_directory, close_device_and_directory);
    tcase_add_checked_fixture(tests, empty_table, empty_table);
    tcase_add_test(tests, tuning_file_reads_what_it_writes);
    tcase_add_test(tests, tuning_file_reads_back_names_that_no_line_can_hold);
    tcase_add_test(tests, tuning_file_passes_over_comments_and_repeated_first_lines);
    tcase_add_test(tests, tuning_file_names_line_and_column_of_what_is_wrong);
    tcase_add_test(tests, tuning_file_refuses_what_is_no_table_of_tunings);
    tcase_add_test(tests, tuning_file_takes_what_fits_its_place_and_no_more);
    tcase_add_test(tests, tuning_file_reads_no_byte_behind_the_text);
    tcase_add_test(tests, tuning_row_is_of_devices_by_name_or_pattern);
    tcase_add_test(tests, table_of_a_device_comes_back_from_its_file);
    tcase_add_test(tests, table_is_emptied_by_a_file_that_has_nothing_for_the_device);
    tcase_add_test(tests, table_stays_where_its_file_cannot_be_read);
    tcase_add_test(tests, load_counts_what_is_of_other_kernel_texts);
    tcase_add_test(tests, import_keeps_what_is_new_here_for_later_runs);
    tcase_add_test(tests, import_fails_where_nothing_can_be_kept);
    tcase_add_test(tests, shipped_rows_are_of_any_source_and_give_way_to_what_was_found);
    tcase_add_test(tests, device_opens_with_what_is_shipped_for_it);
    return suite_run("cl/tuning_file", tests);
}
