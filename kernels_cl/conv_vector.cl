/* Convolution by register tiles over the images of a tile: direct, without im2col.
 *
 * Layout as in conv_reference.cl. Forward and backward data are the same computation: for each pixel of
 * the result, a block of TUNE_BLOCK result channels x (TUNE_VECTORS x TUNE_VECTOR) images is held in
 * registers and walks over the source channels and the window's taps. Filters are packed first, as
 * conv_pack.cl has it.
 *
 * A work-item takes TUNE_BLOCKS such blocks and TUNE_SPAN pixels of a row, and goes over TUNE_DEPTH
 * source channels for all of them before it takes the next channels: those few channels' rows stay in
 * the nearest cache meanwhile, and the sums wait in the result.
 *
 * Backward filter holds TUNE_FILTERS x TUNE_CHANNELS vector accumulators whose lanes are images, for each
 * tap of TUNE_TAP_ROWS x TUNE_TAP_COLUMNS, and sums the lanes at the end. It walks over the pixels in runs of
 * TUNE_RUN of TUNE_ROWS rows, short enough that they are read from memory once for all their taps.
 *
 *   TUNE_VECTORS, TUNE_BLOCK, TUNE_BLOCKS, TUNE_SPAN, TUNE_DEPTH   of forward, and of backward data
 *   TUNE_FILTERS, TUNE_CHANNELS, TUNE_TAP_ROWS, TUNE_TAP_COLUMNS, TUNE_ROWS, TUNE_RUN,
 *   TUNE_FILTER_BLOCKS, TUNE_CHANNEL_BLOCKS   of backward filter; at most K filters and C channels
 *
 * host/ops/conv_vector.c says what each means, which values are worth trying and what they must
 * fulfil. A program is for one PASS, so that each is tuned by itself: 1 forward, 2 backward data,
 * 3 backward filter; 0 is all of them.
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
#ifndef PASS
#define PASS 0
#endif
#ifndef TUNE_BLOCK
#define TUNE_BLOCK 6
#define TUNE_VECTORS 1
#define TUNE_BLOCKS 1
#define TUNE_SPAN 8
#define TUNE_DEPTH 4
#endif
#ifndef TUNE_FILTERS
#define TUNE_FILTERS 4
#define TUNE_CHANNELS 3
#define TUNE_TAP_ROWS 1
#define TUNE_TAP_COLUMNS S
#define TUNE_ROWS 1
#define TUNE_RUN OUT_W
#define TUNE_FILTER_BLOCKS 1
#define TUNE_CHANNEL_BLOCKS 1
#endif

#define BLOCKS(n) (((n) + TUNE_BLOCK - 1) / TUNE_BLOCK)
#define SPANS(n, span) (((n) + (span)-1) / (span))

/* The rows of a small window are unrolled as well. */
#if R * S <= 25
#define UNROLL_ROWS UNROLL
#else
#define UNROLL_ROWS
#endif

#define SUPERBLOCKS(n) ((BLOCKS(n) + TUNE_BLOCKS - 1) / TUNE_BLOCKS)

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

/* Vector i of result channel `first + j` at a pixel; a block's missing channels read the last one. */
#define RESULT(pointer, first, j, channels, plane, pixel, i)                                       \
    ((pointer) + (size_t)min((first) + (j), (channels)-1) * (plane) * TILE_VECTORS +               \
     (pixel) * TILE_VECTORS)[i]

#if PASS == 0 || PASS == 1
/* y = activate(w * x + b).
 * Global size: TILE_VECTORS / TUNE_VECTORS, OUT_H * SPANS(OUT_W), TILES * GROUPS * SUPERBLOCKS(K). */
WIDE_VECTORS kernel void conv_forward(global const float *x, global const float *packed,
                                      global const float *b, global float *y) {
    const int lane = get_global_id(0) * (TUNE_VECTORS * TUNE_VECTOR);
    const int oy = get_global_id(1) / SPANS(OUT_W, TUNE_SPAN);
    const int x_first = get_global_id(1) % SPANS(OUT_W, TUNE_SPAN) * TUNE_SPAN;
    const int x_end = min(x_first + TUNE_SPAN, OUT_W);
    const int block_first = get_global_id(2) % SUPERBLOCKS(K) * TUNE_BLOCKS;
    const int block_end = min(block_first + TUNE_BLOCKS, BLOCKS(K));
    const int g = get_global_id(2) / SUPERBLOCKS(K) % GROUPS;
    const int t = get_global_id(2) / (SUPERBLOCKS(K) * GROUPS);

    x += ((size_t)t * GROUPS + g) * (C * H * W) * T + lane;
    global floatv *result =
        (global floatv *)(y + ((size_t)t * GROUPS + g) * (K * OUT_H * OUT_W) * T + lane);

    const int iy = oy * STRIDE - PADDING;
    const int r0 = max(0, -iy), r1 = min(R, H - iy);
    for (int c0 = 0; c0 < C; c0 += TUNE_DEPTH) {
        const int c1 = min(c0 + TUNE_DEPTH, C);
        for (int block = block_first; block < block_end; block++) {
            const int k = block * TUNE_BLOCK;
            global const float *filters = packed + (g * BLOCKS(K) + block) * (C * R * S * TUNE_BLOCK);
            for (int ox = x_first; ox < x_end; ox++) {
                const int pixel = oy * OUT_W + ox;
                floatv sum[TUNE_BLOCK][TUNE_VECTORS];
                UNROLL for (int j = 0; j < TUNE_BLOCK; j++) {
                    UNROLL for (int i = 0; i < TUNE_VECTORS; i++) sum[j][i] =
                        c0 == 0 ? (floatv)(b[g * K + min(k + j, K - 1)])
                                : RESULT(result, k, j, K, OUT_H * OUT_W, pixel, i);
                }
                const int ix = ox * STRIDE - PADDING;
                const int s0 = max(0, -ix), s1 = min(S, W - ix);
                if (s1 - s0 == S && r1 - r0 == R) {
                    for (int c = c0; c < c1; c++) {
                        UNROLL_ROWS for (int r = 0; r < R; r++) {
                            global const float *source = x + ((c * H + iy + r) * W + ix) * T;
                            global const float *weights = filters + (c * R + r) * (S * TUNE_BLOCK);
                            UNROLL for (int s = 0; s < S; s++)
                                TAP(source + s * T, weights + s * TUNE_BLOCK);
                        }
                    }
                } else {
                    for (int c = c0; c < c1; c++) {
                        for (int r = r0; r < r1; r++) {
                            global const float *source = x + ((c * H + iy + r) * W + ix) * T;
                            global const float *weights = filters + (c * R + r) * (S * TUNE_BLOCK);
                            for (int s = s0; s < s1; s++)
                                TAP(source + s * T, weights + s * TUNE_BLOCK);
                        }
                    }
                }
                UNROLL for (int j = 0; j < TUNE_BLOCK; j++) {
                    if (k + j < K) {
                        UNROLL for (int i = 0; i < TUNE_VECTORS; i++)
                            RESULT(result, k, j, K, OUT_H * OUT_W, pixel, i) =
                                c1 == C ? ACTIVATE(sum[j][i]) : sum[j][i];
                    }
                }
            }
        }
    }
}

#endif
#if PASS == 0 || PASS == 2
/* dx = w' * dy: of pixel (iy, ix), tap r of the window touches row (iy + PADDING - r) / STRIDE of dy,
 * where that is whole; so r runs in steps of STRIDE, and the row of dy falls by one a step.
 * Global size: TILE_VECTORS / TUNE_VECTORS, H * SPANS(W), TILES * GROUPS * SUPERBLOCKS(C). */
WIDE_VECTORS kernel void conv_backward_data(global const float *dy, global const float *packed,
                                            global float *dx) {
    const int lane = get_global_id(0) * (TUNE_VECTORS * TUNE_VECTOR);
    const int iy = get_global_id(1) / SPANS(W, TUNE_SPAN);
    const int x_first = get_global_id(1) % SPANS(W, TUNE_SPAN) * TUNE_SPAN;
    const int x_end = min(x_first + TUNE_SPAN, W);
    const int block_first = get_global_id(2) % SUPERBLOCKS(C) * TUNE_BLOCKS;
    const int block_end = min(block_first + TUNE_BLOCKS, BLOCKS(C));
    const int g = get_global_id(2) / SUPERBLOCKS(C) % GROUPS;
    const int t = get_global_id(2) / (SUPERBLOCKS(C) * GROUPS);

    global floatv *result =
        (global floatv *)(dx + ((size_t)t * GROUPS + g) * (C * H * W) * T + lane);
    dy += ((size_t)t * GROUPS + g) * (K * OUT_H * OUT_W) * T + lane;

    /* The last row of dy that the window reaches, and the tap that reaches it. */
    const int oy = min((iy + PADDING) / STRIDE, OUT_H - 1);
    const int r0 = iy + PADDING - oy * STRIDE;
    const int rows = r0 < R ? min((R - 1 - r0) / STRIDE, oy) + 1 : 0;
    for (int k0 = 0; k0 < K; k0 += TUNE_DEPTH) {
        const int k1 = min(k0 + TUNE_DEPTH, K);
        for (int block = block_first; block < block_end; block++) {
            const int c = block * TUNE_BLOCK;
            global const float *filters = packed + (g * BLOCKS(C) + block) * (K * R * S * TUNE_BLOCK);
            for (int ix = x_first; ix < x_end; ix++) {
                const int pixel = iy * W + ix;
                const int ox = min((ix + PADDING) / STRIDE, OUT_W - 1);
                const int s0 = ix + PADDING - ox * STRIDE;
                const int columns = s0 < S ? min((S - 1 - s0) / STRIDE, ox) + 1 : 0;
                floatv sum[TUNE_BLOCK][TUNE_VECTORS];
                UNROLL for (int j = 0; j < TUNE_BLOCK; j++) {
                    UNROLL for (int i = 0; i < TUNE_VECTORS; i++) sum[j][i] =
                        k0 == 0 ? (floatv)0.0f : RESULT(result, c, j, C, H * W, pixel, i);
                }
                if (STRIDE == 1 && columns == S && rows == R) {
                    for (int k = k0; k < k1; k++) {
                        UNROLL_ROWS for (int row = 0; row < R; row++) {
                            global const float *source =
                                dy + ((k * OUT_H + oy - row) * OUT_W + ox) * T;
                            global const float *weights =
                                filters + ((k * R + row) * S) * TUNE_BLOCK;
                            UNROLL for (int s = 0; s < S; s++)
                                TAP(source - s * T, weights + s * TUNE_BLOCK);
                        }
                    }
                } else {
                    for (int k = k0; k < k1; k++) {
                        for (int row = 0; row < rows; row++) {
                            global const float *source =
                                dy + ((k * OUT_H + oy - row) * OUT_W + ox) * T;
                            global const float *weights =
                                filters + ((k * R + r0 + row * STRIDE) * S + s0) * TUNE_BLOCK;
                            for (int column = 0; column < columns; column++)
                                TAP(source - column * T, weights + column * (STRIDE * TUNE_BLOCK));
                        }
                    }
                }
                UNROLL for (int j = 0; j < TUNE_BLOCK; j++) {
                    if (c + j < C) {
                        UNROLL for (int i = 0; i < TUNE_VECTORS; i++)
                            RESULT(result, c, j, C, H * W, pixel, i) = sum[j][i];
                    }
                }
            }
        }
    }
}

#endif
#if PASS == 0 || PASS == 3
#define FILTER_BLOCKS ((K + TUNE_FILTERS - 1) / TUNE_FILTERS)
#define CHANNEL_BLOCKS ((C + TUNE_CHANNELS - 1) / TUNE_CHANNELS)

/* The outputs along an axis whose window's tap lies in the picture: first, and one after the last. */
#define TAP_FIRST(tap) ((tap) < PADDING ? (PADDING - (tap) + STRIDE - 1) / STRIDE : 0)
#define TAP_END(tap, in, out)                                                                      \
    ((in)-1 + PADDING - (tap) < 0 ? 0 : min((out), ((in)-1 + PADDING - (tap)) / STRIDE + 1))

/* dw += dy * x. A work-item takes TUNE_FILTER_BLOCKS x TUNE_CHANNEL_BLOCKS register tiles, and the taps of
 * TUNE_TAP_ROWS x TUNE_TAP_COLUMNS, so that what it reads of a row is used that many times, and keeps
 * their sums in private memory meanwhile; with 1 of each they are registers.
 * Global size: ceil(R / TUNE_TAP_ROWS) * ceil(S / TUNE_TAP_COLUMNS),
 * ceil(CHANNEL_BLOCKS / TUNE_CHANNEL_BLOCKS), GROUPS * ceil(FILTER_BLOCKS / TUNE_FILTER_BLOCKS). */
#define SUPER_FILTERS ((FILTER_BLOCKS + TUNE_FILTER_BLOCKS - 1) / TUNE_FILTER_BLOCKS)
#define TAP_SPANS ((S + TUNE_TAP_COLUMNS - 1) / TUNE_TAP_COLUMNS)
#define TILE_SUMS (TUNE_FILTERS * TUNE_CHANNELS)
#define SUM_COUNT                                                                                  \
    (TUNE_FILTER_BLOCKS * TUNE_CHANNEL_BLOCKS * TUNE_TAP_ROWS * TUNE_TAP_COLUMNS * TILE_SUMS)

/* Where the sums of one register tile and tap begin. */
#define SUM_AT(block_k, block_c, row, column)                                                      \
    (((((block_k) * TUNE_CHANNEL_BLOCKS + (block_c)) * TUNE_TAP_ROWS + (row)) * TUNE_TAP_COLUMNS + \
      (column)) *                                                                                  \
     TILE_SUMS)

/* Where a block of filters or channels that begins at `first` lies. The last one, where it is not
 * full, begins earlier: what it shares with the one before is summed twice, and stored once. So
 * addresses within a block are constants. */
#define WHOLE_BLOCK(first, block, count) min(first, (count) - (block))

WIDE_VECTORS kernel void conv_backward_filter(global const float *dy, global const float *x,
                                              global float *dw) {
    const int r0 = get_global_id(0) / TAP_SPANS * TUNE_TAP_ROWS;
    const int s0 = get_global_id(0) % TAP_SPANS * TUNE_TAP_COLUMNS;
    const int c0 = get_global_id(1) * (TUNE_CHANNEL_BLOCKS * TUNE_CHANNELS);
    const int k0 = get_global_id(2) % SUPER_FILTERS * (TUNE_FILTER_BLOCKS * TUNE_FILTERS);
    const int g = get_global_id(2) / SUPER_FILTERS;

    floatv sums[SUM_COUNT];
    for (int i = 0; i < SUM_COUNT; i++)
        sums[i] = (floatv)0.0f;

    for (int t = 0; t < TILES; t++) {
        global const floatv *y_tile =
            (global const floatv *)dy + ((size_t)t * GROUPS + g) * (K * OUT_H * OUT_W * TILE_VECTORS);
        global const floatv *x_tile =
            (global const floatv *)x + ((size_t)t * GROUPS + g) * (C * H * W * TILE_VECTORS);
        for (int rows = 0; rows < OUT_H; rows += TUNE_ROWS) {
            for (int run = 0; run < OUT_W; run += TUNE_RUN) {
                for (int block_k = 0; block_k < TUNE_FILTER_BLOCKS; block_k++) {
                    for (int block_c = 0; block_c < TUNE_CHANNEL_BLOCKS; block_c++) {
                        const int k = k0 + block_k * TUNE_FILTERS;
                        const int c = c0 + block_c * TUNE_CHANNELS;
                        if (k >= K || c >= C)
                            continue;
                        global const floatv *y_block =
                            y_tile +
                            WHOLE_BLOCK(k, TUNE_FILTERS, K) * (OUT_H * OUT_W * TILE_VECTORS);
                        global const floatv *x_block =
                            x_tile + WHOLE_BLOCK(c, TUNE_CHANNELS, C) * (H * W * TILE_VECTORS);
                        for (int row = 0; row < TUNE_TAP_ROWS; row++) {
                            const int r = r0 + row;
                            const int oy0 = max(rows, TAP_FIRST(r));
                            const int oy1 = min(rows + TUNE_ROWS, TAP_END(r, H, OUT_H));
                            if (r >= R || oy0 >= oy1)
                                continue;
                            for (int column = 0; column < TUNE_TAP_COLUMNS; column++) {
                                const int s = s0 + column;
                                const int ox0 = max(run, TAP_FIRST(s));
                                const int ox1 = min(run + TUNE_RUN, TAP_END(s, W, OUT_W));
                                if (s >= S || ox0 >= ox1)
                                    continue;
                                floatv *kept = sums + SUM_AT(block_k, block_c, row, column);
                                floatv sum[TUNE_FILTERS][TUNE_CHANNELS];
                                UNROLL for (int j = 0; j < TUNE_FILTERS; j++) {
                                    UNROLL for (int i = 0; i < TUNE_CHANNELS; i++) sum[j][i] =
                                        kept[j * TUNE_CHANNELS + i];
                                }
                                for (int oy = oy0; oy < oy1; oy++) {
                                    const int iy = oy * STRIDE - PADDING + r;
                                    const int ix = ox0 * STRIDE - PADDING + s;
                                    global const floatv *from_y =
                                        y_block + (oy * OUT_W + ox0) * TILE_VECTORS;
                                    global const floatv *from_x =
                                        x_block + (iy * W + ix) * TILE_VECTORS;
                                    /* Vector by vector over pixels and lanes: were several unrolled, LLVM
                                     * would load them all at first, and have no register left for sums. */
                                    NO_UNROLL for (int v = 0; v < (ox1 - ox0) * TILE_VECTORS; v++) {
                                        const int x_at =
                                            v + v / TILE_VECTORS * ((STRIDE - 1) * TILE_VECTORS);
                                        floatv channel[TUNE_CHANNELS];
                                        UNROLL for (int i = 0; i < TUNE_CHANNELS; i++) channel[i] =
                                            from_x[i * (H * W * TILE_VECTORS) + x_at];
                                        UNROLL for (int j = 0; j < TUNE_FILTERS; j++) {
                                            const floatv filter =
                                                from_y[j * (OUT_H * OUT_W * TILE_VECTORS) + v];
                                            UNROLL for (int i = 0; i < TUNE_CHANNELS; i++)
                                                sum[j][i] = MAD(filter, channel[i], sum[j][i]);
                                        }
                                    }
                                }
                                UNROLL for (int j = 0; j < TUNE_FILTERS; j++) {
                                    UNROLL for (int i = 0; i < TUNE_CHANNELS; i++)
                                        kept[j * TUNE_CHANNELS + i] = sum[j][i];
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    for (int block_k = 0; block_k < TUNE_FILTER_BLOCKS; block_k++) {
        for (int block_c = 0; block_c < TUNE_CHANNEL_BLOCKS; block_c++) {
            const int k_first = k0 + block_k * TUNE_FILTERS, c_first = c0 + block_c * TUNE_CHANNELS;
            if (k_first >= K || c_first >= C)
                continue;
            for (int row = 0; row < TUNE_TAP_ROWS; row++) {
                for (int column = 0; column < TUNE_TAP_COLUMNS; column++) {
                    const floatv *kept = sums + SUM_AT(block_k, block_c, row, column);
                    const int r = r0 + row, s = s0 + column;
                    UNROLL for (int j = 0; j < TUNE_FILTERS; j++) {
                        UNROLL for (int i = 0; i < TUNE_CHANNELS; i++) {
                            const int k = WHOLE_BLOCK(k_first, TUNE_FILTERS, K) + j;
                            const int c = WHOLE_BLOCK(c_first, TUNE_CHANNELS, C) + i;
                            if (k >= k_first && c >= c_first && r < R && s < S)
                                dw[(((g * K + k) * C + c) * R + r) * S + s] +=
                                    LANE_SUM(kept[j * TUNE_CHANNELS + i]);
                        }
                    }
                }
            }
        }
    }
}
#endif
