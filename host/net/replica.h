/* A net on one device: its compiled kernels, its parameters (net/parameters.h), and the activations
 * of a micro-batch, placed by the memory plan.
 */
#ifndef NET_REPLICA_H
#define NET_REPLICA_H

#include "net/staging.h"

struct replica;

/* What there is of a parameter. */
enum replica_tensor { TENSOR_VALUE, TENSOR_GRADIENT, TENSOR_VELOCITY };

/* Where the parameters of a replica are kept when it does not keep them itself: then reading and
 * writing its parameters, gradients and velocity reads and writes there, and replica_refresh
 * fetches what it works with. */
struct replica_store {
    void *context;
    int (*read)(void *context, enum replica_tensor tensor, int index, float *values);
    int (*write)(void *context, enum replica_tensor tensor, int index, const float *values);
};

struct replica_options {
    enum technique technique;
    int is_training;    /* 0: forward only, with less memory */
    int input_gradient; /* compute the gradient of the data too */
    enum truth truth_kind;
    int micro_batch;         /* the most samples of a pass; 0: the net's */
    size_t bucket_bytes;     /* of gradients that leave at once; 0: as much as lies in one piece */
    size_t allocation_limit; /* lowers the device's largest allocation; 0: as the device says */
    int is_apart;            /* no layers are computed together: each has an output to look at */
    struct layer_others others; /* for a part of a net: net/net_part.h */
    struct replica_store store; /* zeroed: it keeps its parameters itself */
};

/* Where in the training a micro-batch stands. */
struct step {
    int is_training;
    uint32_t seed, iteration;
    uint32_t first_sample; /* of the micro-batch in the global batch */
    int global_count;      /* samples of the global batch: gradients are means over it */
};

/* Compiles and allocates. The net and the device must outlive it. Parameters are undefined,
 * gradients and velocity zero. Free with replica_free. */
int replica_create(struct replica **out, const struct net *net, struct device *device,
                   const struct replica_options *options);

void replica_free(struct replica *replica);

/* The net that it was made of; and as it runs (net/net_fusion.h): functions that take the index of
 * a layer, or tell it, count in that. */
const struct net *replica_net(const struct replica *replica);
const struct net *replica_running_net(const struct replica *replica);
struct device *replica_device(const struct replica *replica);

/* The most samples of a pass. */
int replica_micro_batch(const struct replica *replica);

/* Samples of the last pass. */
int replica_count(const struct replica *replica);

/* Makes it another number; parameters, gradients, velocity and the mean stay, all else is built
 * anew. When that fails the replica can only be freed. Nothing may be staged. */
int replica_resize(struct replica *replica, int micro_batch);

/* Fills the parameters as their initialisers say. */
int replica_initialise(struct replica *replica, uint32_t seed);

/* What is subtracted from the input before it is scaled; copied. Until it is called, nothing is.
 * ERROR_INPUT when it does not suit the net's frame. */
int replica_set_mean(struct replica *replica, const struct mean *mean);

/* That mean, or NULL. */
const struct mean *replica_mean(const struct replica *replica);

/* One parameter tensor, by its index in the net, from or to the host. */
int replica_write_parameter(struct replica *replica, int index, const float *values);
int replica_read_parameter(struct replica *replica, int index, float *values);
int replica_read_gradient(struct replica *replica, int index, float *values);

/* Fetches the parameters that are kept elsewhere. */
int replica_refresh(struct replica *replica);

/* Begins to send a micro-batch (count is at most replica_micro_batch) to the staging memory that
 * the last forward pass does not use, while the device works on. The samples must stay as they are
 * until replica_forward_staged was called for them and replica_results has returned, or
 * replica_stage_wait. At most one micro-batch is staged at a time. */
int replica_stage(struct replica *replica, const struct samples *samples);

/* Waits until what was staged has left the host's memory. */
int replica_stage_wait(struct replica *replica);

/* Enqueues the forward pass over the micro-batch that was staged last. */
int replica_forward_staged(struct replica *replica, const struct step *step);

/* Both in one. */
int replica_forward(struct replica *replica, const struct samples *samples,
                    const struct step *step);

/* Enqueues another forward pass over the last micro-batch, seen through other views [count]. */
int replica_forward_again(struct replica *replica, const struct view *views,
                          const struct step *step);

/* Gradients leave in buckets: pieces of the flat buffer, in the order in which a backward pass
 * completes them, the last layers' first. */
int replica_bucket_count(const struct replica *replica);
struct buffer *replica_bucket(const struct replica *replica, int bucket); /* its gradients */

/* Is called when all kernels that add to a bucket are enqueued. What is not 0 ends the backward
 * pass and is returned. */
typedef int bucket_listener(void *context, int bucket);

/* Enqueues the backward pass of the last forward pass; gradients of parameters add up. `ready` is
 * told each bucket, in order; NULL: nobody asks. */
int replica_backward(struct replica *replica, bucket_listener *ready, void *context);

/* Waits for the last forward pass, not for what was enqueued after it, and gives the loss and the
 * rank of each of its samples. */
int replica_results(struct replica *replica, float *losses, int32_t *ranks);

/* How the parameters move: kernels_cl/solver.cl. */
struct update {
    double rate, momentum, decay;
};

/* Enqueues the update of a bucket's parameters, or of all, which also zeroes their gradients. Equal
 * parameters, velocities and gradients give equal ones on every device, to the bit. */
int replica_update_bucket(struct replica *replica, int bucket, const struct update *update);
int replica_update(struct replica *replica, const struct update *update);

/* Waits, and gives a hash of all parameters, and of their velocity if it trains. */
int replica_digest(struct replica *replica, uint64_t *digest);

/* The output of the last layer after a forward pass, or the gradient of the data after a backward
 * pass: [count][C][H][W], for the samples of the last pass. */
int replica_read_output(struct replica *replica, float *values);
int replica_read_input_gradient(struct replica *replica, float *values);

/* For benchmarks: the k-th kernel of layer i (0..LAYER_KERNELS_MAX-1), and its specification; NULL
 * where there is none. */
struct kernel *replica_kernel(struct replica *replica, int i, int k,
                              const struct kernel_spec **spec);

/* Runs the last micro-batch forward again, layer by layer, and shows each output to `visit`:
 * layer -1 is the input, values are [count][C][H][W] of `shape`. A visitor that returns something
 * other than 0 ends it, and that is returned. */
typedef int replica_visitor(void *context, int layer, struct shape shape, const float *values);
int replica_visit_outputs(struct replica *replica, const struct step *step, replica_visitor *visit,
                          void *context);

/* Looks for the first number that is not finite: in the parameters, else layer by layer in a
 * forward pass over the last micro-batch. Returns 1 and describes it in text ("the output of
 * conv2"), 0 when all is finite, or an error. */
int replica_find_nonfinite_parameter(struct replica *replica, char *text, size_t size);
int replica_find_nonfinite(struct replica *replica, const struct step *step, char *text,
                           size_t size);

/* Where a part of a net meets the others, in the tiled layout: the input, which is there before a
 * forward pass over samples that are truths alone, and its gradient, which options.input_gradient
 * asks for; of a part without a loss, the output, and its gradient, which is there before a
 * backward pass and may lie where the output was. NULL where there is none. */
struct replica_ends {
    struct buffer *input, *input_gradient, *output, *output_gradient;
    size_t input_floats, output_floats;
};

struct replica_ends replica_ends(const struct replica *replica);

/* The velocity of one parameter tensor, from or to the host: for checkpoints. */
int replica_read_velocity(struct replica *replica, int index, float *values);
int replica_write_velocity(struct replica *replica, int index, const float *values);

#endif
