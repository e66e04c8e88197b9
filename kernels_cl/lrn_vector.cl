/* Local response normalisation across channels, as lrn_reference.cl defines it: a work-item takes a
 * vector of images at one pixel and slides over the channels with the window in registers, so that each
 * element is read once.
 *
 *   TUNE_SPAN   neighbouring vectors a work-item takes, one after the other
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

/* scale^-BETA; two square roots are far cheaper than a power, for the usual BETA. */
#if BETA_IS_3_4
#define POWER(scale) (1.0f / (sqrt(scale) * sqrt(sqrt(scale))))
#else
#define POWER(scale) pow(scale, (floatv)(-BETA))
#endif

/* window[j] becomes window[j + 1], and the last one value. */
#define SLIDE(window, value)                                                                       \
    do {                                                                                           \
        UNROLL for (int j_ = 0; j_ < SIZE - 1; j_++) window[j_] = window[j_ + 1];                  \
        window[SIZE - 1] = value;                                                                  \
    } while (0)

static floatv window_sum(const floatv window[SIZE]) {
    floatv sum = window[0];
    UNROLL for (int j = 1; j < SIZE; j++) sum += window[j];
    return sum;
}

kernel void lrn_forward(global const floatv *x, global floatv *y, global floatv *scale) {
    const size_t first = (size_t)get_global_id(1) * C * CHANNEL;
    for (int p = get_global_id(0) * TUNE_SPAN; p < min((int)(get_global_id(0) + 1) * TUNE_SPAN, CHANNEL);
         p++) {
        floatv window[SIZE]; /* squares of channels i - HALF .. i + HALF */
        UNROLL for (int j = 0; j < SIZE; j++) window[j] = (floatv)0.0f;
        for (int c = 0; c < min(HALF, C); c++) {
            const floatv next = x[first + c * CHANNEL + p];
            SLIDE(window, next * next);
        }
        for (int i = 0; i < C; i++) {
            const floatv next =
                i + HALF < C ? x[first + (i + HALF) * CHANNEL + p] : (floatv)0.0f;
            SLIDE(window, next * next);
            const size_t at = first + i * CHANNEL + p;
            const floatv s = KAPPA + ALPHA * window_sum(window);
            scale[at] = s;
            y[at] = x[at] * POWER(s);
        }
    }
}

kernel void lrn_backward(global const floatv *x, global const floatv *y, global const floatv *scale,
                         global const floatv *dy, global floatv *dx) {
    const size_t first = (size_t)get_global_id(1) * C * CHANNEL;
    for (int p = get_global_id(0) * TUNE_SPAN; p < min((int)(get_global_id(0) + 1) * TUNE_SPAN, CHANNEL);
         p++) {
        floatv window[SIZE]; /* dy y / scale of channels i - HALF .. i + HALF */
        UNROLL for (int j = 0; j < SIZE; j++) window[j] = (floatv)0.0f;
        for (int c = 0; c < min(HALF, C); c++) {
            const size_t at = first + c * CHANNEL + p;
            SLIDE(window, dy[at] * y[at] / scale[at]);
        }
        for (int i = 0; i < C; i++) {
            floatv next = (floatv)0.0f;
            if (i + HALF < C) {
                const size_t ahead = first + (i + HALF) * CHANNEL + p;
                next = dy[ahead] * y[ahead] / scale[ahead];
            }
            SLIDE(window, next);
            const size_t at = first + i * CHANNEL + p;
            dx[at] = dy[at] * POWER(scale[at]) -
                     2.0f * ALPHA * BETA * x[at] * window_sum(window);
        }
    }
}
