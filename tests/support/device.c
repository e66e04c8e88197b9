#include "support/device.h"

#include "support/suite.h"

#include "cl/quirks.h"
#include "cl/target.h"

#include <stdlib.h>

static struct device *device;

static struct device_info describe(void) {
    const char *given = getenv("CLNET_TEST_DEVICE");
    struct device_info *devices;
    int count;
    ck_succeeds(devices_list(&devices, &count));
    int index = given ? atoi(given) : devices_best(devices, count);
    ck_assert_int_lt(index, count);
    struct device_info info = devices[index];
    free(devices);
    return info;
}

int test_device_index(void) {
    return describe().index;
}

int test_iterations(int most) {
    return describe().quirks & QUIRK_SLOW_LAUNCHES ? most / 3 : most;
}

int test_takes_alexnet(void) {
    return describe().allocation_max >= sizeof(float) * 9216 * 4096;
}

void test_device_open(void) {
    ck_succeeds(device_open(&device, WHOLE_DEVICE(test_device_index())));
}

void test_device_close(void) {
    device_close(device);
    device = NULL;
}

struct device *test_device(void) {
    return device;
}

int test_is_small(void) {
    return (device_info(test_device())->quirks & QUIRK_SIMULATED) != 0;
}

int test_takes_large_tiles(void) {
    struct target here = {.device = *device_info(test_device())};
    return target_has_vectors(&here) || test_is_small();
}
