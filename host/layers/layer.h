/* The layer contract. A layer type is one constant table at the end of its file; registry.c lists
 * them. A layer is a description, and owns nothing.
 *
 * The life of a layer: the config fills its description from `options`; `infer` turns that and the
 * input shapes into a plan; a replica asks `kernels` for what to compile for its device, allocates
 * what the plan says, and calls `forward` and `backward`.
 */
#ifndef LAYERS_LAYER_H
#define LAYERS_LAYER_H

#include "base/options.h"
#include "base/shape.h"
#include "cl/kernel.h"
#include "cl/target.h"
#include "cl/tuning.h"
#include "layers/initialiser.h"
#include "reference/element.h"

enum {
    LAYER_INPUTS_MAX = 2,
    LAYER_PARAMETERS_MAX = 2,
    LAYER_KERNELS_MAX = 9,
    LAYER_CHOICES_MAX = 12,
    LAYER_DIMENSIONS_MAX = 4,
};

/* A parameter: its layout is that of the rest of the world, O, C/groups, R, S or out, in. */
struct parameter {
    const char *name; /* "weight", "bias" */
    int dimensions;
    int sizes[LAYER_DIMENSIONS_MAX];
    struct initialiser initialiser;
    double lr, decay; /* multipliers */
};

int64_t parameter_elements(const struct parameter *parameter);

/* What the truth of a loss layer may be. */
enum truth { TRUTH_LABELS, TRUTH_NUMBERS };

/* What follows from a description and the input shapes. */
struct layer_plan {
    struct shape output;
    struct parameter parameters[LAYER_PARAMETERS_MAX];
    int parameter_count;
    int64_t macs;      /* multiply-accumulates of an image, forward */
    size_t keep_bytes; /* kept from forward to backward, for each image of the padded batch */
    int backward_reads_input, backward_reads_output;
    int has_slope;   /* backward first turns dy into dz: dy through the activation */
    int is_loss;     /* it ends the net, and knows a truth */
    int labels_only; /* of a loss: numbers are no truth for it */
};

/* One layer of a net, as its functions see it. */
struct layer {
    const struct layer_type *type;
    const char *name;
    const void *description;
    struct shape inputs[LAYER_INPUTS_MAX];
    struct layer_plan plan;
};

/* What passes compute. */
enum layer_result {
    RESULT_OUTPUT,
    RESULT_SLOPE,          /* dz, of a layer that has_slope */
    RESULT_INPUT_GRADIENT, /* of input `which` */
    RESULT_GRADIENT,       /* of parameter `which`, added to what was there */
    RESULT_LOSS,
    RESULT_RANK,
};

/* What to compile for a target, by the layer type's own numbering; a spec without a file is not
 * needed. scratch_bytes are shared by all layers: nothing in them lasts beyond one call. The
 * choices are the ways to compute the passes that leave something open, and how they were tuned. */
struct layer_kernels {
    struct kernel_spec specs[LAYER_KERNELS_MAX];
    size_t scratch_bytes;
    struct choice choices[LAYER_CHOICES_MAX];
    int choice_count;
};

/* The slack that a pass of these kernels has (struct kernel_spec). */
double layer_slack(const struct layer_kernels *kernels, const char *pass);

/* The other devices, where they have parts of the same layers (layers/part.h). Each function is
 * called on all devices in the same order, works on what is enqueued by then, and what is enqueued
 * after it finds the result. */
struct layer_others {
    void *context;
    /* The first floats of the buffer become the sum over all devices, the same bits on each. */
    int (*sum)(void *context, struct buffer *buffer, size_t floats);
    /* The buffer is [tiles][rows][tile]; each device has written its rows, and gets the others'. */
    int (*gather)(void *context, struct buffer *buffer, int tiles, int rows, int tile);
};

/* Everything that one call of forward or backward works on. Activations are written (=); gradients
 * of parameters are accumulated (+=), so that a batch may be split into micro-batches. */
struct layer_run {
    const struct layer *layer;
    const struct target *target;
    struct device *device;
    struct kernel **kernels; /* by the numbering of layer_kernels; NULL where not needed */

    struct buffer *x[LAYER_INPUTS_MAX], *dx[LAYER_INPUTS_MAX]; /* dx NULL: nobody needs it */
    struct buffer *y;
    struct buffer *dy; /* backward may destroy it */
    struct buffer *parameters[LAYER_PARAMETERS_MAX], *gradients[LAYER_PARAMETERS_MAX];
    struct buffer *keep, *scratch;
    const struct layer_others *others; /* for the layers of layers/part.h */

    int is_training;
    uint32_t seed, iteration;
    uint32_t index;        /* of the layer in the net */
    uint32_t first_sample; /* of the micro-batch in the global batch */
    int count;             /* samples of the micro-batch; the rest is padding */

    /* Of a loss: per sample of the padded micro-batch. */
    enum truth truth_kind;
    struct buffer *truth;  /* int labels, or floats [N][K] */
    struct buffer *losses; /* float */
    struct buffer *ranks;  /* int: how many outputs score higher than the label's */
    float gradient_scale;  /* 1 / samples of the global batch */
};

/* The same on the host, for the doctor: what a pass worked on, activations tiled as on the device.
 */
struct layer_values {
    const struct layer *layer;
    struct tensor x[LAYER_INPUTS_MAX];
    struct tensor y; /* as the device computed it */
    struct tensor dy;
    struct tensor dz; /* what a layer that has_slope made of it; else dy */
    const float *parameters[LAYER_PARAMETERS_MAX];
    const float *gradients[LAYER_PARAMETERS_MAX]; /* before the pass */
    const int32_t *labels;                        /* per sample, for TRUTH_LABELS */
    const float *truth;                           /* [N][K]: the numbers, or 1 for the label */
    uint32_t seed, iteration, index, first_sample;
    double gradient_scale;
};

/* An element of one: (n, at) of an activation, `at` of a parameter, n of a loss or a rank. */
struct result_index {
    enum layer_result result;
    int which, n;
    int64_t at;
};

struct layer_type {
    const char *name;           /* of its section in a config */
    const char *const *aliases; /* other names, NULL-terminated, or NULL */
    const char *help;
    int input_count; /* outputs of other layers that it takes: 1, or 2 with `from` */
    size_t description_size;
    const struct option *options;

    /* Fills layer->plan from the description and the input shapes. Pure: no device. What does not
     * fit is ERROR_INPUT, with a message "key: what is wrong". */
    int (*infer)(struct layer *layer);

    /* Fills the specifications, and says of each which pass it serves (kernel_work): the kernels of
     * a pass are those that a doctor tells apart from the others, and replaces. `needs_dx` is 0
     * where no one needs the gradient of the input. */
    void (*kernels)(const struct layer *layer, const struct target *target, int needs_dx,
                    enum truth truth_kind, struct layer_kernels *out);

    /* Enqueue. */
    int (*forward)(const struct layer_run *run);
    int (*backward)(const struct layer_run *run);

    /* What an element of a result should be, after forward and backward passes in training. */
    struct element (*reference)(const struct layer_values *values, struct result_index index);
};

/* All layer types, NULL-terminated. */
extern const struct layer_type *const layer_types[];

/* The type whose name or alias this is, or NULL. */
const struct layer_type *layer_type_find(const char *name);

/* The output of a window that slides over the input, each channel by itself; padding is a total, of
 * which half, rounded down, lies before the first pixel. ERROR_INPUT for what does not fit. */
int layer_infer_pool(struct layer *layer, int size, int stride, int padding);

/* Bytes that an activation of the whole micro-batch takes. */
double layer_bytes(const struct target *target, struct shape shape);

/* Shared by implementations: macros that describe the tiling, and a launch geometry that covers an
 * activation: TILE_VECTORS * w, h, tiles * c. */
void layer_define_tiling(struct kernel_spec *spec, const struct target *target);
struct kernel_spec layer_elementwise_spec(const char *file, const char *function,
                                          const struct target *target, struct shape shape);

#endif
