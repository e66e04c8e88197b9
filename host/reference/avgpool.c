#include "reference/reference.h"

/* Whether window o contains element i, along one axis. */
static int contains(const struct reference_pool *pool, int o, int i, int size) {
    int first = o * pool->stride - pool->before;
    return first <= i && i < first + size;
}

/* weights[o][i] = 1 / (elements of window o in the picture) for those elements, else 0 */
static double weight(const struct reference_pool *pool, int o, int i) {
    int oy = o / pool->out.w, ox = o % pool->out.w, iy = i / pool->in.w, ix = i % pool->in.w;
    if (!contains(pool, oy, iy, pool->size_h) || !contains(pool, ox, ix, pool->size_w))
        return 0;
    int rows = 0, columns = 0;
    for (int y = 0; y < pool->in.h; y++)
        rows += contains(pool, oy, y, pool->size_h);
    for (int x = 0; x < pool->in.w; x++)
        columns += contains(pool, ox, x, pool->size_w);
    return 1.0 / (rows * columns);
}

/* y_o = sum over i of weight_oi x_i */
void reference_avgpool_forward(double *y, const float *x, const struct reference_pool *pool) {
    int in = pool->in.h * pool->in.w, out = pool->out.h * pool->out.w;
    for (int plane = 0; plane < pool->n * pool->in.c; plane++) {
        for (int o = 0; o < out; o++) {
            double sum = 0;
            for (int i = 0; i < in; i++)
                sum += weight(pool, o, i) * (double)x[plane * in + i];
            y[plane * out + o] = sum;
        }
    }
}

/* dx_i = sum over o of weight_oi dy_o */
void reference_avgpool_backward(double *dx, const float *dy, const struct reference_pool *pool) {
    int in = pool->in.h * pool->in.w, out = pool->out.h * pool->out.w;
    for (int plane = 0; plane < pool->n * pool->in.c; plane++) {
        for (int i = 0; i < in; i++) {
            double sum = 0;
            for (int o = 0; o < out; o++)
                sum += weight(pool, o, i) * (double)dy[plane * out + o];
            dx[plane * in + i] = sum;
        }
    }
}
