/* A net on one device: its compiled kernels, its parameters (net/parameters.h), and the activations
 * of a micro-batch, placed by the memory plan.
 */
#ifndef NET_REPLICA_H
#define NET_REPLICA_H

#include "net/net.h"

struct replica;

struct replica_options {
    enum technique technique;
    int is_training;    /* 0: forward only, with less memory */
    int input_gradient; /* compute the gradient of the data too */
    enum truth truth_kind;
    size_t allocation_limit; /* lowers the device's largest allocation; 0: as the device says */
};

/* Samples on the host, a micro-batch: as in struct batch. */
struct samples {
    int count;
    const uint8_t *bytes;  /* [count][H][W][C], or NULL */
    const float *floats;   /* [count][C][H][W], or NULL */
    const int32_t *labels; /* [count], or NULL */
    const float *targets;  /* [count][outputs], or NULL */
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

const struct net *replica_net(const struct replica *replica);

/* Fills the parameters as their initialisers say. */
int replica_initialise(struct replica *replica, uint32_t seed);

/* One parameter tensor, by its index in the net, from or to the host. */
int replica_write_parameter(struct replica *replica, int index, const float *values);
int replica_read_parameter(struct replica *replica, int index, float *values);
int replica_read_gradient(struct replica *replica, int index, float *values);

/* Sends a micro-batch and enqueues the forward pass. count is at most the net's micro-batch. */
int replica_forward(struct replica *replica, const struct samples *samples,
                    const struct step *step);

/* Enqueues the backward pass of the last forward pass; gradients of parameters add up. */
int replica_backward(struct replica *replica);

/* Waits, and gives the loss and the rank of each of the last forward pass's samples. */
int replica_results(struct replica *replica, float *losses, int32_t *ranks);

/* Enqueues the update of all parameters, which also zeroes the gradients. */
int replica_update(struct replica *replica, double rate, double momentum, double decay);

/* The output of layer i after a forward pass in which nothing overwrote it, or the gradient of the
 * data after a backward pass: [count][C][H][W], for the samples of the last pass. An output is only
 * there while the memory plan keeps it: that of the last layer is. */
int replica_read_output(struct replica *replica, int i, float *values);
int replica_read_input_gradient(struct replica *replica, float *values);

/* For benchmarks: the k-th kernel of layer i (0..LAYER_KERNELS_MAX-1), and its specification; NULL
 * where there is none. */
struct kernel *replica_kernel(struct replica *replica, int i, int k,
                              const struct kernel_spec **spec);

/* Looks for the first number that is not finite: in the parameters, else layer by layer in a
 * forward pass over these samples. Returns 1 and describes it in text ("the output of conv2"), 0
 * when all is finite, or an error. */
int replica_find_nonfinite(struct replica *replica, const struct samples *samples,
                           const struct step *step, char *text, size_t size);

#endif
