#include "train/loader_benchmark.h"

#include "base/error.h"
#include "base/progress.h"
#include "data/loader.h"

#include <unistd.h>

/* The loader's own choice of threads. */
enum { THREADS_MAX = 16 };

/* Of a batch: small, so that time is told in small steps; yet there is work for every thread. */
enum { BATCH = 32 };

static int most_threads(void) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (processors < 1)
        return 1;
    return processors < THREADS_MAX ? (int)processors : THREADS_MAX;
}

/* *next: the batch to begin with, and then the one to go on with. */
static int measure(struct loader_rate *rate, const struct dataset *train,
                   const struct loader_options *options, double seconds, int64_t *next) {
    struct loader *loader;
    int64_t images = 0;
    double start = clock_seconds(), passed = 0;
    TRY(loader_create(&loader, train, options));
    int rc = 0;
    while (passed < seconds) {
        const struct batch *batch;
        rc = loader_next(loader, &batch);
        if (rc <= 0)
            break;
        images += batch->count;
        *next = batch->index + 1;
        passed = clock_seconds() - start;
    }
    loader_free(loader);
    *rate = (struct loader_rate){.threads = options->threads,
                                 .images_per_second = passed > 0 ? (double)images / passed : 0};
    return rc < 0 ? rc : 0;
}

int loader_benchmark_run(struct loader_benchmark *benchmark, const struct net *net,
                         const struct dataset *train, double seconds) {
    /* Noise of no deviation takes the same time. */
    static const struct colour_components colours;
    struct loader_options options = {.batch = BATCH,
                                     .seed = (uint32_t)net->options.seed,
                                     .shuffle = net->data.shuffle,
                                     .limit = -1,
                                     .is_training = 1,
                                     .augment = net->augment,
                                     .colours = &colours};
    int most = most_threads();
    *benchmark = (struct loader_benchmark){0};
    for (int threads = 1;; threads = 2 * threads < most ? 2 * threads : most) {
        options.threads = threads;
        TRY(measure(&benchmark->rates[benchmark->count++], train, &options, seconds,
                    &options.first));
        if (threads == most)
            return 0;
    }
}
