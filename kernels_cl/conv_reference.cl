/* Convolution, plainly: one work-item for one element of the result. Right everywhere, fast nowhere;
 * what the other kernels are checked against on a device.
 *
 *   x  [tiles][GROUPS*C][H][W][T]        y  [tiles][GROUPS*K][OUT_H][OUT_W][T]
 *   w  [GROUPS*K][C][R][S]               b  [GROUPS*K]
 *
 * C channels and K filters are those of one group. dy is the gradient before the activation.
 * Launch geometry: see each kernel. */
#ifndef C
#define GROUPS 1
#define C 3
#define H 8
#define W 8
#define K 4
#define R 3
#define S 3
#define STRIDE 1
#define PADDING 1
#define OUT_H 8
#define OUT_W 8
#define TILES 1
#endif

#define X(t, c, h, w) (((((size_t)(t) * (GROUPS * C) + (c)) * H + (h)) * W + (w)) * T)
#define Y(t, k, h, w) (((((size_t)(t) * (GROUPS * K) + (k)) * OUT_H + (h)) * OUT_W + (w)) * T)
#define WEIGHT(k, c, r, s) ((((k) * C + (c)) * R + (r)) * S + (s))

/* y = activate(w * x + b). Global size: T * OUT_W, OUT_H, TILES * GROUPS * K. */
kernel void conv_forward(global const float *x, global const float *w, global const float *b,
                         global float *y) {
    const int lane = get_global_id(0) % T, ox = get_global_id(0) / T;
    const int oy = get_global_id(1);
    const int k = get_global_id(2) % (GROUPS * K), t = get_global_id(2) / (GROUPS * K);
    const int first = k / K * C;
    float sum = b[k];
    for (int c = 0; c < C; c++) {
        for (int r = 0; r < R; r++) {
            for (int s = 0; s < S; s++) {
                const int iy = oy * STRIDE - PADDING + r, ix = ox * STRIDE - PADDING + s;
                if (iy >= 0 && iy < H && ix >= 0 && ix < W)
                    sum += w[WEIGHT(k, c, r, s)] * x[X(t, first + c, iy, ix) + lane];
            }
        }
    }
    y[Y(t, k, oy, ox) + lane] = ACTIVATE(sum);
}

/* dx = w' * dy. Global size: T * W, H, TILES * GROUPS * C. */
kernel void conv_backward_data(global const float *dy, global const float *w, global float *dx) {
    const int lane = get_global_id(0) % T, ix = get_global_id(0) / T;
    const int iy = get_global_id(1);
    const int c = get_global_id(2) % (GROUPS * C), t = get_global_id(2) / (GROUPS * C);
    const int first = c / C * K;
    float sum = 0.0f;
    for (int k = first; k < first + K; k++) {
        for (int r = 0; r < R; r++) {
            for (int s = 0; s < S; s++) {
                const int py = iy + PADDING - r, px = ix + PADDING - s;
                if (py >= 0 && px >= 0 && py % STRIDE == 0 && px % STRIDE == 0 &&
                    py / STRIDE < OUT_H && px / STRIDE < OUT_W)
                    sum += w[WEIGHT(k, c % C, r, s)] *
                           dy[Y(t, k, py / STRIDE, px / STRIDE) + lane];
            }
        }
    }
    dx[X(t, c, iy, ix) + lane] = sum;
}

/* dw += dy * x. Global size: R * S, C, GROUPS * K. The sum is taken by rows first, so that rounding
 * grows with the root of the number of rows and not of pixels. */
kernel void conv_backward_filter(global const float *dy, global const float *x, global float *dw) {
    const int s = get_global_id(0) % S, r = get_global_id(0) / S;
    const int c = get_global_id(1), k = get_global_id(2);
    const int first = k / K * C;
    float sum = 0.0f;
    for (int t = 0; t < TILES; t++) {
        for (int oy = 0; oy < OUT_H; oy++) {
            const int iy = oy * STRIDE - PADDING + r;
            if (iy < 0 || iy >= H)
                continue;
            float row = 0.0f;
            for (int ox = 0; ox < OUT_W; ox++) {
                const int ix = ox * STRIDE - PADDING + s;
                if (ix < 0 || ix >= W)
                    continue;
                for (int lane = 0; lane < T; lane++)
                    row += dy[Y(t, k, oy, ox) + lane] * x[X(t, first + c, iy, ix) + lane];
            }
            sum += row;
        }
    }
    dw[WEIGHT(k, c, r, s)] += sum;
}
