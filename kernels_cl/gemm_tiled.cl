/* Matrix products over a batch by tiles in local memory, for GPUs. Terms as in gemm_reference.cl; the
 * scheme, and its macros, as in tiled.clh.
 *
 * Where there is a C for each member of the batch, their columns are side by side: the columns of one
 * product, which must have one A. Where there is one C, the members are the terms' outer index. Slices are
 * fetched along what is contiguous: terms or rows of A, columns or terms of B, in vectors, which must be
 * whole (a row of C need not be).
 *
 * Local size: ITEMS, 1, 1; a work-group for each block of ceil(M / TUNE_M), ceil(COLUMNS / TUNE_N), 1. */
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
#ifndef TUNE_M
#define TUNE_M 32
#define TUNE_N 32
#define TUNE_K 8
#define TUNE_RM 4
#define TUNE_RN 4
#define TUNE_BUFFERS 2
#define TUNE_SHARE 1
#endif

#if STRIDE_C == 0
#define COLUMNS N
#define TERMS (BATCH * N_SUM)
#else
#define COLUMNS (BATCH * N)
#define TERMS N_SUM
#endif

/* Where a term begins in A; in B, the column's member of the batch is in the column's place. */
#define MEMBER(term, stride) ((size_t)((term) / N_SUM) * (stride))

#if !TRANSPOSE_A && N_SUM % TUNE_VECTOR == 0 && STRIDE_A % TUNE_VECTOR == 0
#define LOADS_A (TUNE_M * TUNE_K / TUNE_VECTOR)
#define STORE_A STORE_TERMS
typedef floatv floata;
#elif !TRANSPOSE_A
#define LOADS_A (TUNE_M * TUNE_K)
#define STORE_A STORE_SINGLE_TERMS
typedef float floata;
#elif M % TUNE_VECTOR == 0 && STRIDE_A % TUNE_VECTOR == 0
#define LOADS_A (TUNE_M * TUNE_K / TUNE_VECTOR)
#define STORE_A STORE_SIDES
typedef floatv floata;
#else
#define LOADS_A (TUNE_M * TUNE_K)
#define STORE_A STORE_SINGLE_SIDES
typedef float floata;
#endif
#define STORE_SINGLE_SIDES(slice, pitch, size, next)                                               \
    EACH_LOAD(l_, e_, (size) * TUNE_K)                                                             \
    (slice)[e_ / (size) * (pitch) + e_ % (size)] = (next)[l_]

INLINE void fetch_a(floata next[], global const float *a, int first_row, int first_term) {
    enum { LANES_A = sizeof(floata) / sizeof(float) };
    EACH_LOAD(l, e, LOADS_A) {
#if TRANSPOSE_A
        const int row = first_row + e % (TUNE_M / LANES_A) * LANES_A;
        const int term = first_term + e / (TUNE_M / LANES_A);
        const size_t at = MEMBER(term, STRIDE_A) + (size_t)(term % N_SUM) * M + row;
#else
        const int row = first_row + e / (TUNE_K / LANES_A);
        const int term = first_term + e % (TUNE_K / LANES_A) * LANES_A;
        const size_t at = MEMBER(term, STRIDE_A) + (size_t)row * N_SUM + term % N_SUM;
#endif
        next[l] = row < M && term < TERMS ? *(global const floata *)(a + at) : (floata)0.0f;
    }
}

INLINE void fetch_b(floatv next[], global const float *b, int first_column, int first_term) {
    EACH_LOAD(l, e, TUNE_N * TUNE_K / TUNE_VECTOR) {
#if TRANSPOSE_B
        const int column = first_column + e / (TUNE_K / TUNE_VECTOR);
        const int term = first_term + e % (TUNE_K / TUNE_VECTOR) * TUNE_VECTOR;
        const size_t at = (size_t)(column % N) * N_SUM + term % N_SUM;
#else
        const int column = first_column + e % ROW_VECTORS * TUNE_VECTOR;
        const int term = first_term + e / ROW_VECTORS;
        const size_t at = (size_t)(term % N_SUM) * N + column % N;
#endif
        const size_t member = STRIDE_C == 0 ? term / N_SUM : column / N;
        next[l] = column < COLUMNS && term < TERMS
                      ? *(global const floatv *)(b + member * STRIDE_B + at)
                      : (floatv)0.0f;
    }
}

#define FETCH(step)                                                                                \
    fetch_a(next_a, a, first_row, (step)*TUNE_K);                                                  \
    fetch_b(next_b, b, first_column, (step)*TUNE_K)
#if TRANSPOSE_B
#define STORE_B STORE_TERMS
#else
#define STORE_B STORE_SIDES
#endif

WORK_GROUP kernel void gemm_tiled(global const float *a, global const float *b, global float *c) {
    DECLARE_TILES(floata, LOADS_A)
    const int first_row = get_group_id(0) * TUNE_M, first_column = get_group_id(1) * TUNE_N;
    WALK((TERMS + TUNE_K - 1) / TUNE_K, FETCH, STORE_A, STORE_B)
    UNROLL for (int v = 0; v < ITEM_VECTORS; v++) {
        const int column = first_column + ITEM_COLUMN(v);
        UNROLL for (int i = 0; i < TUNE_RM; i++) {
            const int row = first_row + ITEM_ROW + i;
            if (row < M && column < COLUMNS)
                WRITE_ROW(c + (size_t)(column / N) * STRIDE_C + (size_t)row * N, column % N, N,
                          sum[i][v], ACCUMULATE);
        }
    }
}
