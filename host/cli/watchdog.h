/* Ends the process when a device does not answer: a driver that hangs can be neither waited for nor
 * freed. */
#ifndef CLI_WATCHDOG_H
#define CLI_WATCHDOG_H

#include "cl/device.h"

struct watchdog;

/* Watches the open devices [count]; both must stay until watchdog_stop. When a thread waits for one
 * of them and there is no sign of life for so many seconds, the process ends there and then with
 * the name of the device. 0 seconds: *out is NULL, and there is nothing to stop. `command` is who
 * tells it. A device that no second thread may call is left alone: all that it does, it does while
 * someone waits. */
int watchdog_start(struct watchdog **out, struct device *const *devices, int count, int seconds,
                   const char *command);

/* What the user can do then, to be told too. */
void watchdog_advise(struct watchdog *watchdog, const char *advice);

void watchdog_stop(struct watchdog *watchdog);

#endif
