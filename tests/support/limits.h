/* Devices that have less than those that are here, for a test. */
#ifndef SUPPORT_LIMITS_H
#define SUPPORT_LIMITS_H

/* What is opened and started from here on has these limits (cl/limits_override.h) beside those that
 * CLNET_DEVICE_LIMITS sets for all tests; NULL: those alone. */
void test_limits(const char *limits);

#endif
