/* Samples as the host has them become the first activation, [TILES][C][H][W][T]:
 * x = (value - mean) * scale, and 0 in the lanes of the padding, which are those from `count`.
 * Global size of both: T, C * H * W, TILES. */
#ifndef C
#define C 1
#define PIXELS 4
#endif

/* Pictures: bytes [N][H][W][C]. */
kernel void input_bytes(global const uchar *in, global float *x, int count, float mean,
                        float scale) {
    const int lane = get_global_id(0), e = get_global_id(1), t = get_global_id(2);
    const int n = t * T + lane, c = e / PIXELS, pixel = e % PIXELS;
    const size_t at = ((size_t)t * (C * PIXELS) + e) * T + lane;
    x[at] = n < count ? ((float)in[(size_t)n * (C * PIXELS) + pixel * C + c] - mean) * scale : 0.0f;
}

/* Numbers: floats [N][C][H][W]. */
kernel void input_floats(global const float *in, global float *x, int count, float mean,
                         float scale) {
    const int lane = get_global_id(0), e = get_global_id(1), t = get_global_id(2);
    const int n = t * T + lane;
    const size_t at = ((size_t)t * (C * PIXELS) + e) * T + lane;
    x[at] = n < count ? (in[(size_t)n * (C * PIXELS) + e] - mean) * scale : 0.0f;
}
