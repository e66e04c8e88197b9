/* The sum of two activations of one shape. With TUNE_VECTOR 1 this is the reference.
 * Global size of both: TILE_VECTORS * W, H, TILES * C, which together count the vectors. */
#define AT                                                                                         \
    ((get_global_id(2) * get_global_size(1) + get_global_id(1)) * get_global_size(0) +             \
     get_global_id(0))

/* y = activate(a + b) */
kernel void shortcut_forward(global const floatv *a, global const floatv *b, global floatv *y) {
    const floatv sum = a[AT] + b[AT];
    y[AT] = ACTIVATE(sum);
}

/* dx = dy * activation'(y), which is the gradient of either. */
kernel void shortcut_backward(global const floatv *y, global const floatv *dy, global floatv *dx) {
    dx[AT] = dy[AT] * ACTIVATION_DERIVATIVE(y[AT]);
}
