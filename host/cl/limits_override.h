/* CLNET_DEVICE_LIMITS: how clnet behaves on a device with less, or on one that fails, tried on one
 * with more that does not. */
#ifndef CL_LIMITS_OVERRIDE_H
#define CL_LIMITS_OVERRIDE_H

#include "cl/device.h"

/* Lowers what a device says of itself to what the text allows: "global_memory=1G,local_memory=16K,
 * allocation_max=256M,work_group_max=64,fp64=0,fp16=0,unified=0", any of these; NULL changes
 * nothing. Nothing is ever raised. unified=0 has it work in memory of its own, as far as the host
 * is concerned. "commands=500" has every launch of a kernel, transfer and window fail, after so
 * many since the device was opened, as on a device that was lost; "launches=500"
 * the same of launches alone; "hang=500" has none complete.
 * "1:commands=500" is for device 1 alone, as is "1:global_memory=1G". ERROR_INPUT names the item
 * that makes no sense. */
int limits_override(struct device_info *info, const char *text);

#endif
