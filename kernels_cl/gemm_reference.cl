/* Matrix products over a batch, plainly: one work-item for one element of the result.
 *
 *   C[t] = op(A[t]) op(B[t]) for t in 0..BATCH-1, rows contiguous; A[t] begins at t * STRIDE_A.
 *   op(A) is M x N_SUM, op(B) N_SUM x N; op transposes where TRANSPOSE_A, TRANSPOSE_B are 1.
 *   STRIDE_C 0: C = the sum over t. ACCUMULATE 1: it is added to what C holds.
 *   BIAS 1, 2: C = activate(the product + bias), which has a number for each row (1) or column (2); with 0
 *   none is read. */
#ifndef M
#define M 4
#define N 4
#define N_SUM 4
#define TRANSPOSE_A 0
#define TRANSPOSE_B 0
#define BATCH 1
#define STRIDE_A 0
#define STRIDE_B 0
#define STRIDE_C 0
#define ACCUMULATE 0
#define BIAS 0
#endif

#define A_AT(i, p) (TRANSPOSE_A ? (size_t)(p)*M + (i) : (size_t)(i)*N_SUM + (p))
#define B_AT(p, j) (TRANSPOSE_B ? (size_t)(j)*N_SUM + (p) : (size_t)(p)*N + (j))

/* Global size: N, M, BATCH, or 1 in place of BATCH where STRIDE_C is 0. */
kernel void gemm(global const float *a, global const float *b, global float *c, global const float *bias) {
    const int j = get_global_id(0), i = get_global_id(1);
    const int t0 = STRIDE_C ? get_global_id(2) : 0, t1 = STRIDE_C ? t0 + 1 : BATCH;
    float sum = 0.0f;
    for (int t = t0; t < t1; t++) {
        float part = 0.0f;
        for (int p = 0; p < N_SUM; p++)
            part += a[(size_t)t * STRIDE_A + A_AT(i, p)] * b[(size_t)t * STRIDE_B + B_AT(p, j)];
        sum += part;
    }
    const size_t at = (size_t)t0 * STRIDE_C + (size_t)i * N + j;
    float value = ACCUMULATE ? c[at] + sum : sum;
    if (BIAS) {
        value += bias[BIAS == 1 ? i : j];
        value = ACTIVATE(value);
    }
    c[at] = value;
}
