#include "reference/reference.h"

#include <math.h>

/* linear z, logistic 1 / (1 + e^-z), tanh z, relu max(0, z), leaky z or 0.1 z below zero */
double reference_activate(enum activation activation, double z) {
    switch (activation) {
    case ACTIVATION_LOGISTIC:
        return 1 / (1 + exp(-z));
    case ACTIVATION_TANH:
        return tanh(z);
    case ACTIVATION_RELU:
        return z > 0 ? z : 0;
    case ACTIVATION_LEAKY:
        return z > 0 ? z : 0.1 * z;
    default:
        return z;
    }
}

/* logistic: y (1 - y), tanh: 1 - y^2, the others by the sign of y, which is that of z */
double reference_activation_slope(enum activation activation, double y) {
    switch (activation) {
    case ACTIVATION_LOGISTIC:
        return y * (1 - y);
    case ACTIVATION_TANH:
        return 1 - y * y;
    case ACTIVATION_RELU:
        return y > 0 ? 1 : 0;
    case ACTIVATION_LEAKY:
        return y > 0 ? 1 : 0.1;
    default:
        return 1;
    }
}

void reference_activation_backward(double *dz, const float *y, const float *dy, int64_t count,
                                   enum activation activation) {
    for (int64_t i = 0; i < count; i++)
        dz[i] = (double)dy[i] * reference_activation_slope(activation, (double)y[i]);
}

/* db_k = sum over n, h, w of dz_nkhw */
void reference_bias_backward(double *db, const double *dz, int n, struct shape shape) {
    int pixels = shape.h * shape.w;
    for (int i = 0; i < n * shape.c; i++) {
        for (int p = 0; p < pixels; p++)
            db[i % shape.c] += dz[(int64_t)i * pixels + p];
    }
}
