#include "layers/initialiser.h"

#include "base/rng.h"

#include <math.h>

const char *const initialiser_names[] = {"constant", "gaussian", "uniform", "xavier", "msra", NULL};

static void fill_gaussian(float *values, int64_t count, double sigma, struct rng *rng) {
    for (int64_t i = 0; i < count; i += 2) {
        float pair[2];
        rng_gaussian_pair(rng, pair);
        values[i] = (float)sigma * pair[0];
        if (i + 1 < count)
            values[i + 1] = (float)sigma * pair[1];
    }
}

static void fill_uniform(float *values, int64_t count, double range, struct rng *rng) {
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)range * (2.0F * rng_uniform(rng) - 1.0F);
}

void initialiser_fill(float *values, int64_t count, const struct initialiser *initialiser,
                      uint32_t seed, uint32_t index) {
    struct rng rng = rng_start(seed, RNG_INITIALISE, index, 0);
    switch ((enum initialiser_kind)initialiser->kind) {
    case INITIALISER_CONSTANT:
        for (int64_t i = 0; i < count; i++)
            values[i] = (float)initialiser->value;
        break;
    case INITIALISER_GAUSSIAN:
        fill_gaussian(values, count, initialiser->sigma, &rng);
        break;
    case INITIALISER_UNIFORM:
        fill_uniform(values, count, initialiser->range, &rng);
        break;
    case INITIALISER_XAVIER:
        fill_uniform(values, count, sqrt(6.0 / (initialiser->fan_in + initialiser->fan_out)), &rng);
        break;
    case INITIALISER_MSRA:
        fill_gaussian(values, count, sqrt(2.0 / initialiser->fan_in), &rng);
        break;
    }
}
