/* The exchange of gradients on devices: a slice of a bucket becomes the sum over all COUNT replicas.
 *
 *   bucket   the gradients of number RANK, of which the slice begins `first` vectors from the start
 *   others   the same slice of all others, in their order, one after the other
 *
 * The sum is taken in the order of the replicas, each rounded on its own: to the bit what the host's
 * is (host/train/sum.h), but for denormal numbers where a device does not know them. Global size: the
 * slice's floats / TUNE_VECTOR. */
#ifndef COUNT
#define COUNT 2
#endif
#ifndef RANK
#define RANK 0
#endif

#pragma OPENCL FP_CONTRACT OFF

kernel void sum_slice(global const floatv *others, global floatv *bucket, uint first) {
    const size_t at = get_global_id(0), size = get_global_size(0);
    const floatv own = bucket[first + at];
    floatv sum = RANK == 0 ? own : others[at];
    for (int k = 1; k < COUNT; k++)
        sum += k == RANK ? own : others[(k < RANK ? k : k - 1) * size + at];
    bucket[first + at] = sum;
}
