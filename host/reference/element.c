#include "reference/element.h"

#include "base/numbers.h"

#include <float.h>
#include <math.h>

static const double unit = 1.0 / 16777216; /* half of float's epsilon */

void sum_add(struct sum *sum, double term, double size) {
    sum->value += term;
    sum->squares += size * size;
    sum->terms++;
}

double element_excess(double got, struct element want) {
    double error = fabs(got - want.value);
    if (error <= 0)
        return 0;
    return isfinite(error) && want.tolerance > 0 ? error / want.tolerance : INFINITY;
}

struct element element_of(double value, double units, double size) {
    /* Numbers below FLT_MIN a device may take for zero. */
    return (struct element){value, unit * units * fabs(size) + (double)FLT_MIN};
}

struct element sum_element(const struct sum *sum) {
    struct element element = element_of(sum->value, 16, sum->value);
    element.tolerance += 8 * unit * sqrt((double)sum->terms * sum->squares);
    return element;
}

struct element element_activate(struct element z, enum activation activation) {
    /* No slope is above 1. */
    double y = reference_activate(activation, z.value);
    return (struct element){y, z.tolerance + 16 * unit * fabs(y)};
}

struct element element_slope(const struct tensor *y, const struct tensor *dy,
                             enum activation activation, int n, int64_t at) {
    double value = tensor_at(dy, n, at);
    double slope = reference_activation_slope(activation, tensor_at(y, n, at));
    return element_of(value * slope, 16, value);
}

struct element element_input(double value, double add, double mean, double scale) {
    return element_of((value + add - mean) * scale, 4,
                      (fabs(value) + fabs(add) + fabs(mean)) * scale);
}

/* An element's place in its picture. */
struct place {
    int c, h, w;
};

static struct place place_of(struct shape shape, int64_t at) {
    return (struct place){(int)(at / shape.w / shape.h), (int)(at / shape.w % shape.h),
                          (int)(at % shape.w)};
}

static int64_t index_of(struct shape shape, int c, int h, int w) {
    return ((int64_t)c * shape.h + h) * shape.w + w;
}

static int is_inside(struct shape shape, int h, int w) {
    return h >= 0 && h < shape.h && w >= 0 && w < shape.w;
}

/* ---- convolution ---- */

struct element element_conv_forward(const struct reference_conv *conv, const struct tensor *x,
                                    const float *w, const float *b, int n, int64_t at) {
    struct place out = place_of(conv->out, at);
    int c_group = conv->in.c / conv->groups, k_group = conv->out.c / conv->groups;
    int first = out.c / k_group * c_group, taps = conv->size * conv->size;
    struct sum sum = {0};
    sum_add(&sum, (double)b[out.c], (double)b[out.c]);
    for (int i = 0; i < c_group * taps; i++) {
        int h = out.h * conv->stride - conv->padding + i % taps / conv->size;
        int v = out.w * conv->stride - conv->padding + i % conv->size;
        if (!is_inside(conv->in, h, v))
            continue;
        double term = (double)w[(int64_t)out.c * c_group * taps + i] *
                      tensor_at(x, n, index_of(conv->in, first + i / taps, h, v));
        sum_add(&sum, term, term);
    }
    return sum_element(&sum);
}

/* The output whose window begins `tap` before the input, or -1. */
static int output_of(const struct reference_conv *conv, int in, int tap, int outputs) {
    int from = in + conv->padding - tap;
    return from >= 0 && from % conv->stride == 0 && from / conv->stride < outputs
               ? from / conv->stride
               : -1;
}

struct element element_conv_data(const struct reference_conv *conv, const struct tensor *dz,
                                 const float *w, int n, int64_t at) {
    struct place in = place_of(conv->in, at);
    int c_group = conv->in.c / conv->groups, k_group = conv->out.c / conv->groups;
    int first = in.c / c_group * k_group, taps = conv->size * conv->size;
    struct sum sum = {0};
    for (int i = 0; i < k_group * taps; i++) {
        int k = first + i / taps, tap = i % taps;
        int h = output_of(conv, in.h, tap / conv->size, conv->out.h);
        int v = output_of(conv, in.w, tap % conv->size, conv->out.w);
        if (h < 0 || v < 0)
            continue;
        double term = (double)w[((int64_t)k * c_group + in.c % c_group) * taps + tap] *
                      tensor_at(dz, n, index_of(conv->out, k, h, v));
        sum_add(&sum, term, term);
    }
    return sum_element(&sum);
}

struct element element_conv_filter(const struct reference_conv *conv, const struct tensor *dz,
                                   const struct tensor *x, double start, int64_t at) {
    int c_group = conv->in.c / conv->groups, k_group = conv->out.c / conv->groups;
    int taps = conv->size * conv->size, tap = (int)(at % taps);
    int k = (int)(at / taps / c_group);
    int c = k / k_group * c_group + (int)(at / taps % c_group);
    struct sum sum = {0};
    sum_add(&sum, start, start);
    for (int i = 0; i < conv->out.h * conv->out.w; i++) {
        int h = i / conv->out.w * conv->stride - conv->padding + tap / conv->size;
        int w = i % conv->out.w * conv->stride - conv->padding + tap % conv->size;
        for (int n = 0; n < conv->n && is_inside(conv->in, h, w); n++) {
            double term = tensor_at(dz, n, (int64_t)k * conv->out.h * conv->out.w + i) *
                          tensor_at(x, n, index_of(conv->in, c, h, w));
            sum_add(&sum, term, term);
        }
    }
    return sum_element(&sum);
}

struct element element_bias(const struct tensor *dz, double start, int channel) {
    int64_t pixels = (int64_t)dz->shape.h * dz->shape.w;
    struct sum sum = {0};
    sum_add(&sum, start, start);
    for (int64_t p = 0; p < pixels; p++) {
        for (int n = 0; n < dz->tiling.batch; n++) {
            double term = tensor_at(dz, n, channel * pixels + p);
            sum_add(&sum, term, term);
        }
    }
    return sum_element(&sum);
}

/* ---- fully connected ---- */

struct element element_connected_forward(const struct tensor *x, const float *w, const float *b,
                                         int n, int64_t at) {
    int64_t inputs = shape_elements(x->shape);
    struct sum sum = {0};
    sum_add(&sum, (double)b[at], (double)b[at]);
    for (int64_t i = 0; i < inputs; i++) {
        double term = (double)w[at * inputs + i] * tensor_at(x, n, i);
        sum_add(&sum, term, term);
    }
    return sum_element(&sum);
}

struct element element_connected_data(const struct tensor *dz, const float *w, int inputs, int n,
                                      int64_t at) {
    struct sum sum = {0};
    for (int64_t o = 0; o < dz->shape.c; o++) {
        double term = (double)w[o * inputs + at] * tensor_at(dz, n, o);
        sum_add(&sum, term, term);
    }
    return sum_element(&sum);
}

struct element element_connected_weight(const struct tensor *dz, const struct tensor *x,
                                        double start, int64_t at) {
    int64_t inputs = shape_elements(x->shape);
    struct sum sum = {0};
    sum_add(&sum, start, start);
    for (int n = 0; n < x->tiling.batch; n++) {
        double term = tensor_at(dz, n, at / inputs) * tensor_at(x, n, at % inputs);
        sum_add(&sum, term, term);
    }
    return sum_element(&sum);
}

/* ---- normalisation ---- */

static int most(int a, int b) {
    return a > b ? a : b;
}

static double lrn_scale(const struct reference_lrn *lrn, const struct tensor *x, int n, int channel,
                        int64_t pixel) {
    int64_t pixels = (int64_t)lrn->shape.h * lrn->shape.w;
    double sum = 0;
    for (int c = most(0, channel - lrn->size / 2);
         c <= least(lrn->shape.c - 1, channel + lrn->size / 2); c++) {
        double value = tensor_at(x, n, c * pixels + pixel);
        sum += value * value;
    }
    return lrn->k + lrn->alpha * sum;
}

/* All terms of a scale are positive: it is off by a unit a term, and a power by beta times that. */
static double lrn_units(const struct reference_lrn *lrn) {
    return 32 + 2 * (lrn->beta + 1) * (lrn->size + 2);
}

struct element element_lrn_forward(const struct reference_lrn *lrn, const struct tensor *x, int n,
                                   int64_t at) {
    int64_t pixels = (int64_t)lrn->shape.h * lrn->shape.w;
    double scale = lrn_scale(lrn, x, n, (int)(at / pixels), at % pixels);
    double y = tensor_at(x, n, at) * pow(scale, -lrn->beta);
    return element_of(y, lrn_units(lrn), y);
}

/* The derivative of output i by input j, both of them elements at one pixel; own: i is j. */
static double lrn_own(const struct reference_lrn *lrn, const struct tensor *x, int n, int64_t i) {
    int64_t pixels = (int64_t)lrn->shape.h * lrn->shape.w;
    return pow(lrn_scale(lrn, x, n, (int)(i / pixels), i % pixels), -lrn->beta);
}

static double lrn_other(const struct reference_lrn *lrn, const struct tensor *x, int n, int64_t i,
                        int64_t j) {
    int64_t pixels = (int64_t)lrn->shape.h * lrn->shape.w;
    double scale = lrn_scale(lrn, x, n, (int)(i / pixels), i % pixels);
    return -2 * lrn->alpha * lrn->beta * tensor_at(x, n, j) * pow(scale, -lrn->beta - 1) *
           tensor_at(x, n, i);
}

/* The channels whose windows hold a channel: from first to last. */
struct channels {
    int first, last;
};

static struct channels lrn_channels(const struct reference_lrn *lrn, int channel) {
    return (struct channels){most(0, channel - lrn->size / 2),
                             least(lrn->shape.c - 1, channel + lrn->size / 2)};
}

struct element element_lrn_backward(const struct reference_lrn *lrn, const struct tensor *x,
                                    const struct tensor *dy, int n, int64_t at) {
    int64_t pixels = (int64_t)lrn->shape.h * lrn->shape.w;
    struct channels near = lrn_channels(lrn, (int)(at / pixels));
    double own = tensor_at(dy, n, at) * lrn_own(lrn, x, n, at);
    double sum = own, size = fabs(own);
    for (int c = near.first; c <= near.last; c++) {
        int64_t i = c * pixels + at % pixels;
        double term = tensor_at(dy, n, i) * lrn_other(lrn, x, n, i, at);
        sum += term;
        size += fabs(term);
    }
    return element_of(sum, lrn_units(lrn), size);
}

/* ---- pooling ---- */

/* The elements of a window that lie in the picture: rows from h0 to before h1, and so on. */
struct window {
    int h0, h1, w0, w1;
};

static struct window window_of(const struct reference_pool *pool, int oy, int ox) {
    int h = oy * pool->stride - pool->before, w = ox * pool->stride - pool->before;
    return (struct window){most(0, h), least(pool->in.h, h + pool->size_h), most(0, w),
                           least(pool->in.w, w + pool->size_w)};
}

static int window_has(const struct window *window, int h, int w) {
    return window->h0 <= h && h < window->h1 && window->w0 <= w && w < window->w1;
}

/* The greatest of a window, the first of equals. */
static int64_t greatest(const struct reference_pool *pool, const struct tensor *x, int n, int c,
                        const struct window *window) {
    int64_t best = index_of(pool->in, c, window->h0, window->w0);
    for (int h = window->h0; h < window->h1; h++) {
        for (int w = window->w0; w < window->w1; w++) {
            int64_t i = index_of(pool->in, c, h, w);
            if (tensor_at(x, n, i) > tensor_at(x, n, best))
                best = i;
        }
    }
    return best;
}

struct element element_maxpool_forward(const struct reference_pool *pool, const struct tensor *x,
                                       int n, int64_t at) {
    struct place out = place_of(pool->out, at);
    struct window window = window_of(pool, out.h, out.w);
    return (struct element){.value = tensor_at(x, n, greatest(pool, x, n, out.c, &window))};
}

/* Visits the outputs whose windows hold an input: a range that is certainly wide enough. */
static struct window outputs_near(const struct reference_pool *pool, struct place in) {
    int h = in.h + pool->before, w = in.w + pool->before;
    return (struct window){
        most(0, (h - pool->size_h) / pool->stride), least(pool->out.h, h / pool->stride + 1),
        most(0, (w - pool->size_w) / pool->stride), least(pool->out.w, w / pool->stride + 1)};
}

struct element element_maxpool_backward(const struct reference_pool *pool, const struct tensor *x,
                                        const struct tensor *dy, int n, int64_t at) {
    struct place in = place_of(pool->in, at);
    struct window near = outputs_near(pool, in);
    struct sum sum = {0};
    for (int oy = near.h0; oy < near.h1; oy++) {
        for (int ox = near.w0; ox < near.w1; ox++) {
            struct window window = window_of(pool, oy, ox);
            if (!window_has(&window, in.h, in.w) || greatest(pool, x, n, in.c, &window) != at)
                continue;
            double term = tensor_at(dy, n, index_of(pool->out, in.c, oy, ox));
            sum_add(&sum, term, term);
        }
    }
    return sum_element(&sum);
}

/* ---- both ---- */

struct element element_lrn_maxpool_forward(const struct reference_lrn *lrn,
                                           const struct reference_pool *pool,
                                           const struct tensor *x, int n, int64_t at) {
    struct place out = place_of(pool->out, at);
    struct window window = window_of(pool, out.h, out.w);
    struct element best = {.value = -INFINITY};
    for (int h = window.h0; h < window.h1; h++) {
        for (int w = window.w0; w < window.w1; w++) {
            struct element one = element_lrn_forward(lrn, x, n, index_of(pool->in, out.c, h, w));
            if (one.value > best.value)
                best = one;
        }
    }
    return best;
}

/* Whether a window chooses the element `at`: 1, 0, or -1: it may. */
static int is_chosen(const struct reference_lrn *lrn, const struct reference_pool *pool,
                     const struct tensor *x, int n, int64_t at, const struct window *window) {
    struct element own = element_lrn_forward(lrn, x, n, at);
    struct place in = place_of(pool->in, at);
    int chosen = 1;
    for (int h = window->h0; h < window->h1; h++) {
        for (int w = window->w0; w < window->w1; w++) {
            int64_t i = index_of(pool->in, in.c, h, w);
            struct element other = element_lrn_forward(lrn, x, n, i);
            double margin = own.tolerance + other.tolerance;
            if (i == at || other.value < own.value - margin)
                continue;
            if (other.value > own.value + margin)
                return 0;
            chosen = -1;
        }
    }
    return chosen;
}

/* The gradient of an element of what is pooled, and what else it may be. */
struct slope {
    double value, doubt;
};

static struct slope pooled_slope(const struct reference_lrn *lrn, const struct reference_pool *pool,
                                 const struct tensor *x, const struct tensor *dy, int n,
                                 int64_t at) {
    struct place in = place_of(pool->in, at);
    struct window near = outputs_near(pool, in);
    struct slope slope = {0};
    for (int oy = near.h0; oy < near.h1; oy++) {
        for (int ox = near.w0; ox < near.w1; ox++) {
            struct window window = window_of(pool, oy, ox);
            if (!window_has(&window, in.h, in.w))
                continue;
            double term = tensor_at(dy, n, index_of(pool->out, in.c, oy, ox));
            int chosen = is_chosen(lrn, pool, x, n, at, &window);
            slope.value += chosen > 0 ? term : 0;
            slope.doubt += chosen < 0 ? fabs(term) : 0;
        }
    }
    return slope;
}

struct element element_lrn_maxpool_backward(const struct reference_lrn *lrn,
                                            const struct reference_pool *pool,
                                            const struct tensor *x, const struct tensor *dy, int n,
                                            int64_t at) {
    int64_t pixels = (int64_t)lrn->shape.h * lrn->shape.w;
    struct channels near = lrn_channels(lrn, (int)(at / pixels));
    struct slope own = pooled_slope(lrn, pool, x, dy, n, at);
    double factor = lrn_own(lrn, x, n, at);
    double sum = own.value * factor, size = fabs(sum), doubt = own.doubt * factor;
    for (int c = near.first; c <= near.last; c++) {
        int64_t i = c * pixels + at % pixels;
        struct slope slope = pooled_slope(lrn, pool, x, dy, n, i);
        factor = lrn_other(lrn, x, n, i, at);
        sum += slope.value * factor;
        size += fabs(slope.value * factor);
        doubt += slope.doubt * fabs(factor);
    }
    struct element element =
        element_of(sum, lrn_units(lrn) + 2 * (double)pool->size_h * pool->size_w, size);
    element.tolerance += doubt;
    return element;
}

struct element element_avgpool_forward(const struct reference_pool *pool, const struct tensor *x,
                                       int n, int64_t at) {
    struct place out = place_of(pool->out, at);
    struct window window = window_of(pool, out.h, out.w);
    double share = 1.0 / ((window.h1 - window.h0) * (window.w1 - window.w0));
    struct sum sum = {0};
    for (int h = window.h0; h < window.h1; h++) {
        for (int w = window.w0; w < window.w1; w++) {
            double term = share * tensor_at(x, n, index_of(pool->in, out.c, h, w));
            sum_add(&sum, term, term);
        }
    }
    return sum_element(&sum);
}

struct element element_avgpool_backward(const struct reference_pool *pool, const struct tensor *dy,
                                        int n, int64_t at) {
    struct place in = place_of(pool->in, at);
    struct window near = outputs_near(pool, in);
    struct sum sum = {0};
    for (int oy = near.h0; oy < near.h1; oy++) {
        for (int ox = near.w0; ox < near.w1; ox++) {
            struct window window = window_of(pool, oy, ox);
            if (!window_has(&window, in.h, in.w))
                continue;
            double term = tensor_at(dy, n, index_of(pool->out, in.c, oy, ox)) /
                          ((window.h1 - window.h0) * (window.w1 - window.w0));
            sum_add(&sum, term, term);
        }
    }
    return sum_element(&sum);
}

/* ---- losses ---- */

/* What a softmax takes from all scores. */
struct scores {
    double most, sum, units;
};

static struct scores scores_of(const struct tensor *x, double temperature, int n) {
    int64_t classes = shape_elements(x->shape);
    struct scores scores = {.most = -INFINITY};
    double lowest = INFINITY;
    for (int64_t k = 0; k < classes; k++) {
        scores.most = fmax(scores.most, tensor_at(x, n, k));
        lowest = fmin(lowest, tensor_at(x, n, k));
    }
    for (int64_t k = 0; k < classes; k++)
        scores.sum += exp((tensor_at(x, n, k) - scores.most) / temperature);
    /* An exponent is off by units of its size, and all terms of the sum are positive. */
    scores.units = 32 + 4 * (scores.most - lowest) / temperature + 8 * sqrt((double)classes);
    return scores;
}

struct element element_softmax_forward(const struct tensor *x, double temperature, int n,
                                       int64_t at) {
    struct scores scores = scores_of(x, temperature, n);
    double y = exp((tensor_at(x, n, at) - scores.most) / temperature) / scores.sum;
    return element_of(y, scores.units, y);
}

struct element element_softmax_loss(const struct tensor *x, double temperature, int label, int n) {
    struct scores scores = scores_of(x, temperature, n);
    double behind = (scores.most - tensor_at(x, n, label)) / temperature;
    return element_of(log(scores.sum) + behind, scores.units, 1);
}

struct element element_softmax_backward(const struct tensor *y, double temperature, double scale,
                                        int label, int n, int64_t at) {
    double own = at == label ? 1 : 0, value = tensor_at(y, n, at);
    return element_of(scale * (value - own) / temperature, 8, scale * (value + own) / temperature);
}

struct element element_rank(const struct tensor *x, int label, int n) {
    double own = tensor_at(x, n, label);
    int rank = 0;
    for (int64_t k = 0; k < shape_elements(x->shape); k++)
        rank += tensor_at(x, n, k) > own || (tensor_at(x, n, k) == own && k < label);
    return (struct element){.value = rank};
}

struct element element_cost_forward(const struct tensor *x, enum reference_cost kind, int n,
                                    int64_t at) {
    double value = tensor_at(x, n, at);
    return kind == REFERENCE_SSE ? (struct element){.value = value}
                                 : element_activate(element_of(value, 0, 0), ACTIVATION_LOGISTIC);
}

struct element element_cost_loss(const struct tensor *x, enum reference_cost kind,
                                 const float *truth, int n) {
    struct sum sum = {0};
    for (int64_t k = 0; k < shape_elements(x->shape); k++) {
        double value = tensor_at(x, n, k), t = (double)truth[k];
        double loss = kind == REFERENCE_SSE ? (value - t) * (value - t) / 2
                                            : fmax(value, 0) - value * t + log1p(exp(-fabs(value)));
        sum_add(&sum, loss, 1 + fabs(value) + fabs(loss));
    }
    return sum_element(&sum);
}

struct element element_cost_backward(const struct tensor *y, const float *truth, double scale,
                                     int n, int64_t at) {
    double value = tensor_at(y, n, at), t = (double)truth[at];
    return element_of(scale * (value - t), 8, scale * (fabs(value) + fabs(t)));
}
