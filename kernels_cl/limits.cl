/* What a device can do at most, for comparison: multiply-adds, and bytes.
 *
 *   TUNE_CHAINS   independent chains of multiply-adds in a work-item: enough to hide their latency
 *   ROUNDS        multiply-adds of each chain */
#ifndef TUNE_CHAINS
#define TUNE_CHAINS 12
#define ROUNDS 1024
#endif

/* 2 * TUNE_VECTOR * TUNE_CHAINS * ROUNDS operations a work-item. The factors come as arguments, so that
 * nothing can be computed beforehand; each lane of each work-item begins with a number of its own, so that none
 * can be computed for several; the sum is stored, so that nothing can be left out. */
WIDE_VECTORS kernel void limits_multiply_add(global floatv *out, float factor, float term) {
    floatv chain[TUNE_CHAINS];
    UNROLL for (int i = 0; i < TUNE_CHAINS; i++) chain[i] =
        CONVERT_FLOATV(LANES * TUNE_CHAINS + i) + (floatv)(float)get_global_id(0);
    const floatv a = (floatv)factor, b = (floatv)term;
    for (int round = 0; round < ROUNDS; round++) {
        UNROLL for (int i = 0; i < TUNE_CHAINS; i++) chain[i] = MAD(chain[i], a, b);
    }
    floatv sum = chain[0];
    UNROLL for (int i = 1; i < TUNE_CHAINS; i++) sum += chain[i];
    out[get_global_id(0)] = sum;
}

/* Reads and writes a float each. Global size: elements / TUNE_VECTOR. */
kernel void limits_copy(global const floatv *in, global floatv *out) {
    out[get_global_id(0)] = in[get_global_id(0)];
}
