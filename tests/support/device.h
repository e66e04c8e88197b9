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

/* Whether CLNET_TEST_SMALL=1 asks to leave out large shapes, for OpenCL implementations that check
 * every access and so take a thousand times as long. */
int test_is_small(void);

/* Whether kernels with the large register tiles of CPUs can be tried. Where work-items run in the
 * lanes of registers, as with llvmpipe, a compiler takes a minute for each; not so where nothing is
 * compiled, which is where only small shapes are wanted. */
int test_takes_large_tiles(void);

#endif
