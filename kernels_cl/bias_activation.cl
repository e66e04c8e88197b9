/* Bias and activation, on their own and backwards.
 *
 *   y, dy  [TILES][K][PIXELS][T]       b, db  [K]
 *
 *   TUNE_LOCAL   work-items that sum one channel's gradient together: 1 on a CPU
 */
#ifndef K
#define K 4
#define PIXELS 1
#define TILES 1
#endif
#ifndef TUNE_LOCAL
#define TUNE_LOCAL 1
#endif

/* y = activate(y + b). Global size: PIXELS * TILE_VECTORS, K, TILES. */
kernel void bias_activation_forward(global const float *b, global floatv *y) {
    const int k = get_global_id(1), t = get_global_id(2);
    const size_t at = ((size_t)t * K + k) * (PIXELS * TILE_VECTORS) + get_global_id(0);
    const floatv value = y[at] + b[k];
    y[at] = ACTIVATE(value);
}

/* dy *= activation'(y); db += sum of dy over pixels and images. The sum is taken tile by tile.
 * Global size: TUNE_LOCAL, K, 1; local size: TUNE_LOCAL, 1, 1. */
#if TUNE_LOCAL > 1
__attribute__((reqd_work_group_size(TUNE_LOCAL, 1, 1)))
#endif
kernel void bias_activation_backward(global const floatv *y, global floatv *dy, global float *db) {
    const int item = get_local_id(0), k = get_global_id(1);
    floatv sum = (floatv)0.0f;
    for (int t = 0; t < TILES; t++) {
        const size_t first = ((size_t)t * K + k) * (PIXELS * TILE_VECTORS);
        floatv tile = (floatv)0.0f;
        for (int p = item; p < PIXELS * TILE_VECTORS; p += TUNE_LOCAL) {
            const floatv gradient = dy[first + p] * ACTIVATION_DERIVATIVE(y[first + p]);
#if ACTIVATION != 0
            dy[first + p] = gradient;
#endif
            tile += gradient;
        }
        sum += tile;
    }
#if TUNE_LOCAL == 1
    db[k] += LANE_SUM(sum);
#else
    local float sums[TUNE_LOCAL];
    sums[item] = LANE_SUM(sum);
    for (int reach = TUNE_LOCAL / 2; reach > 0; reach /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < reach)
            sums[item] += sums[item + reach];
    }
    if (item == 0)
        db[k] += sums[0];
#endif
}
