/* y += x, for gradients that come back from more than one layer. Global size: elements / TUNE_VECTOR. */
kernel void add(global const floatv *x, global floatv *y) {
    y[get_global_id(0)] += x[get_global_id(0)];
}
