/* Sums of what several devices have, in the host's memory. */
#ifndef TRAIN_SUM_H
#define TRAIN_SUM_H

#include <stddef.h>

/* Makes the rank's share of all arrays, values[0..count-1], of so many floats each, the sum over
 * all of them, in their order. Once every rank has called it all of the arrays are the sum. */
void sum_share(float *const *values, int count, int rank, size_t floats);

#endif
