#include "train/sum.h"

/* A block at a time stays in the cache. */
enum { BLOCK = 4096 };

static void sum_block(float *const *values, int count, size_t start, size_t n) {
    float sum[BLOCK];
    for (size_t i = 0; i < n; i++)
        sum[i] = values[0][start + i];
    for (int k = 1; k < count; k++) {
        for (size_t i = 0; i < n; i++)
            sum[i] += values[k][start + i];
    }
    for (int k = 0; k < count; k++) {
        for (size_t i = 0; i < n; i++)
            values[k][start + i] = sum[i];
    }
}

void sum_share(float *const *values, int count, int rank, size_t floats) {
    size_t blocks = (floats + BLOCK - 1) / BLOCK;
    size_t first = blocks * (size_t)rank / (size_t)count;
    size_t end = blocks * ((size_t)rank + 1) / (size_t)count;
    for (size_t b = first; b < end; b++) {
        size_t left = floats - b * BLOCK;
        sum_block(values, count, b * BLOCK, left < BLOCK ? left : BLOCK);
    }
}
