/* Where each parameter lies in a net's flat buffers. Host only, so that memory can be told without
 * a device.
 */
#ifndef NET_PARAMETER_LAYOUT_H
#define NET_PARAMETER_LAYOUT_H

#include "net/net.h"

#include "cl/device.h"

enum { PARAMETERS_BLOCK = 256 };

/* In floats. */
struct parameter_place {
    int segment;
    size_t offset; /* a multiple of PARAMETERS_BLOCK */
    size_t elements;
};

struct parameter_layout {
    struct parameter_place *places; /* by the parameter's index in the net */
    size_t *segments;               /* floats of each, whole blocks */
    int segment_count;
};

/* Deals the parameters out to segments of at most bytes_max, in order. A parameter that is larger
 * is ERROR_DEVICE, naming it and the device. Free with parameter_layout_free. */
int parameter_layout_create(struct parameter_layout *layout, const struct net *net,
                            const struct device_info *device, size_t bytes_max);

void parameter_layout_free(struct parameter_layout *layout);

#endif
