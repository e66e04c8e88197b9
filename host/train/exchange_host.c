/* The exchange by way of the host's memory, whatever the platforms: the thread of each replica sums
 * its share of a bucket over all replicas there, so that a bucket crosses each device's bus once in
 * each direction, however many devices there are. */
#include "base/error.h"
#include "base/progress.h"
#include "cl/window.h"
#include "train/exchange_way.h"
#include "train/sum.h"

#include <stdlib.h>

/* A bucket of one replica. */
struct piece {
    struct window *window;
    struct mark returned; /* the sum is back */
};

struct by_host {
    struct piece *pieces; /* [count][buckets] */
    float **values;       /* [buckets][count], of those whose windows are open */
};

static struct piece *piece_of(const struct exchange *exchange, int rank, int bucket) {
    const struct by_host *own = exchange->state;
    return &own->pieces[rank * exchange->buckets + bucket];
}

static int open_windows(struct exchange *exchange, int rank, int copies) {
    struct replica *replica = exchange->sides[rank].replica;
    for (int b = 0; b < exchange->buckets; b++)
        TRY(window_create(&piece_of(exchange, rank, b)->window, replica_bucket(replica, b),
                          copies));
    return 0;
}

static int open_host(struct exchange *exchange, int copies) {
    size_t pieces = (size_t)exchange->count * (size_t)exchange->buckets;
    struct by_host *own = exchange->state = calloc(1, sizeof *own);
    if (!own)
        return error_no_memory("the exchange", sizeof *own);
    own->pieces = calloc(pieces + 1, sizeof *own->pieces);
    own->values = calloc(pieces + 1, sizeof(float *));
    if (!own->pieces || !own->values)
        return error_no_memory("the exchange", (pieces + 1) * sizeof *own->pieces);
    for (int i = 0; i < exchange->count; i++)
        TRY(open_windows(exchange, i, copies));
    return 0;
}

static void close_host(struct exchange *exchange) {
    struct by_host *own = exchange->state;
    if (!own)
        return;
    for (int i = 0; own->pieces && i < exchange->count * exchange->buckets; i++) {
        window_free(own->pieces[i].window);
        mark_free(&own->pieces[i].returned);
    }
    free(own->pieces);
    free(own->values);
    free(own);
}

static int start_host(struct exchange *exchange, int rank, int bucket) {
    return window_open(piece_of(exchange, rank, bucket)->window,
                       &exchange->sides[rank].complete[bucket]);
}

static int wait_host(struct exchange *exchange, int rank, int bucket) {
    struct by_host *own = exchange->state;
    struct replica *replica = exchange->sides[rank].replica;
    struct piece *piece = piece_of(exchange, rank, bucket);
    float **values = own->values + (ptrdiff_t)bucket * exchange->count;
    void *content;
    TRY(window_wait(piece->window, &content));
    values[rank] = content;
    if (exchange_meet(exchange, rank, bucket))
        return 1;
    double start = clock_seconds();
    sum_share(values, exchange->count, rank,
              buffer_bytes(replica_bucket(replica, bucket)) / sizeof(float));
    int have_met = barrier_wait(&exchange->barrier);
    exchange_show(&exchange->sides[rank], bucket, start, "sum");
    if (!have_met)
        return 1;
    TRY(window_close(piece->window, &piece->returned));
    return device_wait_for(replica_device(replica), &piece->returned);
}

const struct exchange_way exchange_way_host = {
    .open = open_host,
    .close = close_host,
    .start = start_host,
    .wait = wait_host,
};
