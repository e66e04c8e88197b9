/* A convolution, against plain C: by whichever of its kernels are wanted. */
#ifndef SUPPORT_CONV_CASE_H
#define SUPPORT_CONV_CASE_H

#include "ops/conv.h"
#include "support/layer_bench.h"

/* A layer's text is made from this, so that it and the reference cannot disagree. */
struct conv_case {
    struct shape in;
    int batch, tile; /* tile 0: as tiling_for_batch says */
    int filters, size, stride, padding, groups;
    enum activation activation;
};

/* Values of the knobs of a file's kernels, for a device whose vectors are so wide. */
struct register_tile {
    int vector;
    const char *result, *filter; /* of forward and backward data, and of backward weight */
};

void conv_case_text(char text[256], const struct conv_case *c);
struct layer_bench_options conv_case_options(const struct conv_case *c, enum technique technique);

/* Runs a pass on the bench's numbers, and checks what it writes. Backward needs forward's output.
 */
void conv_case_check_forward(struct layer_bench *bench, const struct conv_case *c);
void conv_case_check_backward(struct layer_bench *bench, const struct conv_case *c);

/* Checks all passes as they come out by a file's kernels, tuned to `result` (forward and backward
 * data) and `filter` (backward weight, unless NULL). With `vector` it is for a device whose vectors
 * are so wide: a CPU, unless that is 1; with 0 for the test device. */
void conv_case_check_way(const struct conv_case *c, enum technique technique, int vector,
                         const char *file, const char *result, const char *filter);

#endif
