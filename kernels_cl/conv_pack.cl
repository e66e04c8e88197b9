/* Repacks the filters of a convolution for kernels that hold a block of result channels in registers, so
 * that the weights of a tap for all of them lie side by side:
 *
 *   packed [GROUPS][blocks][source channels][R][S][TUNE_BLOCK], the rest of the last block zero
 *
 * Filters lie as in conv_reference.cl. */
#ifndef C
#define GROUPS 1
#define C 3
#define K 4
#define R 3
#define S 3
#endif
#ifndef TUNE_BLOCK
#define TUNE_BLOCK 6
#endif

#define BLOCKS(n) (((n) + TUNE_BLOCK - 1) / TUNE_BLOCK)

/* For results of forward: filters. Global size: TUNE_BLOCK, R * S * C, GROUPS * BLOCKS(K). */
kernel void conv_pack_forward(global const float *w, global float *packed) {
    const int j = get_global_id(0), crs = get_global_id(1);
    const int block = get_global_id(2) % BLOCKS(K), g = get_global_id(2) / BLOCKS(K);
    const int k = block * TUNE_BLOCK + j;
    packed[((g * BLOCKS(K) + block) * (C * R * S) + crs) * TUNE_BLOCK + j] =
        k < K ? w[(g * K + k) * (C * R * S) + crs] : 0.0f;
}

/* For those of backward data: channels. Global size: TUNE_BLOCK, R * S * K, GROUPS * BLOCKS(C). */
kernel void conv_pack_backward(global const float *w, global float *packed) {
    const int j = get_global_id(0), krs = get_global_id(1);
    const int block = get_global_id(2) % BLOCKS(C), g = get_global_id(2) / BLOCKS(C);
    const int c = block * TUNE_BLOCK + j, k = krs / (R * S), rs = krs % (R * S);
    packed[((g * BLOCKS(C) + block) * (K * R * S) + krs) * TUNE_BLOCK + j] =
        c < C ? w[((g * K + k) * C + c) * (R * S) + rs] : 0.0f;
}
