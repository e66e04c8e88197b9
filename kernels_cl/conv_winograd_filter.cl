/* The gradient of filters by minimal filtering: dw += dy * x. Layout as in conv_reference.cl. Channels are
 * those of all phases, see winograd.clh.
 *
 * As winograd.clh says, a patch of results is A' (U V) A, with U = G g G' of a filter and V = B' d B of a
 * patch of the source. What that does to the filter, turned around, is the gradient: with S = A dy A' of a
 * patch of dy,
 *
 *   dg = G' M G,   M = the sum of S V over patches and images
 *
 * Each point of M by itself is a product of matrices: filters x channels, of patches and images.
 *
 * A work-item takes a group, TUNE_ROWS of the SIDE rows of points, and TUNE_BLOCKS blocks of TUNE_BLOCK
 * filters. It walks over the images, a tile and TUNE_PATCHES patches at a time: transforms these of dy and x,
 * to its place in scratch memory, which should be in the second cache, and adds their product to its part of
 * M, TUNE_BLOCK filters x (TUNE_VECTORS x TUNE_VECTOR) channels at a time in registers. There the lanes of
 * vectors are channels, so V is turned around before it is written: x has images in its lanes.
 *
 *   M [GROUPS][POINTS][BLOCKS * TUNE_BLOCK][PANELS][WIDTH], first in scratch memory
 *   S [TUNE_ROWS][SIDE][TUNE_BLOCKS * TUNE_BLOCK][TERMS], in each place
 *   V [TUNE_ROWS][SIDE][PANELS][TERMS][WIDTH], behind it
 *
 *   TUNE_PATCH     m: 2, or for 3 x 3 also 4
 *   TUNE_ROWS      divides SIDE
 *   TUNE_PATCHES, TUNE_VECTORS, TUNE_BLOCK, TUNE_BLOCKS   as above
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
#ifndef TUNE_ROWS
#define TUNE_ROWS 1
#define TUNE_PATCHES 1
#define TUNE_VECTORS 1
#define TUNE_BLOCK 4
#define TUNE_BLOCKS 1
#endif

#define BLOCKS UP(K, TUNE_BLOCK)
#define SLABS UP(BLOCKS, TUNE_BLOCKS)
#define SLAB (TUNE_BLOCKS * TUNE_BLOCK)
#define WIDTH (TUNE_VECTORS * TUNE_VECTOR)
#define CHANNELS (C * PHASES)
#define PANELS UP(CHANNELS, WIDTH)
#define PATCHES_W UP(OUT_W, TUNE_PATCH)
#define PATCHES (UP(OUT_H, TUNE_PATCH) * PATCHES_W)
#define TERMS (TUNE_PATCHES * T)

/* Floats from a row of M to the next, and from a point of M, S and V to the next. */
#define M_ROW (PANELS * WIDTH)
#define M_POINT (BLOCKS * TUNE_BLOCK * M_ROW)
#define S_POINT (SLAB * TERMS)
#define V_POINT (TERMS * M_ROW)

/* The transforms along one side, as matrices: the first of two steps takes rows of them. And in place: m
 * numbers of dy -> SIDE; SIDE of M -> r. */
#if SIDE == 4
constant float b_rows[SIDE][SIDE] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}};
constant float a_rows[SIDE][TUNE_PATCH] = {{1, 0}, {1, 1}, {1, -1}, {0, -1}};
#define TRANSFORM_SLOPE(v)                                                                         \
    do {                                                                                           \
        v[3] = -v[1];                                                                              \
        v[2] = v[0] - v[1];                                                                        \
        v[1] = v[0] + v[1];                                                                        \
    } while (0)
#define TRANSFORM_GRADIENT(v)                                                                      \
    do {                                                                                           \
        const floatv even = 0.5f * (v[1] + v[2]), odd = 0.5f * (v[1] - v[2]);                      \
        v[0] = v[0] + even;                                                                        \
        v[1] = odd;                                                                                \
        v[2] = even + v[3];                                                                        \
    } while (0)
#else
constant float b_rows[SIDE][SIDE] = {{1, 0, -2.5f, 0, 1, 0},
                                     {0, -ROOT, -2, ROOT / 2, 1, 0},
                                     {0, ROOT, -2, -ROOT / 2, 1, 0},
                                     {0, -ROOT / 2, -0.5f, ROOT, 1, 0},
                                     {0, ROOT / 2, -0.5f, -ROOT, 1, 0},
                                     {0, 1, 0, -2.5f, 0, 1}};
#if WINDOW == 3
constant float a_rows[SIDE][TUNE_PATCH] = {{1, 0, 0, 0},
                                           {1, ROOT / 2, 0.5f, ROOT / 4},
                                           {1, -ROOT / 2, 0.5f, -ROOT / 4},
                                           {1, ROOT, 2, 2 * ROOT},
                                           {1, -ROOT, 2, -2 * ROOT},
                                           {0, 0, 0, 1}};
#define TRANSFORM_SLOPE(v)                                                                         \
    do {                                                                                           \
        const floatv near = v[0] + 0.5f * v[2], near_odd = (ROOT / 2) * v[1] + (ROOT / 4) * v[3];  \
        const floatv far = v[0] + 2.0f * v[2], far_odd = ROOT * v[1] + (2 * ROOT) * v[3];          \
        v[5] = v[3];                                                                               \
        v[1] = near + near_odd;                                                                    \
        v[2] = near - near_odd;                                                                    \
        v[3] = far + far_odd;                                                                      \
        v[4] = far - far_odd;                                                                      \
    } while (0)
#else
constant float a_rows[SIDE][TUNE_PATCH] = {{1, 0},    {1, ROOT / 2}, {1, -ROOT / 2},
                                           {1, ROOT}, {1, -ROOT},    {0, 1}};
#define TRANSFORM_SLOPE(v)                                                                         \
    do {                                                                                           \
        const floatv near_odd = (ROOT / 2) * v[1], far_odd = ROOT * v[1];                          \
        v[5] = v[1];                                                                               \
        v[1] = v[0] + near_odd;                                                                    \
        v[2] = v[0] - near_odd;                                                                    \
        v[3] = v[0] + far_odd;                                                                     \
        v[4] = v[0] - far_odd;                                                                     \
    } while (0)
#endif
#define TRANSFORM_GRADIENT(v)                                                                      \
    do {                                                                                           \
        const floatv near = v[1] + v[2], near_odd = v[1] - v[2];                                   \
        const floatv far = v[3] + v[4], far_odd = v[3] - v[4], last = v[5];                        \
        v[0] = v[0] - (2.0f / 3) * near + (1.0f / 6) * far;                                        \
        v[1] = (ROOT / 6) * far_odd - (ROOT / 3) * near_odd;                                       \
        v[2] = (1.0f / 3) * (far - near);                                                          \
        v[3] = (ROOT / 3) * far_odd - (ROOT / 6) * near_odd;                                       \
        v[4] = (2.0f / 3) * far - (1.0f / 6) * near;                                               \
        v[WINDOW - 1] += last;                                                                     \
    } while (0)
#endif

/* S of a patch, a filter and a vector of images, in the rows of points from `row` on; the patch begins there
 * in dy, and ends at its edges. */
static void transform_slope(global float *to, global const floatv *from, int y0, int x0, int row) {
    for (int r = 0; r < TUNE_ROWS; r++) {
        floatv v[SIDE];
        UNROLL for (int x = 0; x < TUNE_PATCH; x++) {
            v[x] = (floatv)0.0f;
            UNROLL for (int y = 0; y < TUNE_PATCH; y++) {
                if (y0 + y < OUT_H && x0 + x < OUT_W)
                    v[x] = MAD((floatv)a_rows[row + r][y],
                               from[((y0 + y) * OUT_W + x0 + x) * TILE_VECTORS], v[x]);
            }
        }
        TRANSFORM_SLOPE(v);
        UNROLL for (int x = 0; x < SIDE; x++)
            *(global floatv *)(to + (r * SIDE + x) * S_POINT) = v[x];
    }
}

/* V of a patch, a phase of a channel and a vector of images, in one row of points: from images in the
 * lanes. */
static void transform_source(floatv v[SIDE], global const floatv *from, int y0, int x0, int row) {
    UNROLL for (int x = 0; x < SIDE; x++) {
        v[x] = (floatv)0.0f;
        UNROLL for (int y = 0; y < SIDE; y++) {
            const int at_y = y0 + y * STRIDE, at_x = x0 + x * STRIDE;
            if (at_y >= 0 && at_y < H && at_x >= 0 && at_x < W)
                v[x] = MAD((floatv)b_rows[row][y], from[(at_y * W + at_x) * TILE_VECTORS], v[x]);
        }
    }
    TRANSFORM_SOURCE(v);
}

/* Turns a square of numbers around its diagonal. A round has the bits of a row's number and a lane's change
 * places by one: the highest of the row becomes the lowest of the lane. */
static void turn(floatv square[TUNE_VECTOR]) {
#if TUNE_VECTOR > 1
    UNROLL for (int round = 1; round < TUNE_VECTOR; round *= 2) {
        floatv next[TUNE_VECTOR];
        UNROLL for (int i = 0; i < TUNE_VECTOR / 2; i++) {
            const floatv a = square[i], b = square[i + TUNE_VECTOR / 2];
            next[2 * i].even = a.lo;
            next[2 * i].odd = b.lo;
            next[2 * i + 1].even = a.hi;
            next[2 * i + 1].odd = b.hi;
        }
        UNROLL for (int i = 0; i < TUNE_VECTOR; i++) square[i] = next[i];
    }
#endif
}

/* The same of as many channels as a vector has lanes, from this one on, so that these become the lanes. */
static void transform_sources(global float *to, global const floatv *from, int channel, int y0, int x0,
                              int row) {
    floatv squares[SIDE][TUNE_VECTOR];
    for (int j = 0; j < TUNE_VECTOR; j++) {
        floatv v[SIDE];
        UNROLL for (int x = 0; x < SIDE; x++) v[x] = (floatv)0.0f;
        const int c = channel + j;
        if (c < CHANNELS)
            transform_source(v, from + c / PHASES * (H * W * TILE_VECTORS), y0 + PHASE_Y(c), x0 + PHASE_X(c),
                             row);
        UNROLL for (int x = 0; x < SIDE; x++) squares[x][j] = v[x];
    }
    for (int x = 0; x < SIDE; x++) {
        floatv square[TUNE_VECTOR];
        UNROLL for (int j = 0; j < TUNE_VECTOR; j++) square[j] = squares[x][j];
        turn(square);
        UNROLL for (int j = 0; j < TUNE_VECTOR; j++)
            *(global floatv *)(to + x * V_POINT + j * WIDTH) = square[j];
    }
}

/* A block of filters x a panel of channels, of one point: writes the products, or adds them. */
static void multiply(global floatv *to, global const float *slopes, global const floatv *sources, int terms,
                     int is_added) {
    floatv sum[TUNE_BLOCK][TUNE_VECTORS];
    UNROLL for (int j = 0; j < TUNE_BLOCK; j++) {
        UNROLL for (int i = 0; i < TUNE_VECTORS; i++) sum[j][i] = (floatv)0.0f;
    }
    NO_UNROLL for (int n = 0; n < terms; n++) {
        floatv v[TUNE_VECTORS];
        UNROLL for (int i = 0; i < TUNE_VECTORS; i++) v[i] = sources[n * TUNE_VECTORS + i];
        UNROLL for (int j = 0; j < TUNE_BLOCK; j++) {
            const floatv s = (floatv)slopes[j * TERMS + n];
            UNROLL for (int i = 0; i < TUNE_VECTORS; i++) sum[j][i] = MAD(s, v[i], sum[j][i]);
        }
    }
    UNROLL for (int j = 0; j < TUNE_BLOCK; j++) {
        UNROLL for (int i = 0; i < TUNE_VECTORS; i++) {
            global floatv *at = to + j * (PANELS * TUNE_VECTORS) + i;
            *at = is_added ? *at + sum[j][i] : sum[j][i];
        }
    }
}

/* Global size: SLABS * SIDE / TUNE_ROWS * GROUPS. */
WIDE_VECTORS kernel void conv_backward_filter(global const float *dy, global const float *x,
                                              global float *scratch) {
    const int work = get_global_id(0);
    const int block0 = work % SLABS * TUNE_BLOCKS, row = work / SLABS % (SIDE / TUNE_ROWS) * TUNE_ROWS;
    const int g = work / (SLABS * (SIDE / TUNE_ROWS));
    const int filters = min(SLAB, (BLOCKS - block0) * TUNE_BLOCK), k0 = block0 * TUNE_BLOCK;
    global float *m = scratch + ((size_t)g * POINTS + row * SIDE) * M_POINT + k0 * M_ROW;
    global float *s = scratch + (size_t)GROUPS * POINTS * M_POINT +
                      (size_t)work * (TUNE_ROWS * SIDE * (S_POINT + V_POINT));
    global float *v = s + TUNE_ROWS * SIDE * S_POINT;

    /* What the last block has too much of stays zero. */
    for (int point = 0; point < TUNE_ROWS * SIDE; point++) {
        for (int k = min(filters, K - k0); k < filters; k++) {
            for (int n = 0; n < TERMS; n++)
                s[point * S_POINT + k * TERMS + n] = 0.0f;
        }
    }

    for (int t = 0; t < TILES; t++) {
        const size_t tg = (size_t)t * GROUPS + g;
        global const floatv *y_tile = (global const floatv *)(dy + (tg * K + k0) * (OUT_H * OUT_W * T));
        global const floatv *x_tile = (global const floatv *)(x + tg * C * (H * W * T));
        for (int first = 0; first < PATCHES; first += TUNE_PATCHES) {
            const int patches = min(TUNE_PATCHES, PATCHES - first);
            for (int p = 0; p < patches; p++) {
                const int y0 = (first + p) / PATCHES_W * TUNE_PATCH;
                const int x0 = (first + p) % PATCHES_W * TUNE_PATCH;
                for (int k = 0; k < min(filters, K - k0); k++) {
                    for (int i = 0; i < TILE_VECTORS; i++)
                        transform_slope(s + k * TERMS + p * T + i * TUNE_VECTOR,
                                        y_tile + k * (OUT_H * OUT_W * TILE_VECTORS) + i, y0, x0, row);
                }
                for (int c = 0; c < M_ROW; c += TUNE_VECTOR) {
                    for (int i = 0; i < TILE_VECTORS * TUNE_ROWS; i++) {
                        const int images = i / TUNE_ROWS, r = i % TUNE_ROWS;
                        transform_sources(v + r * (SIDE * V_POINT) +
                                              (c / WIDTH * TERMS + p * T + images * TUNE_VECTOR) * WIDTH +
                                              c % WIDTH,
                                          x_tile + images, c, y0 * STRIDE - PADDING, x0 * STRIDE - PADDING,
                                          row + r);
                    }
                }
            }
            for (int point = 0; point < TUNE_ROWS * SIDE; point++) {
                for (int k = 0; k < filters; k += TUNE_BLOCK) {
                    for (int panel = 0; panel < PANELS; panel++)
                        multiply((global floatv *)(m + point * M_POINT + k * M_ROW + panel * WIDTH),
                                 s + point * S_POINT + k * TERMS,
                                 (global const floatv *)(v + point * V_POINT + panel * (TERMS * WIDTH)),
                                 patches * T, t > 0 || first > 0);
                }
            }
        }
    }
}

/* dw += G' M G. Global size: PANELS * TUNE_VECTORS, K, GROUPS. */
kernel void conv_winograd_gradient(global const float *scratch, global float *dw) {
    const int c0 = get_global_id(0) * TUNE_VECTOR, k = get_global_id(1), g = get_global_id(2);
    global const float *m = scratch + (size_t)g * POINTS * M_POINT + k * M_ROW + c0;
    floatv rows[WINDOW][SIDE];
    UNROLL for (int x = 0; x < SIDE; x++) {
        floatv v[SIDE];
        UNROLL for (int y = 0; y < SIDE; y++)
            v[y] = *(global const floatv *)(m + (y * SIDE + x) * M_POINT);
        TRANSFORM_GRADIENT(v);
        UNROLL for (int r = 0; r < WINDOW; r++) rows[r][x] = v[r];
    }
    UNROLL for (int r = 0; r < WINDOW; r++) {
        TRANSFORM_GRADIENT(rows[r]);
        UNROLL for (int s = 0; s < WINDOW; s++) {
            UNROLL for (int j = 0; j < TUNE_VECTOR; j++) {
                const int c = c0 + j, y = r * STRIDE + PHASE_Y(c), x = s * STRIDE + PHASE_X(c);
                if (c < CHANNELS && y < R && x < R)
                    dw[(((size_t)(g * K + k) * C + c / PHASES) * R + y) * R + x] +=
                        ((const float *)&rows[r][s])[j];
            }
        }
    }
}
