#include "data/loader.h"

#include "base/error.h"
#include "base/rng.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 3 }; /* one in use by the caller, two prepared ahead */

struct loader {
    const struct dataset *dataset;
    struct loader_options options;
    struct batch slots[SLOTS]; /* batch i of this run lies in slot i % SLOTS */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t filled_one, freed_one;
    int64_t filled;             /* batches prepared */
    int64_t freed;              /* batches that the caller is done with */
    int stop;                   /* loader_free wants the thread to end */
    int ended;                  /* the thread has prepared its last batch */
    int rc;                     /* 0, or the error that ended it */
    char message[ERROR_LENGTH]; /* of that error */

    int holding; /* the caller has a batch; only its thread looks */
    pthread_t thread;
    int started;
};

/* What only the thread uses. */
struct preparation {
    uint32_t *order; /* [count]: the samples in the order of `epoch` */
    int64_t epoch;   /* -1: none yet */
};

static size_t input_bytes(const struct dataset *dataset) {
    size_t elements = (size_t)shape_elements(dataset->input);
    return dataset->bytes ? elements : elements * sizeof(float);
}

/* Puts the samples into the order of an epoch by the shuffle of Fisher and Yates, always from the
 * sorted order, so that no epoch depends on those before it. */
static void prepare_epoch(struct preparation *p, const struct loader *loader, int64_t epoch) {
    uint32_t count = (uint32_t)loader->dataset->count;
    for (uint32_t i = 0; i < count; i++)
        p->order[i] = i;
    p->epoch = epoch;
    if (!loader->options.shuffle)
        return;
    struct rng rng = rng_start(loader->options.seed, RNG_SHUFFLE, (uint32_t)epoch, 0);
    for (uint32_t i = count - 1; i > 0; i--) {
        uint32_t j = rng_below(&rng, i + 1);
        uint32_t kept = p->order[i];
        p->order[i] = p->order[j];
        p->order[j] = kept;
    }
}

/* Copies the samples in `order`, each of `size` bytes; nothing when the data set has no such array.
 */
static void gather(void *to, const void *from, size_t size, const uint32_t *order, int count) {
    for (int i = 0; from && i < count; i++)
        memcpy((char *)to + (size_t)i * size, (const char *)from + order[i] * size, size);
}

static void fill(struct batch *batch, struct preparation *p, const struct loader *loader,
                 int64_t index) {
    const struct dataset *set = loader->dataset;
    int size = loader->options.batch;
    int64_t per_epoch = loader_batches_per_epoch(set, size);
    int64_t epoch = index / per_epoch, start = index % per_epoch * size;
    if (epoch != p->epoch)
        prepare_epoch(p, loader, epoch);
    batch->index = index;
    batch->epoch = epoch;
    batch->count = set->count - start < size ? (int)(set->count - start) : size;

    const uint32_t *order = p->order + start;
    gather(batch->bytes, set->bytes, input_bytes(set), order, batch->count);
    gather(batch->floats, set->floats, input_bytes(set), order, batch->count);
    gather(batch->labels, set->labels, sizeof *set->labels, order, batch->count);
    gather(batch->targets, set->targets, sizeof *set->targets * (size_t)set->outputs, order,
           batch->count);
}

/* Waits until there is room; returns the slot to fill, or NULL when it is time to stop. */
static struct batch *wait_for_slot(struct loader *loader) {
    pthread_mutex_lock(&loader->lock);
    while (!loader->stop && loader->filled - loader->freed == SLOTS)
        pthread_cond_wait(&loader->freed_one, &loader->lock);
    struct batch *slot = loader->stop ? NULL : &loader->slots[loader->filled % SLOTS];
    pthread_mutex_unlock(&loader->lock);
    return slot;
}

static void publish(struct loader *loader) {
    pthread_mutex_lock(&loader->lock);
    loader->filled++;
    pthread_cond_signal(&loader->filled_one);
    pthread_mutex_unlock(&loader->lock);
}

static int prepare_batches(struct loader *loader) {
    size_t bytes = (size_t)loader->dataset->count * sizeof(uint32_t);
    struct preparation preparation = {.order = malloc(bytes), .epoch = -1};
    if (!preparation.order)
        return error_no_memory("the order of the samples", bytes);
    int64_t limit = loader->options.limit;
    for (int64_t i = 0; limit < 0 || i < limit; i++) {
        struct batch *slot = wait_for_slot(loader);
        if (!slot)
            break;
        fill(slot, &preparation, loader, loader->options.first + i);
        publish(loader);
    }
    free(preparation.order);
    return 0;
}

static void *thread_main(void *argument) {
    struct loader *loader = argument;
    int rc = prepare_batches(loader);
    pthread_mutex_lock(&loader->lock);
    loader->ended = 1;
    loader->rc = rc;
    if (rc < 0) /* messages are kept per thread: hand it over */
        memcpy(loader->message, error_message(), strlen(error_message()) + 1);
    pthread_cond_signal(&loader->filled_one);
    pthread_mutex_unlock(&loader->lock);
    return NULL;
}

/* Memory for as many samples as a batch can have, of the arrays that the data set has. */
static int allocate_slot(struct batch *slot, const struct dataset *set, int batch) {
    size_t count = set->count < batch ? (size_t)set->count : (size_t)batch;
    size_t size = input_bytes(set), target_bytes = sizeof *set->targets * (size_t)set->outputs;
    int missing = 0;
    if (set->bytes)
        missing |= !(slot->bytes = calloc(count, size));
    if (set->floats)
        missing |= !(slot->floats = calloc(count, size));
    if (set->labels)
        missing |= !(slot->labels = calloc(count, sizeof *slot->labels));
    if (set->targets)
        missing |= !(slot->targets = calloc(count, target_bytes));
    return missing ? error_no_memory("a batch", count * (size + target_bytes)) : 0;
}

static int start(struct loader *loader) {
    if (loader->dataset->count > UINT32_MAX)
        return error_set(ERROR_INPUT, "a data set of %" PRId64 " samples; at most %" PRIu32,
                         loader->dataset->count, UINT32_MAX);
    for (int i = 0; i < SLOTS; i++)
        TRY(allocate_slot(&loader->slots[i], loader->dataset, loader->options.batch));
    int failed = pthread_create(&loader->thread, NULL, thread_main, loader);
    if (failed)
        return error_set(ERROR_SYSTEM, "cannot start the thread that loads data: %s",
                         strerror(failed));
    loader->started = 1;
    return 0;
}

int loader_create(struct loader **out, const struct dataset *dataset,
                  const struct loader_options *options) {
    assert(dataset->count > 0 && options->batch > 0 && options->first >= 0);
    *out = NULL;
    struct loader *loader = calloc(1, sizeof *loader);
    if (!loader)
        return error_no_memory("a loader", sizeof *loader);
    loader->dataset = dataset;
    loader->options = *options;
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->filled_one, NULL);
    pthread_cond_init(&loader->freed_one, NULL);
    int rc = start(loader);
    if (rc < 0)
        loader_free(loader);
    else
        *out = loader;
    return rc;
}

int loader_next(struct loader *loader, const struct batch **batch) {
    *batch = NULL;
    pthread_mutex_lock(&loader->lock);
    if (loader->holding) {
        loader->freed++;
        pthread_cond_signal(&loader->freed_one);
    }
    while (loader->filled == loader->freed && !loader->ended)
        pthread_cond_wait(&loader->filled_one, &loader->lock);
    loader->holding = loader->filled > loader->freed;
    if (loader->holding)
        *batch = &loader->slots[loader->freed % SLOTS];
    int rc = loader->holding ? 1 : loader->rc;
    pthread_mutex_unlock(&loader->lock);
    return rc < 0 ? error_set(rc, "%s", loader->message) : rc;
}

static void free_slot(struct batch *slot) {
    free(slot->bytes);
    free(slot->floats);
    free(slot->labels);
    free(slot->targets);
}

void loader_free(struct loader *loader) {
    if (!loader)
        return;
    if (loader->started) {
        pthread_mutex_lock(&loader->lock);
        loader->stop = 1;
        pthread_cond_signal(&loader->freed_one);
        pthread_mutex_unlock(&loader->lock);
        pthread_join(loader->thread, NULL);
    }
    for (int i = 0; i < SLOTS; i++)
        free_slot(&loader->slots[i]);
    pthread_cond_destroy(&loader->freed_one);
    pthread_cond_destroy(&loader->filled_one);
    pthread_mutex_destroy(&loader->lock);
    free(loader);
}

int64_t loader_batches_per_epoch(const struct dataset *dataset, int batch) {
    return (dataset->count + batch - 1) / batch;
}
