/* --tune of the commands that train or measure: before the work begins, what kernels leave open is
 * tuned where nothing is known of it yet.
 */
#ifndef CLI_TUNE_FIRST_H
#define CLI_TUNE_FIRST_H

#include "cl/device.h"
#include "net/net.h"

/* How much is tuned, and its names, NULL-terminated. */
enum tune { TUNE_OFF, TUNE_QUICK, TUNE_FULL };
extern const char *const tune_names[];

#define TUNE_FIRST_HELP                                                                         \
    "find fast kernels first, where none are known: off; quick, in at most 20 s for a device; " \
    "full, as long as it takes; by default what CLNET_TUNE says, else quick"

/* What --tune, NULL if it was not given, and CLNET_TUNE say. Another word is ERROR_INPUT. */
int tune_first_check(const char *tune);

/* Tunes for a training in which each of the devices takes an equal share of the batch. They must
 * not be open. What is found is kept for this run and later ones. */
int tune_first(const char *tune, const struct net *net, const struct device_choice *choices,
               int count, enum truth truth_kind, int is_floats);

#endif
