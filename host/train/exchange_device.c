/* The exchange by copies among devices that share a context: each has a slice of every bucket, for
 * which it fetches what the others have, sums it, and sends the sum to all. A bucket crosses each
 * device's bus about once in each direction here too, and the host's memory never.
 *
 * The threads meet to learn of each other's marks, never to wait for a device: the order of the
 * copies is that of the marks. Nobody reads a slice of another's bucket but its owner, and that is
 * over before its sum is sent there; the update, which zeroes gradients, comes after all that is
 * sent, also of what is its own.
 */
#include "base/error.h"
#include "base/progress.h"
#include "cl/kernel.h"
#include "cl/target.h"
#include "net/parameter_layout.h"
#include "ops/net_kernels.h"
#include "train/exchange_way.h"

#include <assert.h>
#include <stdlib.h>

/* A replica's slice of a bucket. */
struct slice {
    size_t first, floats;
    struct kernel *sum;
    struct mark summed, sent; /* to all */
};

struct by_device {
    struct buffer **rooms; /* [count] for a slice of each of the others */
    struct slice *slices;  /* [count][buckets] */
};

static struct slice *slice_of(const struct exchange *exchange, int rank, int bucket) {
    const struct by_device *own = exchange->state;
    return &own->slices[rank * exchange->buckets + bucket];
}

static struct buffer *bucket_of(const struct exchange *exchange, int rank, int bucket) {
    return replica_bucket(exchange->sides[rank].replica, bucket);
}

static struct device *device_of(const struct exchange *exchange, int rank) {
    return replica_device(exchange->sides[rank].replica);
}

/* Tiles, and so vectors, as in an update, which passes over the same floats. */
static struct target target_of(const struct device *device) {
    return (struct target){.tiling = {.tile = TILE_MAX}, .device = *device_info(device)};
}

static int create_slice(struct exchange *exchange, int rank, int bucket) {
    struct slice *slice = slice_of(exchange, rank, bucket);
    struct device *device = device_of(exchange, rank);
    size_t floats = buffer_bytes(bucket_of(exchange, rank, bucket)) / sizeof(float);
    size_t count = (size_t)exchange->count;
    struct target target = target_of(device);
    slice->first = blocks_first(floats, (size_t)rank, count);
    slice->floats = blocks_first(floats, (size_t)rank + 1, count) - slice->first;
    if (slice->floats == 0)
        return 0;
    struct kernel_spec spec = sum_spec(&target, slice->floats, rank, exchange->count);
    TRY(kernel_create(&slice->sum, device, &spec));
    kernel_set_label(slice->sum, "exchange");
    return 0;
}

static int open_rank(struct exchange *exchange, int rank) {
    struct by_device *own = exchange->state;
    size_t most = 0;
    assert(device_shares_context(device_of(exchange, 0), device_of(exchange, rank)));
    for (int b = 0; b < exchange->buckets; b++) {
        size_t floats = buffer_bytes(bucket_of(exchange, rank, b)) / sizeof(float);
        most = floats > most ? floats : most;
        TRY(create_slice(exchange, rank, b));
    }
    return buffer_create(&own->rooms[rank], device_of(exchange, rank),
                         exchange_room(most, exchange->count), "others' gradients");
}

static int open_device(struct exchange *exchange, int copies) {
    size_t count = (size_t)exchange->count;
    struct by_device *own = exchange->state = calloc(1, sizeof *own);
    (void)copies; /* there is nothing but copies */
    if (!own)
        return error_no_memory("the exchange", sizeof *own);
    own->rooms = calloc(count, sizeof(struct buffer *));
    own->slices = calloc(count * (size_t)exchange->buckets + 1, sizeof *own->slices);
    if (!own->rooms || !own->slices)
        return error_no_memory("the exchange", count * sizeof *own->slices);
    for (int i = 0; i < exchange->count; i++)
        TRY(open_rank(exchange, i));
    return 0;
}

/* What a device has enqueued works on the memory of all. */
static void finish_all(struct exchange *exchange) {
    error_hold();
    for (int i = 0; i < exchange->count; i++)
        (void)device_finish(device_of(exchange, i));
    error_release();
}

static void close_device(struct exchange *exchange) {
    struct by_device *own = exchange->state;
    if (!own)
        return;
    finish_all(exchange);
    for (int i = 0; own->slices && i < exchange->count * exchange->buckets; i++) {
        kernel_free(own->slices[i].sum);
        mark_free(&own->slices[i].summed);
        mark_free(&own->slices[i].sent);
    }
    for (int i = 0; own->rooms && i < exchange->count; i++)
        buffer_free(own->rooms[i]);
    free(own->rooms);
    free(own->slices);
    free(own);
}

/* Another device is to wait for the mark: it must not be kept back. */
static int start_device(struct exchange *exchange, int rank, int bucket) {
    (void)bucket;
    return device_flush(device_of(exchange, rank));
}

static int sum_slice(struct exchange *exchange, int rank, int bucket) {
    const struct by_device *own = exchange->state;
    struct slice *slice = slice_of(exchange, rank, bucket);
    struct buffer *mine = bucket_of(exchange, rank, bucket), *room = own->rooms[rank];
    size_t bytes = slice->floats * sizeof(float), used = 0;
    for (int k = 0; k < exchange->count; k++) {
        if (k == rank)
            continue;
        TRY(buffer_fetch(room, used, bucket_of(exchange, k, bucket), slice->first * sizeof(float),
                         bytes, &exchange->sides[k].complete[bucket]));
        used += bytes;
    }
    struct target target = target_of(device_of(exchange, rank));
    uint32_t first = (uint32_t)(slice->first / (size_t)target_vector(&target));
    const struct kernel_argument arguments[] = {BUFFER(room), BUFFER(mine), SCALAR(first)};
    return kernel_launch_beside(slice->sum, &exchange->sides[rank].complete[bucket], &slice->summed,
                                arguments, 3);
}

static int send_slice(struct exchange *exchange, int rank, int bucket) {
    struct slice *slice = slice_of(exchange, rank, bucket);
    size_t first = slice->first * sizeof(float), bytes = slice->floats * sizeof(float);
    int last = rank == exchange->count - 1 ? rank - 1 : exchange->count - 1;
    for (int k = 0; k < exchange->count; k++) {
        if (k != rank)
            TRY(buffer_send(bucket_of(exchange, rank, bucket), bucket_of(exchange, k, bucket),
                            first, bytes, &slice->summed, k == last ? &slice->sent : NULL));
    }
    return 0;
}

static int wait_device(struct exchange *exchange, int rank, int bucket) {
    /* From here on all are marked complete. */
    if (exchange_meet(exchange, rank, bucket))
        return 1;
    double start = clock_seconds();
    if (slice_of(exchange, rank, bucket)->floats > 0) {
        TRY(sum_slice(exchange, rank, bucket));
        TRY(send_slice(exchange, rank, bucket));
    }
    exchange_show(&exchange->sides[rank], bucket, start, "enqueue the sum");
    /* From here on all are marked sent. */
    if (exchange_meet(exchange, rank, bucket))
        return 1;
    for (int k = 0; k < exchange->count; k++)
        TRY(device_wait_for(device_of(exchange, rank), &slice_of(exchange, k, bucket)->sent));
    return 0;
}

const struct exchange_way exchange_way_device = {
    .open = open_device,
    .close = close_device,
    .start = start_device,
    .wait = wait_device,
};
