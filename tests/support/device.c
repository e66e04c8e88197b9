#include "support/device.h"

#include "support/suite.h"

#include "cl/target.h"

#include <stdlib.h>
#include <string.h>

static struct device *device;

int test_device_index(void) {
    const char *given = getenv("CLNET_TEST_DEVICE");
    if (given)
        return atoi(given);
    struct device_info *devices;
    int count;
    ck_succeeds(devices_list(&devices, &count));
    int best = devices[devices_best(devices, count)].index;
    free(devices);
    return best;
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
    const char *given = getenv("CLNET_TEST_SMALL");
    return given && strcmp(given, "1") == 0;
}

int test_takes_large_tiles(void) {
    struct target here = {.device = *device_info(test_device())};
    return target_has_vectors(&here) || test_is_small();
}
