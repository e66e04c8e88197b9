/* A layer of a net by itself on a device, at its exact shapes, with random data: for the doctor,
 * who asks whether its kernels are right, and for the tuner, who asks which are fast.
 */
#ifndef TRAIN_PATIENT_H
#define TRAIN_PATIENT_H

#include "base/rng.h"
#include "layers/layer.h"

/* An array on the host and its buffer; a buffer of its own for each. */
struct array {
    float *values;
    struct buffer *buffer;
    int64_t count;
};

/* One layer on the device. */
struct patient {
    struct device *device;
    const struct layer *layer;
    struct target target;
    struct layer_kernels specs;
    struct kernel *kernels[LAYER_KERNELS_MAX];
    int unbuilt; /* the kernel that could not be built, or -1 */
    int is_open; /* all is built and allocated */
    struct array x[LAYER_INPUTS_MAX], dx[LAYER_INPUTS_MAX], y, dy;
    struct array parameters[LAYER_PARAMETERS_MAX], gradients[LAYER_PARAMETERS_MAX];
    struct array truth, losses, ranks;
    float *starts[LAYER_PARAMETERS_MAX]; /* gradients before the pass */
    float *start_dy;                     /* dy before the pass */
    struct buffer *keep, *scratch;
    struct layer_run run;
    struct layer_values values;
    struct rng rng;
    void (*disturb)(void *context, enum layer_result result, float *values, int64_t count);
    void *context;
};

struct patient_options {
    uint32_t index; /* of the layer in its net */
    enum truth truth_kind;
    int needs_dx;
    /* For tests, a device that is wrong: may change what was read back of a result. */
    void (*disturb)(void *context, enum layer_result result, float *values, int64_t count);
    void *context;
};

/* Compiles the kernels and makes all that they work on; results hold NaN. Close with patient_close,
 * also on failure. */
int patient_open(struct patient *patient, struct device *device, const struct layer *layer,
                 const struct target *target, const struct layer_kernels *kernels,
                 const struct patient_options *options);
void patient_close(struct patient *patient);

/* For another backward pass: the gradients that it reads, and those that it adds to, are as at
 * first, and those that it writes hold NaN. */
int patient_reset(struct patient *patient);

/* What came of a result. */
struct comparison {
    int64_t compared;    /* elements */
    int64_t not_written; /* elements of all that are not finite */
    double worst;        /* the largest |error| / tolerance of those compared */
};

/* Compares a sample of the elements of a result with what they should be, for kernels with some
 * slack (layer_slack). */
int patient_compare(struct comparison *out, struct patient *patient, struct array *array,
                    struct shape shape, struct result_index kind, double slack);

#endif
