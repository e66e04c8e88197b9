/* Kernels: building each file, the macros, launches, and what goes wrong with them. */
#include "support/device.h"
#include "support/suite.h"

#include "cl/internal.h"
#include "cl/kernel.h"
#include "cl/quirks.h"
#include "cl/source.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* In the directory in which the program was started. */
#define STORE "test-kernel-store.sqlite"

/* y += x, for `count` floats, by add.cl. */
static struct kernel_spec add_spec(size_t count) {
    struct kernel_spec spec = kernel_spec("add.cl", "add", count, 1, 1);
    kernel_define(&spec, "T", 32);
    kernel_define(&spec, "TUNE_VECTOR", 1);
    return spec;
}

START_TEST(kernel_launch_runs_over_its_geometry) {
    enum { COUNT = 33 };
    float x[COUNT], y[COUNT + 1];
    struct kernel_spec spec = add_spec(COUNT);
    struct kernel *kernel;
    struct buffer *a, *b;
    for (int i = 0; i <= COUNT; i++) {
        y[i] = 100;
        if (i < COUNT)
            x[i] = (float)i;
    }
    ck_succeeds(kernel_create(&kernel, test_device(), &spec));
    ck_succeeds(buffer_create(&a, test_device(), sizeof x, "x"));
    ck_succeeds(buffer_create(&b, test_device(), sizeof y, "y"));
    ck_succeeds(buffer_write(a, 0, sizeof x, x));
    ck_succeeds(buffer_write(b, 0, sizeof y, y));
    ck_succeeds(LAUNCH(kernel, BUFFER(a), BUFFER(b)));
    ck_succeeds(LAUNCH(kernel, BUFFER(a), BUFFER(b)));
    ck_succeeds(buffer_read(b, 0, sizeof y, y));
    for (int i = 0; i < COUNT; i++)
        ck_assert(y[i] == 100 + 2 * (float)i);
    ck_assert(y[COUNT] == 100);
    buffer_free(a);
    buffer_free(b);
    kernel_free(kernel);
}
END_TEST

/* A macro that makes no sense, as a driver's bug or a mistake of ours would. */
START_TEST(kernel_build_failure_shows_device_macros_and_log) {
    struct kernel_spec spec = kernel_spec("add.cl", "add", 1, 1, 1);
    struct kernel *kernel;
    kernel_define(&spec, "TUNE_VECTOR", 5);
    kernel_define_float(&spec, "SCALE", 0.5);
    ck_fails(kernel_create(&kernel, test_device(), &spec), ERROR_DEVICE, "cannot build add.cl");
    ck_assert_ptr_nonnull(strstr(error_message(), device_info(test_device())->name));
    ck_assert_ptr_nonnull(strstr(error_message(), "-DTUNE_VECTOR=5"));
    ck_assert_ptr_nonnull(strstr(error_message(), "-DSCALE=5.000000000e-01f"));
    ck_assert_ptr_nonnull(strstr(error_message(), "float5")); /* the compiler's own words */
}
END_TEST

START_TEST(kernel_that_its_file_does_not_have_is_named) {
    struct kernel_spec spec = add_spec(1);
    struct kernel *kernel;
    spec.function = "subtract";
    ck_fails(kernel_create(&kernel, test_device(), &spec), ERROR_DEVICE, "subtract of add.cl: ");
    ck_assert_ptr_nonnull(strstr(error_message(), "CL_INVALID_KERNEL_NAME"));
}
END_TEST

/* Work-groups of 5 do not divide 33 work-items. */
START_TEST(kernel_launch_failure_names_the_kernel) {
    struct kernel_spec spec = add_spec(33);
    struct kernel *kernel;
    struct buffer *buffer;
    spec.local[0] = 5;
    spec.local[1] = spec.local[2] = 1;
    ck_succeeds(kernel_create(&kernel, test_device(), &spec));
    ck_succeeds(buffer_create(&buffer, test_device(), 33 * sizeof(float), "x"));
    ck_fails(LAUNCH(kernel, BUFFER(buffer), BUFFER(buffer)), ERROR_DEVICE, "kernel add: ");
    ck_assert_ptr_nonnull(strstr(error_message(), "CL_INVALID_WORK_GROUP_SIZE"));
    ck_assert_ptr_nonnull(strstr(error_message(), device_info(test_device())->name));
    buffer_free(buffer);
    kernel_free(kernel);
}
END_TEST

/* A device that is described as smaller than it is refuses what the smaller one would. */
START_TEST(kernel_that_asks_for_more_than_the_device_has_is_refused) {
    enum { ITEMS = 8 };
    struct kernel_spec spec =
        kernel_spec("bias_activation.cl", "bias_activation_backward", ITEMS, 1, 1);
    struct kernel *kernel;
    struct device_info *info = &test_device()->info, whole = *info;
    kernel_define(&spec, "TUNE_LOCAL", ITEMS);
    spec.local[0] = ITEMS;
    spec.local[1] = spec.local[2] = 1;
    ck_succeeds(kernel_create(&kernel, test_device(), &spec));
    kernel_free(kernel);
    info->work_group_max = ITEMS - 1;
    ck_fails(kernel_create(&kernel, test_device(), &spec), ERROR_DEVICE, "8 work-items in a work");
    ck_assert_ptr_nonnull(
        strstr(error_message(), "bias_activation_backward of bias_activation.cl"));
    *info = whole;
    /* The half of it may be what a device's driver tells twice. */
    int is_halved = (info->quirks & QUIRK_COUNTS_TWICE) != 0;
    info->local_memory = ITEMS * sizeof(float) / (is_halved ? 2 : 1) - 1;
    ck_fails(kernel_create(&kernel, test_device(), &spec), ERROR_DEVICE, "bytes of local memory");
    ck_assert_ptr_nonnull(
        strstr(error_message(), is_halved ? "the device has 15" : "the device has 31"));
    *info = whole;
}
END_TEST

START_TEST(kernel_with_an_argument_too_many_fails) {
    struct kernel_spec spec = add_spec(1);
    struct kernel *kernel;
    struct buffer *buffer;
    ck_succeeds(kernel_create(&kernel, test_device(), &spec));
    ck_succeeds(buffer_create(&buffer, test_device(), sizeof(float), "x"));
    ck_fails(LAUNCH(kernel, BUFFER(buffer), BUFFER(buffer), BUFFER(buffer)), ERROR_DEVICE,
             "kernel add: ");
    ck_assert_ptr_nonnull(strstr(error_message(), "CL_INVALID_ARG_INDEX"));
    buffer_free(buffer);
    kernel_free(kernel);
}
END_TEST

START_TEST(kernels_of_one_file_with_equal_macros_are_built_once) {
    struct kernel_spec spec = add_spec(1), larger = add_spec(2), other = add_spec(1);
    struct kernel *kernels[3];
    kernel_define(&other, "ANOTHER", 1);
    ck_succeeds(kernel_create(&kernels[0], test_device(), &spec));
    struct program *newest = test_device()->programs;
    ck_succeeds(kernel_create(&kernels[1], test_device(), &larger));
    ck_assert_ptr_eq(test_device()->programs, newest);
    ck_succeeds(kernel_create(&kernels[2], test_device(), &other));
    ck_assert_ptr_ne(test_device()->programs, newest);
    for (int i = 0; i < 3; i++)
        kernel_free(kernels[i]);
    kernel_free(NULL);
}
END_TEST

/* So that a file can be given to a compiler as it is, each has a default for each of its macros. */
START_TEST(kernel_files_build_without_a_macro) {
    static const char start[] = "kernel void ";
    for (const struct kernel_source *source = kernel_sources; source->name; source++) {
        const char *at = strstr(source->text, start);
        char name[64];
        struct kernel *kernel;
        if (!at || !strstr(source->name, ".cl") || strstr(source->name, ".clh"))
            continue;
        at += sizeof start - 1;
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(at, "("), at);
        struct kernel_spec spec = kernel_spec(source->name, name, 1, 1, 1);
        ck_succeeds(kernel_create(&kernel, test_device(), &spec));
        kernel_free(kernel);
    }
}
END_TEST

/* y + x on a device that was opened for this alone. */
static float sum_on_another_device(float x, float y) {
    struct device *device;
    struct device_choice choice = WHOLE_DEVICE(test_device_index());
    struct kernel_spec spec = add_spec(1);
    const struct kernel_spec *specs[] = {&spec, &spec};
    struct kernel *kernel;
    struct buffer *a, *b;
    ck_succeeds(device_open(&device, choice));
    ck_succeeds(kernels_build(device, specs, 2));
    ck_succeeds(kernel_create(&kernel, device, &spec));
    ck_succeeds(buffer_create(&a, device, sizeof x, "x"));
    ck_succeeds(buffer_create(&b, device, sizeof y, "y"));
    ck_succeeds(buffer_write(a, 0, sizeof x, &x));
    ck_succeeds(buffer_write(b, 0, sizeof y, &y));
    ck_succeeds(LAUNCH(kernel, BUFFER(a), BUFFER(b)));
    ck_succeeds(buffer_read(b, 0, sizeof y, &y));
    buffer_free(a);
    buffer_free(b);
    kernel_free(kernel);
    device_close(device);
    return y;
}

static void end_store(void) {
    ck_assert_int_eq(unsetenv("CLNET_STORE"), 0);
    (void)remove(STORE);
}

static void begin_store(void) {
    (void)remove(STORE);
    ck_assert_int_eq(setenv("CLNET_STORE", STORE, 1), 0);
}

static sqlite3 *open_store(void) {
    sqlite3 *database;
    ck_assert_int_eq(sqlite3_open(STORE, &database), SQLITE_OK);
    return database;
}

/* What a query of one number says. */
static int64_t ask_store(const char *sql) {
    sqlite3 *database = open_store();
    sqlite3_stmt *row;
    ck_assert_int_eq(sqlite3_prepare_v2(database, sql, -1, &row, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(row), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(row, 0);
    (void)sqlite3_finalize(row);
    ck_assert_int_eq(sqlite3_close(database), SQLITE_OK);
    return number;
}

/* Puts other bytes in the place of every program, with the checksum that goes with them. */
static void replace_programs(const char *bytes) {
    sqlite3 *database = open_store();
    sqlite3_stmt *update;
    ck_assert_int_eq(sqlite3_prepare_v2(database, "UPDATE programs SET program = ?, checksum = ?",
                                        -1, &update, NULL),
                     SQLITE_OK);
    (void)sqlite3_bind_blob(update, 1, bytes, (int)strlen(bytes), SQLITE_STATIC);
    (void)sqlite3_bind_int64(update, 2, (sqlite3_int64)XXH3_64bits(bytes, strlen(bytes)));
    ck_assert_int_eq(sqlite3_step(update), SQLITE_DONE);
    (void)sqlite3_finalize(update);
    ck_assert_int_eq(sqlite3_close(database), SQLITE_OK);
}

#define PROGRAMS "SELECT count(*) FROM programs"
#define CHANGES "SELECT max(rowid) FROM programs"

START_TEST(kernel_of_an_earlier_run_is_found_and_computes_the_same) {
    begin_store();
    ck_assert(sum_on_another_device(1, 2) == 3);
    if (ask_store(PROGRAMS) == 0)
        SKIP_TEST("the driver hands out no compiled program");
    ck_assert_int_eq(ask_store(PROGRAMS), 1);
    int64_t row = ask_store(CHANGES);
    ck_assert(sum_on_another_device(4, 5) == 9);
    ck_assert_int_eq(ask_store(CHANGES), row); /* nothing was compiled and kept */
    end_store();
}
END_TEST

START_TEST(kernel_of_an_earlier_run_that_the_driver_refuses_is_compiled_again) {
    if (device_info(test_device())->quirks & QUIRK_ABORTS)
        SKIP_TEST("it would end this process");
    begin_store();
    ck_assert(sum_on_another_device(1, 2) == 3);
    if (ask_store(PROGRAMS) == 0)
        SKIP_TEST("the driver hands out no compiled program");
    replace_programs("of another driver");
    ck_assert(sum_on_another_device(4, 5) == 9);
    ck_assert_int_gt(ask_store("SELECT length(program) FROM programs"), 17);
    end_store();
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("kernel");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_test(tests, kernel_launch_runs_over_its_geometry);
    tcase_add_test(tests, kernel_build_failure_shows_device_macros_and_log);
    tcase_add_test(tests, kernel_that_its_file_does_not_have_is_named);
    tcase_add_test(tests, kernel_launch_failure_names_the_kernel);
    tcase_add_test(tests, kernel_that_asks_for_more_than_the_device_has_is_refused);
    tcase_add_test(tests, kernel_with_an_argument_too_many_fails);
    tcase_add_test(tests, kernels_of_one_file_with_equal_macros_are_built_once);
    tcase_add_test(tests, kernel_files_build_without_a_macro);
    tcase_add_test(tests, kernel_of_an_earlier_run_is_found_and_computes_the_same);
    tcase_add_test(tests, kernel_of_an_earlier_run_that_the_driver_refuses_is_compiled_again);
    return suite_run("cl/kernel", tests);
}
