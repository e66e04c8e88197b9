/* Matrix products over a batch by tiles in local memory, for GPUs. Terms as in gemm_reference.cl; the
 * scheme, and its macros, as in tiled.clh.
 *
 * Where there is a C for each member of the batch, their columns are side by side: the columns of one
 * product, which must have one A. Where there is one C, the members are the terms' outer index. Slices are
 * fetched along what is contiguous: terms or rows of A, columns or terms of B, in vectors, which must be
 * whole (a row of C need not be).
 *
 * Local size: ITEMS, 1, 1; a work-group for each block of ceil(M / TUNE_M), ceil(COLUMNS / TUNE_N), and each
 * split.
 *
 *   TUNE_SPLITS   parts of the terms, each for work-groups of its own, whose sums wait in memory, one C after
 *                 another, for gemm_add_splits; with 1 they go to C at once */
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
#ifndef TUNE_M
#define TUNE_M 32
#define TUNE_N 32
#define TUNE_K 8
#define TUNE_RM 4
#define TUNE_RN 4
#define TUNE_BUFFERS 2
#define TUNE_SHARE 1
#endif
#ifndef TUNE_SPLITS
#define TUNE_SPLITS 1
#endif

#if STRIDE_C == 0
#define COLUMNS N
#define TERMS (BATCH * N_SUM)
#else
#define COLUMNS (BATCH * N)
#define TERMS N_SUM
#endif

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

#define SPLIT_STEPS UP(UP(TERMS, TUNE_K), TUNE_SPLITS)
#define IS_TERM(term) (SPLIT_STEPS * TUNE_SPLITS * TUNE_K == TERMS || (term) < TERMS)

/* Where the rows of a slice that are terms begin: the l-th access's, and of which member of the batch. Of one
 * sum, what depends on l is a constant. */
#define TERM_ROW(l, e, each, first_term, pitch, stride)                                            \
    (TERMS == N_SUM ? (size_t)(first_term) * (pitch) + LOAD_OFFSET(l, e, each, pitch)              \
                    : (size_t)(((first_term) + LOAD_ROW(l, e, each)) / N_SUM) * (stride) +         \
                          (size_t)(((first_term) + LOAD_ROW(l, e, each)) % N_SUM) * (pitch))

/* Where a term lies in a row of terms. */
#define TERM_PLACE(term, stride)                                                                   \
    (TERMS == N_SUM ? (size_t)(term) : (size_t)((term) / N_SUM) * (stride) + (term) % N_SUM)

INLINE void fetch_a(floata next[], global const float *a, uint first_row, uint first_term) {
    enum { LANES_A = sizeof(floata) / sizeof(float) };
    EACH_LOAD(l, e, LOADS_A) {
#if TRANSPOSE_A
        const uint row = first_row + LOAD_PLACE(e, TUNE_M / LANES_A) * LANES_A;
        const uint term = first_term + LOAD_ROW(l, e, TUNE_M / LANES_A);
        const size_t at = row + TERM_ROW(l, e, TUNE_M / LANES_A, first_term, M, STRIDE_A);
#else
        const uint row = first_row + LOAD_ROW(l, e, TUNE_K / LANES_A);
        const uint term = first_term + LOAD_PLACE(e, TUNE_K / LANES_A) * LANES_A;
        const size_t at = (size_t)first_row * N_SUM + TERM_PLACE(term, STRIDE_A) +
                          LOAD_OFFSET(l, e, TUNE_K / LANES_A, N_SUM);
#endif
        next[l] = IS_BELOW(row, M, TUNE_M) && IS_TERM(term) ? *(global const floata *)(a + at)
                                                            : (floata)0.0f;
    }
}

/* Of two members of the batch, one is the column's or the term's. */
INLINE void fetch_b(floatv next[], global const float *b, uint first_column, uint first_term) {
    EACH_LOAD(l, e, TUNE_N * TUNE_K / TUNE_VECTOR) {
#if TRANSPOSE_B
        const uint column = first_column + LOAD_ROW(l, e, TUNE_K / TUNE_VECTOR);
        const uint term = first_term + LOAD_PLACE(e, TUNE_K / TUNE_VECTOR) * TUNE_VECTOR;
        const size_t at = (size_t)(column / N) * STRIDE_B + (size_t)(column % N) * N_SUM +
                          TERM_PLACE(term, STRIDE_B);
#else
        const uint column = first_column + LOAD_PLACE(e, ROW_VECTORS) * TUNE_VECTOR;
        const uint term = first_term + LOAD_ROW(l, e, ROW_VECTORS);
        const size_t at = (size_t)(column / N) * STRIDE_B + column % N +
                          TERM_ROW(l, e, ROW_VECTORS, first_term, N, STRIDE_B);
#endif
        next[l] = IS_BELOW(column, COLUMNS, TUNE_N) && IS_TERM(term)
                      ? *(global const floatv *)(b + at)
                      : (floatv)0.0f;
    }
}

#define FETCH(step)                                                                                \
    fetch_a(next_a, a, first_row, (first_step + (step)) * TUNE_K);                                 \
    fetch_b(next_b, b, first_column, (first_step + (step)) * TUNE_K)
#if TRANSPOSE_B
#define STORE_B STORE_TERMS
#else
#define STORE_B STORE_SIDES
#endif

#define MEMBERS (STRIDE_C == 0 ? 1 : BATCH) /* of C */

/* What becomes of so many lanes of C, from a place on: with a bias it is added, and activated. */
INLINE floatv finish(floatv value, global const float *bias, int row, int column) {
    union {
        floatv vector;
        float lanes[TUNE_VECTOR];
    } own;
    if (!BIAS)
        return value;
    UNROLL for (int j = 0; j < TUNE_VECTOR; j++)
        own.lanes[j] = bias[BIAS == 1 ? row : min(column + j, N - 1)];
    value += own.vector;
    return ACTIVATE(value);
}

WORK_GROUP kernel void gemm_tiled(global const float *a, global const float *b, global float *c,
                                  global const float *bias) {
    DECLARE_TILES(floata, LOADS_A)
    const int first_row = get_group_id(0) * TUNE_M, first_column = get_group_id(1) * TUNE_N;
    const int first_step = TUNE_SPLITS == 1 ? 0 : get_group_id(2) * SPLIT_STEPS;
    if (TUNE_SPLITS > 1)
        c += get_group_id(2) * ((size_t)MEMBERS * M * N);
    WALK(SPLIT_STEPS, FETCH, STORE_A, STORE_B)
    UNROLL for (int v = 0; v < ITEM_VECTORS; v++) {
        const int column = first_column + ITEM_COLUMN(v);
        UNROLL for (int i = 0; i < TUNE_RM; i++) {
            const int row = first_row + ITEM_ROW + i;
            if (row < M && column < COLUMNS) {
                const floatv value =
                    TUNE_SPLITS == 1 ? finish(sum[i][v], bias, row, column % N) : sum[i][v];
                WRITE_ROW(c + (size_t)(column / N) * STRIDE_C + (size_t)row * N, column % N, N, value,
                          ACCUMULATE && TUNE_SPLITS == 1);
            }
        }
    }
}

/* The sums of all splits, in their order. Global size: MEMBERS * M * N, 1, 1. */
kernel void gemm_add_splits(global const float *sums, global float *c, global const float *bias) {
    const size_t i = get_global_id(0);
    float sum = ACCUMULATE ? c[i] : 0.0f;
    for (int split = 0; split < TUNE_SPLITS; split++)
        sum += sums[split * ((size_t)MEMBERS * M * N) + i];
    const floatv value = finish((floatv)sum, bias, i / N % M, i % N); /* the first lane's is meant */
    c[i] = *(const float *)&value;
}
