#include "support/numbers.h"

#include "support/suite.h"

#include "base/rng.h"

#include <math.h>
#include <stdlib.h>

void fill_uniform(float *values, int64_t count, float least, float greatest, uint32_t salt) {
    struct rng rng = rng_start(1, RNG_INITIALISE, salt, 0);
    for (int64_t i = 0; i < count; i++)
        values[i] = least + (greatest - least) * rng_uniform(&rng);
}

double *new_doubles(int64_t count) {
    double *values = calloc((size_t)count + 1, sizeof *values);
    ck_assert_ptr_nonnull(values);
    return values;
}

float *new_floats(int64_t count) {
    float *values = calloc((size_t)count + 1, sizeof *values);
    ck_assert_ptr_nonnull(values);
    return values;
}

double sum_tolerance(int64_t terms) {
    return (2 * sqrt((double)terms) + 16) * 0x1p-24;
}

void check_close(const char *what, const float *got, const double *want, int64_t count,
                 double tolerance) {
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(want[i]));
    for (int64_t i = 0; i < count; i++) {
        if (!(fabs((double)got[i] - want[i]) <= tolerance * largest))
            ck_abort_msg("%s[%lld of %lld] is %.9g, not %.9g, with a tolerance of %.3g of %.3g",
                         what, (long long)i, (long long)count, (double)got[i], want[i], tolerance,
                         largest);
    }
}
