/* A net's parameters on a device: one flat buffer each of values, gradients and velocity.
 *
 * Flat: each parameter begins a block of PARAMETERS_BLOCK floats, and what lies between is zero; so
 * one launch updates everything. Where the device's largest allocation is too small, a flat buffer
 * is split into segments, and a parameter lies in one of them whole.
 */
#ifndef NET_PARAMETERS_H
#define NET_PARAMETERS_H

#include "net/parameter_layout.h"

struct parameters;

/* Allocates at most segment_max bytes in one piece; a parameter that is larger is ERROR_DEVICE,
 * naming it. Values are undefined; gradients and velocity, which only training has, are zero. For
 * the update the flat buffers are cut into buckets of about bucket_bytes, which need not end where
 * a parameter does; 0: a segment is a bucket. The net and the device must outlive it. Free with
 * parameters_free. */
int parameters_create(struct parameters **out, const struct net *net, struct device *device,
                      const struct target *target, int is_training, size_t segment_max,
                      size_t bucket_bytes);

void parameters_free(struct parameters *parameters);

/* A parameter's value, gradient and velocity (both NULL without training), by its index in the net.
 */
struct buffer *parameters_value(const struct parameters *parameters, int index);
struct buffer *parameters_gradient(const struct parameters *parameters, int index);
struct buffer *parameters_velocity(const struct parameters *parameters, int index);

/* The buckets, from the end of the flat buffers to their beginning: the order in which a backward
 * pass completes them. */
int parameters_bucket_count(const struct parameters *parameters);
struct buffer *parameters_bucket(const struct parameters *parameters, int bucket);

/* The first layer with a parameter in the bucket: with its backward pass the bucket is complete. */
int parameters_bucket_layer(const struct parameters *parameters, int bucket);

/* Enqueues the update of a bucket, which also zeroes its gradients: kernels_cl/solver.cl. */
int parameters_update(struct parameters *parameters, int bucket, float rate, float momentum,
                      float decay);

#endif
