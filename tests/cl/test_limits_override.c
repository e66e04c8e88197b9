/* CLNET_DEVICE_LIMITS: what it lowers, and what makes no sense. */
#include "support/device.h"
#include "support/limits.h"
#include "support/suite.h"

#include "cl/limits_override.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct device_info large(void) {
    return (struct device_info){.global_memory = 8ULL << 30,
                                .allocation_max = 4ULL << 30,
                                .local_memory = 64 << 10,
                                .work_group_max = 1024,
                                .has_fp16 = 1,
                                .has_fp64 = 1,
                                .is_unified = 1};
}

START_TEST(limits_override_lowers_what_it_names) {
    struct device_info info = large();
    ck_succeeds(limits_override(&info, "global_memory=1G,allocation_max=256M,local_memory=16K,"
                                       "work_group_max=64,fp64=0,fp16=0,unified=0"));
    ck_assert_uint_eq(info.global_memory, 1 << 30);
    ck_assert_uint_eq(info.allocation_max, 256 << 20);
    ck_assert_uint_eq(info.local_memory, 16 << 10);
    ck_assert_uint_eq(info.work_group_max, 64);
    ck_assert(!info.has_fp64 && !info.has_fp16 && !info.is_unified);
}
END_TEST

START_TEST(limits_override_raises_nothing) {
    struct device_info info = large(), before = info;
    info.has_fp64 = 0;
    ck_succeeds(limits_override(&info, "global_memory=99G,work_group_max=4096,fp64=1"));
    ck_assert_uint_eq(info.global_memory, before.global_memory);
    ck_assert_uint_eq(info.work_group_max, before.work_group_max);
    ck_assert_int_eq(info.has_fp64, 0);
    ck_succeeds(limits_override(&info, NULL));
    ck_assert_uint_eq(info.allocation_max, before.allocation_max);
}
END_TEST

START_TEST(limits_override_gives_no_piece_larger_than_the_memory) {
    struct device_info info = large();
    ck_succeeds(limits_override(&info, "global_memory=1000"));
    ck_assert_uint_eq(info.allocation_max, 1000);
}
END_TEST

static const char *const nonsense[] = {
    "memory=1",
    "global_memory",
    "global_memory=",
    "global_memory=0",
    "global_memory=1T",
    "global_memory=-1",
    "global_memory=1GG",
    "fp64=2",
    "fp16=no",
    "local_memory= 1",
    "allocation_max=99999999999999999999",
    "alignment=96",
    "type=toaster",
    "type=",
    "name=",
};
enum { NONSENSE = sizeof nonsense / sizeof nonsense[0] };

START_TEST(limits_override_has_a_device_pass_for_another) {
    struct device_info info = large();
    info.is_cpu = info.has_fma = 1;
    info.vector_width = 16;
    info.compute_units = 8;
    info.alignment = 128;
    ck_succeeds(limits_override(&info, "type=gpu,fma=0,vector_width=4,compute_units=2,alignment=1K,"
                                       "name=A B (C),platform=P,driver=1.2,version=OpenCL 1.1"));
    ck_assert(!info.is_cpu && !info.has_fma);
    ck_assert_str_eq(info.kind, "GPU");
    ck_assert_int_eq(info.vector_width, 4);
    ck_assert_int_eq(info.compute_units, 2);
    ck_assert_uint_eq(info.alignment, 1024);
    ck_assert_str_eq(info.name, "A B (C)");
    ck_assert_str_eq(info.platform, "P");
    ck_assert_str_eq(info.driver, "1.2");
    ck_assert_str_eq(info.version, "OpenCL 1.1");
    ck_succeeds(limits_override(&info, "type=CPU,alignment=64,vector_width=8"));
    ck_assert(info.is_cpu);
    ck_assert_uint_eq(info.alignment, 1024); /* what is stricter stays */
    ck_assert_int_eq(info.vector_width, 4);
}
END_TEST

START_TEST(limits_override_names_the_item_that_makes_no_sense) {
    struct device_info info = large();
    char text[100];
    (void)snprintf(text, sizeof text, "work_group_max=64,%s", nonsense[_i]);
    ck_fails(limits_override(&info, text), ERROR_INPUT, nonsense[_i]);
    ck_assert_ptr_nonnull(strstr(error_message(), "CLNET_DEVICE_LIMITS"));
}
END_TEST

START_TEST(limits_override_may_be_for_one_device_alone) {
    struct device_info info = large();
    info.index = 1;
    ck_succeeds(limits_override(&info, "0:commands=5,1:work_group_max=32,2:commands=7"));
    ck_assert_uint_eq(info.fails_after, 0);
    ck_assert_uint_eq(info.work_group_max, 32);
    ck_succeeds(limits_override(&info, "1:commands=9,1:hang=8,0:hang=7"));
    ck_assert_uint_eq(info.fails_after, 9);
    ck_assert_uint_eq(info.hangs_after, 8);
    ck_fails(limits_override(&info, "0:commands=many"), ERROR_INPUT, "0:commands=many");
}
END_TEST

START_TEST(limits_override_reaches_the_list_and_an_opened_device) {
    struct device_info *devices;
    struct device *device;
    int count, index = test_device_index();
    test_limits("work_group_max=8");
    ck_succeeds(devices_list(&devices, &count));
    ck_succeeds(device_open(&device, WHOLE_DEVICE(index)));
    ck_assert_uint_le(devices[index].work_group_max, 8);
    ck_assert_uint_le(device_info(device)->work_group_max, 8);
    device_close(device);
    free(devices);
    test_limits("nothing=8");
    ck_fails(devices_list(&devices, &count), ERROR_INPUT, "'nothing=8'");
    ck_fails(device_open(&device, WHOLE_DEVICE(index)), ERROR_INPUT, "'nothing=8'");
    test_limits(NULL);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("limits_override");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, limits_override_lowers_what_it_names);
    tcase_add_test(tests, limits_override_raises_nothing);
    tcase_add_test(tests, limits_override_gives_no_piece_larger_than_the_memory);
    tcase_add_test(tests, limits_override_has_a_device_pass_for_another);
    tcase_add_loop_test(tests, limits_override_names_the_item_that_makes_no_sense, 0, NONSENSE);
    tcase_add_test(tests, limits_override_may_be_for_one_device_alone);
    tcase_add_test(tests, limits_override_reaches_the_list_and_an_opened_device);
    return suite_run("cl/limits_override", tests);
}
