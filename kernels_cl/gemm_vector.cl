/* Matrix products over a batch by register tiles. Terms as in gemm_reference.cl.
 *
 * Two forms, by which index runs along a vector's lanes:
 *  - gemm_lanes_n: the columns of B and C, which must be whole vectors (B not transposed). A
 *    work-item holds TUNE_ROWS x TUNE_VECTORS vectors of C, and sums TUNE_DEPTH terms at a time, for
 *    every member of the batch, before it goes on, so that its rows of A are read from memory once.
 *  - gemm_lanes_sum: the terms of the sum, which must be whole vectors (B transposed, A not, one C).
 *    A work-item holds TUNE_ROWS x TUNE_COLUMNS vectors, and sums their lanes at the end. */
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
#define TUNE_COLUMNS 3
#endif

#if !TRANSPOSE_B
/* Whether terms from p0 on of member t are added to what C holds. */
#define ADDS(p0, t) (ACCUMULATE || (p0) > 0 || (STRIDE_C == 0 && (t) > 0))

/* Global size: N / (TUNE_VECTOR * TUNE_VECTORS), ceil(M / TUNE_ROWS), 1. */
WIDE_VECTORS kernel void gemm_lanes_n(global const float *a, global const float *b,
                                      global float *c) {
    const int column = get_global_id(0) * (TUNE_VECTOR * TUNE_VECTORS);
    const int row = get_global_id(1) * TUNE_ROWS;
    b += column;
    c += column;
    size_t a_offset[TUNE_ROWS];
    UNROLL for (int i = 0; i < TUNE_ROWS; i++) a_offset[i] =
        (size_t)min(row + i, M - 1) * (TRANSPOSE_A ? 1 : N_SUM);

    for (int p0 = 0; p0 < N_SUM; p0 += TUNE_DEPTH) {
        const int p1 = min(p0 + TUNE_DEPTH, N_SUM);
        for (int t = 0; t < BATCH; t++) {
            floatv sum[TUNE_ROWS][TUNE_VECTORS];
            UNROLL for (int i = 0; i < TUNE_ROWS; i++) {
                global const floatv *old =
                    (global const floatv *)(c + (size_t)t * STRIDE_C +
                                            (size_t)min(row + i, M - 1) * N);
                UNROLL for (int v = 0; v < TUNE_VECTORS; v++) sum[i][v] =
                    ADDS(p0, t) ? old[v] : (floatv)0.0f;
            }
            global const float *panel = a + (size_t)t * STRIDE_A;
            for (int p = p0; p < p1; p++) {
                global const floatv *from =
                    (global const floatv *)(b + (size_t)t * STRIDE_B + (size_t)p * N);
                floatv value[TUNE_VECTORS];
                UNROLL for (int v = 0; v < TUNE_VECTORS; v++) value[v] = from[v];
                UNROLL for (int i = 0; i < TUNE_ROWS; i++) {
                    const floatv factor =
                        (floatv)(panel[a_offset[i] + (size_t)p * (TRANSPOSE_A ? M : 1)]);
                    UNROLL for (int v = 0; v < TUNE_VECTORS; v++) sum[i][v] =
                        MAD(factor, value[v], sum[i][v]);
                }
            }
            UNROLL for (int i = 0; i < TUNE_ROWS; i++) {
                if (row + i < M) {
                    global floatv *to =
                        (global floatv *)(c + (size_t)t * STRIDE_C + (size_t)(row + i) * N);
                    UNROLL for (int v = 0; v < TUNE_VECTORS; v++) to[v] = sum[i][v];
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
#endif
