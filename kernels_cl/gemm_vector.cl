/* Matrix products over a batch by register tiles, the columns of B and C along the lanes of vectors: they
 * must be whole ones. Terms as in gemm_reference.cl.
 *
 * A work-item takes TUNE_BLOCKS blocks of rows and TUNE_COLUMNS strips of columns, and TUNE_DEPTH terms of
 * the sum at a time; TUNE_ROWS x TUNE_VECTORS vectors of C are held in registers. Those terms of A are
 * copied first, so that they are read from memory once, and lie where they do not drive each other out of
 * the nearest cache: A's own rows are often as far apart as lines that share a place there.
 * Where there is one C, the members of the batch follow each other along the sum.
 *
 * A transposed B, which is then with one C and A as it is, is turned around first: gemm_transpose makes
 * each N x N_SUM matrix strips of columns, which the product reads (TUNE_STRIPS 1):
 *
 *   [N / WIDTH][BATCH][N_SUM][WIDTH], WIDTH being TUNE_VECTORS x TUNE_VECTOR */
#ifndef M
#define M 4
#define N 32
#define N_SUM 32
#define TRANSPOSE_A 0
#define TRANSPOSE_B 0
#define BATCH 1
#define STRIDE_A 0
#define STRIDE_B 0
#define STRIDE_C 0
#define ACCUMULATE 0
#define BIAS 0
#endif
#ifndef TUNE_VECTORS
#define TUNE_VECTORS 1
#endif
#ifndef TUNE_ROWS
#define TUNE_ROWS 6
#define TUNE_DEPTH 256
#define TUNE_BLOCKS 1
#define TUNE_STRIPS 0
#define TUNE_COLUMNS 3
#endif

#define WIDTH (TUNE_VECTOR * TUNE_VECTORS)

#define MEMBERS (STRIDE_C == 0 ? 1 : BATCH)
#define TERMS (STRIDE_C == 0 ? BATCH * N_SUM : N_SUM)

/* Element (row, p) of A. */
#define A_AT(row, p)                                                                               \
    ((size_t)((p) / N_SUM) * STRIDE_A +                                                            \
     (size_t)(row) * (TRANSPOSE_A ? 1 : N_SUM) + (size_t)((p) % N_SUM) * (TRANSPOSE_A ? M : 1))

/* Element (p, column) of member t of B, at the start of a strip; rows are B_STEP apart. */
#if TUNE_STRIPS
#define B_STEP WIDTH
#define B_AT(t, p, column)                                                                         \
    (((size_t)(column) / WIDTH * BATCH + (t)) * (N_SUM * WIDTH) + (size_t)(p) * WIDTH)
#else
#define B_STEP N
#define B_AT(t, p, column) ((size_t)(t) * STRIDE_B + (size_t)(p) * N + (column))
#endif

/* A block of TUNE_ROWS rows of the copy of A: element (i, p), in A's own order. Copies are of 16 floats,
 * so there is room for 16 more than there are; it also keeps blocks and rows apart in the cache. */
#if TRANSPOSE_A
#define BLOCK_FLOATS (TUNE_DEPTH * TUNE_ROWS + 16)
#define BLOCK_AT(i, p) ((p) * TUNE_ROWS + (i))
#else
#define BLOCK_FLOATS (TUNE_ROWS * (TUNE_DEPTH + 16))
#define BLOCK_AT(i, p) ((i) * (TUNE_DEPTH + 16) + (p))
#endif

/* Terms of a row that can be copied by sixteens: one member's, or all, where none ends within them. */
#if STRIDE_C != 0 || BATCH == 1 || (N_SUM % 16 == 0 && TUNE_DEPTH % 16 == 0)
#define SIXTEENS(terms) ((terms) / 16 * 16)
#else
#define SIXTEENS(terms) 0
#endif
#define PANEL_ROWS (TUNE_BLOCKS * TUNE_ROWS)

/* Memory works while the sums are computed: with every STEP terms some of what will be needed soon is
 * fetched. C's old values are, of the block at hand; and A's next terms, to be copied: of a block's
 * rows, in as many shares as there are passes over the block. */
#define STEP 16
#define PASSES (MEMBERS * TUNE_COLUMNS)
#if TRANSPOSE_A
#define FETCHES STEP /* terms, of which each has its rows together */
#define FETCH_AT(row, p, i) A_AT(row, (p) + (i))
#else
#define FETCHES TUNE_ROWS /* rows, of which each has its terms together */
#define FETCH_AT(row, p, i) A_AT((row) + (i), p)
#endif

/* The bias of a vector of C. */
#if BIAS == 1
#define BIAS_AT(row, column) ((floatv)bias[row])
#else
#define BIAS_AT(row, column) (*(global const floatv *)(bias + (column)))
#endif

/* Global size: ceil(N / WIDTH / TUNE_COLUMNS), ceil(M / PANEL_ROWS), 1. */
WIDE_VECTORS kernel void gemm_vector(global const float *a, global const float *b, global float *c,
                                     global const float *bias) {
    const int row_first = get_global_id(1) * PANEL_ROWS;
    const int row_end = min(row_first + PANEL_ROWS, M);
    const int column_first = get_global_id(0) * (WIDTH * TUNE_COLUMNS);
    const int column_end = min(column_first + WIDTH * TUNE_COLUMNS, N);
    float panel[TUNE_BLOCKS * BLOCK_FLOATS];
    for (int p0 = 0; p0 < TERMS; p0 += TUNE_DEPTH) {
        const int depth = min(TUNE_DEPTH, TERMS - p0);

#if TRANSPOSE_A
        /* What is copied beyond a block's rows is overwritten by the next term. */
        const int is_whole = row_first + PANEL_ROWS + 16 <= M;
        for (int p = 0; p < depth; p++) {
            global const float *from = a + A_AT(row_first, p0 + p);
            for (int n = 0; n < TUNE_BLOCKS; n++) {
                float *to = panel + n * BLOCK_FLOATS + BLOCK_AT(0, p);
                for (int i = 0; is_whole && i < TUNE_ROWS; i += 16)
                    vstore16(vload16(0, from + n * TUNE_ROWS + i), 0, to + i);
                for (int i = 0; !is_whole && i < TUNE_ROWS; i++)
                    to[i] = from[min(n * TUNE_ROWS + i, M - 1 - row_first)];
            }
        }
#else
        for (int row = 0; row < PANEL_ROWS; row++) {
            global const float *from = a + A_AT(min(row_first + row, M - 1), 0);
            float *to =
                panel + row / TUNE_ROWS * BLOCK_FLOATS + BLOCK_AT(row % TUNE_ROWS, 0);
            int p = 0;
            for (; p < SIXTEENS(depth); p += 16)
                vstore16(vload16(0, from + A_AT(0, p0 + p)), 0, to + p);
            for (; p < depth; p++)
                to[p] = from[A_AT(0, p0 + p)];
        }
#endif

        /* The next terms; after the last, the first ones of the next work-item's rows. */
        global const float *next =
            a + (p0 + depth < TERMS ? A_AT(row_first, p0 + depth) : A_AT(row_first + PANEL_ROWS, 0));
        for (int t = 0; t < MEMBERS; t++) {
            for (int row = row_first; row < row_end; row += TUNE_ROWS) {
                const float *from_a = panel + (row - row_first) / TUNE_ROWS * BLOCK_FLOATS;
                for (int column = column_first; column < column_end; column += WIDTH) {
                    global float *to = c + (size_t)t * STRIDE_C + (size_t)row * N + column;
                    global const float *from_b = b + B_AT(t, p0, column);
                    const int is_added = ACCUMULATE || p0 > 0;
                    const int pass = t * TUNE_COLUMNS + (column - column_first) / WIDTH;
                    floatv sum[TUNE_ROWS][TUNE_VECTORS];
                    UNROLL for (int i = 0; i < TUNE_ROWS; i++) {
                        UNROLL for (int v = 0; v < TUNE_VECTORS; v++) sum[i][v] = (floatv)0.0f;
                    }
                    NO_UNROLL for (int step = 0; step < depth; step += STEP) {
                        for (int i = pass * FETCHES / PASSES; i < (pass + 1) * FETCHES / PASSES; i++)
                            PREFETCH_FAR(next + FETCH_AT(row - row_first, step, i));
                        const int fetched = step / STEP * 2; /* two rows of C a step */
                        for (int i = fetched; is_added && i < min(fetched + 2, row_end - row); i++) {
                            UNROLL for (int v = 0; v < TUNE_VECTORS; v++)
                                PREFETCH(to + (size_t)i * N + v * TUNE_VECTOR);
                        }
                        const int end = min(step + STEP, depth);
                        NO_UNROLL for (int p = step; p < end; p++) {
                            floatv value[TUNE_VECTORS];
                            UNROLL for (int v = 0; v < TUNE_VECTORS; v++) value[v] =
                                ((global const floatv *)(from_b + (size_t)p * B_STEP))[v];
                            UNROLL for (int i = 0; i < TUNE_ROWS; i++) {
                                const floatv factor = (floatv)(from_a[BLOCK_AT(i, p)]);
                                UNROLL for (int v = 0; v < TUNE_VECTORS; v++) sum[i][v] =
                                    MAD(factor, value[v], sum[i][v]);
                            }
                        }
                    }
                    UNROLL for (int i = 0; i < TUNE_ROWS; i++) {
                        if (row + i < row_end) {
                            global floatv *old = (global floatv *)(to + (size_t)i * N);
                            UNROLL for (int v = 0; v < TUNE_VECTORS; v++) old[v] =
                                is_added ? old[v] + sum[i][v] : sum[i][v];
                        }
                    }
                    /* While they are near: in the loop above each row would have the activation's code. */
                    const int is_finished = BIAS && p0 + depth == TERMS;
                    NO_UNROLL for (int i = 0; is_finished && i < min(TUNE_ROWS, row_end - row); i++) {
                        for (int v = 0; v < TUNE_VECTORS; v++) {
                            global floatv *sums = (global floatv *)(to + (size_t)i * N) + v;
                            const floatv z = *sums + BIAS_AT(row + i, column + v * TUNE_VECTOR);
                            *sums = ACTIVATE(z);
                        }
                    }
                }
            }
        }
    }
}
/* Strip by strip, which stays in the nearest cache. Global size: N / WIDTH, BATCH, 1. */
kernel void gemm_transpose(global const float *b, global float *turned) {
    const size_t strip = get_global_id(0), t = get_global_id(1);
    global const float *from = b + t * STRIDE_B + strip * (WIDTH * N_SUM);
    global float *to = turned + (strip * BATCH + t) * (N_SUM * WIDTH);
    for (int n = 0; n < WIDTH; n++) {
        for (int p = 0; p < N_SUM; p++)
            to[p * WIDTH + n] = from[n * N_SUM + p];
    }
}
