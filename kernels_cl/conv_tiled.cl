/* Convolution by tiles in local memory, for GPUs: products whose matrices are never written out. Layout as
 * in conv_reference.cl; the scheme, and its macros, as in tiled.clh.
 *
 *   pass             rows        columns                   terms
 *   forward          filters     pixels of y x images      channels x taps
 *   backward data    channels    pixels of dx x images     filters x taps
 *   backward filter  filters     channels x taps           pixels of dy x images
 *
 * The images of a tile are the innermost index of columns or terms, so that they are fetched in vectors,
 * side by side; for the rest of an index, a work-item works out where in the picture it is. Taps of one
 * window reach the same source again, from a cache.
 *
 * Local size: ITEMS, 1, 1. A work-group for each block of rows (dimension 0, so that those of the same
 * columns run at the same time), of columns (1), and each group of channels (2).
 *
 *   PASS     1 forward, 2 backward data, 3 backward filter, 4 adding its splits: the kernel that is wanted,
 *            as compiling the others takes time; without it, all are there
 *   TUNE_SPLITS   backward filter: parts of the terms, each for work-groups of its own (dimension 2), whose
 *            sums wait in memory for conv_add_splits; with 1 they are added to dw at once */
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
#ifndef TUNE_SPLITS
#define TUNE_SPLITS 1
#endif
#ifndef TUNE_M
#define TUNE_M 32
#define TUNE_N 32
#define TUNE_K 8
#define TUNE_RM 4
#define TUNE_RN 4
#define TUNE_BUFFERS 2
#define TUNE_SHARE 1
#endif

#ifdef PASS
#define HAS_PASS(pass) (PASS == (pass))
#else
#define HAS_PASS(pass) 1
#endif

#define STEPS(terms) UP(terms, TUNE_K)

/* Whether a pixel that a window reaches is one: without padding each is. */
#define IS_PIXEL(y, x) (PADDING == 0 || ((y) < H && (x) < W))

/* ---- forward: y = activate(w * x + b) ---- */

#define OUT_PIXELS (OUT_H * OUT_W)
#define FORWARD_COLUMNS (TILES * OUT_PIXELS * T)
#define FORWARD_TERMS (C * R * S)

#if HAS_PASS(1)
/* w is the first row's filter. */
INLINE void fetch_filters(float next[], global const float *w, uint first_row, uint first_term) {
    EACH_LOAD(l, e, TUNE_M * TUNE_K) {
        const uint k = first_row + LOAD_ROW(l, e, TUNE_K), term = first_term + LOAD_PLACE(e, TUNE_K);
        next[l] = IS_BELOW(k, K, TUNE_M) && IS_BELOW(term, FORWARD_TERMS, TUNE_K)
                      ? (w + term)[LOAD_OFFSET(l, e, TUNE_K, FORWARD_TERMS)]
                      : 0.0f;
    }
}

/* x is the group's first channel, of the tile and lane of the column. Unsigned: what lies before the
 * picture is then beyond it. */
INLINE void fetch_x(floatv next[], global const float *x, uint column, uint first_term) {
    const uint pixel = column / T % OUT_PIXELS;
    const uint iy = pixel / OUT_W * STRIDE - PADDING, ix = pixel % OUT_W * STRIDE - PADDING;
    EACH_LOAD(l, e, ROW_VECTORS * TUNE_K) {
        const uint term = first_term + LOAD_ROW(l, e, ROW_VECTORS), tap = term % (R * S);
        const uint c = term / (R * S), y = iy + tap / S, at_x = ix + tap % S;
        const int is_inside = IS_BELOW(column, FORWARD_COLUMNS, TUNE_N) &&
                              IS_BELOW(term, FORWARD_TERMS, TUNE_K) &&
                              IS_PIXEL(y, at_x);
        next[l] = is_inside ? *(global const floatv *)(x + ((c * H + y) * W + at_x) * T)
                            : (floatv)0.0f;
    }
}

/* Rows K, columns FORWARD_COLUMNS. */
#define FETCH_FORWARD(step)                                                                        \
    fetch_filters(next_a, w, first_row, (step)*TUNE_K);                                            \
    fetch_x(next_b, x, fetched, (step)*TUNE_K)

WORK_GROUP kernel void conv_forward(global const float *x, global const float *w,
                                    global const float *b, global float *y) {
    DECLARE_TILES(float, TUNE_M *TUNE_K)
    const int g = get_group_id(2);
    const int first_row = get_group_id(0) * TUNE_M, first_column = get_group_id(1) * TUNE_N;
    const int fetched = first_column + FETCHED_COLUMN;
    w += ((size_t)g * K + first_row) * FORWARD_TERMS;
    x += ((size_t)(fetched / (OUT_PIXELS * T)) * GROUPS + g) * (C * H * W * T) + fetched % T;
    WALK(STEPS(FORWARD_TERMS), FETCH_FORWARD, STORE_SINGLE_TERMS, STORE_SIDES)
    UNROLL for (int v = 0; v < ITEM_VECTORS; v++) {
        const int column = first_column + ITEM_COLUMN(v);
        const size_t t = column / (OUT_PIXELS * T);
        UNROLL for (int i = 0; i < TUNE_RM; i++) {
            const int k = first_row + ITEM_ROW + i;
            if (k < K && column < FORWARD_COLUMNS)
                *(global floatv *)(y + ((t * GROUPS + g) * K + k) * (OUT_PIXELS * T) +
                                   column % (OUT_PIXELS * T)) =
                    ACTIVATE(sum[i][v] + (floatv)(b[g * K + k]));
        }
    }
}
#endif

/* ---- backward data: dx = w' * dy ----
 *
 * Only every STRIDE-th tap of a row reaches a given pixel: the one that is (iy + PADDING) % STRIDE, and
 * those a multiple of STRIDE away. The pixels that agree in this, along both axes, make a phase; all of
 * them have the same taps, and no step is in vain. At stride 1 there is one phase. */

#if HAS_PASS(2)
#define PHASES (STRIDE * STRIDE)
#define PHASE_H UP(H, STRIDE)
#define PHASE_W UP(W, STRIDE)
#define PHASE_PIXELS (PHASE_H * PHASE_W)
#define TAP_ROWS UP(R, STRIDE)
#define TAP_COLUMNS UP(S, STRIDE)
#define DATA_COLUMNS (TILES * PHASE_PIXELS * T)
#define DATA_TERMS (K * TAP_ROWS * TAP_COLUMNS)

/* Of a phase along an axis, the i-th pixel. */
#define PHASE_PIXEL(phase, i) (((phase) + (STRIDE - 1) * PADDING) % STRIDE + (i)*STRIDE)

/* w is the first row's channel. */
INLINE void fetch_turned_filters(float next[], global const float *w, uint phase_y, uint phase_x,
                                 uint first_row, uint first_term) {
    EACH_LOAD(l, e, TUNE_M * TUNE_K) {
        const uint c = first_row + LOAD_ROW(l, e, TUNE_K), term = first_term + LOAD_PLACE(e, TUNE_K);
        const uint k = term / (TAP_ROWS * TAP_COLUMNS), tap = term % (TAP_ROWS * TAP_COLUMNS);
        const uint r = phase_y + tap / TAP_COLUMNS * STRIDE;
        const uint s = phase_x + tap % TAP_COLUMNS * STRIDE;
        next[l] = IS_BELOW(c, C, TUNE_M) && IS_BELOW(term, DATA_TERMS, TUNE_K) &&
                          IS_BELOW(r, R, STRIDE) && IS_BELOW(s, S, STRIDE)
                      ? (w + (k * (C * R * S) + r * S + s))[LOAD_OFFSET(l, e, TUNE_K, R *S)]
                      : 0.0f;
    }
}

/* dy is the group's first filter, of the tile and lane of the column. Unsigned, as above. */
INLINE void fetch_dy(floatv next[], global const float *dy, uint phase_y, uint phase_x, uint column,
                     uint first_term) {
    const uint pixel = column / T % PHASE_PIXELS;
    const uint oy = (PHASE_PIXEL(phase_y, pixel / PHASE_W) + PADDING - phase_y) / STRIDE;
    const uint ox = (PHASE_PIXEL(phase_x, pixel % PHASE_W) + PADDING - phase_x) / STRIDE;
    EACH_LOAD(l, e, ROW_VECTORS * TUNE_K) {
        const uint term = first_term + LOAD_ROW(l, e, ROW_VECTORS);
        const uint k = term / (TAP_ROWS * TAP_COLUMNS), tap = term % (TAP_ROWS * TAP_COLUMNS);
        const uint y = oy - tap / TAP_COLUMNS, x = ox - tap % TAP_COLUMNS;
        const int is_inside = IS_BELOW(column, DATA_COLUMNS, TUNE_N) &&
                              IS_BELOW(term, DATA_TERMS, TUNE_K) && y < OUT_H && x < OUT_W;
        next[l] = is_inside ? *(global const floatv *)(dy + ((k * OUT_H + y) * OUT_W + x) * T)
                            : (floatv)0.0f;
    }
}

/* Rows C, columns DATA_COLUMNS; a phase of a group in dimension 2. */
#define FETCH_DATA(step)                                                                           \
    fetch_turned_filters(next_a, w, phase_y, phase_x, first_row, (step)*TUNE_K);                   \
    fetch_dy(next_b, dy, phase_y, phase_x, fetched, (step)*TUNE_K)

WORK_GROUP kernel void conv_backward_data(global const float *dy, global const float *w,
                                          global float *dx) {
    DECLARE_TILES(float, TUNE_M *TUNE_K)
    const int g = get_group_id(2) / PHASES, phase = get_group_id(2) % PHASES;
    const int phase_y = phase / STRIDE, phase_x = phase % STRIDE;
    const int first_row = get_group_id(0) * TUNE_M, first_column = get_group_id(1) * TUNE_N;
    const int fetched = first_column + FETCHED_COLUMN;
    w += (size_t)g * K * (C * R * S) + (size_t)first_row * (R * S);
    dy += ((size_t)(fetched / (PHASE_PIXELS * T)) * GROUPS + g) * (K * OUT_PIXELS * T) + fetched % T;
    WALK(STEPS(DATA_TERMS), FETCH_DATA, STORE_SINGLE_TERMS, STORE_SIDES)
    UNROLL for (int v = 0; v < ITEM_VECTORS; v++) {
        const int column = first_column + ITEM_COLUMN(v), pixel = column / T % PHASE_PIXELS;
        const size_t t = column / (PHASE_PIXELS * T);
        const int iy = PHASE_PIXEL(phase_y, pixel / PHASE_W);
        const int ix = PHASE_PIXEL(phase_x, pixel % PHASE_W);
        UNROLL for (int i = 0; i < TUNE_RM; i++) {
            const int c = first_row + ITEM_ROW + i;
            if (c < C && column < DATA_COLUMNS && iy < H && ix < W)
                *(global floatv *)(dx + (((t * GROUPS + g) * C + c) * (H * W) + iy * W + ix) * T +
                                   column % T) = sum[i][v];
        }
    }
}
#endif

/* ---- backward filter: dw += dy * x ---- */

#define FILTER_COLUMNS (C * R * S)
#define FILTER_TERMS (TILES * OUT_PIXELS * T)
#define SPLIT_STEPS UP(STEPS(FILTER_TERMS), TUNE_SPLITS)

#if HAS_PASS(3)
/* The accesses along the terms, by e: vectors of a step. */
#define STEP_VECTORS (TUNE_K / TUNE_VECTOR)
#define IS_TERM(term)                                                                              \
    (SPLIT_STEPS * TUNE_SPLITS * TUNE_K == FILTER_TERMS || (term) < FILTER_TERMS)

/* dy is the group's and the first row's filter. */
INLINE void fetch_dy_terms(floatv next[], global const float *dy, uint first_row, uint first_term) {
    EACH_LOAD(l, e, TUNE_M * STEP_VECTORS) {
        const uint k = first_row + LOAD_ROW(l, e, STEP_VECTORS);
        const uint term = first_term + LOAD_PLACE(e, STEP_VECTORS) * TUNE_VECTOR;
        const size_t t = term / (OUT_PIXELS * T);
        const size_t at = t * (GROUPS * K * OUT_PIXELS * T) + term % (OUT_PIXELS * T);
        next[l] = IS_BELOW(k, K, TUNE_M) && IS_TERM(term)
                      ? *(global const floatv *)(dy + at +
                                                 LOAD_OFFSET(l, e, STEP_VECTORS, OUT_PIXELS *T))
                      : (floatv)0.0f;
    }
}

/* x is the group's first channel. Unsigned, as above. */
INLINE void fetch_x_terms(floatv next[], global const float *x, uint first_column,
                          uint first_term) {
    EACH_LOAD(l, e, TUNE_N * STEP_VECTORS) {
        const uint column = first_column + LOAD_ROW(l, e, STEP_VECTORS);
        const uint term = first_term + LOAD_PLACE(e, STEP_VECTORS) * TUNE_VECTOR;
        const uint c = column / (R * S), tap = column % (R * S), pixel = term / T % OUT_PIXELS;
        const uint y = pixel / OUT_W * STRIDE + tap / S - PADDING;
        const uint at_x = pixel % OUT_W * STRIDE + tap % S - PADDING;
        const size_t t = term / (OUT_PIXELS * T);
        const int is_inside = IS_BELOW(column, FILTER_COLUMNS, TUNE_N) && IS_TERM(term) &&
                              IS_PIXEL(y, at_x);
        next[l] = is_inside ? *(global const floatv *)(x + t * (GROUPS * C * H * W * T) +
                                                       ((c * H + y) * W + at_x) * T + term % T)
                            : (floatv)0.0f;
    }
}

/* Rows K, columns FILTER_COLUMNS; a split of a group in dimension 2. dw is memory for the sums of the
 * splits where there are several. */
#define FETCH_FILTER(step)                                                                         \
    fetch_dy_terms(next_a, dy, first_row, (first_step + (step)) * TUNE_K);                         \
    fetch_x_terms(next_b, x, first_column, (first_step + (step)) * TUNE_K)

WORK_GROUP kernel void conv_backward_filter(global const float *dy, global const float *x,
                                            global float *dw) {
    DECLARE_TILES(floatv, TUNE_M *STEP_VECTORS)
    const int g = get_group_id(2) / TUNE_SPLITS, split = get_group_id(2) % TUNE_SPLITS;
    const int first_row = get_group_id(0) * TUNE_M, first_column = get_group_id(1) * TUNE_N;
    const int first_step = split * SPLIT_STEPS;
    dy += ((size_t)g * K + first_row) * (OUT_PIXELS * T);
    x += (size_t)g * (C * H * W * T);
    WALK(SPLIT_STEPS, FETCH_FILTER, STORE_TERMS, STORE_TERMS)
    UNROLL for (int v = 0; v < ITEM_VECTORS; v++) {
        const int column = first_column + ITEM_COLUMN(v);
        UNROLL for (int i = 0; i < TUNE_RM; i++) {
            const int k = first_row + ITEM_ROW + i;
            if (k < K)
                WRITE_ROW(dw + ((size_t)(split * GROUPS + g) * K + k) * FILTER_COLUMNS, column,
                          FILTER_COLUMNS, sum[i][v], TUNE_SPLITS == 1);
        }
    }
}
#endif

#if HAS_PASS(4)
/* dw += the sums of all splits, in their order. Global size: GROUPS * K * C * R * S, 1, 1. */
kernel void conv_add_splits(global const float *sums, global float *dw) {
    const size_t i = get_global_id(0);
    float sum = 0.0f;
    for (int split = 0; split < TUNE_SPLITS; split++)
        sum += sums[split * (size_t)(GROUPS * K * FILTER_COLUMNS) + i];
    dw[i] += sum;
}
#endif
