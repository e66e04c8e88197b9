#include "base/rng.h"

#include <Random123/philox.h>
#include <math.h>
#include <string.h>

void rng_words(uint32_t words[4], uint32_t seed, enum rng_stream stream,
               const uint32_t counter[4]) {
    philox4x32_ctr_t c = {{counter[0], counter[1], counter[2], counter[3]}};
    philox4x32_key_t k = {{seed, (uint32_t)stream}};
    philox4x32_ctr_t r = philox4x32(c, k);
    memcpy(words, r.v, sizeof r.v);
}

struct rng rng_start(uint32_t seed, enum rng_stream stream, uint32_t a, uint32_t b) {
    return (struct rng){.seed = seed, .stream = stream, .counter = {0, 0, b, a}};
}

uint32_t rng_next(struct rng *rng) {
    if (rng->left == 0) {
        rng_words(rng->words, rng->seed, rng->stream, rng->counter);
        if (++rng->counter[0] == 0)
            rng->counter[1]++;
        rng->left = 4;
    }
    return rng->words[4 - rng->left--];
}

uint32_t rng_below(struct rng *rng, uint32_t bound) {
    /* Reject the few highest words that would favour small results. */
    uint32_t limit = UINT32_MAX - UINT32_MAX % bound;
    uint32_t word;
    do {
        word = rng_next(rng);
    } while (word >= limit);
    return word % bound;
}

float rng_uniform(struct rng *rng) {
    /* Not of 24 bits: adding a half would then need 25, and the greatest would round to 1. */
    return ((float)(rng_next(rng) >> 9) + 0.5F) * 0x1p-23F;
}

void rng_gaussian_pair(struct rng *rng, float pair[2]) {
    float radius = sqrtf(-2.0F * logf(rng_uniform(rng)));
    float angle = 6.28318530718F * rng_uniform(rng);
    pair[0] = radius * cosf(angle);
    pair[1] = radius * sinf(angle);
}
