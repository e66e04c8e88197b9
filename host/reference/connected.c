#include "reference/reference.h"

/* z_o = b_o + sum over i of W_oi x_i */
void reference_connected_forward(double *z, const float *x, const float *w, const float *b, int n,
                                 int inputs, int outputs) {
    for (int s = 0; s < n; s++) {
        for (int o = 0; o < outputs; o++) {
            double sum = (double)b[o];
            for (int i = 0; i < inputs; i++)
                sum += (double)w[o * inputs + i] * (double)x[s * inputs + i];
            z[s * outputs + o] = sum;
        }
    }
}

/* dx_i = sum over o of W_oi dz_o */
void reference_connected_backward_data(double *dx, const double *dz, const float *w, int n,
                                       int inputs, int outputs) {
    for (int s = 0; s < n; s++) {
        for (int i = 0; i < inputs; i++) {
            double sum = 0;
            for (int o = 0; o < outputs; o++)
                sum += (double)w[o * inputs + i] * dz[s * outputs + o];
            dx[s * inputs + i] = sum;
        }
    }
}

/* dW_oi = sum over the samples of dz_o x_i */
void reference_connected_backward_weight(double *dw, const double *dz, const float *x, int n,
                                         int inputs, int outputs) {
    for (int s = 0; s < n; s++) {
        for (int o = 0; o < outputs; o++) {
            for (int i = 0; i < inputs; i++)
                dw[o * inputs + i] += dz[s * outputs + o] * (double)x[s * inputs + i];
        }
    }
}
