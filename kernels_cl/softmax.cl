/* Softmax with cross-entropy: probabilities, loss, rank and gradient.
 *
 *   x, y, dx  [TILES][K][T]      labels, losses, ranks  [TILES * T]
 *
 * y = softmax(x / TEMPERATURE); loss = -log y[label], taken from x by log-sum-exp, so that it stays
 * finite where y underflows. rank = how many classes score higher than the label's (of equals, those
 * before it): 0 is a hit. With TUNE_VECTOR 1 this is the reference. */
#ifndef K
#define K 10
#define TEMPERATURE 1.0f
#endif

/* Global size: TILE_VECTORS, TILES, 1. */
kernel void softmax_forward(global const floatv *x, global const intv *labels, global floatv *y,
                            global floatv *losses, global intv *ranks) {
    const int v = get_global_id(0), t = get_global_id(1);
    const size_t first = (size_t)t * K * TILE_VECTORS + v;
    const intv label = labels[t * TILE_VECTORS + v];

    floatv most = x[first], own = x[first];
    for (int k = 1; k < K; k++) {
        const floatv value = x[first + k * TILE_VECTORS];
        most = SELECT((value > most) | (value != value), value, most);
        own = SELECT(label == (intv)k, value, own);
    }
    floatv sum = (floatv)0.0f;
    intv rank = (intv)0;
    for (int k = 0; k < K; k++) {
        const floatv value = x[first + k * TILE_VECTORS];
        const floatv power = exp((value - most) * (1.0f / TEMPERATURE));
        const intv ahead = (value > own) | ((value == own) & ((intv)k < label));
        y[first + k * TILE_VECTORS] = power;
        sum += power;
        rank += SELECT(ahead, (intv)1, (intv)0);
    }
    const floatv inverse = 1.0f / sum;
    for (int k = 0; k < K; k++)
        y[first + k * TILE_VECTORS] *= inverse;
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
