/* What a replica will allocate on a device, told before anything is allocated, and how a batch must
 * be divided to fit. Host only: needs no open device. All sizes are in bytes.
 */
#ifndef NET_MEMORY_NEEDS_H
#define NET_MEMORY_NEEDS_H

#include "cl/target.h"
#include "net/net.h"

struct memory_needs_options {
    enum technique technique;
    const struct tunings *tunings; /* of the device; NULL: none */
    int is_training;               /* 0: forward only */
    int input_gradient;            /* the gradient of the data too */
    int micro_batch;               /* the most samples of a pass; 0: the net's */
    enum truth truth_kind;
    int is_floats;           /* samples come as floats, not as bytes of frames */
    int mean_by_pixel;       /* a mean for each pixel of a frame */
    size_t allocation_limit; /* lowers the device's largest allocation; 0: as the device says */
    int rank, ranks; /* one of so many devices that share the layers: parallel=hybrid; 0: alone */
    int peers;       /* devices that may exchange gradients by copies (train/exchange.h), this one
                        included; 0: there are none */
    size_t bucket_bytes; /* of their exchange: see struct replica_options */
};

enum { MEMORY_NAME = 96 };

struct memory_needs {
    uint64_t parameters, gradients, velocity;
    uint64_t multipliers; /* of learning rate and decay */
    uint64_t activations; /* those whose lifetimes do not meet share memory */
    uint64_t live;        /* of those: what is wanted at once, below which no plan gets */
    uint64_t scratch;     /* one layer's at a time */
    uint64_t staging;     /* two micro-batches of samples, views and truths; the mean */
    uint64_t results;     /* losses and ranks */
    uint64_t exchange;    /* gradients of the other devices */
    uint64_t total;
    uint64_t largest; /* single allocation */
    char largest_name[MEMORY_NAME];
};

/* What replica_create, the first samples and the exchange allocate, to the byte; or, of one rank of
 * several, what hybrid_create does: the front, its rows of the back, and the whole net for use. A
 * tensor above the largest allocation is ERROR_DEVICE, naming it. */
int memory_needs(struct memory_needs *out, const struct net *net, const struct device_info *device,
                 const struct memory_needs_options *options);

/* How a share of a batch is worked through. */
struct memory_fit {
    int micro_batch; /* samples of each part but perhaps the last; whole tiles where that is free */
    int subdivisions; /* parts */
    uint64_t limit;   /* what a replica may take, of the memory that its device has */
    struct memory_needs needs;
};

/* Finds the fewest parts, `least` or more, of a share of `samples` with which `replicas` replicas
 * fit the device together, each in an equal part of its memory and each buffer within its largest
 * allocation. A device that
 * does not say how much it has (0) has enough. ERROR_DEVICE names the device, and what not even a
 * single sample leaves room for. options->micro_batch is not looked at. */
int memory_fit(struct memory_fit *out, const struct net *net, const struct device_info *device,
               const struct memory_needs_options *options, int samples, int least, int replicas);

#endif
