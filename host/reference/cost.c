#include "reference/reference.h"

#include <math.h>

/* -t log p - (1 - t) log(1 - p) for p = 1 / (1 + e^-x):
 * log p = -log(1 + e^-x) and log(1 - p) = -x - log(1 + e^-x), so it is (1 - t) x + log(1 + e^-x).
 */
static double cross_entropy(double x, double t) {
    return x > 0 ? (1 - t) * x + log1p(exp(-x)) : -t * x + log1p(exp(x));
}

void reference_cost_forward(double *y, double *losses, const float *x, const float *truth, int n,
                            int outputs, enum reference_cost kind) {
    for (int s = 0; s < n; s++) {
        losses[s] = 0;
        for (int k = 0; k < outputs; k++) {
            int i = s * outputs + k;
            double value = (double)x[i], t = (double)truth[i];
            y[i] = kind == REFERENCE_SSE ? value : 1 / (1 + exp(-value));
            losses[s] +=
                kind == REFERENCE_SSE ? (value - t) * (value - t) / 2 : cross_entropy(value, t);
        }
    }
}

/* dx = scale (y - t), of both kinds */
void reference_cost_backward(double *dx, const float *y, const float *truth, int n, int outputs,
                             double scale) {
    for (int i = 0; i < n * outputs; i++)
        dx[i] = scale * ((double)y[i] - (double)truth[i]);
}
