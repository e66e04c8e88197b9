/* Matrix products over a batch by register tiles. Terms as in gemm_reference.cl.
 *
 * Two forms, by which index runs along a vector's lanes:
 *  - gemm_lanes_n: the columns of B and C, which must be whole vectors (B not transposed). A work-item
 *    takes TUNE_PANEL rows, and TUNE_DEPTH terms of the sum at a time for every member of the batch, so
 *    that its rows of A are read from memory once; TUNE_ROWS x TUNE_VECTORS vectors of C are held in
 *    registers. With TUNE_PACK 1 those terms of A are copied side by side first, which pays where A is
 *    transposed: its rows would be as many cache lines, of which many share a place in the cache.
 *  - gemm_lanes_sum: the terms of the sum, which must be whole vectors (B transposed, A not, one C).
 *    A work-item holds TUNE_ROWS x TUNE_COLUMNS vectors, and sums their lanes at the end.
 *
 * gemm_transpose turns each N x N_SUM matrix B around, for gemm_lanes_n to take the place of
 * gemm_lanes_sum. */
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
#endif
#ifndef TUNE_ROWS
#define TUNE_ROWS 6
#define TUNE_VECTORS 1
#define TUNE_DEPTH 256
#define TUNE_PANEL TUNE_ROWS
#define TUNE_PACK 0
#define TUNE_COLUMNS 3
#endif

#if !TRANSPOSE_B
/* Element (row, p) of the panel of A, from `row` on; those beyond the last row repeat it. */
#define A_AT(row, p) ((size_t)min(row, M - 1) * (TRANSPOSE_A ? 1 : N_SUM) + (size_t)(p) * (TRANSPOSE_A ? M : 1))

/* Global size: N / (TUNE_VECTOR * TUNE_VECTORS * TUNE_COLUMNS), ceil(M / TUNE_PANEL), 1. */
WIDE_VECTORS kernel void gemm_lanes_n(global const float *a, global const float *b,
                                      global float *c) {
    enum { WIDTH = TUNE_VECTOR * TUNE_VECTORS };
    const int row_first = get_global_id(1) * TUNE_PANEL;
    const int column_first = get_global_id(0) * (WIDTH * TUNE_COLUMNS);
#if TUNE_PACK
    float panel[TUNE_DEPTH * TUNE_PANEL];
#endif
    for (int p0 = 0; p0 < N_SUM; p0 += TUNE_DEPTH) {
        const int p1 = min(p0 + TUNE_DEPTH, N_SUM);
#if TUNE_PACK
        for (int p = p0; p < p1; p++) {
            float *terms = panel + (p - p0) * TUNE_PANEL;
            if (TRANSPOSE_A && row_first + TUNE_PANEL <= M) {
                for (int i = 0; i < TUNE_PANEL; i++)
                    terms[i] = a[(size_t)p * M + row_first + i];
            } else {
                for (int i = 0; i < TUNE_PANEL; i++)
                    terms[i] = a[A_AT(row_first + i, p)];
            }
        }
#endif
        for (int t = 0; t < (STRIDE_C == 0 ? 1 : BATCH); t++) {
            for (int n = 0; n < TUNE_COLUMNS; n++) {
                const int column = column_first + n * WIDTH;
                for (int row = row_first; row < min(row_first + TUNE_PANEL, M); row += TUNE_ROWS) {
                    floatv sum[TUNE_ROWS][TUNE_VECTORS];
                    UNROLL for (int i = 0; i < TUNE_ROWS; i++) {
                        global const floatv *old =
                            (global const floatv *)(c + (size_t)t * STRIDE_C +
                                                    (size_t)min(row + i, M - 1) * N + column);
                        UNROLL for (int v = 0; v < TUNE_VECTORS; v++) sum[i][v] =
                            ACCUMULATE || p0 > 0 ? old[v] : (floatv)0.0f;
                    }
                    /* Where there is one C, the members of the batch add up in registers. */
                    for (int u = t; u < (STRIDE_C == 0 ? BATCH : t + 1); u++) {
#if TUNE_PACK
                        const float *rows[TUNE_ROWS];
                        UNROLL for (int i = 0; i < TUNE_ROWS; i++) rows[i] =
                            panel + row - row_first + i;
#define STEP TUNE_PANEL
#else
                        global const float *rows[TUNE_ROWS];
                        UNROLL for (int i = 0; i < TUNE_ROWS; i++) rows[i] =
                            a + (size_t)u * STRIDE_A + A_AT(row + i, p0);
#define STEP (TRANSPOSE_A ? M : 1)
#endif
                        global const float *from =
                            b + (size_t)u * STRIDE_B + (size_t)p0 * N + column;
                        for (int p = 0; p < p1 - p0; p++) {
                            floatv value[TUNE_VECTORS];
                            UNROLL for (int v = 0; v < TUNE_VECTORS; v++) value[v] =
                                ((global const floatv *)(from + (size_t)p * N))[v];
                            UNROLL for (int i = 0; i < TUNE_ROWS; i++) {
                                const floatv factor = (floatv)(rows[i][(size_t)p * STEP]);
                                UNROLL for (int v = 0; v < TUNE_VECTORS; v++) sum[i][v] =
                                    MAD(factor, value[v], sum[i][v]);
                            }
                        }
                    }
                    UNROLL for (int i = 0; i < TUNE_ROWS; i++) {
                        if (row + i < M) {
                            global floatv *to = (global floatv *)(c + (size_t)t * STRIDE_C +
                                                                  (size_t)(row + i) * N + column);
                            UNROLL for (int v = 0; v < TUNE_VECTORS; v++) to[v] = sum[i][v];
                        }
                    }
                }
            }
        }
    }
}
#else
/* Global size: ceil(N / TUNE_COLUMNS), ceil(M / TUNE_ROWS), 1. */
WIDE_VECTORS kernel void gemm_lanes_sum(global const float *a, global const float *b,
                                        global float *c) {
    const int column = get_global_id(0) * TUNE_COLUMNS;
    const int row = get_global_id(1) * TUNE_ROWS;
    floatv sum[TUNE_ROWS][TUNE_COLUMNS];
    UNROLL for (int i = 0; i < TUNE_ROWS; i++) {
        UNROLL for (int j = 0; j < TUNE_COLUMNS; j++) sum[i][j] = (floatv)0.0f;
    }
    for (int t = 0; t < BATCH; t++) {
        for (int p = 0; p < N_SUM; p += TUNE_VECTOR) {
            floatv value[TUNE_COLUMNS];
            UNROLL for (int j = 0; j < TUNE_COLUMNS; j++) value[j] =
                *(global const floatv *)(b + (size_t)t * STRIDE_B +
                                         (size_t)min(column + j, N - 1) * N_SUM + p);
            UNROLL for (int i = 0; i < TUNE_ROWS; i++) {
                const floatv factor =
                    *(global const floatv *)(a + (size_t)t * STRIDE_A +
                                             (size_t)min(row + i, M - 1) * N_SUM + p);
                UNROLL for (int j = 0; j < TUNE_COLUMNS; j++) sum[i][j] =
                    MAD(factor, value[j], sum[i][j]);
            }
        }
    }
    for (int i = 0; i < TUNE_ROWS && row + i < M; i++) {
        for (int j = 0; j < TUNE_COLUMNS && column + j < N; j++) {
            const size_t at = (size_t)(row + i) * N + column + j;
            const float value = LANE_SUM(sum[i][j]);
            c[at] = ACCUMULATE ? c[at] + value : value;
        }
    }
}

/* turned[t][p][n] = b[t][n][p]. Global size: N, N_SUM, BATCH. */
kernel void gemm_transpose(global const float *b, global float *turned) {
    const int n = get_global_id(0), p = get_global_id(1);
    const size_t t = get_global_id(2);
    turned[(t * N_SUM + p) * N + n] = b[t * STRIDE_B + (size_t)n * N_SUM + p];
}
#endif
