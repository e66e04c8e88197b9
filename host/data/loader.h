/* A thread that prepares the next batches while the device works on this one.
 *
 * The order depends on the seed and the epoch alone. An epoch is ceil(count / batch) batches, the
 * last of which may be smaller.
 */
#ifndef DATA_LOADER_H
#define DATA_LOADER_H

#include "data/dataset.h"

struct loader_options {
    int batch; /* samples a batch, at least 1 */
    uint32_t seed;
    int shuffle;   /* 0: the data set's order, every epoch */
    int64_t first; /* the batch to begin with, counted from the start of training */
    int64_t limit; /* batches to deliver, from the first; -1: without end */
};

struct batch {
    int count;     /* samples in it, 1..options.batch */
    int64_t index; /* of the batch since the start of training, from 0 */
    int64_t epoch; /* from 0 */
    /* As in struct dataset, in the batch's order; those that the data set lacks are NULL. */
    uint8_t *bytes;
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

/* Batches in an epoch. */
int64_t loader_batches_per_epoch(const struct dataset *dataset, int batch);

#endif
