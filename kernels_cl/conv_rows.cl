/* Convolution by register tiles whose lanes run along a row: over its pixels and their images, which lie side
 * by side, so that a tile of few images, or of one, fills vectors too. Direct, for CPUs.
 *
 * Layout as in conv_reference.cl. Rows of the source are first copied into private memory as lines, with
 * zeros for the padding. A line has a phase for each remainder of a column divided by STRIDE, in which the
 * columns that a tap meets as its window moves lie side by side:
 *
 *   line [STRIDE][COLUMNS][T]
 *
 * Forward and backward data (of stride 1 only) are the same computation, as in conv_vector.cl, with filters
 * packed as conv_pack.cl has it. A work-item takes a row of TUNE_BLOCKS blocks of TUNE_BLOCK result channels, TUNE_VECTORS
 * vectors of it at a time, and TUNE_DEPTH source channels; the sums wait in the result.
 *
 * Backward filter takes TUNE_CHANNELS channels, TUNE_FILTER_BLOCKS blocks of TUNE_FILTERS filters and all
 * their taps, over TUNE_ROWS rows at a time. The sums, whose lanes are summed at the end, wait in private
 * memory.
 *
 * host/ops/conv_rows.c says which values of TUNE_* are worth trying and what they must fulfil. A program is
 * for one PASS: 1 forward, 2 backward data, 3 backward filter. */
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
#define PASS 1
#endif
#ifndef TUNE_VECTORS
#define TUNE_VECTORS 1
#define TUNE_BLOCK 6
#define TUNE_BLOCKS 1
#define TUNE_DEPTH 3
#endif
#ifndef TUNE_FILTERS
#define TUNE_FILTERS 4
#define TUNE_CHANNELS 3
#define TUNE_ROWS 1
#define TUNE_FILTER_BLOCKS 1
#endif

/* What the pass walks along: rows of results, of RESULT_W pixels, and the source that their windows see. */
#if PASS == 2
#define RESULTS C
#define RESULT_H H
#define RESULT_W W
#define SOURCES K
#define SOURCE_H OUT_H
#define SOURCE_W OUT_W
#define MARGIN (S - 1 - PADDING) /* zeros in front of a row of the source, and above the first one */
#else
#define RESULTS K
#define RESULT_H OUT_H
#define RESULT_W OUT_W
#define SOURCES C
#define SOURCE_H H
#define SOURCE_W W
#define MARGIN PADDING
#endif

#define ROW (RESULT_W * T) /* floats of a row of results */
#if PASS == 3
#define SPAN TUNE_VECTOR /* floats at a time */
#else
#define SPAN (TUNE_VECTORS * TUNE_VECTOR)
#endif
#define SPANS ((ROW + SPAN - 1) / SPAN)

/* A line: its phases are as long as the last span's last tap reaches. */
#define PHASE (SPANS * SPAN + (S - 1) / STRIDE * T)
#define LINE (STRIDE * PHASE)

/* Where the pixels that tap s meets begin in a line. */
#define TAP_AT(s) ((s) % STRIDE * PHASE + (s) / STRIDE * T)

/* Vectors need not lie at multiples of their size here. */
#if TUNE_VECTOR == 1
#define LOAD(pointer) (*(pointer))
#define STORE(value, pointer) (*(pointer) = (value))
#else
#define LOAD(pointer) VECTOR(vload)(0, pointer)
#define STORE(value, pointer) VECTOR(vstore)(value, 0, pointer)
#endif

/* The images of a pixel. */
#if T == 2 || T == 4 || T == 8 || T == 16
#define COPY_PIXEL(to, from) PASTE(vstore, T)(PASTE(vload, T)(0, from), 0, to)
#else
#define COPY_PIXEL(to, from)                                                                       \
    do {                                                                                           \
        for (int i_ = 0; i_ < T; i_++)                                                             \
            (to)[i_] = (from)[i_];                                                                 \
    } while (0)
#endif

/* Copies a row of the source into a line, whose zeros stay as they are. */
static void copy_line(float *line, global const float *row) {
#if STRIDE == 1
    const int count = min(SOURCE_W * T, PHASE - MARGIN * T);
    float *to = line + MARGIN * T;
    int i = 0;
    for (; i + TUNE_VECTOR <= count; i += TUNE_VECTOR)
        STORE(LOAD(row + i), to + i);
    for (; i < count; i++)
        to[i] = row[i];
#else
    for (int column = 0; column < SOURCE_W; column++) {
        const int phase = (column + MARGIN) % STRIDE, at = (column + MARGIN) / STRIDE * T;
        if (at + T <= PHASE)
            COPY_PIXEL(line + phase * PHASE + at, row + column * T);
    }
#endif
}

#if PASS == 1 || PASS == 2
#define BLOCKS(n) (((n) + TUNE_BLOCK - 1) / TUNE_BLOCK)
#define SUPERBLOCKS(n) ((BLOCKS(n) + TUNE_BLOCKS - 1) / TUNE_BLOCKS)
#define LINES (TUNE_DEPTH * R * LINE)

#if PASS == 1
#define FIRST_SUM(channel) (b[g * RESULTS + (channel)])
#define FINISH(x) ACTIVATE(x)
#define WEIGHT_TAP(r, s) ((r)*S + (s))
#else
#define FIRST_SUM(channel) 0.0f
#define FINISH(x) (x)
#define WEIGHT_TAP(r, s) ((R - 1 - (r)) * S + S - 1 - (s))
#endif

/* The vectors of a span that lie in the row, whole or in part. */
#define VECTOR_IN_ROW(at, i) ((at) + (i)*TUNE_VECTOR < ROW)
#define VECTOR_IS_WHOLE(at, i) ((at) + ((i) + 1) * TUNE_VECTOR <= ROW)

static floatv load_vector(global const float *row, int at, int i) {
    float part[TUNE_VECTOR];
    if (VECTOR_IS_WHOLE(at, i))
        return LOAD(row + at + i * TUNE_VECTOR);
    for (int n = 0; n < TUNE_VECTOR; n++)
        part[n] = at + i * TUNE_VECTOR + n < ROW ? row[at + i * TUNE_VECTOR + n] : 0.0f;
    return LOAD(part);
}

static void store_vector(floatv value, global float *row, int at, int i) {
    float part[TUNE_VECTOR];
    if (VECTOR_IS_WHOLE(at, i)) {
        STORE(value, row + at + i * TUNE_VECTOR);
        return;
    }
    STORE(value, part);
    for (int n = 0; at + i * TUNE_VECTOR + n < ROW && n < TUNE_VECTOR; n++)
        row[at + i * TUNE_VECTOR + n] = part[n];
}

/* Forward: y = activate(w * x + b), or backward data: dx = w' * dy, which has no b.
 * Global size: SUPERBLOCKS(RESULTS), RESULT_H, TILES * GROUPS. */
#if PASS == 1
WIDE_VECTORS kernel void conv_forward(global const float *source, global const float *packed,
                                      global const float *b, global float *result) {
#else
WIDE_VECTORS kernel void conv_backward_data(global const float *source, global const float *packed,
                                            global float *result) {
#endif
    const int block_first = get_global_id(0) * TUNE_BLOCKS;
    const int block_end = min(block_first + TUNE_BLOCKS, BLOCKS(RESULTS));
    const int y = get_global_id(1), g = get_global_id(2) % GROUPS;

    source += get_global_id(2) * (size_t)(SOURCES * SOURCE_H * SOURCE_W * T);
    result += get_global_id(2) * (size_t)(RESULTS * RESULT_H * RESULT_W * T) + y * ROW;
    float lines[LINES];
    for (int i = 0; i < LINES; i++)
        lines[i] = 0.0f;

    for (int c0 = 0; c0 < SOURCES; c0 += TUNE_DEPTH) {
        const int c1 = min(c0 + TUNE_DEPTH, SOURCES);
        for (int c = c0; c < c1; c++) {
            for (int r = 0; r < R; r++) {
                const int from = y * STRIDE - MARGIN + r;
                if (from >= 0 && from < SOURCE_H)
                    copy_line(lines + ((c - c0) * R + r) * LINE,
                              source + (c * SOURCE_H + from) * (SOURCE_W * T));
            }
        }
        for (int block = block_first; block < block_end; block++) {
            const int k = block * TUNE_BLOCK;
            global const float *filters =
                packed + (g * BLOCKS(RESULTS) + block) * (SOURCES * R * S * TUNE_BLOCK);
            for (int at = 0; at < ROW; at += SPAN) {
                floatv sum[TUNE_BLOCK][TUNE_VECTORS];
                UNROLL for (int j = 0; j < TUNE_BLOCK; j++) {
                    const int channel = min(k + j, RESULTS - 1);
                    UNROLL for (int i = 0; i < TUNE_VECTORS; i++) {
                        sum[j][i] = (floatv)FIRST_SUM(channel);
                        if (c0 > 0 && VECTOR_IN_ROW(at, i))
                            sum[j][i] = load_vector(result + channel * (RESULT_H * ROW), at, i);
                    }
                }
                /* Were rows unrolled too, LLVM would load so many vectors at first that sums are spilled. */
                for (int c = c0; c < c1; c++) {
                    NO_UNROLL for (int r = 0; r < R; r++) {
                        const float *line = lines + ((c - c0) * R + r) * LINE + at;
                        UNROLL for (int s = 0; s < S; s++) {
                            global const float *weights =
                                filters + (c * (R * S) + WEIGHT_TAP(r, s)) * TUNE_BLOCK;
                            UNROLL for (int i = 0; i < TUNE_VECTORS; i++) {
                                const floatv value = LOAD(line + TAP_AT(s) + i * TUNE_VECTOR);
                                UNROLL for (int j = 0; j < TUNE_BLOCK; j++) sum[j][i] =
                                    MAD((floatv)(weights[j]), value, sum[j][i]);
                            }
                        }
                    }
                }
                UNROLL for (int j = 0; j < TUNE_BLOCK; j++) {
                    UNROLL for (int i = 0; i < TUNE_VECTORS; i++) {
                        if (k + j < RESULTS && VECTOR_IN_ROW(at, i))
                            store_vector(c1 == SOURCES ? FINISH(sum[j][i]) : sum[j][i],
                                         result + (k + j) * (RESULT_H * ROW), at, i);
                    }
                }
            }
        }
    }
}
#endif

#if PASS == 3
#define FILTER_BLOCKS ((K + TUNE_FILTERS - 1) / TUNE_FILTERS)
#define SUPER_FILTERS ((FILTER_BLOCKS + TUNE_FILTER_BLOCKS - 1) / TUNE_FILTER_BLOCKS)
#define TILE_SUMS (TUNE_FILTERS * TUNE_CHANNELS)
#define SUM_COUNT (TUNE_FILTER_BLOCKS * R * S * TILE_SUMS)
#define SUM_AT(block, r, s) ((((block)*R + (r)) * S + (s)) * TILE_SUMS)

/* Lines of a channel, and floats of a row of dy as it is copied: whole vectors, zeros behind. */
#define LINES ((TUNE_ROWS - 1) * STRIDE + R)
#define COPY (SPANS * SPAN)

/* dw += dy * x.
 * Global size: ceil(C / TUNE_CHANNELS), SUPER_FILTERS, GROUPS. */
WIDE_VECTORS kernel void conv_backward_filter(global const float *dy, global const float *x,
                                              global float *dw) {
    const int c0 = get_global_id(0) * TUNE_CHANNELS;
    const int k0 = get_global_id(1) * (TUNE_FILTER_BLOCKS * TUNE_FILTERS);
    const int g = get_global_id(2);
    float lines[TUNE_CHANNELS * LINES * LINE];
    float copies[TUNE_FILTER_BLOCKS * TUNE_FILTERS * TUNE_ROWS * COPY];
    floatv sums[SUM_COUNT];
    for (int i = 0; i < SUM_COUNT; i++)
        sums[i] = (floatv)0.0f;
    for (int i = 0; i < TUNE_FILTER_BLOCKS * TUNE_FILTERS * TUNE_ROWS * COPY; i++)
        copies[i] = 0.0f;
    for (int i = 0; i < TUNE_CHANNELS * LINES * LINE; i++)
        lines[i] = 0.0f;

    for (int t = 0; t < TILES; t++) {
        global const float *y_tile = dy + ((size_t)t * GROUPS + g) * (K * OUT_H * ROW);
        global const float *x_tile = x + ((size_t)t * GROUPS + g) * (C * H * W * T);
        for (int oy = 0; oy < OUT_H; oy += TUNE_ROWS) {
            const int rows = min(TUNE_ROWS, OUT_H - oy);
            for (int i = 0; i < TUNE_CHANNELS && c0 + i < C; i++) {
                for (int n = 0; n < (rows - 1) * STRIDE + R; n++) {
                    const int from = oy * STRIDE - PADDING + n;
                    float *line = lines + (i * LINES + n) * LINE;
                    if (from >= 0 && from < H) {
                        copy_line(line, x_tile + ((c0 + i) * H + from) * (W * T));
                    } else {
                        for (int at = 0; at < LINE; at++)
                            line[at] = 0.0f;
                    }
                }
            }
            for (int j = 0; j < TUNE_FILTER_BLOCKS * TUNE_FILTERS && k0 + j < K; j++) {
                for (int row = 0; row < rows; row++) {
                    global const float *from = y_tile + ((k0 + j) * OUT_H + oy + row) * ROW;
                    float *to = copies + (j * TUNE_ROWS + row) * COPY;
                    int i = 0;
                    for (; i + TUNE_VECTOR <= ROW; i += TUNE_VECTOR)
                        STORE(LOAD(from + i), to + i);
                    for (; i < ROW; i++)
                        to[i] = from[i];
                }
            }
            for (int block = 0; block < TUNE_FILTER_BLOCKS && k0 + block * TUNE_FILTERS < K; block++) {
                const float *copy = copies + block * (TUNE_FILTERS * TUNE_ROWS * COPY);
                for (int tap = 0; tap < R * S; tap++) {
                    const int r = tap / S, s = tap % S;
                    floatv *kept = sums + SUM_AT(block, r, s);
                    floatv sum[TUNE_FILTERS][TUNE_CHANNELS];
                    UNROLL for (int j = 0; j < TUNE_FILTERS; j++) {
                        UNROLL for (int i = 0; i < TUNE_CHANNELS; i++) sum[j][i] =
                            kept[j * TUNE_CHANNELS + i];
                    }
                    for (int row = 0; row < rows; row++) {
                        const float *line = lines + (row * STRIDE + r) * LINE + TAP_AT(s);
                        const float *filter_row = copy + row * COPY;
                        /* Were several unrolled, LLVM would have no register left for sums. */
                        NO_UNROLL for (int at = 0; at < COPY; at += TUNE_VECTOR) {
                            floatv channel[TUNE_CHANNELS];
                            UNROLL for (int i = 0; i < TUNE_CHANNELS; i++) channel[i] =
                                LOAD(line + i * (LINES * LINE) + at);
                            UNROLL for (int j = 0; j < TUNE_FILTERS; j++) {
                                const floatv filter = LOAD(filter_row + j * (TUNE_ROWS * COPY) + at);
                                UNROLL for (int i = 0; i < TUNE_CHANNELS; i++) sum[j][i] =
                                    MAD(filter, channel[i], sum[j][i]);
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
    for (int block = 0; block < TUNE_FILTER_BLOCKS; block++) {
        for (int tap = 0; tap < R * S; tap++) {
            const floatv *kept = sums + SUM_AT(block, tap / S, tap % S);
            for (int j = 0; j < TUNE_FILTERS; j++) {
                for (int i = 0; i < TUNE_CHANNELS; i++) {
                    const int k = k0 + block * TUNE_FILTERS + j, c = c0 + i;
                    if (k < K && c < C)
                        dw[((g * K + k) * C + c) * (R * S) + tap] +=
                            LANE_SUM(kept[j * TUNE_CHANNELS + i]);
                }
            }
        }
    }
}
#endif
