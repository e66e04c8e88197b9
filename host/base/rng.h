/* A counter-based random generator: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy
 * as 1, 2, 3", 2011), by the Random123 library. A number depends on its key and counter alone, so
 * the same numbers come on any device, in any order, by any number of threads.
 * kernels_cl/philox.clh computes the same function; a test holds the two together. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

/* What a stream of numbers is for: the second word of the key, so that streams never meet. */
enum rng_stream {
    RNG_INITIALISE = 1,
    RNG_SHUFFLE = 2,
    RNG_DROPOUT = 3,
    RNG_AUGMENT = 4,
};

/* Four random words for a counter of four words. */
void rng_words(uint32_t words[4], uint32_t seed, enum rng_stream stream, const uint32_t counter[4]);

/* A sequential view of one stream: counters (0, 0, b, a), (1, 0, b, a), ... */
struct rng {
    uint32_t seed;
    enum rng_stream stream;
    uint32_t counter[4];
    uint32_t words[4];
    int left;
};

struct rng rng_start(uint32_t seed, enum rng_stream stream, uint32_t a, uint32_t b);
uint32_t rng_next(struct rng *rng);

/* Uniform in 0..bound-1 without bias; bound is at least 1. */
uint32_t rng_below(struct rng *rng, uint32_t bound);

/* Uniform in the open interval (0, 1), 23 bits: odd multiples of 2^-24. */
float rng_uniform(struct rng *rng);

/* Gaussian with mean 0 and variance 1, by Box and Muller's transform, in pairs from two words. */
void rng_gaussian_pair(struct rng *rng, float pair[2]);

#endif
