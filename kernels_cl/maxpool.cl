/* Max-pooling, overlapping where SIZE > STRIDE. The window of output o begins at o * STRIDE - BEFORE;
 * what lies outside the picture does not take part.
 *
 *   x  [TILES][C][H][W][T]      y, taps  [TILES][C][OUT_H][OUT_W][T]
 *
 * taps holds which element of the window was the greatest (r * SIZE + s; the first of equals), so that
 * backward is exact, ties included. A NaN is the greatest of all, so that it is not lost. Backward
 * gathers: each element of dx sums those outputs that chose it, in a fixed order.
 * With TUNE_VECTOR 1 this is the reference. */
#ifndef C
#define C 4
#define H 8
#define W 8
#define SIZE 3
#define STRIDE 2
#define BEFORE 0
#define OUT_H 3
#define OUT_W 3
#endif

/* Global size: TILE_VECTORS * OUT_W, OUT_H, TILES * C. */
kernel void maxpool_forward(global const floatv *x, global floatv *y, global ushortv *taps) {
    const int v = get_global_id(0) % TILE_VECTORS, ox = get_global_id(0) / TILE_VECTORS;
    const int oy = get_global_id(1);
    const size_t plane = get_global_id(2);
    const int iy = oy * STRIDE - BEFORE, ix = ox * STRIDE - BEFORE;
    const int r0 = max(0, -iy), r1 = min(SIZE, H - iy);
    const int s0 = max(0, -ix), s1 = min(SIZE, W - ix);
    x += plane * (H * W * TILE_VECTORS) + v;

    floatv most = x[((iy + r0) * W + ix + s0) * TILE_VECTORS];
    intv tap = (intv)(r0 * SIZE + s0);
    for (int r = r0; r < r1; r++) {
        for (int s = s0; s < s1; s++) {
            const floatv value = x[((iy + r) * W + ix + s) * TILE_VECTORS];
            const intv greater = (value > most) | (value != value);
            most = SELECT(greater, value, most);
            tap = SELECT(greater, (intv)(r * SIZE + s), tap);
        }
    }
    const size_t at = ((plane * OUT_H + oy) * OUT_W + ox) * TILE_VECTORS + v;
    y[at] = most;
    taps[at] = CONVERT_USHORTV(tap);
}

/* The first output whose window reaches `in`, and the one after the last. */
#define FIRST_OUTPUT(in) max(0, ((in) + BEFORE - SIZE + STRIDE) / STRIDE)
#define END_OUTPUT(in, outputs) min(outputs, ((in) + BEFORE) / STRIDE + 1)

/* Global size: TILE_VECTORS * W, H, TILES * C. */
kernel void maxpool_backward(global const floatv *dy, global const ushortv *taps,
                             global floatv *dx) {
    const int v = get_global_id(0) % TILE_VECTORS, ix = get_global_id(0) / TILE_VECTORS;
    const int iy = get_global_id(1);
    const size_t plane = get_global_id(2);
    floatv sum = (floatv)0.0f;
    for (int oy = FIRST_OUTPUT(iy); oy < END_OUTPUT(iy, OUT_H); oy++) {
        for (int ox = FIRST_OUTPUT(ix); ox < END_OUTPUT(ix, OUT_W); ox++) {
            const size_t at = ((plane * OUT_H + oy) * OUT_W + ox) * TILE_VECTORS + v;
            const int tap = (iy + BEFORE - oy * STRIDE) * SIZE + ix + BEFORE - ox * STRIDE;
            sum += SELECT(CONVERT_INTV(taps[at]) == (intv)tap, dy[at], (floatv)0.0f);
        }
    }
    dx[((plane * H + iy) * W + ix) * TILE_VECTORS + v] = sum;
}
