/* Where each parameter lies in a net's flat buffers, and how these are cut up for the exchange of
 * gradients. Host only, so that memory can be told without a device.
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

/* So many floats, whole blocks, cut into `count` parts of about equal size, whole blocks too: where
 * part i begins, in floats. */
size_t blocks_first(size_t floats, size_t i, size_t count);

/* The floats of the largest of them. */
size_t blocks_most(size_t floats, size_t count);

/* Into how many buckets of gradients, of about bucket_bytes, a segment of so many floats is cut. */
size_t bucket_count(size_t floats, size_t bucket_bytes);

/* The bytes that a device needs for a bucket of so many floats when `peers` devices exchange it by
 * copies: its slice of the bucket from each of the others. */
size_t exchange_room(size_t floats, int peers);

/* The same for the largest bucket of a layout. */
size_t parameter_layout_exchange_room(const struct parameter_layout *layout, size_t bucket_bytes,
                                      int peers);

#endif
