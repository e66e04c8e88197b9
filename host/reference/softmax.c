#include "reference/reference.h"

#include <math.h>

int reference_rank(const float *scores, int label, int classes) {
    int rank = 0;
    for (int k = 0; k < classes; k++)
        rank += scores[k] > scores[label] || (scores[k] == scores[label] && k < label);
    return rank;
}

/* y_k = e^(x_k / temperature) / sum over j of e^(x_j / temperature), loss = -log y_label; e^most is
 * taken out of both, so that nothing overflows. */
void reference_softmax_forward(double *y, double *losses, int *ranks, const float *x,
                               const int32_t *labels, int n, int classes, double temperature) {
    for (int s = 0; s < n; s++, x += classes, y += classes) {
        double most = (double)x[0], sum = 0;
        for (int k = 1; k < classes; k++)
            most = fmax(most, (double)x[k]);
        for (int k = 0; k < classes; k++)
            sum += exp(((double)x[k] - most) / temperature);
        for (int k = 0; k < classes; k++)
            y[k] = exp(((double)x[k] - most) / temperature) / sum;
        losses[s] = log(sum) - ((double)x[labels[s]] - most) / temperature;
        ranks[s] = reference_rank(x, labels[s], classes);
    }
}

/* dx_k = scale (y_k - [k is the label]) / temperature */
void reference_softmax_backward(double *dx, const float *y, const int32_t *labels, int n,
                                int classes, double temperature, double scale) {
    for (int i = 0; i < n * classes; i++)
        dx[i] = scale * ((double)y[i] - (labels[i / classes] == i % classes ? 1 : 0)) / temperature;
}
