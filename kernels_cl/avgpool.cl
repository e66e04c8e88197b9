/* Average-pooling, windowed or over the whole picture. The window of output o begins at
 * o * STRIDE - BEFORE; the mean is over the elements that lie in the picture.
 *
 *   x  [TILES][C][H][W][T]      y  [TILES][C][OUT_H][OUT_W][T]
 *
 * With TUNE_VECTOR 1 this is the reference. */
#ifndef C
#define C 4
#define H 8
#define W 8
#define SIZE_H 2
#define SIZE_W 2
#define STRIDE 2
#define BEFORE 0
#define OUT_H 4
#define OUT_W 4
#endif

/* Elements of the window of output o, along one axis, that lie in the picture. */
#define REACHED(o, size, in) \
    (min((o) * STRIDE - BEFORE + (size), in) - max((o) * STRIDE - BEFORE, 0))

/* Global size: TILE_VECTORS * OUT_W, OUT_H, TILES * C. */
kernel void avgpool_forward(global const floatv *x, global floatv *y) {
    const int v = get_global_id(0) % TILE_VECTORS, ox = get_global_id(0) / TILE_VECTORS;
    const int oy = get_global_id(1);
    const size_t plane = get_global_id(2);
    const int y0 = max(0, oy * STRIDE - BEFORE), y1 = min(H, oy * STRIDE - BEFORE + SIZE_H);
    const int x0 = max(0, ox * STRIDE - BEFORE), x1 = min(W, ox * STRIDE - BEFORE + SIZE_W);
    floatv sum = (floatv)0.0f;
    for (int iy = y0; iy < y1; iy++) {
        for (int ix = x0; ix < x1; ix++)
            sum += x[((plane * H + iy) * W + ix) * TILE_VECTORS + v];
    }
    y[((plane * OUT_H + oy) * OUT_W + ox) * TILE_VECTORS + v] =
        sum * (1.0f / (float)((y1 - y0) * (x1 - x0)));
}

#define FIRST_OUTPUT(in, size) max(0, ((in) + BEFORE - (size) + STRIDE) / STRIDE)
#define END_OUTPUT(in, outputs) min(outputs, ((in) + BEFORE) / STRIDE + 1)

/* Global size: TILE_VECTORS * W, H, TILES * C. */
kernel void avgpool_backward(global const floatv *dy, global floatv *dx) {
    const int v = get_global_id(0) % TILE_VECTORS, ix = get_global_id(0) / TILE_VECTORS;
    const int iy = get_global_id(1);
    const size_t plane = get_global_id(2);
    floatv sum = (floatv)0.0f;
    for (int oy = FIRST_OUTPUT(iy, SIZE_H); oy < END_OUTPUT(iy, OUT_H); oy++) {
        for (int ox = FIRST_OUTPUT(ix, SIZE_W); ox < END_OUTPUT(ix, OUT_W); ox++) {
            const float share = 1.0f / (float)(REACHED(oy, SIZE_H, H) * REACHED(ox, SIZE_W, W));
            sum += dy[((plane * OUT_H + oy) * OUT_W + ox) * TILE_VECTORS + v] * share;
        }
    }
    dx[((plane * H + iy) * W + ix) * TILE_VECTORS + v] = sum;
}
