#include "data/loader.h"

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/rng.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SLOTS = 3,        /* batches: one in use by the caller, two being prepared ahead */
    THREADS_MAX = 16, /* unless the options ask for more */
    AT_ONCE = 16,     /* samples that a thread takes at a time when they lie in memory */
};

/* A batch, and how far it is. */
struct slot {
    struct batch batch;
    int size;      /* samples that it began with */
    int done;      /* of them, prepared */
    char **faults; /* [size], of pictures in files: why one is broken; NULL: it is not */
};

/* A thread and the memory that it works in. */
struct worker {
    struct loader *loader;
    pthread_t thread;
    uint8_t *bytes; /* an encoded picture */
    size_t room;
    int row; /* of the trace */
};

struct loader {
    const struct dataset *dataset;
    struct loader_options options;
    struct shape frame, stored; /* of the data set; its input where it leaves them open */
    int is_picture;             /* otherwise bytes go as they are */
    int64_t samples;            /* in an epoch */
    int at_once;                /* samples that a thread takes at a time */
    struct slot slots[SLOTS];   /* batch i of this run lies in slot i % SLOTS */

    pthread_mutex_t lock; /* guards what follows, and each slot's `done` */
    pthread_cond_t filled_one, freed_one;
    int64_t opened;             /* batches whose samples have been chosen */
    int claimed;                /* samples of the last of them that a thread has taken */
    int64_t filled;             /* batches prepared, without a gap */
    int64_t freed;              /* batches that the caller is done with */
    uint32_t *order;            /* [samples]: in the order of `epoch` */
    int64_t epoch;              /* -1: none yet */
    int stop;                   /* loader_free wants the threads to end */
    int rc;                     /* 0, or the error that ended everything */
    char message[ERROR_LENGTH]; /* of that error */

    /* Only the caller's thread looks at these. */
    int holding;        /* it has a batch */
    uint8_t *is_broken; /* a bit for each picture in files */
    int64_t broken;     /* bits set */
    struct worker *workers;
    int started; /* of them */
};

/* Samples of a batch, for one thread to prepare. */
struct work {
    struct slot *slot;
    int begin, end;
};

static struct shape shape_or(struct shape shape, struct shape otherwise) {
    return shape.c ? shape : otherwise;
}

/* Puts the samples into the order of an epoch by the shuffle of Fisher and Yates, always from the
 * sorted order, so that no epoch depends on those before it. */
static int prepare_epoch(struct loader *loader, int64_t epoch) {
    if (epoch == loader->epoch)
        return 0;
    uint32_t count = (uint32_t)loader->samples;
    size_t bytes = count * sizeof *loader->order;
    if (!loader->order && !(loader->order = malloc(bytes)))
        return error_no_memory("the order of the samples", bytes);
    uint32_t *order = loader->order;
    for (uint32_t i = 0; i < count; i++)
        order[i] = (uint32_t)((uint64_t)i * (uint64_t)loader->dataset->count / count);
    loader->epoch = epoch;
    if (!loader->options.shuffle)
        return 0;
    struct rng rng = rng_start(loader->options.seed, RNG_SHUFFLE, (uint32_t)epoch, 0);
    for (uint32_t i = count - 1; i > 0; i--) {
        uint32_t j = rng_below(&rng, i + 1);
        uint32_t kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    return 0;
}

/* Chooses the samples of the next batch, in a free slot. */
static int open_batch(struct loader *loader) {
    int size = loader->options.batch;
    int64_t per_epoch = (loader->samples + size - 1) / size;
    int64_t index = loader->options.first + loader->opened;
    int64_t start = index % per_epoch * size;
    TRY(prepare_epoch(loader, index / per_epoch));

    struct slot *slot = &loader->slots[loader->opened % SLOTS];
    slot->done = 0;
    slot->size = loader->samples - start < size ? (int)(loader->samples - start) : size;
    slot->batch.count = slot->size;
    slot->batch.index = index;
    slot->batch.epoch = loader->epoch;
    for (int i = 0; i < slot->size; i++)
        slot->batch.samples[i] = loader->order[start + i];
    loader->opened++;
    loader->claimed = 0;
    return 0;
}

/* Ends everything with the error of this thread. Messages are kept per thread: hand it over. */
static void fail(struct loader *loader, int rc) {
    if (loader->rc < 0)
        return;
    loader->rc = rc;
    memcpy(loader->message, error_message(), strlen(error_message()) + 1);
    pthread_cond_broadcast(&loader->freed_one);
    pthread_cond_signal(&loader->filled_one);
}

static int take_samples(struct loader *loader, struct work *work) {
    if (loader->opened == 0)
        return 0;
    struct slot *slot = &loader->slots[(loader->opened - 1) % SLOTS];
    int left = slot->size - loader->claimed;
    int count = left < loader->at_once ? left : loader->at_once;
    *work = (struct work){.slot = slot, .begin = loader->claimed, .end = loader->claimed + count};
    loader->claimed += count;
    return count;
}

/* Waits for something to do; returns 0 when there will be nothing more. */
static int wait_for_work(struct loader *loader, struct work *work) {
    for (;;) {
        if (loader->stop || loader->rc < 0)
            return 0;
        if (take_samples(loader, work))
            return 1;
        if (loader->opened == loader->options.limit)
            return 0;
        if (loader->opened - loader->freed == SLOTS) {
            pthread_cond_wait(&loader->freed_one, &loader->lock);
            continue;
        }
        int rc = open_batch(loader);
        if (rc < 0)
            fail(loader, rc);
    }
}

/* Batches become ready in order, whichever is complete first. */
static void finish(struct loader *loader, const struct work *work) {
    work->slot->done += work->end - work->begin;
    int64_t before = loader->filled;
    while (loader->filled < loader->opened) {
        const struct slot *slot = &loader->slots[loader->filled % SLOTS];
        if (slot->done < slot->size)
            break;
        loader->filled++;
    }
    if (loader->filled > before)
        pthread_cond_signal(&loader->filled_one);
}

static void draw(struct augmentation *out, const struct loader *loader, int64_t epoch,
                 int64_t sample) {
    const struct loader_options *options = &loader->options;
    struct shape input = loader->dataset->input;
    if (!loader->is_picture)
        *out = (struct augmentation){0};
    else if (options->is_training)
        augment_draw(out, &options->augment, loader->frame, input, options->colours, options->seed,
                     epoch, sample);
    else
        augment_centre(out, loader->frame, input);
}

/* Makes a frame of a picture in a file. What cannot be decoded leaves *fault, in new memory. */
static int read_picture(struct worker *worker, uint8_t *frame, int64_t sample,
                        const struct augmentation *drawn, char **fault) {
    struct loader *loader = worker->loader;
    const struct picture_files *files = loader->dataset->files;
    struct shape shape = loader->frame;
    size_t length;
    TRY(picture_files_read(files, sample, &worker->bytes, &worker->room, &length));
    struct picture picture;
    int rc = picture_decode(&picture, picture_files_name(files, sample), worker->bytes, length,
                            shape.c, augment_least_side(shape, drawn));
    if (rc == ERROR_INPUT) {
        *fault = strdup(error_message());
        return *fault ? 0 : error_no_memory("a message", strlen(error_message()));
    }
    TRY(rc);
    rc = augment_apply(frame, shape, &picture, drawn);
    picture_free(&picture);
    return rc;
}

static int prepare_picture(struct worker *worker, struct slot *slot, int i) {
    struct loader *loader = worker->loader;
    const struct dataset *set = loader->dataset;
    struct batch *batch = &slot->batch;
    int64_t sample = batch->samples[i];
    uint8_t *frame = batch->bytes + (int64_t)i * shape_elements(loader->frame);
    struct augmentation drawn;
    draw(&drawn, loader, batch->epoch, sample);
    batch->views[i] = drawn.view;
    if (set->files)
        return read_picture(worker, frame, sample, &drawn, &slot->faults[i]);

    struct shape stored = loader->stored;
    uint8_t *pixels = set->bytes + sample * shape_elements(stored);
    if (loader->is_picture)
        return augment_apply(frame, loader->frame,
                             &(struct picture){stored.w, stored.h, stored.c, pixels}, &drawn);
    memcpy(frame, pixels, (size_t)shape_elements(stored));
    return 0;
}

/* Copies an element of an array, each of `size` bytes, if there is such an array. */
static void copy(void *to, int64_t to_index, const void *from, int64_t from_index, size_t size) {
    if (to)
        memmove((char *)to + (size_t)to_index * size,
                (const char *)from + (size_t)from_index * size, size);
}

static int prepare(struct worker *worker, const struct work *work) {
    const struct dataset *set = worker->loader->dataset;
    struct batch *batch = &work->slot->batch;
    for (int i = work->begin; i < work->end; i++) {
        int64_t sample = batch->samples[i];
        copy(batch->labels, i, set->labels, sample, sizeof *set->labels);
        copy(batch->targets, i, set->targets, sample, sizeof *set->targets * (size_t)set->outputs);
        copy(batch->floats, i, set->floats, sample,
             sizeof *set->floats * (size_t)shape_elements(set->input));
        if (batch->bytes)
            TRY(prepare_picture(worker, work->slot, i));
    }
    return 0;
}

static int prepare_traced(struct worker *worker, const struct work *work) {
    struct trace *trace = worker->loader->options.trace;
    if (!trace)
        return prepare(worker, work);
    double start = clock_seconds();
    int rc = prepare(worker, work);
    char name[64];
    (void)snprintf(name, sizeof name, "batch %" PRId64 ", %d samples", work->slot->batch.index + 1,
                   work->end - work->begin);
    trace_span(trace, worker->row, name, start, clock_seconds());
    return rc;
}

static void *thread_main(void *argument) {
    struct worker *worker = argument;
    struct loader *loader = worker->loader;
    struct work work;
    pthread_mutex_lock(&loader->lock);
    while (wait_for_work(loader, &work)) {
        pthread_mutex_unlock(&loader->lock);
        int rc = prepare_traced(worker, &work);
        pthread_mutex_lock(&loader->lock);
        if (rc < 0)
            fail(loader, rc);
        else
            finish(loader, &work);
    }
    pthread_mutex_unlock(&loader->lock);
    return NULL;
}

/* Memory for as many samples as a batch can have, of the arrays that the data set has. */
static int allocate_slot(struct slot *slot, const struct loader *loader) {
    const struct dataset *set = loader->dataset;
    struct batch *batch = &slot->batch;
    int64_t most = loader->options.batch;
    size_t count = (size_t)(loader->samples < most ? loader->samples : most);
    size_t bytes = (size_t)shape_elements(loader->frame);
    size_t float_bytes = sizeof *set->floats * (size_t)shape_elements(set->input);
    size_t target_bytes = sizeof *set->targets * (size_t)set->outputs;
    int missing = !(batch->samples = calloc(count, sizeof *batch->samples));
    if (set->files)
        missing |= !(slot->faults = calloc(count, sizeof *slot->faults));
    if (set->floats)
        missing |= !(batch->floats = calloc(count, float_bytes));
    else
        missing |= !(batch->bytes = calloc(count, bytes)) ||
                   !(batch->views = calloc(count, sizeof *batch->views));
    if (set->labels)
        missing |= !(batch->labels = calloc(count, sizeof *batch->labels));
    if (set->targets)
        missing |= !(batch->targets = calloc(count, target_bytes));
    return missing ? error_no_memory("a batch",
                                     count * ((set->floats ? float_bytes : bytes) + target_bytes))
                   : 0;
}

static int start_threads(struct loader *loader) {
    int count = loader->options.threads;
    if (count < 1) {
        long processors = sysconf(_SC_NPROCESSORS_ONLN);
        count = processors < 1 ? 1 : processors > THREADS_MAX ? THREADS_MAX : (int)processors;
    }
    loader->workers = calloc((size_t)count, sizeof *loader->workers);
    if (!loader->workers)
        return error_no_memory("threads", (size_t)count * sizeof *loader->workers);
    for (; loader->started < count; loader->started++) {
        struct worker *worker = &loader->workers[loader->started];
        worker->loader = loader;
        if (loader->options.trace)
            TRY(worker->row = trace_row(loader->options.trace, "loader", "thread"));
        int failed = pthread_create(&worker->thread, NULL, thread_main, worker);
        if (failed)
            return error_set(ERROR_SYSTEM, "cannot start %d threads that load data: %s", count,
                             strerror(failed));
    }
    return 0;
}

static int start(struct loader *loader) {
    const struct dataset *set = loader->dataset;
    if (set->count > UINT32_MAX)
        return error_set(ERROR_INPUT, "a data set of %" PRId64 " samples; at most %" PRIu32,
                         set->count, UINT32_MAX);
    for (int i = 0; i < SLOTS; i++)
        TRY(allocate_slot(&loader->slots[i], loader));
    if (set->files) {
        size_t bytes = (size_t)(set->count / 8 + 1);
        loader->is_broken = calloc(bytes, 1);
        if (!loader->is_broken)
            return error_no_memory("the list of broken pictures", bytes);
    }
    return start_threads(loader);
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
    loader->frame = shape_or(dataset->frame, dataset->input);
    loader->stored = shape_or(dataset->stored, dataset->input);
    /* Other numbers of channels, and vectors, are no pictures, though they come as bytes. */
    struct shape frame = loader->frame;
    loader->is_picture =
        dataset->files || ((frame.c == 1 || frame.c == 3) && (frame.h > 1 || frame.w > 1));
    assert(loader->is_picture || shape_elements(frame) == shape_elements(loader->stored));
    int64_t most = options->most;
    loader->samples = most > 0 && most < dataset->count ? most : dataset->count;
    loader->at_once = dataset->files ? 1 : AT_ONCE;
    loader->epoch = -1;
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

/* Gives the last batch back and waits for the next one, or NULL at the end. */
static int wait_for_slot(struct loader *loader, struct slot **slot) {
    pthread_mutex_lock(&loader->lock);
    if (loader->holding) {
        loader->freed++;
        pthread_cond_broadcast(&loader->freed_one);
    }
    while (loader->rc == 0 && loader->filled == loader->freed &&
           loader->freed != loader->options.limit)
        pthread_cond_wait(&loader->filled_one, &loader->lock);
    int rc = loader->rc;
    loader->holding = rc == 0 && loader->filled > loader->freed;
    *slot = loader->holding ? &loader->slots[loader->freed % SLOTS] : NULL;
    pthread_mutex_unlock(&loader->lock);
    return rc < 0 ? error_set(rc, "%s", loader->message) : 0;
}

/* Counts a picture, unless it has been counted in an epoch before. */
static int count_broken(struct loader *loader, int64_t sample, const char *fault) {
    const struct dataset *set = loader->dataset;
    uint8_t bit = (uint8_t)(1 << sample % 8);
    if (loader->is_broken[sample / 8] & bit)
        return 0;
    loader->is_broken[sample / 8] |= bit;
    loader->broken++;
    if ((double)loader->broken > set->broken_share * (double)set->count)
        return error_set(ERROR_INPUT,
                         "%" PRId64 " of %" PRId64
                         " pictures cannot be decoded, more than data.broken_share=%g allows; "
                         "the last one: %s",
                         loader->broken, set->count, set->broken_share, fault);
    if (!loader->options.is_repeated)
        log_warning("%s: this picture is left out", fault);
    return 0;
}

static void move_sample(const struct loader *loader, struct batch *batch, int to, int from) {
    copy(batch->samples, to, batch->samples, from, sizeof *batch->samples);
    copy(batch->bytes, to, batch->bytes, from, (size_t)shape_elements(loader->frame));
    copy(batch->views, to, batch->views, from, sizeof *batch->views);
    copy(batch->labels, to, batch->labels, from, sizeof *batch->labels);
    copy(batch->targets, to, batch->targets, from,
         sizeof *batch->targets * (size_t)loader->dataset->outputs);
}

/* Takes the broken pictures out of a batch and closes the gaps. Here, in the order of the batches
 * and by one thread, so that what is said and when it is too much never depends on the threads. */
static int leave_out_broken(struct loader *loader, struct slot *slot) {
    struct batch *batch = &slot->batch;
    int kept = 0;
    for (int i = 0; i < slot->size; i++) {
        if (slot->faults[i]) {
            TRY(count_broken(loader, batch->samples[i], slot->faults[i]));
            free(slot->faults[i]);
            slot->faults[i] = NULL;
            continue;
        }
        if (kept < i)
            move_sample(loader, batch, kept, i);
        kept++;
    }
    batch->count = kept;
    return 0;
}

int loader_next(struct loader *loader, const struct batch **batch) {
    *batch = NULL;
    struct slot *slot;
    TRY(wait_for_slot(loader, &slot));
    if (!slot)
        return 0;
    int rc = slot->faults ? leave_out_broken(loader, slot) : 0;
    if (rc < 0) {
        pthread_mutex_lock(&loader->lock);
        fail(loader, rc);
        pthread_mutex_unlock(&loader->lock);
        return rc;
    }
    *batch = &slot->batch;
    return 1;
}

static void free_slot(struct slot *slot) {
    for (int i = 0; slot->faults && i < slot->size; i++)
        free(slot->faults[i]);
    free(slot->faults);
    free(slot->batch.samples);
    free(slot->batch.bytes);
    free(slot->batch.views);
    free(slot->batch.floats);
    free(slot->batch.labels);
    free(slot->batch.targets);
}

static void stop_threads(struct loader *loader) {
    pthread_mutex_lock(&loader->lock);
    loader->stop = 1;
    pthread_cond_broadcast(&loader->freed_one);
    pthread_mutex_unlock(&loader->lock);
    for (int i = 0; i < loader->started; i++) {
        pthread_join(loader->workers[i].thread, NULL);
        free(loader->workers[i].bytes);
    }
    free(loader->workers);
}

void loader_free(struct loader *loader) {
    if (!loader)
        return;
    stop_threads(loader);
    for (int i = 0; i < SLOTS; i++)
        free_slot(&loader->slots[i]);
    free(loader->order);
    free(loader->is_broken);
    pthread_cond_destroy(&loader->freed_one);
    pthread_cond_destroy(&loader->filled_one);
    pthread_mutex_destroy(&loader->lock);
    free(loader);
}

int64_t loader_broken(struct loader *loader) {
    return loader->broken;
}

int64_t loader_batches_per_epoch(const struct dataset *dataset, int batch) {
    return (dataset->count + batch - 1) / batch;
}
