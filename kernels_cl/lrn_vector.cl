/* Local response normalisation across channels, as lrn_reference.cl defines it. A work-item takes
 * TUNE_SPAN neighbouring vectors of pixels and images, and slides over the channels, with what the window
 * sums in a ring: so each element is read once, in runs that a CPU's prefetcher likes.
 *
 *   TUNE_SPAN   vectors a work-item; with 1 the ring is kept in registers, as suits a GPU
 *
 * Global size of both: ceil(PIXELS * TILE_VECTORS / TUNE_SPAN), TILES, 1. */
#ifndef C
#define C 8
#define PIXELS 4
#define SIZE 5
#define KAPPA 2.0f
#define ALPHA 1e-4f
#define BETA 0.75f
#define BETA_IS_3_4 1
#endif
#ifndef TUNE_SPAN
#define TUNE_SPAN 1
#endif

#define HALF (SIZE / 2)
#define CHANNEL (PIXELS * TILE_VECTORS)

/* The vectors of a work-item: a constant where all have as many, or the ring could not be in registers. */
#define VECTORS(begin) (CHANNEL % TUNE_SPAN == 0 ? TUNE_SPAN : min(TUNE_SPAN, CHANNEL - (begin)))

/* scale^-BETA. For the usual BETA of 3/4, the cube of the inverse fourth root r, by Newton's method for
 * r^-4 = scale, r <- r (5 - scale r^4) / 4: a relative error e becomes 5/2 e^2. The first guess takes a
 * quarter of the exponent from the bits, and is right to 4 %; three steps reach rounding. It costs a
 * fifth of two square roots and a division on a CPU. */
#if BETA_IS_3_4
static floatv power(floatv scale) {
    floatv r = VECTOR(as_float)(0x4F58CAE5 - (VECTOR(as_int)(scale) >> 2));
    for (int step = 0; step < 3; step++) {
        const floatv square = r * r;
        r *= 1.25f - 0.25f * scale * (square * square);
    }
    return r * r * r;
}
#define POWER(scale) power(scale)
#else
#define POWER(scale) pow(scale, (floatv)(-BETA))
#endif

/* A ring holds what channels i - HALF .. i + HALF add to the window's sum, or a value of each; RECENT
 * is what was pushed for a channel some channels ago. */
#if TUNE_SPAN == 1
#define PUSH(ring, channel, p, value)                                                              \
    do {                                                                                           \
        UNROLL for (int j_ = 0; j_ < SIZE - 1; j_++) ring[j_][p] = ring[j_ + 1][p];                \
        ring[SIZE - 1][p] = value;                                                                 \
    } while (0)
#define RECENT(ring, channel, ago, p) ring[SIZE - 1 - (ago)][p]
#else
#define PUSH(ring, channel, p, value) ring[(channel) % SIZE][p] = value
#define RECENT(ring, channel, ago, p) ring[((channel) - (ago)) % SIZE][p]
#endif

static floatv ring_sum(floatv ring[SIZE][TUNE_SPAN], int p) {
    floatv sum = ring[0][p];
    UNROLL for (int j = 1; j < SIZE; j++) sum += ring[j][p];
    return sum;
}

kernel void lrn_forward(global const floatv *x, global floatv *y) {
    const int begin = get_global_id(0) * TUNE_SPAN, count = VECTORS(begin);
    const size_t first = (size_t)get_global_id(1) * C * CHANNEL + begin;
    floatv squares[SIZE][TUNE_SPAN];
    for (int c = -HALF; c < C + HALF; c++) {
        for (int p = 0; p < count; p++) {
            const floatv ahead = c < C && c >= 0 ? x[first + c * CHANNEL + p] : (floatv)0.0f;
            PUSH(squares, c + HALF, p, ahead * ahead);
        }
        const int i = c - HALF; /* the window around it is complete */
        for (int p = 0; i >= 0 && p < count; p++) {
            const size_t at = first + i * CHANNEL + p;
            y[at] = x[at] * POWER(KAPPA + ALPHA * ring_sum(squares, p));
        }
    }
}

/* The sums of squares are those of forward, taken again: that costs less than to fetch them. */
MANY_REGISTERS kernel void lrn_backward(global const floatv *x, global const floatv *dy, global floatv *dx) {
    const int begin = get_global_id(0) * TUNE_SPAN, count = VECTORS(begin);
    const size_t first = (size_t)get_global_id(1) * C * CHANNEL + begin;
    floatv squares[SIZE][TUNE_SPAN], own[SIZE][TUNE_SPAN], terms[SIZE][TUNE_SPAN];
    for (int c = -HALF; c < C + 2 * HALF; c++) {
        for (int p = 0; p < count; p++) {
            const floatv ahead = c < C && c >= 0 ? x[first + c * CHANNEL + p] : (floatv)0.0f;
            PUSH(squares, c + HALF, p, ahead * ahead);
        }
        const int j = c - HALF, i = j - HALF;
        for (int p = 0; p < count; p++) {
            floatv kept = (floatv)0.0f, term = (floatv)0.0f;
            if (j >= 0 && j < C) {
                const size_t at = first + j * CHANNEL + p;
                const floatv scale = KAPPA + ALPHA * ring_sum(squares, p);
                kept = dy[at] * POWER(scale);
                term = kept * x[at] / scale;
            }
            PUSH(own, c + HALF, p, kept);
            PUSH(terms, c + HALF, p, term);
        }
        for (int p = 0; i >= 0 && p < count; p++) {
            const size_t at = first + i * CHANNEL + p;
            dx[at] = RECENT(own, c + HALF, HALF, p) - 2.0f * ALPHA * BETA * x[at] * ring_sum(terms, p);
        }
    }
}
