/* Softmax with cross-entropy: probabilities, loss, rank and gradient.
 *
 *   x, y, dx  [TILES][K][T]      labels, losses, ranks  [TILES * T]
 *
 * y = softmax(x / TEMPERATURE); loss = -log y[label], taken from x by log-sum-exp, so that it stays
 * finite where y underflows. rank = how many classes score higher than the label's (of equals, those
 * before it): 0 is a hit. With TUNE_VECTOR 1 and TUNE_LOCAL 1 this is the reference.
 *
 *   TUNE_LOCAL   work-items that walk over the classes together: 1 on a CPU */
#ifndef K
#define K 10
#define TEMPERATURE 1.0f
#endif
#ifndef TUNE_LOCAL
#define TUNE_LOCAL 1
#endif

/* What TUNE_LOCAL work-items found, one of each, as one: `places` is local memory for this alone, or
 * nothing where there is one work-item. */
#if TUNE_LOCAL > 1
#define PLACES(type, name) local type name[TUNE_LOCAL]
#define REDUCE(places, value, COMBINE)                                                             \
    do {                                                                                           \
        places[item] = value;                                                                      \
        for (int reach_ = TUNE_LOCAL / 2; reach_ > 0; reach_ /= 2) {                               \
            barrier(CLK_LOCAL_MEM_FENCE);                                                          \
            if (item < reach_)                                                                     \
                places[item] = COMBINE(places[item], places[item + reach_]);                       \
        }                                                                                          \
        barrier(CLK_LOCAL_MEM_FENCE);                                                              \
        value = places[0];                                                                         \
    } while (0)
#else
#define PLACES(type, name)
#define REDUCE(places, value, COMBINE) ((void)0)
#endif
#define GREATER(a, b) SELECT(((b) > (a)) | ((b) != (b)), b, a) /* NaN is greater than all */
#define SUM(a, b) ((a) + (b))

/* Global size: TUNE_LOCAL, TILE_VECTORS, TILES; local size: TUNE_LOCAL, 1, 1. */
#if TUNE_LOCAL > 1
__attribute__((reqd_work_group_size(TUNE_LOCAL, 1, 1)))
#endif
kernel void softmax_forward(global const floatv *x, global const intv *labels, global floatv *y,
                            global floatv *losses, global intv *ranks) {
    PLACES(floatv, mosts);
    PLACES(floatv, owns);
    PLACES(floatv, sums);
    PLACES(intv, counts);
    const int item = get_local_id(0), v = get_global_id(1), t = get_global_id(2);
    const size_t first = (size_t)t * K * TILE_VECTORS + v;
    const intv label = labels[t * TILE_VECTORS + v];

    floatv most = x[first], own = (floatv)0.0f;
    for (int k = item; k < K; k += TUNE_LOCAL) {
        const floatv value = x[first + k * TILE_VECTORS];
        most = GREATER(most, value);
        own = SELECT(label == (intv)k, value, own);
    }
    REDUCE(mosts, most, GREATER);
    REDUCE(owns, own, SUM); /* it is zero where it was not found */
    floatv sum = (floatv)0.0f;
    intv rank = (intv)0;
    for (int k = item; k < K; k += TUNE_LOCAL) {
        const floatv value = x[first + k * TILE_VECTORS];
        const floatv power = exp((value - most) * (1.0f / TEMPERATURE));
        const intv ahead = (value > own) | ((value == own) & ((intv)k < label));
        y[first + k * TILE_VECTORS] = power;
        sum += power;
        rank += SELECT(ahead, (intv)1, (intv)0);
    }
    REDUCE(sums, sum, SUM);
    REDUCE(counts, rank, SUM);
    const floatv inverse = 1.0f / sum;
    for (int k = item; k < K; k += TUNE_LOCAL)
        y[first + k * TILE_VECTORS] *= inverse;
    if (item > 0)
        return;
    losses[t * TILE_VECTORS + v] = log(sum) + (most - own) * (1.0f / TEMPERATURE);
    ranks[t * TILE_VECTORS + v] = rank;
}

/* dx = (y - [k is the label]) * scale / TEMPERATURE; zero in the lanes of the padding, which are those
 * from `count`. Global size: TILE_VECTORS, K, TILES. */
kernel void softmax_backward(global const floatv *y, global const intv *labels, global floatv *dx,
                             int count, float scale) {
    const int v = get_global_id(0), k = get_global_id(1), t = get_global_id(2);
    const intv sample = (intv)(t * T + v * TUNE_VECTOR) + LANES;
    const intv label = labels[t * TILE_VECTORS + v];
    const size_t at = ((size_t)t * K + k) * TILE_VECTORS + v;
    const floatv difference = y[at] - SELECT(label == (intv)k, (floatv)1.0f, (floatv)0.0f);
    dx[at] = SELECT(sample < (intv)count, difference * (scale / TEMPERATURE), (floatv)0.0f);
}
