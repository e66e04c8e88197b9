/* Costs of a prediction against a truth, per sample:
 *
 *   KIND 0, sum of squares:  y = x,            loss = 1/2 sum over k of (y - truth)^2
 *   KIND 1, logistic:        y = logistic(x),  loss = -sum of truth log y + (1 - truth) log(1 - y)
 *
 * both with the gradient (y - truth) * scale with respect to x. The logistic loss is taken from x, so
 * that it stays finite where y rounds to 0 or 1.
 *
 *   x, y, dx  [TILES][K][T]      losses, ranks  [TILES * T]
 *   LABELS 1: truth is one class of K, int [TILES * T]; the rank is as in softmax.cl.
 *   LABELS 0: truth is numbers, float [TILES * T][K]; there is no rank: it is 0.
 *
 * Outputs are few, and truth lies sample by sample: so one lane a work-item, which is the reference
 * too. */
#ifndef K
#define K 1
#define KIND 0
#define LABELS 0
#endif

#if LABELS
typedef int truth_t;
#define TRUTH(n, k) (truth[n] == (k) ? 1.0f : 0.0f)
#else
typedef float truth_t;
#define TRUTH(n, k) truth[(n)*K + (k)]
#endif

#if KIND == 0
#define PREDICTION(x) (x)
#define LOSS(x, target) (0.5f * ((x) - (target)) * ((x) - (target)))
#else
#define PREDICTION(x) (1.0f / (1.0f + exp(-(x))))
#define LOSS(x, target) (((x) > 0.0f ? (x) : 0.0f) - (x) * (target) + log1p(exp(-fabs(x))))
#endif

/* Global size: T, TILES, 1. */
kernel void cost_forward(global const float *x, global const truth_t *truth, global float *y,
                         global float *losses, global int *ranks) {
    const int lane = get_global_id(0), t = get_global_id(1), n = t * T + lane;
    const size_t first = (size_t)t * K * T + lane;
    float loss = 0.0f;
    int rank = 0;
#if LABELS
    const float own = x[first + truth[n] * T];
#endif
    for (int k = 0; k < K; k++) {
        const float value = x[first + k * T];
        y[first + k * T] = PREDICTION(value);
        loss += LOSS(value, TRUTH(n, k));
#if LABELS
        rank += value > own || (value == own && k < truth[n]);
#endif
    }
    losses[n] = loss;
    ranks[n] = rank;
}

/* Zero in the lanes of the padding, which are those from `count`. Global size: T, K, TILES. */
kernel void cost_backward(global const float *y, global const truth_t *truth, global float *dx,
                          int count, float scale) {
    const int lane = get_global_id(0), k = get_global_id(1), t = get_global_id(2);
    const int n = t * T + lane;
    const size_t at = ((size_t)t * K + k) * T + lane;
    dx[at] = n < count ? (y[at] - TRUTH(n, k)) * scale : 0.0f;
}
