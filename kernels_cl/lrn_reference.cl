/* Local response normalisation across channels, plainly, by Krizhevsky et al., "ImageNet
 * classification with deep convolutional neural networks" (2012), section 3.3:
 *
 *   y_i = x_i / scale_i^BETA,   scale_i = KAPPA + ALPHA * sum of x_j^2 over |j - i| <= SIZE / 2
 *
 * (ALPHA is not divided by SIZE.) Its exact gradient:
 *
 *   dx_i = dy_i / scale_i^BETA - 2 ALPHA BETA x_i * sum of dy_j y_j / scale_j over |j - i| <= SIZE / 2
 *
 * All tensors are [TILES][C][PIXELS][T]. Backward takes the scales again from x: to keep them would
 * cost as much memory as the layer's output. Global size of both: T * PIXELS, C, TILES. */
#ifndef C
#define C 8
#define PIXELS 4
#define SIZE 5
#define KAPPA 2.0f
#define ALPHA 1e-4f
#define BETA 0.75f
#endif

/* Of channel i, of the pixel and image at which x points. */
float scale_of(global const float *x, int i);
float scale_of(global const float *x, int i) {
    float sum = 0.0f;
    for (int j = max(0, i - SIZE / 2); j <= min(C - 1, i + SIZE / 2); j++) {
        const float value = x[(size_t)j * (PIXELS * T)];
        sum += value * value;
    }
    return KAPPA + ALPHA * sum;
}

kernel void lrn_forward(global const float *x, global float *y) {
    const int i = get_global_id(1);
    const size_t first = (size_t)get_global_id(2) * C * (PIXELS * T) + get_global_id(0);
    const size_t at = first + i * (PIXELS * T);
    y[at] = x[at] * pow(scale_of(x + first, i), -BETA);
}

kernel void lrn_backward(global const float *x, global const float *dy, global float *dx) {
    const int i = get_global_id(1);
    const size_t first = (size_t)get_global_id(2) * C * (PIXELS * T) + get_global_id(0);
    float sum = 0.0f;
    for (int j = max(0, i - SIZE / 2); j <= min(C - 1, i + SIZE / 2); j++) {
        const size_t at = first + j * (PIXELS * T);
        const float scale = scale_of(x + first, j);
        sum += dy[at] * x[at] * pow(scale, -BETA) / scale;
    }
    const size_t at = first + i * (PIXELS * T);
    dx[at] = dy[at] * pow(scale_of(x + first, i), -BETA) - 2.0f * ALPHA * BETA * x[at] * sum;
}
