/* Convolution by minimal filtering, as winograd.clh says, forward and, with stride 1, backward data. Layout
 * as in conv_reference.cl. Each point by itself is a product of matrices, M = U V over the source channels,
 * those of all phases. The source of backward data is dy, and its filters are turned around.
 *
 * Filters are transformed first, into scratch memory:
 *
 *   U [GROUPS][times][POINTS][blocks of one time, see below][source channels][TUNE_BLOCK], the rest of the
 *   last block zero
 *
 * A work-item has a place in scratch memory behind them, and takes every SLOTS-th work: a tile of images, a
 * group and TUNE_PATCHES patches. It keeps V of all their source channels, which should fit the second cache,
 * and goes over the result channels TUNE_BLOCKS x TUNE_BLOCK at a time: for each point it reads V in turn,
 * from the nearest cache, with TUNE_BLOCK result channels x (TUNE_VECTORS x TUNE_VECTOR) images in registers,
 * and leaves M; then it transforms those channels back.
 *
 *   V [POINTS][source channels, and one to spare][TUNE_PATCHES][TUNE_VECTORS]
 *   M [TUNE_PATCHES][TUNE_BLOCKS][POINTS][TUNE_BLOCK][TUNE_VECTORS]
 *
 *   TUNE_PATCH                m: 2, or for 3 x 3 also 4, which rounds more coarsely
 *   TUNE_PATCHES, TUNE_VECTORS, TUNE_BLOCK, TUNE_BLOCKS   as above
 *   SLOTS                     work-items for each TUNE_VECTORS x TUNE_VECTOR images of a tile
 *   PASS                      1 forward, 2 backward data
 */
#ifndef C
#define GROUPS 1
#define C 3
#define H 8
#define W 8
#define K 4
#define R 3
#define STRIDE 1
#define PADDING 1
#define OUT_H 8
#define OUT_W 8
#define TILES 1
#endif
#ifndef PASS
#define PASS 1
#endif
#ifndef TUNE_PATCHES
#define TUNE_PATCHES 1
#define TUNE_VECTORS 1
#define TUNE_BLOCK 4
#define TUNE_BLOCKS 1
#define SLOTS 1
#endif

#if PASS == 1
#define SOURCES (C * PHASES)
#define SOURCE_H H
#define SOURCE_W W
#define BEFORE PADDING /* zeros before the source's first row and column */
#define RESULTS K
#define RESULT_H OUT_H
#define RESULT_W OUT_W
#define BIAS(k) b[k]
#define FINISH(z) ACTIVATE(z)
#else
#define SOURCES K
#define SOURCE_H OUT_H
#define SOURCE_W OUT_W
#define BEFORE (WINDOW - 1 - PADDING)
#define RESULTS C
#define RESULT_H H
#define RESULT_W W
#define BIAS(k) 0.0f
#define FINISH(z) (z)
#endif

#define TAPS (R * R)
#define BLOCKS UP(RESULTS, TUNE_BLOCK)
#define PANEL (SOURCES * TUNE_BLOCK)

/* How many blocks are taken at a time, from the first one on, and where U of one of them begins. */
#define BLOCKS_FROM(first) min(TUNE_BLOCKS, BLOCKS - (first))
#define FILTERS_AT(g, first, block, point)                                                         \
    ((((size_t)(g)*BLOCKS + (first)) * POINTS + (point)*BLOCKS_FROM(first) + (block)) * PANEL)

/* ---- filters ---- */

/* One tap of the filters whose numbers lie side by side in a block of U, from this one on: zero where the
 * phase has none, or the block has no more filters. */
static floatv tap_of(global const float *w, int g, int block, int first, int r, int s) {
    union {
        floatv vector;
        float lanes[TUNE_VECTOR];
    } tap;
    UNROLL for (int i = 0; i < TUNE_VECTOR; i++) {
        const int source = (first + i) / TUNE_BLOCK, result = block * TUNE_BLOCK + (first + i) % TUNE_BLOCK;
        const int k = PASS == 1 ? result : source, c = PASS == 1 ? source / PHASES : result;
        const int y = r * STRIDE + PHASE_Y(source), x = s * STRIDE + PHASE_X(source), at = y * R + x;
        tap.lanes[i] = 0.0f;
        if (result < RESULTS && y < R && x < R)
            tap.lanes[i] = w[((g * K + k) * C + c) * TAPS + (PASS == 1 ? at : TAPS - 1 - at)];
    }
    return tap.vector;
}

/* TUNE_VECTOR divides SOURCES * TUNE_BLOCK here. Global size: their quotient, GROUPS * BLOCKS. */
WIDE_VECTORS kernel void conv_winograd_filters(global const float *w, global float *scratch) {
    const int at = get_global_id(0) * TUNE_VECTOR;
    const int block = get_global_id(1) % BLOCKS, g = get_global_id(1) / BLOCKS;
    floatv u[SIDE][SIDE];
    UNROLL for (int s = 0; s < WINDOW; s++) {
        floatv v[SIDE];
        UNROLL for (int r = 0; r < WINDOW; r++) v[r] = tap_of(w, g, block, at, r, s);
        TRANSFORM_FILTER(v);
        UNROLL for (int i = 0; i < SIDE; i++) u[i][s] = v[i];
    }
    const int within = block % TUNE_BLOCKS, first = block - within;
    global float *to = scratch + FILTERS_AT(g, first, within, 0) + at;
    UNROLL for (int i = 0; i < SIDE; i++) {
        TRANSFORM_FILTER(u[i]);
        UNROLL for (int s = 0; s < SIDE; s++)
            *(global floatv *)(to + (i * SIDE + s) * (BLOCKS_FROM(first) * PANEL)) = u[i][s];
    }
}

/* ---- patches ---- */

#define PATCHES_H UP(RESULT_H, TUNE_PATCH)
#define PATCHES_W UP(RESULT_W, TUNE_PATCH)
#define RUNS UP(PATCHES_H *PATCHES_W, TUNE_PATCHES)
#define LANE_GROUPS (TILE_VECTORS / TUNE_VECTORS)

/* Vectors from one to the next in a work-item's place: where images run along the work-items, these
 * interleave. */
#if TUNE_VECTOR == 1
#define STEP LANE_GROUPS
#else
#define STEP 1
#endif
#define PATCH_STEP (TUNE_VECTORS * STEP)
#define POINT_STEP ((SOURCES + 1) * TUNE_PATCHES * PATCH_STEP)
#define PRODUCT_STEP (TUNE_BLOCK * PATCH_STEP)
#define V_VECTORS (POINTS * (SOURCES + 1) * TUNE_PATCHES * TUNE_VECTORS)
#define M_VECTORS (TUNE_PATCHES * TUNE_BLOCKS * POINTS * TUNE_BLOCK * TUNE_VECTORS)

/* V of one patch and a phase of a channel, whose first row and column these are of the source. */
static void transform_source(global floatv *to, global const floatv *from, int y0, int x0) {
    floatv rows[SIDE][SIDE];
    UNROLL for (int x = 0; x < SIDE; x++) {
        floatv v[SIDE];
        UNROLL for (int y = 0; y < SIDE; y++) {
            const int at_y = y0 + y * STRIDE, at_x = x0 + x * STRIDE;
            v[y] = (floatv)0.0f;
            if (at_y >= 0 && at_y < SOURCE_H && at_x >= 0 && at_x < SOURCE_W)
                v[y] = from[(at_y * SOURCE_W + at_x) * TILE_VECTORS];
        }
        TRANSFORM_SOURCE(v);
        UNROLL for (int y = 0; y < SIDE; y++) rows[y][x] = v[y];
    }
    UNROLL for (int y = 0; y < SIDE; y++) {
        TRANSFORM_SOURCE(rows[y]);
        UNROLL for (int x = 0; x < SIDE; x++) to[(y * SIDE + x) * POINT_STEP] = rows[y][x];
    }
}

/* The results of one patch and channel, from this one on. */
static void transform_result(global floatv *to, global const floatv *from, int y0, int x0, float bias) {
    floatv m[TUNE_PATCH][SIDE];
    UNROLL for (int x = 0; x < SIDE; x++) {
        floatv v[SIDE];
        UNROLL for (int y = 0; y < SIDE; y++) v[y] = from[(y * SIDE + x) * PRODUCT_STEP];
        TRANSFORM_RESULT(v);
        UNROLL for (int y = 0; y < TUNE_PATCH; y++) m[y][x] = v[y];
    }
    UNROLL for (int y = 0; y < TUNE_PATCH; y++) {
        TRANSFORM_RESULT(m[y]);
        UNROLL for (int x = 0; x < TUNE_PATCH; x++) {
            if (y0 + y < RESULT_H && x0 + x < RESULT_W)
                to[((y0 + y) * RESULT_W + x0 + x) * TILE_VECTORS] = FINISH(m[y][x] + bias);
        }
    }
}

/* One point of M, for a block of result channels and one patch. */
static void multiply(global floatv *to, global const float *filters, global const floatv *from) {
    floatv sum[TUNE_BLOCK][TUNE_VECTORS];
    UNROLL for (int j = 0; j < TUNE_BLOCK; j++) {
        UNROLL for (int i = 0; i < TUNE_VECTORS; i++) sum[j][i] = (floatv)0.0f;
    }
    for (int c = 0; c < SOURCES; c++) {
        floatv v[TUNE_VECTORS];
        UNROLL for (int i = 0; i < TUNE_VECTORS; i++) v[i] = from[i * STEP];
        UNROLL for (int j = 0; j < TUNE_BLOCK; j++) {
            const floatv u = (floatv)filters[j];
            UNROLL for (int i = 0; i < TUNE_VECTORS; i++) sum[j][i] = MAD(u, v[i], sum[j][i]);
        }
        from += TUNE_PATCHES * PATCH_STEP;
        filters += TUNE_BLOCK;
    }
    UNROLL for (int j = 0; j < TUNE_BLOCK; j++) {
        UNROLL for (int i = 0; i < TUNE_VECTORS; i++) to[j * PATCH_STEP + i * STEP] = sum[j][i];
    }
}

/* Global size: LANE_GROUPS, SLOTS. */
#if PASS == 1
WIDE_VECTORS kernel void conv_forward(global const float *x, global float *scratch, global const float *b,
                                      global float *y) {
#else
WIDE_VECTORS kernel void conv_backward_data(global const float *x, global float *scratch, global float *y) {
#endif
    const int lane_group = get_global_id(0), slot = get_global_id(1);
    const int lane = lane_group * (TUNE_VECTORS * TUNE_VECTOR);
    const size_t place = (size_t)slot * LANE_GROUPS * (V_VECTORS + M_VECTORS) +
                         lane_group * (STEP == 1 ? V_VECTORS + M_VECTORS : 1);
    global floatv *v = (global floatv *)(scratch + (size_t)GROUPS * BLOCKS * POINTS * PANEL) + place;
    global floatv *m = v + V_VECTORS * STEP;

    for (int work = slot; work < TILES * GROUPS * RUNS; work += SLOTS) {
        const int first = work % RUNS * TUNE_PATCHES, g = work / RUNS % GROUPS, t = work / (RUNS * GROUPS);
        const int count = min(TUNE_PATCHES, PATCHES_H * PATCHES_W - first);
        const size_t tg = (size_t)t * GROUPS + g;
        global const floatv *source =
            (global const floatv *)(x + tg * (SOURCES / PHASES * SOURCE_H * SOURCE_W) * T + lane);
        global floatv *result = (global floatv *)(y + tg * (RESULTS * RESULT_H * RESULT_W) * T + lane);

        for (int c = 0; c < SOURCES; c++) {
            for (int p = 0; p < count; p++) {
                const int y0 = (first + p) / PATCHES_W * (TUNE_PATCH * STRIDE) + PHASE_Y(c) - BEFORE;
                const int x0 = (first + p) % PATCHES_W * (TUNE_PATCH * STRIDE) + PHASE_X(c) - BEFORE;
                for (int i = 0; i < TUNE_VECTORS; i++)
                    transform_source(v + (c * TUNE_PATCHES + p) * PATCH_STEP + i * STEP,
                                     source + c / PHASES * (SOURCE_H * SOURCE_W * TILE_VECTORS) + i, y0, x0);
            }
        }
        for (int block0 = 0; block0 < BLOCKS; block0 += TUNE_BLOCKS) {
            const int blocks = BLOCKS_FROM(block0);
            for (int point = 0; point < POINTS; point++) {
                for (int block = 0; block < blocks; block++) {
                    global const float *filters = scratch + FILTERS_AT(g, block0, block, point);
                    for (int p = 0; p < count; p++)
                        multiply(m + ((p * TUNE_BLOCKS + block) * POINTS + point) * PRODUCT_STEP, filters,
                                 v + point * POINT_STEP + p * PATCH_STEP);
                }
            }
            for (int j = 0; j < blocks * TUNE_BLOCK; j++) {
                const int k = block0 * TUNE_BLOCK + j;
                if (k >= RESULTS)
                    break;
                for (int p = 0; p < count; p++) {
                    const int y0 = (first + p) / PATCHES_W * TUNE_PATCH;
                    const int x0 = (first + p) % PATCHES_W * TUNE_PATCH;
                    global const floatv *products =
                        m + (p * TUNE_BLOCKS + j / TUNE_BLOCK) * (POINTS * PRODUCT_STEP) +
                        j % TUNE_BLOCK * PATCH_STEP;
                    for (int i = 0; i < TUNE_VECTORS; i++)
                        transform_result(result + k * (RESULT_H * RESULT_W * TILE_VECTORS) + i,
                                         products + i * STEP, y0, x0,
                                         BIAS(g * RESULTS + k));
                }
            }
        }
    }
}
