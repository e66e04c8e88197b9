/* Local response normalisation across channels, as lrn_reference.cl defines it. A work-item takes
 * TUNE_SPAN neighbouring vectors of pixels and images, one after the other. Of each it goes over the
 * channels, with what the window sums in a ring of registers: each element is read once.
 *
 *   TUNE_SPAN       vectors a work-item: on a CPU a few, each fetched while the one before is worked on,
 *                   as no prefetcher follows so many channels
 *   TUNE_CHANNELS   channels a work-item: fewer than all where there would be too few work-items; those
 *                   that the first and the last window reach beyond are read twice
 *
 * Global size of both: ceil(PIXELS * TILE_VECTORS / TUNE_SPAN), TILES, ceil(C / TUNE_CHANNELS).
 *
 * With POOL, max-pooling of POOL x POOL follows, as maxpool.cl defines it: kernels for CPUs that never write
 * what lies between the two. */
#ifndef C
#define C 8
#define PIXELS 4
#define SIZE 5
#define KAPPA 2.0f
#define ALPHA 1e-4f
#define BETA 0.75f
#define BETA_IS_3_4 1
#endif
#ifndef TUNE_SPAN
#define TUNE_SPAN 1
#endif
#ifndef TUNE_CHANNELS
#define TUNE_CHANNELS C
#endif

#define HALF (SIZE / 2)
#define CHANNEL (PIXELS * TILE_VECTORS)

/* How many vectors ahead the next ones are fetched. */
#define NEXT 1

/* The channels of a work-item: from the first to the one before the last. */
#define FIRST_CHANNEL (TUNE_CHANNELS < C ? (int)get_global_id(2) * TUNE_CHANNELS : 0)
#define LAST_CHANNEL(first) (TUNE_CHANNELS < C ? min(C, (first) + TUNE_CHANNELS) : C)

/* scale^-BETA. For the usual BETA of 3/4, the cube of the inverse fourth root. A first guess r takes a
 * quarter of the exponent from the bits, and is right to 3 %; r (1 - h)^(-1/4), with h = 1 - scale r^4, is
 * the root, and the power of 1 - h a polynomial, right to 1e-8 for |h| < 0.125 (found by Remez's
 * algorithm). On a CPU it costs less than a fifth of two square roots and a division. */
#if BETA_IS_3_4
static floatv inverse_fourth_root(floatv scale) {
    const floatv r = VECTOR(as_float)(0x4F581000 - (VECTOR(as_int)(scale) >> 2));
    const floatv square = r * r, h = 1.0f - scale * (square * square);
    floatv power = MAD(h, (floatv)0.0830604202f, (floatv)0.0968570493f);
    power = MAD(h, power, (floatv)0.117167646f);
    power = MAD(h, power, (floatv)0.156240569f);
    power = MAD(h, power, (floatv)0.25f);
    return r * MAD(h, power, (floatv)1.0f);
}
static floatv power(floatv scale) {
    const floatv r = inverse_fourth_root(scale);
    return r * r * r;
}
/* That, and scale^(-BETA - 1). */
static floatv powers(floatv scale, floatv *next) {
    const floatv r = inverse_fourth_root(scale), cube = r * r * r;
    *next = cube * cube * r;
    return cube;
}
#else
static floatv power(floatv scale) {
    return pow(scale, (floatv)(-BETA));
}
static floatv powers(floatv scale, floatv *next) {
    const floatv value = power(scale);
    *next = value / scale;
    return value;
}
#endif

/* A ring holds what channels i - HALF .. i + HALF add to the window's sum, or a value of each; RECENT
 * is what was pushed so many channels ago. */
#define PUSH(ring, value)                                                                          \
    do {                                                                                           \
        UNROLL for (int j_ = 0; j_ < SIZE - 1; j_++) ring[j_] = ring[j_ + 1];                      \
        ring[SIZE - 1] = value;                                                                    \
    } while (0)
#define RECENT(ring, ago) ring[SIZE - 1 - (ago)]

static floatv ring_sum(const floatv ring[SIZE]) {
    floatv sum = ring[0];
    UNROLL for (int j = 1; j < SIZE; j++) sum += ring[j];
    return sum;
}

/* ---- forward ---- */

kernel void lrn_forward(global const floatv *x, global floatv *y) {
    const int begin = get_global_id(0) * TUNE_SPAN, end = min(CHANNEL, begin + TUNE_SPAN);
    const int c0 = FIRST_CHANNEL, c1 = LAST_CHANNEL(c0);
    for (int p = begin; p < end; p++) {
        const size_t first = (size_t)get_global_id(1) * C * CHANNEL + p;
        floatv squares[SIZE];
        for (int c = c0 - HALF; c < c1 + HALF; c++) {
            floatv ahead = (floatv)0.0f;
            if (c >= 0 && c < C) {
                ahead = x[first + c * CHANNEL];
                PREFETCH_FAR(x + first + c * CHANNEL + NEXT);
            }
            PUSH(squares, ahead * ahead);
            const int i = c - HALF; /* the window around it is complete */
            if (i >= c0) {
                const size_t at = first + i * CHANNEL;
                y[at] = x[at] * power(KAPPA + ALPHA * ring_sum(squares));
                PREFETCH(y + at + NEXT);
            }
        }
    }
}

/* ---- forward, with max-pooling ---- */

#ifdef POOL
/* What a work-item normalises of a channel, at most. */
#define BAND_H LEAST(H, (TUNE_ROWS - 1) * STRIDE + POOL)
#define BAND_W LEAST(W, (TUNE_COLUMNS - 1) * STRIDE + POOL)
#define LEAST(a, b) ((a) < (b) ? (a) : (b))
#define BAND (BAND_H * BAND_W * TILE_VECTORS)

/* Runs of TUNE_BLOCK channels, normalised: what the windows share is read once for all of them. Other
 * channels are beyond the first or the last, unless the windows are said to be whole. */
static void normalise(floatv *to, global const floatv *x, int count, int c, int whole) {
    for (int p = 0; p < count; p++) {
        floatv values[TUNE_BLOCK + 2 * HALF];
        UNROLL for (int j = 0; j < TUNE_BLOCK + 2 * HALF; j++) {
            const int there = whole || (c + j - HALF >= 0 && c + j - HALF < C);
            values[j] = there ? x[(j - HALF) * CHANNEL + p] : (floatv)0.0f;
        }
        UNROLL for (int k = 0; k < TUNE_BLOCK; k++) {
            floatv sum = (floatv)0.0f;
            UNROLL for (int j = k; j < k + SIZE; j++) sum = MAD(values[j], values[j], sum);
            to[k * BAND + p] = values[k + HALF] * power(KAPPA + ALPHA * sum);
        }
    }
}

/* The greatest of a window of so many rows and columns in the picture, whose first element is `tap`. */
static void pool(global floatv *y, global ushortv *taps, const floatv *from, int rows, int columns, int tap) {
    floatv most = from[0];
    intv chosen = (intv)tap;
    for (int r = 0; r < rows; r++) {
        for (int s = 0; s < columns; s++) {
            const floatv value = from[(r * BAND_W + s) * TILE_VECTORS];
            const intv greater = (value > most) | (value != value);
            most = SELECT(greater, value, most);
            chosen = SELECT(greater, (intv)(tap + r * POOL + s), chosen);
        }
    }
    *y = most;
    *taps = CONVERT_USHORTV(chosen);
}

/* A work-item takes TUNE_ROWS x TUNE_COLUMNS outputs of all channels of a tile. It normalises the rows and
 * columns that these see of TUNE_BLOCK channels, and pools them while they are near; what neighbours see too
 * they normalise again.
 *
 * Global size: ceil(OUT_W / TUNE_COLUMNS), ceil(OUT_H / TUNE_ROWS), TILES. */
kernel void lrn_maxpool_forward(global const floatv *x, global floatv *y, global ushortv *taps) {
    const int ox0 = get_global_id(0) * TUNE_COLUMNS, ox1 = min(OUT_W, ox0 + TUNE_COLUMNS);
    const int oy0 = get_global_id(1) * TUNE_ROWS, oy1 = min(OUT_H, oy0 + TUNE_ROWS);
    const int x0 = max(0, ox0 * STRIDE - BEFORE), x1 = min(W, (ox1 - 1) * STRIDE - BEFORE + POOL);
    const int y0 = max(0, oy0 * STRIDE - BEFORE), y1 = min(H, (oy1 - 1) * STRIDE - BEFORE + POOL);
    floatv band[TUNE_BLOCK * BAND];
    for (int c = 0; c < C; c++) {
        const size_t channel = (size_t)get_global_id(2) * C + c;
        const int k = c % TUNE_BLOCK;
        for (int iy = y0; k == 0 && iy < y1; iy++) {
            floatv *row = band + (iy - y0) * (BAND_W * TILE_VECTORS);
            global const floatv *from = x + channel * CHANNEL + (iy * W + x0) * TILE_VECTORS;
            if (c >= HALF && c + TUNE_BLOCK + HALF <= C) /* a constant, so that nothing is asked */
                normalise(row, from, (x1 - x0) * TILE_VECTORS, c, 1);
            else
                normalise(row, from, (x1 - x0) * TILE_VECTORS, c, 0);
        }
        for (int oy = oy0; oy < oy1; oy++) {
            const int r0 = oy * STRIDE - BEFORE, iy = max(0, r0), rows = min(H, r0 + POOL) - iy;
            for (int ox = ox0; ox < ox1; ox++) {
                const int s0 = ox * STRIDE - BEFORE, ix = max(0, s0), columns = min(W, s0 + POOL) - ix;
                const size_t at = ((channel * OUT_H + oy) * OUT_W + ox) * TILE_VECTORS;
                const floatv *from = band + k * BAND + ((iy - y0) * BAND_W + ix - x0) * TILE_VECTORS;
                for (int v = 0; v < TILE_VECTORS; v++)
                    pool(y + at + v, taps + at + v, from + v, rows, columns, (iy - r0) * POOL + ix - s0);
            }
        }
    }
}
#endif

/* ---- backward ---- */

#ifdef POOL
/* The first output whose window reaches `in`, and the one after the last. */
#define FIRST_OUTPUT(in) max(0, ((in) + BEFORE - POOL + STRIDE) / STRIDE)
#define END_OUTPUT(in, outputs) min(outputs, ((in) + BEFORE) / STRIDE + 1)

/* The windows that a pixel is in, at most, along an axis. */
#define REACH UP(POOL, STRIDE)

/* Those of one pixel: their outputs, as distances of vectors in a channel, and its tap in each. */
struct windows {
    int count, at[REACH * REACH], taps[REACH * REACH];
};

static struct windows windows_of(int pixel, int v) {
    const int iy = pixel / W, oy1 = END_OUTPUT(iy, OUT_H);
    const int ix = pixel % W, ox1 = END_OUTPUT(ix, OUT_W);
    struct windows windows;
    windows.count = 0;
    for (int oy = FIRST_OUTPUT(iy); oy < oy1; oy++) {
        for (int ox = FIRST_OUTPUT(ix); ox < ox1; ox++) {
            windows.at[windows.count] = (oy * OUT_W + ox) * TILE_VECTORS + v;
            windows.taps[windows.count++] =
                (iy + BEFORE - oy * STRIDE) * POOL + ix + BEFORE - ox * STRIDE;
        }
    }
    return windows;
}

/* The gradient of what was pooled, in a channel: from the outputs that chose it. */
static floatv pooled_slope(global const floatv *dy, global const ushortv *taps,
                           const struct windows *windows) {
    floatv sum = (floatv)0.0f;
    for (int k = 0; k < windows->count; k++) {
        const int at = windows->at[k];
        sum += SELECT(CONVERT_INTV(taps[at]) == (intv)windows->taps[k], dy[at], (floatv)0.0f);
        PREFETCH_FAR(dy + at + NEXT);
        PREFETCH_FAR(taps + at + NEXT);
    }
    return sum;
}
#endif

/* The sums of squares are those of forward, taken again: that costs less than to fetch them. */
#ifdef POOL
kernel void lrn_maxpool_backward(global const floatv *x, global const floatv *dy, global const ushortv *taps,
                                 global floatv *dx) {
#else
MANY_REGISTERS kernel void lrn_backward(global const floatv *x, global const floatv *dy, global floatv *dx) {
#endif
    const int begin = get_global_id(0) * TUNE_SPAN, end = min(CHANNEL, begin + TUNE_SPAN);
    const int c0 = FIRST_CHANNEL, c1 = LAST_CHANNEL(c0);
    for (int p = begin; p < end; p++) {
        const size_t first = (size_t)get_global_id(1) * C * CHANNEL + p;
#ifdef POOL
        const struct windows windows = windows_of(p / TILE_VECTORS, p % TILE_VECTORS);
#endif
        floatv squares[SIZE], own[SIZE], terms[SIZE];
        for (int c = max(c0 - 2 * HALF, -HALF); c < c1 + 2 * HALF; c++) {
            floatv ahead = (floatv)0.0f;
            if (c >= 0 && c < C) {
                ahead = x[first + c * CHANNEL];
                PREFETCH_FAR(x + first + c * CHANNEL + NEXT);
            }
            PUSH(squares, ahead * ahead);

            const int j = c - HALF, i = j - HALF;
            floatv kept = (floatv)0.0f, term = (floatv)0.0f;
            if (j >= max(c0 - HALF, 0) && j < C) {
                const size_t at = first + j * CHANNEL;
#ifdef POOL
                const size_t plane = ((size_t)get_global_id(1) * C + j) * (OUT_H * OUT_W * TILE_VECTORS);
                const floatv slope = pooled_slope(dy + plane, taps + plane, &windows);
#else
                const floatv slope = dy[at];
                PREFETCH_FAR(dy + at + NEXT);
#endif
                floatv other;
                kept = slope * powers(KAPPA + ALPHA * ring_sum(squares), &other);
                term = slope * x[at] * other;
            }
            PUSH(own, kept);
            PUSH(terms, term);

            if (i >= c0) {
                const size_t at = first + i * CHANNEL;
                dx[at] = RECENT(own, HALF) - 2.0f * ALPHA * BETA * x[at] * ring_sum(terms);
                PREFETCH(dx + at + NEXT);
            }
        }
    }
}
