/* Samples as the host has them become the first activation, [TILES][C][H][W][T]:
 * x = (value - mean) * scale, and 0 in the lanes of the padding, which are those from `count`.
 *
 *   C, H, W         of the network's input
 *   FH, FW          of the frame that a picture comes in
 *   EACH            channels that a work-item of input_bytes works on: a divisor of C
 *   MEAN_BY_PIXEL   1: mean is [C][FH][FW]; 0: [C]
 */
#ifndef C
#define C 1
#define H 2
#define W 2
#define FH 3
#define FW 3
#define EACH 1
#define MEAN_BY_PIXEL 0
#endif

/* As struct view in host/data/augment.h: the part of the frame that the network sees. */
struct view {
    int x, y, mirror, unused;
    float add[4];
};

/* Pictures: bytes [N][FH][FW][C]. A pixel's channels lie side by side in the frame, so one work-item
 * takes them all, where there are few. Global size: T, C / EACH * H * W, TILES. */
kernel void input_bytes(global const uchar *frames, global const struct view *views,
                        global const float *mean, global float *x, int count, float scale) {
    const int lane = get_global_id(0), e = get_global_id(1), t = get_global_id(2);
    const int n = t * T + lane, first = e / (H * W) * EACH, pixel = e % (H * W);
    global float *to = x + (((size_t)t * C + first) * (H * W) + pixel) * T + lane;
    if (n >= count) {
        for (int i = 0; i < EACH; i++)
            to[(size_t)i * (H * W * T)] = 0.0f;
        return;
    }
    global const struct view *view = views + n;
    const int column = view->mirror ? W - 1 - pixel % W : pixel % W;
    const int at = (view->y + pixel / W) * FW + view->x + column;
    global const uchar *from = frames + ((size_t)n * (FH * FW) + at) * C + first;
    for (int i = 0; i < EACH; i++) {
        const int c = first + i;
        const float add = c < 4 ? view->add[c] : 0.0f;
        const float less = MEAN_BY_PIXEL ? mean[(size_t)c * (FH * FW) + at] : mean[c];
        to[(size_t)i * (H * W * T)] = ((float)from[i] + add - less) * scale;
    }
}

/* Numbers: floats [N][C][H][W], and a mean by channel. Global size: T, C * H * W, TILES. */
kernel void input_floats(global const float *in, global const float *mean, global float *x, int count,
                         float scale) {
    const int lane = get_global_id(0), e = get_global_id(1), t = get_global_id(2);
    const int n = t * T + lane;
    const size_t at = ((size_t)t * (C * H * W) + e) * T + lane;
    x[at] = n < count ? (in[(size_t)n * (C * H * W) + e] - mean[e / (H * W)]) * scale : 0.0f;
}
