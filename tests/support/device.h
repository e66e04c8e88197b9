/* The device that a test program runs on. */
#ifndef SUPPORT_DEVICE_H
#define SUPPORT_DEVICE_H

#include "cl/device.h"

/* Its index: what the environment's CLNET_TEST_DEVICE says, or the best device. */
int test_device_index(void);

/* Opens and closes it; as an unchecked fixture of a test case these make its tests share one
 * device, and so the kernels that it has compiled. */
void test_device_open(void);
void test_device_close(void);

/* It, once opened. */
struct device *test_device(void);

/* Whether large shapes are to be left out: a simulator, cl/quirks.h. */
int test_is_small(void);

/* How many iterations to train for, of `most`: a third where launches are slow, cl/quirks.h. */
int test_iterations(int most);

/* Whether it gives AlexNet's largest parameter, fc6.weight, in one piece. */
int test_takes_alexnet(void);

/* Why tests are left out, for SKIP_TEST. */
#define TEST_TOO_LARGE "it takes a simulator too long"
#define TEST_SLOW_TO_COMPILE \
    "a register tile for CPUs: this device's compiler takes a minute for it"
#define TEST_NO_ROOM_FOR_TILE "a tile that the device has too little local memory or work-items for"
#define TEST_NO_ROOM_FOR_ALEXNET "fc6.weight takes 144 MiB, more than the device gives in one piece"
#define TEST_NO_PARTS "the device cannot be split"

/* Whether kernels with the large register tiles of CPUs can be tried. Where work-items run in the
 * lanes of registers, as with llvmpipe, a compiler takes a minute for each; not so where nothing is
 * compiled, which is where only small shapes are wanted. */
int test_takes_large_tiles(void);

#endif
