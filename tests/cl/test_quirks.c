/* The table of what is known of devices: for which it holds, and what it changes. Devices that are
 * not here are pretended. */
#include "support/device.h"
#include "support/limits.h"
#include "support/suite.h"

#include "cl/internal.h"
#include "cl/kernel.h"
#include "cl/quirks.h"
#include "cl/source.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int count_rows(void) {
    int count = 0;
    while (quirk_rows[count].label)
        count++;
    return count;
}

/* What a device says whose text begins as a row has it. */
static void say(char text[DEVICE_TEXT], const char *start) {
    (void)snprintf(text, DEVICE_TEXT, "%s and more", start ? start : "whatever");
}

START_TEST(quirks_hold_for_the_devices_that_they_name_and_for_no_other) {
    const struct quirk_row *row = &quirk_rows[_i];
    const char *const starts[] = {row->platform, row->name, row->driver, row->version};
    struct device_info info = {0};
    char *const said[] = {info.platform, info.name, info.driver, info.version};
    for (int i = 0; i < 4; i++)
        say(said[i], starts[i]);
    ck_assert(quirk_holds(row, &info));
    ck_assert_uint_eq(quirks_find(&info) & row->quirk, row->quirk);
    int named = 0;
    for (int i = 0; i < 4; i++) {
        if (!starts[i])
            continue;
        named++;
        say(said[i], "something else");
        ck_assert(!quirk_holds(row, &info));
        say(said[i], starts[i]);
    }
    ck_assert_int_gt(named, 0);
}
END_TEST

START_TEST(quirks_are_none_of_a_device_of_which_nothing_is_known) {
    struct device_info info = {.version = "OpenCL 3.0", .platform = "P", .driver = "1"};
    ck_assert_uint_eq(quirks_find(&info), 0);
}
END_TEST

/* So that no row outlives its test. */
START_TEST(quirks_name_a_test_that_there_is) {
    const struct quirk_row *row = &quirk_rows[_i];
    char file[64], name[120], test[130], path[512], *text;
    size_t length;
    ck_assert_int_eq(sscanf(row->test, "%63s %119s", file, name), 2);
    (void)snprintf(test, sizeof test, "(%s)", name);
    (void)snprintf(path, sizeof path, CLNET_SOURCE_DIR "/tests/%s.c", file);
    ck_succeeds(file_read(path, 1 << 20, &text, &length));
    ck_assert_msg(strstr(text, test) != NULL, "%s has no test %s", path, test);
    free(text);
}
END_TEST

static struct device *open_with(const char *limits) {
    struct device *device;
    test_limits(limits);
    ck_succeeds(device_open(&device, WHOLE_DEVICE(test_device_index())));
    test_limits(NULL);
    return device;
}

/* The options of a build are in the message of its failure. */
static void check_options(const char *limits, int has_standard, int is_unoptimised) {
    struct device *device = open_with(limits);
    struct kernel_spec spec = kernel_spec("add.cl", "add", 1, 1, 1);
    struct kernel *kernel;
    kernel_define(&spec, "TUNE_VECTOR", 5); /* there is no float5 */
    ck_fails(kernel_create(&kernel, device, &spec), ERROR_DEVICE, "cannot build add.cl");
    const char *message = error_message();
    ck_assert_int_eq(strstr(message, "-cl-std=CL1.2") != NULL, has_standard);
    ck_assert_int_eq(strstr(message, "-cl-opt-disable") != NULL, is_unoptimised);
    device_close(device);
}

START_TEST(quirks_choose_the_options_of_the_compiler) {
    check_options("platform=P,version=OpenCL 1.2", 1, 0);
    check_options("platform=P,version=OpenCL 1.1 Mesa", 0, 0);
    check_options("platform=P,version=OpenCL 1.0", 0, 0);
    check_options("platform=P,version=OpenCL 3.0", 1, 0);
    check_options("platform=Oclgrind,version=OpenCL 1.2 (Oclgrind 21.10)", 1, 1);
}
END_TEST

START_TEST(quirk_of_a_serial_device_has_one_thread_compile) {
    struct device_info info = {.platform = "P"};
    ck_assert_int_eq(program_builders(&info, 30, 8), 8);
    ck_assert_int_eq(program_builders(&info, 3, 8), 3);
    ck_assert_int_eq(program_builders(&info, 0, 8), 1);
    ck_assert_int_eq(program_builders(&info, 3000, 1000), 16);
    info.quirks = QUIRK_SERIAL;
    ck_assert_int_eq(program_builders(&info, 30, 8), 1);
}
END_TEST

START_TEST(quirk_of_a_simulator_has_tests_take_small_shapes) {
    test_limits("platform=Oclgrind");
    test_device_open();
    test_limits(NULL);
    ck_assert(test_is_small());
    test_device_close();
    test_limits("platform=P");
    test_device_open();
    test_limits(NULL);
    ck_assert(!test_is_small());
    test_device_close();
}
END_TEST

START_TEST(quirk_of_slow_launches_has_tests_train_for_fewer_iterations) {
    test_limits("platform=rusticl,driver=22.3.6");
    ck_assert_int_eq(test_iterations(50), 16);
    test_limits("platform=P");
    ck_assert_int_eq(test_iterations(50), 50);
    test_limits(NULL);
}
END_TEST

/* As quirks.h promises, so that devices of 32 bits need no row.
 */
START_TEST(kernels_take_no_argument_whose_size_differs_among_devices) {
    int count = 0;
    for (const struct kernel_source *source = kernel_sources; source->name; source++) {
        const char *at = source->text;
        while ((at = strstr(at, "kernel void ")) != NULL) {
            char signature[1024];
            (void)snprintf(signature, sizeof signature, "%.*s", (int)strcspn(at, "{"), at);
            ck_assert_msg(!strstr(signature, "size_t") && !strstr(signature, "bool"), "%s: %s",
                          source->name, signature);
            at += strlen("kernel void ");
            count++;
        }
    }
    ck_assert_int_gt(count, 20);
}
END_TEST

/* But for what tiled.clh does where a tuning says so, which only a device that has it allows. */
START_TEST(kernels_need_no_extension) {
    static const char *const words[] = {"double", "half", "cl_khr_", "get_sub_group",
                                        "sub_group_b"};
    for (const struct kernel_source *source = kernel_sources; source->name; source++) {
        const char *guarded = strstr(source->text, "#if TUNE_SHARE > 1");
        const char *end = guarded ? strstr(guarded, "#else") : NULL;
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            for (const char *at = strstr(source->text, words[i]); at; at = strstr(at + 1, words[i]))
                ck_assert_msg(end && at > guarded && at < end, "%s says %s", source->name,
                              words[i]);
        }
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("quirks");
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, quirks_hold_for_the_devices_that_they_name_and_for_no_other, 0,
                        count_rows());
    tcase_add_test(tests, quirks_are_none_of_a_device_of_which_nothing_is_known);
    tcase_add_loop_test(tests, quirks_name_a_test_that_there_is, 0, count_rows());
    tcase_add_test(tests, quirks_choose_the_options_of_the_compiler);
    tcase_add_test(tests, quirk_of_a_serial_device_has_one_thread_compile);
    tcase_add_test(tests, quirk_of_a_simulator_has_tests_take_small_shapes);
    tcase_add_test(tests, quirk_of_slow_launches_has_tests_train_for_fewer_iterations);
    tcase_add_test(tests, kernels_take_no_argument_whose_size_differs_among_devices);
    tcase_add_test(tests, kernels_need_no_extension);
    return suite_run("cl/quirks", tests);
}
