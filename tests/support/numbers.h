/* Random numbers to compute with, and comparing what came out. */
#ifndef SUPPORT_NUMBERS_H
#define SUPPORT_NUMBERS_H

#include <stdint.h>

/* Uniform random numbers; `salt` tells fillings apart. */
void fill_uniform(float *values, int64_t count, float least, float greatest, uint32_t salt);

/* New zeroed memory, which the caller frees; the test fails when there is none. */
double *new_doubles(int64_t count);
float *new_floats(int64_t count);

/* Asserts that each |got - want| is within tolerance * the largest |want|; a NaN never is. */
void check_close(const char *what, const float *got, const double *want, int64_t count,
                 double tolerance);

/* The tolerance for sums of that many terms of random signs, which float rounds at each addition.
 * The errors are a random walk: of n terms of size s, they have a deviation of about u s n / sqrt 2
 * with the unit u = 2^-24, where the largest of many sums is about 4 s sqrt n; so sqrt n * 2^-23 of
 * it is ten deviations. To that come 16 units for a function that is applied to a sum: OpenCL lets
 * exp be off by 3, tanh by 5 and pow by 16. */
double sum_tolerance(int64_t terms);

#endif
