/* What each operation is, in plain C and double precision, on [N][C][H][W] arrays: to be read, not
 * to be fast. Inputs are floats, which doubles hold exactly. Outputs are written, but gradients of
 * parameters are added to, as in the layer contract.
 *
 * Backward functions take the output as the device computed it where they need it: so a value that
 * rounds to the other side of a kink is no difference between the two.
 */
#ifndef REFERENCE_REFERENCE_H
#define REFERENCE_REFERENCE_H

#include "base/shape.h"
#include "ops/bias_activation.h"

/* y = activate(z), and dy/dz told from y. */
double reference_activate(enum activation activation, double z);
double reference_activation_slope(enum activation activation, double y);

/* dz = dy * activation'(y) */
void reference_activation_backward(double *dz, const float *y, const float *dy, int64_t count,
                                   enum activation activation);

/* A convolution of n pictures; in.c and out.c count the channels of all groups. */
struct reference_conv {
    int n;
    struct shape in, out;
    int size, stride, padding, groups;
};

/* z = w * x + b, before the activation. w is [out.c][in.c / groups][size][size]. */
void reference_conv_forward(double *z, const float *x, const float *w, const float *b,
                            const struct reference_conv *conv);
void reference_conv_backward_data(double *dx, const double *dz, const float *w,
                                  const struct reference_conv *conv);
void reference_conv_backward_filter(double *dw, const double *dz, const float *x,
                                    const struct reference_conv *conv);

/* db += sum of dz over pictures and pixels. */
void reference_bias_backward(double *db, const double *dz, int n, struct shape shape);

/* z = W x + b for n vectors x; W is [outputs][inputs]. */
void reference_connected_forward(double *z, const float *x, const float *w, const float *b, int n,
                                 int inputs, int outputs);
void reference_connected_backward_data(double *dx, const double *dz, const float *w, int n,
                                       int inputs, int outputs);
void reference_connected_backward_weight(double *dw, const double *dz, const float *x, int n,
                                         int inputs, int outputs);

/* C = op(A) op(B): op(A) is m x k, op(B) is k x n. */
void reference_gemm(double *c, const float *a, const float *b, int m, int n, int k, int transpose_a,
                    int transpose_b);

struct reference_lrn {
    int n;
    struct shape shape;
    int size;
    double k, alpha, beta;
};

void reference_lrn_forward(double *y, const float *x, const struct reference_lrn *lrn);
void reference_lrn_backward(double *dx, const float *x, const float *dy,
                            const struct reference_lrn *lrn);

/* Pooling; the window of output o begins at o * stride - before. */
struct reference_pool {
    int n;
    struct shape in, out;
    int size_h, size_w, stride, before;
};

/* taps holds the element of the picture that was the greatest, the first of equals. */
void reference_maxpool_forward(double *y, int *taps, const float *x,
                               const struct reference_pool *pool);
void reference_maxpool_backward(double *dx, const float *dy, const int *taps,
                                const struct reference_pool *pool);

/* The mean is over those elements of the window that lie in the picture. */
void reference_avgpool_forward(double *y, const float *x, const struct reference_pool *pool);
void reference_avgpool_backward(double *dx, const float *dy, const struct reference_pool *pool);

/* n samples of `classes` scores. A rank is how many classes score higher than the label's, or as
 * high and come before it. */
void reference_softmax_forward(double *y, double *losses, int *ranks, const float *x,
                               const int32_t *labels, int n, int classes, double temperature);
void reference_softmax_backward(double *dx, const float *y, const int32_t *labels, int n,
                                int classes, double temperature, double scale);

int reference_rank(const float *scores, int label, int classes);

/* truth is [n][outputs]. */
enum reference_cost { REFERENCE_SSE, REFERENCE_LOGISTIC };
void reference_cost_forward(double *y, double *losses, const float *x, const float *truth, int n,
                            int outputs, enum reference_cost kind);
void reference_cost_backward(double *dx, const float *y, const float *truth, int n, int outputs,
                             double scale);

/* One parameter's step by kernels_cl/solver.cl, to the bit; `own` are its multipliers. */
struct reference_update {
    float rate, momentum, decay, own_rate, own_decay;
};
void reference_update(float *w, float *v, float dw, const struct reference_update *update);

#endif
