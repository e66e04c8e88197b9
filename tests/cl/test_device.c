/* Devices: the list, the best one, opening, and what goes wrong. */
#include "support/device.h"
#include "support/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void list(struct device_info **devices, int *count) {
    ck_succeeds(devices_list(devices, count));
    ck_assert_int_ge(*count, 1);
}

/* In a process of its own, as the loader of OpenCL looks for platforms only once. An implementation
 * that was linked in by other means is there all the same, and there is nothing to see. */
START_TEST(devices_list_without_a_platform_says_what_to_install) {
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct device_info *devices;
        int count;
        (void)setenv("OCL_ICD_VENDORS", "/nonexistent/", 1);
        int rc = devices_list(&devices, &count);
        _exit(rc == 0 || (rc == ERROR_DEVICE && strstr(error_message(), "no OpenCL platform") &&
                          strstr(error_message(), "pocl-opencl-icd"))
                  ? 0
                  : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(devices_list_describes_each_device) {
    struct device_info *devices;
    int count;
    list(&devices, &count);
    for (int i = 0; i < count; i++) {
        const struct device_info *d = &devices[i];
        ck_assert_int_eq(d->index, i);
        ck_assert(d->name[0] && d->platform[0] && d->driver[0]);
        ck_assert_msg(strncmp(d->version, "OpenCL ", 7) == 0, "version: %s", d->version);
        ck_assert_ptr_nonnull(d->kind);
        ck_assert_int_ge(d->compute_units, 1);
        ck_assert_uint_ge(d->global_memory, d->allocation_max);
        ck_assert_uint_gt(d->allocation_max, 0);
        ck_assert_uint_gt(d->local_memory, 0);
        ck_assert_uint_gt(d->work_group_max, 0);
        ck_assert_uint_gt(d->alignment, 0);
        ck_assert_uint_eq(d->alignment & (d->alignment - 1), 0);
    }
    free(devices);
}
END_TEST

START_TEST(devices_best_is_a_gpu_and_then_the_fastest) {
    const struct device_info devices[] = {
        {.is_cpu = 1, .compute_units = 64, .clock_mhz = 4000},
        {.is_cpu = 0, .compute_units = 4, .clock_mhz = 800},
        {.is_cpu = 0, .compute_units = 8, .clock_mhz = 700},
        {.is_cpu = 0, .compute_units = 8, .clock_mhz = 700},
    };
    ck_assert_int_eq(devices_best(devices, 1), 0);
    ck_assert_int_eq(devices_best(devices, 2), 1);
    ck_assert_int_eq(devices_best(devices, 4), 2);
}
END_TEST

/* Some drivers say 0 for what they do not know. */
START_TEST(devices_best_of_one_that_says_nothing_is_that_one) {
    const struct device_info nothing = {.is_cpu = 1};
    ck_assert_int_eq(devices_best(&nothing, 1), 0);
}
END_TEST

START_TEST(device_open_out_of_range_says_how_many_there_are) {
    struct device_info *devices;
    struct device *device;
    int count;
    char message[64];
    list(&devices, &count);
    free(devices);
    (void)snprintf(message, sizeof message, "device %d: there is no such device; there are %d",
                   count, count);
    ck_fails(device_open(&device, WHOLE_DEVICE(count)), ERROR_INPUT, message);
    ck_fails(device_open(&device, WHOLE_DEVICE(-1)), ERROR_INPUT,
             "device -1: there is no such device");
}
END_TEST

START_TEST(device_opened_is_the_one_of_the_list) {
    struct device_info *devices;
    struct device *device;
    int count, index = test_device_index();
    list(&devices, &count);
    ck_succeeds(device_open(&device, WHOLE_DEVICE(index)));
    ck_assert_int_eq(device_info(device)->index, index);
    ck_assert_str_eq(device_info(device)->name, devices[index].name);
    ck_succeeds(device_finish(device));
    device_close(device);
    free(devices);
}
END_TEST

START_TEST(device_close_takes_what_was_never_opened) {
    device_close(NULL);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("device");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, devices_list_without_a_platform_says_what_to_install); /* the first */
    tcase_add_test(tests, devices_list_describes_each_device);
    tcase_add_test(tests, devices_best_is_a_gpu_and_then_the_fastest);
    tcase_add_test(tests, devices_best_of_one_that_says_nothing_is_that_one);
    tcase_add_test(tests, device_open_out_of_range_says_how_many_there_are);
    tcase_add_test(tests, device_opened_is_the_one_of_the_list);
    tcase_add_test(tests, device_close_takes_what_was_never_opened);
    return suite_run("cl/device", tests);
}
