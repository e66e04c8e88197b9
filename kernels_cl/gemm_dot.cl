/* Matrix products over a batch by register tiles, the terms of the sum along the lanes of vectors: they must
 * be whole ones. B is transposed, A is not, and there is one C. Terms as in gemm_reference.cl.
 *
 * A work-item holds TUNE_ROWS x TUNE_COLUMNS vectors, and sums their lanes at the end. */
#ifndef M
#define M 4
#define N 4
#define N_SUM 32
#define BATCH 1
#define STRIDE_A 0
#define STRIDE_B 0
#define ACCUMULATE 0
#define BIAS 0
#endif
#ifndef TUNE_ROWS
#define TUNE_ROWS 6
#define TUNE_COLUMNS 3
#endif

/* Global size: ceil(N / TUNE_COLUMNS), ceil(M / TUNE_ROWS), 1. */
WIDE_VECTORS kernel void gemm_dot(global const float *a, global const float *b, global float *c,
                                  global const float *bias) {
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
            float value = LANE_SUM(sum[i][j]) + (ACCUMULATE ? c[at] : 0.0f);
            if (BIAS) {
                const floatv z = (floatv)(value + bias[BIAS == 1 ? row + i : column + j]); /* in all lanes */
                const floatv activated = ACTIVATE(z);
                value = *(const float *)&activated;
            }
            c[at] = value;
        }
    }
}
