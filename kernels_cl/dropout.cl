/* Dropout, inverted: what is kept is multiplied by 1 / (1 - p) in training, so that nothing needs
 * doing when testing.
 *
 * The mask is a function of the seed, the iteration, the layer, the sample's place in the global batch
 * and the element, by Philox with the counter (element / 4, sample, iteration, layer); so it is not
 * stored, and does not depend on how a batch is divided. Forward and backward are the same kernel.
 * With TUNE_VECTOR 1 this is the reference.
 *
 *   in, out  [TILES][ELEMENTS][T]
 *   DROP     an element is dropped where its random word is below this
 *   SCALE    1 / (1 - p)
 *   STREAM   enum rng_stream of host/base/rng.h */
#ifndef ELEMENTS
#define ELEMENTS 8
#define DROP 2147483648
#define SCALE 2.0f
#define STREAM 3
#endif

/* Global size: TILE_VECTORS, ceil(ELEMENTS / 4), TILES. */
kernel void dropout(global const floatv *in, global floatv *out, uint seed, uint iteration,
                    uint layer, uint first_sample) {
    const int v = get_global_id(0), group = get_global_id(1), t = get_global_id(2);
    const intv sample = (intv)(t * T + v * TUNE_VECTOR) + LANES;
    uintv words[4];
    words[0] = (uintv)group;
    words[1] = VECTOR(as_uint)(sample) + first_sample;
    words[2] = (uintv)iteration;
    words[3] = (uintv)layer;
    philox(words, seed, STREAM);
    for (int e = 0; e < 4 && group * 4 + e < ELEMENTS; e++) {
        const size_t at = ((size_t)t * ELEMENTS + group * 4 + e) * TILE_VECTORS + v;
        out[at] = SELECT(words[e] < (uintv)(uint)DROP, (floatv)0.0f, in[at] * SCALE);
    }
}
