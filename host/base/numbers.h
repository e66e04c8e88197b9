/* Small arithmetic that the standard library lacks. */
#ifndef BASE_NUMBERS_H
#define BASE_NUMBERS_H

#include <stdint.h>

static inline int least(int a, int b) {
    return a < b ? a : b;
}

static inline int64_t least64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* `value`, or the bound that it is beyond. */
static inline int clamp(int value, int lowest, int highest) {
    return value < lowest ? lowest : value > highest ? highest : value;
}

/* Blocks of a size that cover a whole. */
static inline int blocks(int whole, int block) {
    return (whole + block - 1) / block;
}

static inline int64_t blocks64(int64_t whole, int64_t block) {
    return (whole + block - 1) / block;
}

/* `most`, a power of two, halved until it divides a number. */
static inline int halved_to_divide(int most, int64_t number) {
    while (number % most != 0)
        most /= 2;
    return most;
}

/* The one in the middle, of `count` > 0, which it sorts: the lowest is the first then. */
double median(double *values, int count);

#endif
