/* Whether a device computes what it should: each layer of a net as it runs there (net/net_fusion.h)
 * by itself, and what belongs to no layer, at its exact shapes, with random inputs, against plain C
 * in double precision. Of each result a sample of elements is compared, by the definition over all
 * that it sums (reference/element.h says what rounding may do); that all others were written, with
 * finite numbers, is checked too.
 */
#ifndef TRAIN_DOCTOR_H
#define TRAIN_DOCTOR_H

#include "net/net.h"

/* What was found of one result of one layer, or of the net; it lasts while it is told. */
struct finding {
    const struct layer *layer; /* NULL: of the net as a whole */
    const char *result;        /* "forward", "backward data", "backward weight", "loss", ... */
    char kernels[256];         /* the functions that computed it */
    int64_t compared;          /* elements */
    int64_t not_written;       /* elements of all that are not finite */
    double worst;              /* the largest |error| / tolerance of those compared */
    const char *message;       /* why it could not run at all, or NULL */
    int passed;
};

struct doctor_options {
    enum technique technique;
    void (*found)(void *context, const struct finding *finding);
    /* For tests, a device that is wrong: may change what was read back of a result. */
    void (*disturb)(void *context, enum layer_result result, float *values, int64_t count);
    void *context;
};

/* Examines every layer. A kernel that cannot be built or run is a finding. Returns how many
 * findings did not pass, or an error when there is no memory to look. */
int doctor_examine(const struct net *net, struct device *device,
                   const struct doctor_options *options);

#endif
