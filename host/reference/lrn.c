#include "reference/reference.h"

#include <math.h>

/* An element of picture n at one pixel, by its channel. */
static int64_t at(const struct reference_lrn *lrn, int n, int channel, int pixel) {
    return ((int64_t)n * lrn->shape.c + channel) * lrn->shape.h * lrn->shape.w + pixel;
}

static int in_window(const struct reference_lrn *lrn, int i, int j) {
    return i - j <= lrn->size / 2 && j - i <= lrn->size / 2;
}

/* scale_i = k + alpha * sum of x_j^2 over |i - j| <= size / 2 */
static double scale_of(const float *x, const struct reference_lrn *lrn, int n, int i, int pixel) {
    double sum = 0;
    for (int j = 0; j < lrn->shape.c; j++) {
        double value = (double)x[at(lrn, n, j, pixel)];
        if (in_window(lrn, i, j))
            sum += value * value;
    }
    return lrn->k + lrn->alpha * sum;
}

/* y_i = x_i / scale_i^beta */
void reference_lrn_forward(double *y, const float *x, const struct reference_lrn *lrn) {
    for (int n = 0; n < lrn->n; n++) {
        for (int i = 0; i < lrn->shape.c; i++) {
            for (int p = 0; p < lrn->shape.h * lrn->shape.w; p++)
                y[at(lrn, n, i, p)] =
                    (double)x[at(lrn, n, i, p)] * pow(scale_of(x, lrn, n, i, p), -lrn->beta);
        }
    }
}

/* dx_i = sum over j of dy_j dy_j/dx_i, where
 * dy_j/dx_i = [i = j] scale_j^-beta - beta x_j scale_j^(-beta - 1) 2 alpha x_i [i in j's window] */
static double gradient(const float *x, const float *dy, const struct reference_lrn *lrn, int n,
                       int i, int p) {
    double sum = 0;
    for (int j = 0; j < lrn->shape.c; j++) {
        double scale = scale_of(x, lrn, n, j, p);
        double slope = i == j ? pow(scale, -lrn->beta) : 0;
        if (in_window(lrn, i, j))
            slope -= lrn->beta * (double)x[at(lrn, n, j, p)] * pow(scale, -lrn->beta - 1) * 2 *
                     lrn->alpha * (double)x[at(lrn, n, i, p)];
        sum += (double)dy[at(lrn, n, j, p)] * slope;
    }
    return sum;
}

void reference_lrn_backward(double *dx, const float *x, const float *dy,
                            const struct reference_lrn *lrn) {
    for (int n = 0; n < lrn->n; n++) {
        for (int i = 0; i < lrn->shape.c; i++) {
            for (int p = 0; p < lrn->shape.h * lrn->shape.w; p++)
                dx[at(lrn, n, i, p)] = gradient(x, dy, lrn, n, i, p);
        }
    }
}
