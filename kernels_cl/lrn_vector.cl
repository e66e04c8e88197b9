/* Local response normalisation across channels, as lrn_reference.cl defines it. A work-item takes
 * TUNE_SPAN neighbouring vectors of pixels and images, and slides over the channels, with what the window
 * sums in a ring: so each element is read once, in runs that a CPU's prefetcher likes.
 *
 *   TUNE_SPAN       vectors a work-item; with 1 the ring is kept in registers, as suits a GPU
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

/* The vectors of a work-item: a constant where all have as many, or the ring could not be in registers. */
#define VECTORS(begin) (CHANNEL % TUNE_SPAN == 0 ? TUNE_SPAN : min(TUNE_SPAN, CHANNEL - (begin)))

/* The channels of a work-item: from the first to the one before the last. */
#define FIRST_CHANNEL (TUNE_CHANNELS < C ? (int)get_global_id(2) * TUNE_CHANNELS : 0)
#define LAST_CHANNEL(first) (TUNE_CHANNELS < C ? min(C, (first) + TUNE_CHANNELS) : C)

/* scale^-BETA. For the usual BETA of 3/4, the cube of the inverse fourth root r, by Newton's method for
 * r^-4 = scale, r <- r (5 - scale r^4) / 4: a relative error e becomes 5/2 e^2. The first guess takes a
 * quarter of the exponent from the bits, and is right to 4 %; three steps reach rounding. It costs a
 * fifth of two square roots and a division on a CPU. */
#if BETA_IS_3_4
static floatv inverse_fourth_root(floatv scale) {
    floatv r = VECTOR(as_float)(0x4F58CAE5 - (VECTOR(as_int)(scale) >> 2));
    for (int step = 0; step < 3; step++) {
        const floatv square = r * r;
        r *= 1.25f - 0.25f * scale * (square * square);
    }
    return r;
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
 * is what was pushed for a channel some channels ago. */
#if TUNE_SPAN == 1
#define PUSH(ring, channel, p, value)                                                              \
    do {                                                                                           \
        UNROLL for (int j_ = 0; j_ < SIZE - 1; j_++) ring[j_][p] = ring[j_ + 1][p];                \
        ring[SIZE - 1][p] = value;                                                                 \
    } while (0)
#define RECENT(ring, channel, ago, p) ring[SIZE - 1 - (ago)][p]
#else
#define PUSH(ring, channel, p, value) ring[(channel) % SIZE][p] = value
#define RECENT(ring, channel, ago, p) ring[((channel) - (ago)) % SIZE][p]
#endif

static floatv ring_sum(floatv ring[SIZE][TUNE_SPAN], int p) {
    floatv sum = ring[0][p];
    UNROLL for (int j = 1; j < SIZE; j++) sum += ring[j][p];
    return sum;
}

/* ---- forward ---- */

kernel void lrn_forward(global const floatv *x, global floatv *y) {
    const int begin = get_global_id(0) * TUNE_SPAN, count = VECTORS(begin);
    const size_t first = (size_t)get_global_id(1) * C * CHANNEL + begin;
    const int c0 = FIRST_CHANNEL, c1 = LAST_CHANNEL(c0);
    floatv squares[SIZE][TUNE_SPAN];
    for (int c = c0 - HALF; c < c1 + HALF; c++) {
        for (int p = 0; p < count; p++) {
            const floatv ahead = c < C && c >= 0 ? x[first + c * CHANNEL + p] : (floatv)0.0f;
            PUSH(squares, c + HALF, p, ahead * ahead);
        }
        const int i = c - HALF; /* the window around it is complete */
        for (int p = 0; i >= c0 && p < count; p++) {
            const size_t at = first + i * CHANNEL + p;
            y[at] = x[at] * power(KAPPA + ALPHA * ring_sum(squares, p));
        }
    }
}

/* ---- forward, with max-pooling ---- */

#ifdef POOL
/* What a work-item normalises of a channel, at most. */
#define BAND_H LEAST(H, (TUNE_ROWS - 1) * STRIDE + POOL)
#define BAND_W LEAST(W, (TUNE_COLUMNS - 1) * STRIDE + POOL)
#define LEAST(a, b) ((a) < (b) ? (a) : (b))

/* A run of a channel, normalised; its windows are of the channels at these distances from it. */
static void normalise(floatv *to, global const floatv *x, int count, int first, int last) {
    for (int p = 0; p < count; p++) {
        floatv sum = (floatv)0.0f;
        for (int j = first; j <= last; j++) {
            const floatv value = x[j * CHANNEL + p];
            sum = MAD(value, value, sum);
        }
        to[p] = x[p] * power(KAPPA + ALPHA * sum);
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
 * columns of a channel that these see, and pools them while they are near; what neighbours see too they
 * normalise again.
 *
 * Global size: ceil(OUT_W / TUNE_COLUMNS), ceil(OUT_H / TUNE_ROWS), TILES. */
kernel void lrn_maxpool_forward(global const floatv *x, global floatv *y, global ushortv *taps) {
    const int ox0 = get_global_id(0) * TUNE_COLUMNS, ox1 = min(OUT_W, ox0 + TUNE_COLUMNS);
    const int oy0 = get_global_id(1) * TUNE_ROWS, oy1 = min(OUT_H, oy0 + TUNE_ROWS);
    const int x0 = max(0, ox0 * STRIDE - BEFORE), x1 = min(W, (ox1 - 1) * STRIDE - BEFORE + POOL);
    const int y0 = max(0, oy0 * STRIDE - BEFORE), y1 = min(H, (oy1 - 1) * STRIDE - BEFORE + POOL);
    floatv band[BAND_H * BAND_W * TILE_VECTORS];
    for (int c = 0; c < C; c++) {
        const size_t channel = (size_t)get_global_id(2) * C + c;
        const int first = max(-HALF, -c), last = min(HALF, C - 1 - c);
        for (int iy = y0; iy < y1; iy++) {
            floatv *row = band + (iy - y0) * (BAND_W * TILE_VECTORS);
            global const floatv *from = x + channel * CHANNEL + (iy * W + x0) * TILE_VECTORS;
            if (last - first == 2 * HALF) /* constants, so that the loop over channels is unrolled */
                normalise(row, from, (x1 - x0) * TILE_VECTORS, -HALF, HALF);
            else
                normalise(row, from, (x1 - x0) * TILE_VECTORS, first, last);
        }
        for (int oy = oy0; oy < oy1; oy++) {
            const int r0 = oy * STRIDE - BEFORE, iy = max(0, r0), rows = min(H, r0 + POOL) - iy;
            for (int ox = ox0; ox < ox1; ox++) {
                const int s0 = ox * STRIDE - BEFORE, ix = max(0, s0), columns = min(W, s0 + POOL) - ix;
                const size_t at = ((channel * OUT_H + oy) * OUT_W + ox) * TILE_VECTORS;
                const floatv *from = band + ((iy - y0) * BAND_W + ix - x0) * TILE_VECTORS;
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

/* The gradients of a run of a channel, of whole pixels, from the outputs that chose them. */
static void pooled_slopes(floatv *to, global const floatv *dy, global const ushortv *taps, size_t channel,
                          int begin, int count) {
    for (int p = 0; p < count; p += TILE_VECTORS) {
        const int pixel = (begin + p) / TILE_VECTORS, iy = pixel / W, ix = pixel % W;
        const int oy1 = END_OUTPUT(iy, OUT_H), ox1 = END_OUTPUT(ix, OUT_W);
        floatv sums[TILE_VECTORS];
        UNROLL for (int v = 0; v < TILE_VECTORS; v++) sums[v] = (floatv)0.0f;
        for (int oy = FIRST_OUTPUT(iy); oy < oy1; oy++) {
            for (int ox = FIRST_OUTPUT(ix); ox < ox1; ox++) {
                const size_t at = ((channel * OUT_H + oy) * OUT_W + ox) * TILE_VECTORS;
                const int tap = (iy + BEFORE - oy * STRIDE) * POOL + ix + BEFORE - ox * STRIDE;
                UNROLL for (int v = 0; v < TILE_VECTORS; v++)
                    sums[v] += SELECT(CONVERT_INTV(taps[at + v]) == (intv)tap, dy[at + v], (floatv)0.0f);
            }
        }
        UNROLL for (int v = 0; v < TILE_VECTORS; v++) to[p + v] = sums[v];
    }
}
#endif

/* The sums of squares are those of forward, taken again: that costs less than to fetch them. */
#ifdef POOL
kernel void lrn_maxpool_backward(global const floatv *x, global const floatv *dy, global const ushortv *taps,
                                 global floatv *dx) {
#else
MANY_REGISTERS kernel void lrn_backward(global const floatv *x, global const floatv *dy, global floatv *dx) {
#endif
    const int begin = get_global_id(0) * TUNE_SPAN, count = VECTORS(begin);
    const size_t first = (size_t)get_global_id(1) * C * CHANNEL + begin;
    floatv squares[SIZE][TUNE_SPAN], own[SIZE][TUNE_SPAN], terms[SIZE][TUNE_SPAN];
#ifdef POOL
    floatv slopes[TUNE_SPAN]; /* of what is normalised, of one channel */
#endif
    const int c0 = FIRST_CHANNEL, c1 = LAST_CHANNEL(c0);
    for (int c = max(c0 - 2 * HALF, -HALF); c < c1 + 2 * HALF; c++) {
        for (int p = 0; p < count; p++) {
            const floatv ahead = c < C && c >= 0 ? x[first + c * CHANNEL + p] : (floatv)0.0f;
            PUSH(squares, c + HALF, p, ahead * ahead);
        }
        const int j = c - HALF, i = j - HALF;
#ifdef POOL
        if (j >= 0 && j < C)
            pooled_slopes(slopes, dy, taps, (size_t)get_global_id(1) * C + j, begin, count);
#else
        global const floatv *slopes = dy + first + j * CHANNEL;
#endif
        for (int p = 0; p < count; p++) {
            floatv kept = (floatv)0.0f, term = (floatv)0.0f;
            if (j >= max(c0 - HALF, 0) && j < C) {
                const size_t at = first + j * CHANNEL + p;
                floatv other;
                kept = slopes[p] * powers(KAPPA + ALPHA * ring_sum(squares, p), &other);
                term = slopes[p] * x[at] * other;
            }
            PUSH(own, c + HALF, p, kept);
            PUSH(terms, c + HALF, p, term);
        }
        for (int p = 0; i >= c0 && p < count; p++) {
            const size_t at = first + i * CHANNEL + p;
            dx[at] = RECENT(own, c + HALF, HALF, p) - 2.0f * ALPHA * BETA * x[at] * ring_sum(terms, p);
        }
    }
}
