/* Devices: the list, the best one, opening, and what goes wrong. */
#include "support/device.h"
#include "support/suite.h"

#include "cl/buffer.h"
#include "cl/kernel.h"

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

START_TEST(devices_choose_takes_what_the_text_names_in_its_order) {
    struct device_choice *choices;
    int count, all;
    struct device_info *devices;
    list(&devices, &all);
    ck_succeeds(devices_choose(&choices, &count, "0,0"));
    ck_assert_int_eq(count, 2);
    ck_assert(choices[0].index == 0 && choices[1].index == 0 && choices[1].parts <= 1);
    free(choices);
    ck_succeeds(devices_choose(&choices, &count, "all"));
    ck_assert_int_eq(count, all);
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(choices[i].index, i);
    free(choices);
    ck_succeeds(devices_choose(&choices, &count, NULL));
    ck_assert_int_eq(count, 1);
    ck_assert_int_eq(choices[0].index, devices_best(devices, all));
    free(choices);
    free(devices);
}
END_TEST

static const char *const bad_texts[][2] = {
    {"", "--devices: expected an index"},
    {"first", "not 'first'"},
    {"0,", "expected an index"},
    {",0", "expected an index"},
    {"0/", "expected an index"},
    {"0/1", "expected an index"},
    {"0/0", "expected an index"},
    {"-1", "expected an index"},
    {"0 ,0", "expected an index"},
    {"0,all", "not 'all'"},
    {"all,0", "expected an index"},
    {"0x1", "expected an index"},
    {"99999999999999999999", "expected an"},
    {"0/99999999999", "expected an index"},
    {"0,999,0", "--devices: device 999: there is no such device"},
    {"0/100000", "--devices: device 0 ("},
};
enum { BAD_TEXTS = sizeof bad_texts / sizeof bad_texts[0] };

START_TEST(devices_choose_says_what_is_wrong_with_a_text) {
    struct device_choice *choices;
    int count;
    ck_fails(devices_choose(&choices, &count, bad_texts[_i][0]), ERROR_INPUT, bad_texts[_i][1]);
}
END_TEST

START_TEST(devices_choose_bounds_how_many) {
    struct device_choice *choices;
    int count;
    char text[2 * 65];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 2 ? ',' : '0';
    text[sizeof text - 1] = '\0';
    ck_fails(devices_choose(&choices, &count, text), ERROR_INPUT, "more than 64 devices");
    text[sizeof text - 3] = '\0';
    ck_succeeds(devices_choose(&choices, &count, text));
    ck_assert_int_eq(count, 64);
    free(choices);
}
END_TEST

/* y += x on the device: it compiles, computes, and tells what it has allocated. */
static void check_computes(struct device *device) {
    float y[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct buffer *a, *b;
    struct kernel *kernel;
    struct kernel_spec spec = kernel_spec("add.cl", "add", 8, 1, 1);
    kernel_define(&spec, "T", 32);
    kernel_define(&spec, "TUNE_VECTOR", 1);
    ck_succeeds(kernel_create(&kernel, device, &spec));
    ck_succeeds(buffer_create(&a, device, sizeof y, "x"));
    ck_succeeds(buffer_create(&b, device, sizeof y, "y"));
    ck_assert_uint_eq(device_allocated(device), 2 * sizeof y);
    ck_succeeds(buffer_fill(a, 10));
    ck_succeeds(buffer_write(b, 0, sizeof y, y));
    ck_succeeds(LAUNCH(kernel, BUFFER(a), BUFFER(b)));
    ck_succeeds(buffer_read(b, 0, sizeof y, y));
    for (int i = 0; i < 8; i++)
        ck_assert(y[i] == 11 + (float)i);
    kernel_free(kernel);
    buffer_free(a);
    buffer_free(b);
    ck_assert_uint_eq(device_allocated(device), 0);
}

/* Where it cannot be split, that is what is said. */
START_TEST(device_halves_compute_and_more_parts_than_it_has_are_refused) {
    struct device_info *devices;
    struct device *halves[2];
    int count, index = test_device_index();
    list(&devices, &count);
    struct device_info whole = devices[index];
    free(devices);
    struct device_choice choice = {.index = index, .parts = 100000};
    if (whole.sub_devices < 2) {
        ck_fails(device_open(&halves[0], choice), ERROR_INPUT, "it cannot be split");
        return;
    }
    ck_fails(device_open(&halves[0], choice), ERROR_INPUT, "it can be split into");
    choice.parts = 2;
    for (choice.part = 0; choice.part < 2; choice.part++)
        ck_succeeds(device_open(&halves[choice.part], choice));
    ck_assert_int_eq(device_info(halves[1])->compute_units, whole.compute_units / 2);
    ck_assert_int_eq(device_info(halves[1])->index, index);
    ck_assert_ptr_nonnull(strstr(device_info(halves[0])->name, " (part 1 of 2)"));
    ck_assert_ptr_nonnull(strstr(device_info(halves[1])->name, " (part 2 of 2)"));
    check_computes(halves[0]);
    check_computes(halves[1]);
    device_close(halves[0]);
    check_computes(halves[1]);
    device_close(halves[1]);
}
END_TEST

START_TEST(devices_of_all_platforms_compute_while_all_are_open) {
    struct device_choice *choices;
    int count;
    ck_succeeds(devices_choose(&choices, &count, "all"));
    struct device **devices = calloc((size_t)count, sizeof(struct device *));
    ck_assert_ptr_nonnull(devices);
    for (int i = 0; i < count; i++)
        ck_succeeds(device_open(&devices[i], choices[i]));
    for (int i = 0; i < count; i++)
        check_computes(devices[i]);
    for (int i = 0; i < count; i++)
        device_close(devices[i]);
    free(devices);
    free(choices);
}
END_TEST

/* Of two platforms none is shared, which is to be seen where there are two. */
START_TEST(devices_of_a_platform_share_a_context_when_asked_to) {
    struct device_choice *choices;
    int count;
    ck_succeeds(devices_choose(&choices, &count, "all"));
    struct device **devices = calloc((size_t)count, sizeof(struct device *));
    ck_assert_ptr_nonnull(devices);
    ck_succeeds(devices_open(devices, choices, count, DEVICES_SHARE_CONTEXT));
    for (int i = 0; i < count; i++) {
        check_computes(devices[i]);
        for (int k = 0; k < count; k++)
            ck_assert_int_eq(
                device_shares_context(devices[i], devices[k]),
                strcmp(device_info(devices[i])->platform, device_info(devices[k])->platform) == 0);
    }
    for (int i = 0; i < count; i++)
        device_close(devices[i]);
    free(devices);
    free(choices);
}
END_TEST

START_TEST(devices_have_contexts_of_their_own_unless_asked_to_share) {
    const struct device_choice twice[] = {WHOLE_DEVICE(test_device_index()),
                                          WHOLE_DEVICE(test_device_index())};
    struct device *devices[2];
    ck_succeeds(devices_open(devices, twice, 2, 0));
    ck_assert(!device_shares_context(devices[0], devices[1]));
    device_close(devices[0]);
    check_computes(devices[1]);
    device_close(devices[1]);
}
END_TEST

/* The same device twice, or its halves: what one closes is still there for the other. */
static void check_pair(const struct device_choice *pair) {
    struct device *devices[2];
    ck_succeeds(devices_open(devices, pair, 2, DEVICES_SHARE_CONTEXT));
    ck_assert(device_shares_context(devices[0], devices[1]));
    check_computes(devices[0]);
    device_close(devices[0]);
    check_computes(devices[1]);
    device_close(devices[1]);
}

START_TEST(devices_that_share_a_context_may_be_the_same_or_parts_of_one) {
    struct device_info *devices;
    int count, index = test_device_index();
    list(&devices, &count);
    int parts = devices[index].sub_devices;
    free(devices);
    check_pair((struct device_choice[]){WHOLE_DEVICE(index), WHOLE_DEVICE(index)});
    if (parts >= 2)
        check_pair((struct device_choice[]){{.index = index, .part = 0, .parts = 2},
                                            {.index = index, .part = 1, .parts = 2}});
}
END_TEST

START_TEST(devices_that_cannot_all_be_opened_are_all_closed) {
    const struct device_choice choices[] = {WHOLE_DEVICE(test_device_index()), WHOLE_DEVICE(1000)};
    struct device *devices[2];
    ck_fails(devices_open(devices, choices, 2, DEVICES_SHARE_CONTEXT), ERROR_INPUT,
             "device 1000: there is no such device");
    ck_assert(!devices[0] && !devices[1]);
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
    tcase_add_test(tests, devices_choose_takes_what_the_text_names_in_its_order);
    tcase_add_loop_test(tests, devices_choose_says_what_is_wrong_with_a_text, 0, BAD_TEXTS);
    tcase_add_test(tests, devices_choose_bounds_how_many);
    tcase_add_test(tests, device_halves_compute_and_more_parts_than_it_has_are_refused);
    tcase_add_test(tests, devices_of_all_platforms_compute_while_all_are_open);
    tcase_add_test(tests, devices_of_a_platform_share_a_context_when_asked_to);
    tcase_add_test(tests, devices_have_contexts_of_their_own_unless_asked_to_share);
    tcase_add_test(tests, devices_that_share_a_context_may_be_the_same_or_parts_of_one);
    tcase_add_test(tests, devices_that_cannot_all_be_opened_are_all_closed);
    tcase_add_test(tests, device_close_takes_what_was_never_opened);
    return suite_run("cl/device", tests);
}
