/* One element of an operation's result, by its definition over all that it sums, in plain C and
 * double precision: to hold against what a device computed at shapes where whole tensors would take
 * hours. Where the element is zero-padded or split into groups, so is the sum.
 *
 * `tolerance` is what rounding to float may make of it. For a sum of terms with random signs the
 * errors of the additions are a random walk: n additions of partial sums not above the root of the
 * sum of squares, q, are off by u q sqrt n with the unit u = 2^-24, and eight times that is never
 * seen. To it come 16 units of the value for a function applied to a sum: OpenCL lets exp be off by
 * 3, tanh by 5 and pow by 16.
 */
#ifndef REFERENCE_ELEMENT_H
#define REFERENCE_ELEMENT_H

#include "reference/reference.h"

struct element {
    double value, tolerance;
};

/* The error of a result in units of its tolerance; a NaN is infinitely wrong. */
double element_excess(double got, struct element want);

/* An activation of images, tiled as on a device. */
struct tensor {
    const float *values;
    struct tiling tiling;
    struct shape shape;
};

static inline double tensor_at(const struct tensor *tensor, int n, int64_t element) {
    return (double)tensor->values[tiling_offset(tensor->tiling, tensor->shape, n, element)];
}

/* The sum so far; zeroed: nothing yet. */
struct sum {
    double value, squares;
    int64_t terms;
};

/* Adds a term that is at most `size` large, where it is not known better. */
void sum_add(struct sum *sum, double term, double size);

/* The sum and what rounding allows. */
struct element sum_element(const struct sum *sum);

/* A value of its own, off by at most so many units of `size`. */
struct element element_of(double value, double units, double size);

/* activate(element) */
struct element element_activate(struct element z, enum activation activation);

/* dz of element `at` of image n: dy through an activation, whose output is y. */
struct element element_slope(const struct tensor *y, const struct tensor *dy,
                             enum activation activation, int n, int64_t at);

/* kernels_cl/input.cl: (value + add - mean) scale */
struct element element_input(double value, double add, double mean, double scale);

/* ---- convolution: geometry as in reference.h; `at` counts C, H, W ---- */
struct element element_conv_forward(const struct reference_conv *conv, const struct tensor *x,
                                    const float *w, const float *b, int n, int64_t at);
struct element element_conv_data(const struct reference_conv *conv, const struct tensor *dz,
                                 const float *w, int n, int64_t at);
/* dw and db are added to `start`. */
struct element element_conv_filter(const struct reference_conv *conv, const struct tensor *dz,
                                   const struct tensor *x, double start, int64_t at);
struct element element_bias(const struct tensor *dz, double start, int channel);

/* ---- fully connected ---- */
struct element element_connected_forward(const struct tensor *x, const float *w, const float *b,
                                         int n, int64_t at);
struct element element_connected_data(const struct tensor *dz, const float *w, int inputs, int n,
                                      int64_t at);
struct element element_connected_weight(const struct tensor *dz, const struct tensor *x,
                                        double start, int64_t at);

/* ---- the others ---- */
struct element element_lrn_forward(const struct reference_lrn *lrn, const struct tensor *x, int n,
                                   int64_t at);
struct element element_lrn_backward(const struct reference_lrn *lrn, const struct tensor *x,
                                    const struct tensor *dy, int n, int64_t at);
struct element element_maxpool_forward(const struct reference_pool *pool, const struct tensor *x,
                                       int n, int64_t at);
struct element element_maxpool_backward(const struct reference_pool *pool, const struct tensor *x,
                                        const struct tensor *dy, int n, int64_t at);

/* One after the other. In doubt where of a window two are so nearly equal that either may be
 * chosen: the tolerance of backward allows both. */
struct element element_lrn_maxpool_forward(const struct reference_lrn *lrn,
                                           const struct reference_pool *pool,
                                           const struct tensor *x, int n, int64_t at);
struct element element_lrn_maxpool_backward(const struct reference_lrn *lrn,
                                            const struct reference_pool *pool,
                                            const struct tensor *x, const struct tensor *dy, int n,
                                            int64_t at);

struct element element_avgpool_forward(const struct reference_pool *pool, const struct tensor *x,
                                       int n, int64_t at);
struct element element_avgpool_backward(const struct reference_pool *pool, const struct tensor *dy,
                                        int n, int64_t at);

/* Of sample n: a probability, the loss, the rank; and the gradient of a score, by y. */
struct element element_softmax_forward(const struct tensor *x, double temperature, int n,
                                       int64_t at);
struct element element_softmax_loss(const struct tensor *x, double temperature, int label, int n);
struct element element_softmax_backward(const struct tensor *y, double temperature, double scale,
                                        int label, int n, int64_t at);
struct element element_rank(const struct tensor *x, int label, int n);

/* The truth is [outputs] of the sample. */
struct element element_cost_forward(const struct tensor *x, enum reference_cost kind, int n,
                                    int64_t at);
struct element element_cost_loss(const struct tensor *x, enum reference_cost kind,
                                 const float *truth, int n);
struct element element_cost_backward(const struct tensor *y, const float *truth, double scale,
                                     int n, int64_t at);

#endif
