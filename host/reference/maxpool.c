#include "reference/reference.h"

#include <math.h>
#include <string.h>

/* The greatest element of one window, by its index in the picture; a NaN is greater than all. */
static int greatest(const float *picture, int oy, int ox, const struct reference_pool *pool) {
    int most = -1;
    for (int r = 0; r < pool->size_h; r++) {
        for (int s = 0; s < pool->size_w; s++) {
            int iy = oy * pool->stride - pool->before + r;
            int ix = ox * pool->stride - pool->before + s;
            if (iy < 0 || iy >= pool->in.h || ix < 0 || ix >= pool->in.w)
                continue;
            int i = iy * pool->in.w + ix;
            if (most < 0 || picture[i] > picture[most] || isnan(picture[i]))
                most = i;
        }
    }
    return most;
}

void reference_maxpool_forward(double *y, int *taps, const float *x,
                               const struct reference_pool *pool) {
    int in = pool->in.h * pool->in.w, out = pool->out.h * pool->out.w;
    for (int plane = 0; plane < pool->n * pool->in.c; plane++) {
        const float *picture = x + (int64_t)plane * in;
        for (int o = 0; o < out; o++) {
            int tap = greatest(picture, o / pool->out.w, o % pool->out.w, pool);
            taps[plane * out + o] = tap;
            y[plane * out + o] = (double)picture[tap];
        }
    }
}

/* dx = the sum of the gradients of those outputs that chose it */
void reference_maxpool_backward(double *dx, const float *dy, const int *taps,
                                const struct reference_pool *pool) {
    int in = pool->in.h * pool->in.w, out = pool->out.h * pool->out.w;
    memset(dx, 0, (size_t)(pool->n * pool->in.c * in) * sizeof *dx);
    for (int i = 0; i < pool->n * pool->in.c * out; i++)
        dx[i / out * in + taps[i]] += (double)dy[i];
}
