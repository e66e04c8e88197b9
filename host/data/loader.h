/* Threads that prepare the next batches while the device works on this one: they read, decode and
 * augment pictures, or gather what lies in memory.
 *
 * The order depends on the seed and the epoch alone, and what is drawn for a sample on the seed,
 * the epoch and the sample: never on the number of threads. An epoch is ceil(count / batch)
 * batches, the last of which may be smaller.
 *
 * A picture that cannot be decoded is left out of its batch, named in the log once, and counted;
 * more than dataset->broken_share of all is an error. A file that cannot be read is an error at
 * once.
 */
#ifndef DATA_LOADER_H
#define DATA_LOADER_H

#include "base/trace.h"
#include "data/augment.h"
#include "data/dataset.h"

struct loader_options {
    int batch; /* samples a batch, at least 1 */
    uint32_t seed;
    int shuffle;     /* 0: the data set's order, every epoch */
    int64_t first;   /* the batch to begin with, counted from the start of training */
    int64_t limit;   /* batches to deliver, from the first; -1: without end */
    int64_t most;    /* samples in an epoch: i * count / most, evenly spaced; 0: all */
    int threads;     /* 0: one for each processor, at most 16 */
    int is_repeated; /* a loader before went through the same: broken pictures have been named */
    int is_training; /* augment; otherwise the crop in the middle */
    struct augment_options augment;
    const struct colour_components *colours; /* for pca_noise; must outlive the loader */
    struct trace *trace; /* shows what each thread prepares; must outlive the loader. NULL: none */
};

struct batch {
    int count;        /* samples in it, 0..options.batch; 0 only if all its pictures are broken */
    int64_t index;    /* of the batch since the start of training, from 0 */
    int64_t epoch;    /* from 0 */
    int64_t *samples; /* [count]: which of the data set's each is */
    /* In the batch's order; those that the data set lacks are NULL. */
    uint8_t *bytes;     /* [count][H][W][C] of dataset->frame */
    struct view *views; /* [count], with bytes */
    float *floats;
    int32_t *labels;
    float *targets;
};

struct loader;

/* The data set must outlive the loader. Free with loader_free. */
int loader_create(struct loader **out, const struct dataset *dataset,
                  const struct loader_options *options);

/* Waits for the next batch, which stays valid until the next call. Returns 1; 0 after the last
 * batch; or an error. */
int loader_next(struct loader *loader, const struct batch **batch);

void loader_free(struct loader *loader);

/* Pictures of the data set that turned out broken in the batches delivered so far. For the thread
 * that calls loader_next. */
int64_t loader_broken(struct loader *loader);

/* Batches in an epoch of all samples. */
int64_t loader_batches_per_epoch(const struct dataset *dataset, int batch);

#endif
