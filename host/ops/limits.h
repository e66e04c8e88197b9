/* What a device can do at most, measured by kernels of ours: what a benchmark's figures are held
 * against. */
#ifndef OPS_LIMITS_H
#define OPS_LIMITS_H

#include "cl/kernel.h"

struct device_limits {
    double flops;          /* multiply-adds count as two, a second */
    double bytes;          /* read and written in device memory, a second */
    double to_device;      /* bytes a second, from the host */
    double from_device;    /* bytes a second, to the host */
    double launch_seconds; /* from a launch to its end, for a kernel that does next to nothing */
};

/* The kernels: multiply-adds in registers alone, and a copy of so many floats. */
struct kernel_spec limits_multiply_add_spec(const struct device_info *device);
struct kernel_spec limits_copy_spec(const struct device_info *device, size_t floats);

/* Measures, in a second or two. */
int device_limits_measure(struct device_limits *limits, struct device *device);

#endif
