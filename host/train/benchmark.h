/* How fast a net runs on a device, with synthetic data. */
#ifndef TRAIN_BENCHMARK_H
#define TRAIN_BENCHMARK_H

#include "train/team.h"

/* Repeated measurements of a rate, in images a second. */
struct rate {
    double median, least, most;
};

struct benchmark_options {
    enum technique technique;
    int repetitions; /* measured, after one that is not */
};

struct benchmark {
    struct rate inference;        /* forward */
    struct rate forward_backward; /* forward and backward */
    struct rate training;         /* forward, backward and update */
};

/* What a kernel of a layer took in one training iteration. */
struct kernel_time {
    char layer[64];
    const char *kernel, *pass; /* "forward", "backward" */
    double seconds;
    double flops; /* operations of the direct algorithm; 0 where bytes are what matters */
    double bytes; /* read and written, each once, as if every cache were perfect */
};

/* Measures a net on an open device; a device opened for profiling would be slower. */
int benchmark_run(struct benchmark *benchmark, const struct net *net, struct device *device,
                  const struct benchmark_options *options);

/* Measures the training of a team, its exchange included. */
int benchmark_team(struct rate *training, struct team *team, int repetitions);

/* Measures each kernel of each layer, on a device opened for profiling: *times is new memory of
 * *count rows, in the order of the net, that the caller frees. */
int benchmark_kernels(struct kernel_time **times, int *count, const struct net *net,
                      struct device *device, const struct benchmark_options *options);

#endif
