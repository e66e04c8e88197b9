/* One layer on the test device: from a config's text through its option table, infer and kernels,
 * as a replica does it, but with every way to go wrong made visible.
 *
 *  - Every buffer is guarded, and checked after each pass.
 *  - Whatever a pass shall write holds NaN before, and so does what its plan says it does not read.
 *  - The lanes of the padding hold `padding` in the inputs, as a layer before leaves some number
 *    there; the gradients that come back to them must be zero.
 */
#ifndef SUPPORT_LAYER_BENCH_H
#define SUPPORT_LAYER_BENCH_H

#include "config/config.h"
#include "layers/layer.h"
#include "support/guarded.h"

struct layer_bench_options {
    struct shape input; /* of each input */
    int batch;
    int tile; /* T; 0: as tiling_for_batch says */
    enum technique technique;
    enum truth truth_kind;
    int no_dx;                        /* nobody needs the gradient of the input */
    const struct device_info *device; /* to specialise for; NULL: the test device */
};

struct layer_bench {
    struct layer layer;
    struct target target;
    struct layer_kernels kernels;

    /* Written by a test before a pass; random after opening. All are [batch][C][H][W]. */
    float *x[LAYER_INPUTS_MAX];
    float *parameters[LAYER_PARAMETERS_MAX];
    float *dy;
    int32_t *labels; /* of a loss: for TRUTH_LABELS, else ... */
    float *numbers;  /* [batch][outputs] */
    float padding;   /* what the padding's lanes of the inputs hold */

    /* Written by the passes. The gradients of parameters are added to what is there. */
    float *y, *losses;
    int32_t *ranks;
    float *dx[LAYER_INPUTS_MAX];
    float *gradients[LAYER_PARAMETERS_MAX];

    /* Seed, iteration, count and so on may be changed before a pass. */
    struct layer_run run;

    /* Private. */
    struct layer_bench_options options;
    char *text;
    struct config *config;
    void *description;
    struct kernel *compiled[LAYER_KERNELS_MAX];
    struct guarded in[LAYER_INPUTS_MAX], in_gradients[LAYER_INPUTS_MAX], out, out_gradient;
    struct guarded weights[LAYER_PARAMETERS_MAX], weight_gradients[LAYER_PARAMETERS_MAX];
    struct guarded keep, scratch, truth, loss, rank;
};

/* Reads the layer, the text's only section, and infers its plan; returns what infer does. A bench
 * may be closed after any of these. */
int layer_bench_infer(struct layer_bench *bench, const char *text,
                      const struct layer_bench_options *options);

/* Plans the kernels, which a test may then change; compiles and allocates. */
void layer_bench_plan_kernels(struct layer_bench *bench);
void layer_bench_build(struct layer_bench *bench);

/* All three, and fails the test when anything fails. */
void layer_bench_open(struct layer_bench *bench, const char *text,
                      const struct layer_bench_options *options);

/* The same for a layer that no config knows, of this description, which is copied. */
void layer_bench_open_as(struct layer_bench *bench, const struct layer_type *type,
                         const void *description, const struct layer_bench_options *options);

void layer_bench_close(struct layer_bench *bench);

/* The passes. Backward follows a forward pass. */
void layer_bench_forward(struct layer_bench *bench);
void layer_bench_backward(struct layer_bench *bench);

/* Elements of all samples of an input, of the output, and of a parameter. */
int64_t layer_bench_inputs(const struct layer_bench *bench);
int64_t layer_bench_outputs(const struct layer_bench *bench);
int64_t layer_bench_parameters(const struct layer_bench *bench, int index);

/* The gradient of a parameter as it is, in doubles for a reference to add to; the caller frees. */
double *layer_bench_gradient(const struct layer_bench *bench, int index);

/* check_close, with the layer's text and target in the message. */
void layer_bench_check(const struct layer_bench *bench, const char *what, const float *got,
                       const double *want, int64_t count, double tolerance);

#endif
