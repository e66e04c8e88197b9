/* How fast the loader prepares a net's pictures, with no device at work. */
#ifndef TRAIN_LOADER_BENCHMARK_H
#define TRAIN_LOADER_BENCHMARK_H

#include "data/dataset.h"
#include "net/net.h"

/* Counts of threads: 1, 2, 4 .. and as many as a training takes. */
enum { LOADER_RATES_MAX = 8 };

struct loader_rate {
    int threads;
    double images_per_second;
};

struct loader_benchmark {
    int count;
    struct loader_rate rates[LOADER_RATES_MAX]; /* the last is that of a training */
};

/* Measures each count of threads for about so many seconds, on pictures that none before it has
 * read, as long as there are any. */
int loader_benchmark_run(struct loader_benchmark *benchmark, const struct net *net,
                         const struct dataset *train, double seconds);

#endif
