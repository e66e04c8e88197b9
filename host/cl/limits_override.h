/* CLNET_DEVICE_LIMITS: how clnet behaves on a device with less, or on one that fails, tried on one
 * with more that does not. */
#ifndef CL_LIMITS_OVERRIDE_H
#define CL_LIMITS_OVERRIDE_H

#include "cl/device.h"

/* Changes what a device says of itself to what the text describes, items with commas between; NULL
 * changes nothing. Nothing becomes more than the device has:
 *   global_memory, allocation_max, local_memory (bytes, or with K, M, G), work_group_max,
 *   compute_units, vector_width (floats)   lower it;
 *   alignment (bytes, a power of two)      raises it;
 *   fp64, fp16, fma=0                      take it away;
 *   unified=0      has it work in memory of its own, as far as the host is concerned;
 *   type=gpu, cpu  has it pass for one, and so run what those are given;
 *   name, platform, driver, version        have it pass for another by cl/quirks.h;
 *   commands=500   has every launch of a kernel, transfer and window fail, after so many since the
 *                  device was opened, as on a device that was lost;
 *   launches=500   the same of launches alone;
 *   hang=500       has none complete.
 * "1:commands=500" is for device 1 alone, as is "1:global_memory=1G". Limits hold: a kernel or a
 * view that asks for more fails (cl/kernel.h, cl/buffer.h). ERROR_INPUT names the item that makes
 * no sense. */
int limits_override(struct device_info *info, const char *text);

#endif
