/* Convolution by register tiles over the images of a tile: direct, without im2col.
 *
 * Layout as in conv_reference.cl. Forward and backward data are the same computation: for each pixel of
 * the result, a block of TUNE_BLOCK result channels x (TUNE_VECTORS x TUNE_VECTOR) images is held in
 * registers and walks over the source channels and the window's taps. Filters are repacked first, so
 * that the TUNE_BLOCK weights of a tap lie side by side:
 *
 *   packed [GROUPS][blocks][source channels][R][S][TUNE_BLOCK], the rest of the last block zero
 *
 * Backward filter holds TUNE_FILTERS x TUNE_CHANNELS vector accumulators whose lanes are images, walks
 * over the pixels, and sums the lanes at the end.
 *
 *   TUNE_BLOCK      result channels a work-item
 *   TUNE_VECTORS    vectors of images a work-item
 *   TUNE_SPAN       pixels of a row a work-item: all of it on a CPU, one on a GPU
 *   TUNE_FILTERS, TUNE_CHANNELS   the register tile of backward filter
 */
#ifndef C
#define GROUPS 1
#define C 3
#define H 8
#define W 8
#define K 4
#define R 3
#define S 3
#define STRIDE 1
#define PADDING 1
#define OUT_H 8
#define OUT_W 8
#define TILES 1
#endif
#ifndef TUNE_BLOCK
#define TUNE_BLOCK 6
#define TUNE_VECTORS 1
#define TUNE_SPAN OUT_W
#define TUNE_SPAN_DATA W
#define TUNE_FILTERS 4
#define TUNE_CHANNELS 3
#endif

#define BLOCKS(n) (((n) + TUNE_BLOCK - 1) / TUNE_BLOCK)
#define SPANS(n, span) (((n) + (span)-1) / (span))

/* Global size: TUNE_BLOCK, R * S * C, GROUPS * BLOCKS(K). */
kernel void conv_pack_forward(global const float *w, global float *packed) {
    const int j = get_global_id(0), crs = get_global_id(1);
    const int block = get_global_id(2) % BLOCKS(K), g = get_global_id(2) / BLOCKS(K);
    const int k = block * TUNE_BLOCK + j;
    packed[((g * BLOCKS(K) + block) * (C * R * S) + crs) * TUNE_BLOCK + j] =
        k < K ? w[(g * K + k) * (C * R * S) + crs] : 0.0f;
}

/* Global size: TUNE_BLOCK, R * S * K, GROUPS * BLOCKS(C). */
kernel void conv_pack_backward(global const float *w, global float *packed) {
    const int j = get_global_id(0), krs = get_global_id(1);
    const int block = get_global_id(2) % BLOCKS(C), g = get_global_id(2) / BLOCKS(C);
    const int c = block * TUNE_BLOCK + j, k = krs / (R * S), rs = krs % (R * S);
    packed[((g * BLOCKS(C) + block) * (K * R * S) + krs) * TUNE_BLOCK + j] =
        c < C ? w[((g * K + k) * C + c) * (R * S) + rs] : 0.0f;
}

/* One tap: sum[j][i] += weights[j] * source vector i. */
#define TAP(source, weights)                                                                       \
    do {                                                                                           \
        floatv value_[TUNE_VECTORS];                                                               \
        UNROLL for (int i = 0; i < TUNE_VECTORS; i++) value_[i] =                                  \
            ((global const floatv *)(source))[i];                                                  \
        UNROLL for (int j = 0; j < TUNE_BLOCK; j++) {                                              \
            UNROLL for (int i = 0; i < TUNE_VECTORS; i++) sum[j][i] =                              \
                MAD((floatv)((weights)[j]), value_[i], sum[j][i]);                                 \
        }                                                                                          \
    } while (0)

/* y = activate(w * x + b).
 * Global size: TILE_VECTORS / TUNE_VECTORS, OUT_H * SPANS(OUT_W), TILES * GROUPS * BLOCKS(K). */
WIDE_VECTORS kernel void conv_forward(global const float *x, global const float *packed,
                                      global const float *b, global float *y) {
    const int lane = get_global_id(0) * (TUNE_VECTORS * TUNE_VECTOR);
    const int oy = get_global_id(1) / SPANS(OUT_W, TUNE_SPAN);
    const int x_first = get_global_id(1) % SPANS(OUT_W, TUNE_SPAN) * TUNE_SPAN;
    const int x_end = min(x_first + TUNE_SPAN, OUT_W);
    const int block = get_global_id(2) % BLOCKS(K);
    const int g = get_global_id(2) / BLOCKS(K) % GROUPS;
    const int t = get_global_id(2) / (BLOCKS(K) * GROUPS);

    x += ((size_t)t * GROUPS + g) * (C * H * W) * T + lane;
    y += ((size_t)t * GROUPS + g) * (K * OUT_H * OUT_W) * T + lane;
    packed += (g * BLOCKS(K) + block) * (C * R * S * TUNE_BLOCK);

    const int iy = oy * STRIDE - PADDING;
    const int r0 = max(0, -iy), r1 = min(R, H - iy);
    for (int ox = x_first; ox < x_end; ox++) {
        floatv sum[TUNE_BLOCK][TUNE_VECTORS];
        UNROLL for (int j = 0; j < TUNE_BLOCK; j++) {
            const int k = min(block * TUNE_BLOCK + j, K - 1);
            UNROLL for (int i = 0; i < TUNE_VECTORS; i++) sum[j][i] = (floatv)(b[g * K + k]);
        }
        const int ix = ox * STRIDE - PADDING;
        const int s0 = max(0, -ix), s1 = min(S, W - ix);
        if (s0 == 0 && s1 == S) {
            for (int c = 0; c < C; c++) {
                for (int r = r0; r < r1; r++) {
                    global const float *source = x + ((c * H + iy + r) * W + ix) * T;
                    global const float *weights = packed + (c * R + r) * (S * TUNE_BLOCK);
                    UNROLL for (int s = 0; s < S; s++)
                        TAP(source + s * T, weights + s * TUNE_BLOCK);
                }
            }
        } else {
            for (int c = 0; c < C; c++) {
                for (int r = r0; r < r1; r++) {
                    global const float *source = x + ((c * H + iy + r) * W + ix) * T;
                    global const float *weights = packed + (c * R + r) * (S * TUNE_BLOCK);
                    for (int s = s0; s < s1; s++)
                        TAP(source + s * T, weights + s * TUNE_BLOCK);
                }
            }
        }
        UNROLL for (int j = 0; j < TUNE_BLOCK; j++) {
            const int k = block * TUNE_BLOCK + j;
            if (k < K) {
                UNROLL for (int i = 0; i < TUNE_VECTORS; i++)((
                    global floatv *)(y + ((k * OUT_H + oy) * OUT_W + ox) * T))[i] =
                    ACTIVATE(sum[j][i]);
            }
        }
    }
}

/* dx = w' * dy: of pixel (iy, ix), tap r of the window touches row (iy + PADDING - r) / STRIDE of dy,
 * where that is whole; so r runs in steps of STRIDE, and the row of dy falls by one a step.
 * Global size: TILE_VECTORS / TUNE_VECTORS, H * SPANS(W), TILES * GROUPS * BLOCKS(C). */
WIDE_VECTORS kernel void conv_backward_data(global const float *dy, global const float *packed,
                                            global float *dx) {
    const int lane = get_global_id(0) * (TUNE_VECTORS * TUNE_VECTOR);
    const int iy = get_global_id(1) / SPANS(W, TUNE_SPAN_DATA);
    const int x_first = get_global_id(1) % SPANS(W, TUNE_SPAN_DATA) * TUNE_SPAN_DATA;
    const int x_end = min(x_first + TUNE_SPAN_DATA, W);
    const int block = get_global_id(2) % BLOCKS(C);
    const int g = get_global_id(2) / BLOCKS(C) % GROUPS;
    const int t = get_global_id(2) / (BLOCKS(C) * GROUPS);

    dx += ((size_t)t * GROUPS + g) * (C * H * W) * T + lane;
    dy += ((size_t)t * GROUPS + g) * (K * OUT_H * OUT_W) * T + lane;
    packed += (g * BLOCKS(C) + block) * (K * R * S * TUNE_BLOCK);

    /* The last row of dy that the window reaches, and the tap that reaches it. */
    const int oy = min((iy + PADDING) / STRIDE, OUT_H - 1);
    const int r0 = iy + PADDING - oy * STRIDE;
    const int rows = r0 < R ? min((R - 1 - r0) / STRIDE, oy) + 1 : 0;
    for (int ix = x_first; ix < x_end; ix++) {
        const int ox = min((ix + PADDING) / STRIDE, OUT_W - 1);
        const int s0 = ix + PADDING - ox * STRIDE;
        const int columns = s0 < S ? min((S - 1 - s0) / STRIDE, ox) + 1 : 0;
        floatv sum[TUNE_BLOCK][TUNE_VECTORS];
        UNROLL for (int j = 0; j < TUNE_BLOCK; j++) {
            UNROLL for (int i = 0; i < TUNE_VECTORS; i++) sum[j][i] = (floatv)0.0f;
        }
        if (STRIDE == 1 && columns == S) {
            for (int k = 0; k < K; k++) {
                for (int row = 0; row < rows; row++) {
                    global const float *source = dy + ((k * OUT_H + oy - row) * OUT_W + ox) * T;
                    global const float *weights = packed + ((k * R + r0 + row) * S) * TUNE_BLOCK;
                    UNROLL for (int s = 0; s < S; s++)
                        TAP(source - s * T, weights + s * TUNE_BLOCK);
                }
            }
        } else {
            for (int k = 0; k < K; k++) {
                for (int row = 0; row < rows; row++) {
                    global const float *source = dy + ((k * OUT_H + oy - row) * OUT_W + ox) * T;
                    global const float *weights =
                        packed + ((k * R + r0 + row * STRIDE) * S + s0) * TUNE_BLOCK;
                    for (int column = 0; column < columns; column++)
                        TAP(source - column * T, weights + column * (STRIDE * TUNE_BLOCK));
                }
            }
        }
        UNROLL for (int j = 0; j < TUNE_BLOCK; j++) {
            const int c = block * TUNE_BLOCK + j;
            if (c < C) {
                UNROLL for (int i = 0; i < TUNE_VECTORS; i++)((
                    global floatv *)(dx + ((c * H + iy) * W + ix) * T))[i] = sum[j][i];
            }
        }
    }
}

#define FILTER_BLOCKS ((K + TUNE_FILTERS - 1) / TUNE_FILTERS)
#define CHANNEL_BLOCKS ((C + TUNE_CHANNELS - 1) / TUNE_CHANNELS)

/* dw += dy * x, for one row of taps a work-item.
 * Global size: R, CHANNEL_BLOCKS, GROUPS * FILTER_BLOCKS. */
WIDE_VECTORS kernel void conv_backward_filter(global const float *dy, global const float *x,
                                              global float *dw) {
    const int r = get_global_id(0);
    const int c0 = get_global_id(1) * TUNE_CHANNELS;
    const int k0 = get_global_id(2) % FILTER_BLOCKS * TUNE_FILTERS;
    const int g = get_global_id(2) / FILTER_BLOCKS;

    floatv sums[S][TUNE_FILTERS][TUNE_CHANNELS];
    for (int s = 0; s < S; s++) {
        UNROLL for (int j = 0; j < TUNE_FILTERS; j++) {
            UNROLL for (int i = 0; i < TUNE_CHANNELS; i++) sums[s][j][i] = (floatv)0.0f;
        }
    }
    /* A block's missing filters and channels read the last one's data; their sums go nowhere. */
    int y_offset[TUNE_FILTERS], x_offset[TUNE_CHANNELS];
    UNROLL for (int j = 0; j < TUNE_FILTERS; j++) y_offset[j] =
        min(k0 + j, K - 1) * (OUT_H * OUT_W * T);
    UNROLL for (int i = 0; i < TUNE_CHANNELS; i++) x_offset[i] = min(c0 + i, C - 1) * (H * W * T);

    const int y0 = r < PADDING ? (PADDING - r + STRIDE - 1) / STRIDE : 0;
    const int y1 = H - 1 + PADDING - r < 0 ? 0 : min(OUT_H, (H - 1 + PADDING - r) / STRIDE + 1);
    for (int t = 0; t < TILES; t++) {
        for (int oy = y0; oy < y1; oy++) {
            global const float *y_row =
                dy + (((size_t)t * GROUPS + g) * (K * OUT_H) + oy) * (OUT_W * T);
            global const float *x_row =
                x + (((size_t)t * GROUPS + g) * (C * H) + oy * STRIDE - PADDING + r) * (W * T);
            for (int s = 0; s < S; s++) {
                const int ox0 = s < PADDING ? (PADDING - s + STRIDE - 1) / STRIDE : 0;
                const int ox1 =
                    W - 1 + PADDING - s < 0 ? 0 : min(OUT_W, (W - 1 + PADDING - s) / STRIDE + 1);
                floatv sum[TUNE_FILTERS][TUNE_CHANNELS];
                UNROLL for (int j = 0; j < TUNE_FILTERS; j++) {
                    UNROLL for (int i = 0; i < TUNE_CHANNELS; i++) sum[j][i] = sums[s][j][i];
                }
                for (int ox = ox0; ox < ox1; ox++) {
                    global const floatv *py = (global const floatv *)(y_row + ox * T);
                    global const floatv *px =
                        (global const floatv *)(x_row + (ox * STRIDE - PADDING + s) * T);
                    for (int v = 0; v < TILE_VECTORS; v++) {
                        floatv channel[TUNE_CHANNELS];
                        UNROLL for (int i = 0; i < TUNE_CHANNELS; i++) channel[i] =
                            px[x_offset[i] / TUNE_VECTOR + v];
                        UNROLL for (int j = 0; j < TUNE_FILTERS; j++) {
                            const floatv filter = py[y_offset[j] / TUNE_VECTOR + v];
                            UNROLL for (int i = 0; i < TUNE_CHANNELS; i++) sum[j][i] =
                                MAD(filter, channel[i], sum[j][i]);
                        }
                    }
                }
                UNROLL for (int j = 0; j < TUNE_FILTERS; j++) {
                    UNROLL for (int i = 0; i < TUNE_CHANNELS; i++) sums[s][j][i] = sum[j][i];
                }
            }
        }
    }
    for (int s = 0; s < S; s++) {
        for (int j = 0; j < TUNE_FILTERS; j++) {
            for (int i = 0; i < TUNE_CHANNELS; i++) {
                if (k0 + j < K && c0 + i < C)
                    dw[(((g * K + k0 + j) * C + c0 + i) * R + r) * S + s] +=
                        LANE_SUM(sums[s][j][i]);
            }
        }
    }
}
