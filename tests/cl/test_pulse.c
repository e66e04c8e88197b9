/* Signs of life, and a device that ceases to show any. */
#include "support/device.h"
#include "support/limits.h"
#include "support/suite.h"

#include "cl/internal.h"
#include "cl/kernel.h"
#include "cl/quirks.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* It hangs after so many launches, and two commands before them. */
#define LIMITS "hang=5"
enum { LAUNCHES = 3, COUNT = 64 };

static struct device *device;
static struct kernel *kernel;
static struct buffer *ones, *sums;
static float found[COUNT];

static void setup(void) {
    struct kernel_spec spec = kernel_spec("add.cl", "add", COUNT, 1, 1);
    kernel_define(&spec, "T", 32);
    kernel_define(&spec, "TUNE_VECTOR", 1);
    test_limits(LIMITS);
    ck_succeeds(device_open(&device, WHOLE_DEVICE(test_device_index())));
    test_limits(NULL);
    ck_succeeds(kernel_create(&kernel, device, &spec));
    ck_succeeds(buffer_create(&ones, device, sizeof found, "ones"));
    ck_succeeds(buffer_create(&sums, device, sizeof found, "sums"));
    ck_succeeds(buffer_fill(ones, 1));
    ck_succeeds(buffer_fill(sums, 0));
}

static void teardown(void) {
    buffer_free(ones);
    buffer_free(sums);
    kernel_free(kernel);
    device_close(device);
}

static void pause_shortly(void) {
    (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void launch(int count) {
    for (int i = 0; i < count; i++)
        ck_succeeds(LAUNCH(kernel, BUFFER(ones), BUFFER(sums)));
}

static void *read_sums(void *result) {
    *(int *)result = buffer_read(sums, 0, sizeof found, found);
    return NULL;
}

START_TEST(pulse_of_a_wait_that_ends_is_a_sign_of_life) {
    unsigned before = device_signs(device);
    launch(LAUNCHES);
    ck_assert_uint_eq(device_signs(device), before);
    ck_succeeds(device_finish(device));
    ck_assert_uint_gt(device_signs(device), before);
    ck_assert(!device_is_awaited(device));
}
END_TEST

/* Each launch before the hang is one, however long the wait for what follows. */
START_TEST(pulse_ceases_when_the_device_hangs_and_someone_waits) {
    pthread_t waiter;
    int result = ERROR_DEVICE;
    if (device_info(device)->quirks & QUIRK_SERIAL)
        SKIP_TEST("the device takes one thread, and does not hang");
    device_listen(device);
    unsigned before = device_signs(device);
    launch(LAUNCHES);
    ck_succeeds(device_flush(device)); /* some drivers tell of what was flushed as one */
    launch(1);
    ck_assert(!device_is_awaited(device));
    ck_assert_int_eq(pthread_create(&waiter, NULL, read_sums, &result), 0);
    while (!device_is_awaited(device) || device_signs(device) - before < LAUNCHES) {
        pause_shortly();
        device_listen(device);
    }
    for (int i = 0; i < 50; i++) {
        pause_shortly();
        device_listen(device);
        ck_assert(device_is_awaited(device));
        ck_assert_uint_eq(device_signs(device), before + LAUNCHES);
    }
    trial_end(device);
    ck_assert_int_eq(pthread_join(waiter, NULL), 0);
    ck_assert_int_eq(result, 0);
    ck_assert(found[0] == LAUNCHES + 1);
    ck_assert(!device_is_awaited(device));
}
END_TEST

/* More launches than are listened for at once. */
START_TEST(pulse_of_very_many_launches_loses_none_but_signs) {
    if (device_info(device)->quirks & QUIRK_SERIAL)
        SKIP_TEST("the device takes one thread");
    device_listen(device);
    unsigned before = device_signs(device);
    launch(LAUNCHES + 1);
    trial_end(device);
    for (int i = 0; i < 3; i++) {
        launch(2 * PULSES);
        device_listen(device);
    }
    ck_succeeds(buffer_read(sums, 0, sizeof found, found));
    while (device_signs(device) - before < PULSES) { /* it may tell a moment later */
        pause_shortly();
        device_listen(device);
    }
    ck_assert(found[0] == LAUNCHES + 1 + 6 * PULSES);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("pulse");
    tcase_set_timeout(tests, 0);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, pulse_of_a_wait_that_ends_is_a_sign_of_life);
    tcase_add_test(tests, pulse_ceases_when_the_device_hangs_and_someone_waits);
    tcase_add_test(tests, pulse_of_very_many_launches_loses_none_but_signs);
    return suite_run("cl/pulse", tests);
}
