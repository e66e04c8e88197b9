#include "train/exchange.h"

#include "base/barrier.h"
#include "base/error.h"
#include "base/progress.h"
#include "cl/window.h"
#include "train/sum.h"

#include <stdio.h>
#include <stdlib.h>

/* A bucket of one replica. */
struct piece {
    struct window *window;
    struct mark complete; /* the gradients are */
    struct mark returned; /* the sum is back */
};

/* One replica's part. */
struct side {
    struct replica *replica;
    struct piece *pieces; /* [buckets] */
    struct trace *trace;  /* NULL: none */
    int row;
};

struct exchange {
    int count, buckets;
    struct side *sides;
    float **values; /* [buckets][count], of those whose windows are open */
    struct barrier barrier;
};

static int create_side(struct exchange *exchange, struct side *side, int copies) {
    side->pieces = calloc((size_t)exchange->buckets, sizeof *side->pieces);
    if (!side->pieces)
        return error_no_memory("the exchange", (size_t)exchange->buckets * sizeof *side->pieces);
    for (int b = 0; b < exchange->buckets; b++)
        TRY(window_create(&side->pieces[b].window, replica_bucket(side->replica, b), copies));
    return 0;
}

int exchange_create(struct exchange **out, struct replica *const *replicas, int count, int copies) {
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (!exchange)
        return error_no_memory("the exchange", sizeof *exchange);
    barrier_init(&exchange->barrier, count);
    exchange->buckets = replica_bucket_count(replicas[0]);
    exchange->sides = calloc((size_t)count, sizeof *exchange->sides);
    exchange->values = calloc((size_t)count * (size_t)exchange->buckets, sizeof(float *));
    int rc = exchange->sides && exchange->values
                 ? 0
                 : error_no_memory("the exchange", (size_t)count * sizeof *exchange->sides);
    for (int i = 0; rc == 0 && i < count; i++) {
        exchange->count = i + 1;
        exchange->sides[i].replica = replicas[i];
        rc = create_side(exchange, &exchange->sides[i], copies);
    }
    if (rc < 0)
        exchange_free(exchange);
    else
        *out = exchange;
    return rc;
}

void exchange_free(struct exchange *exchange) {
    if (!exchange)
        return;
    for (int i = 0; exchange->sides && i < exchange->count; i++) {
        struct piece *pieces = exchange->sides[i].pieces;
        for (int b = 0; pieces && b < exchange->buckets; b++) {
            window_free(pieces[b].window);
            mark_free(&pieces[b].complete);
            mark_free(&pieces[b].returned);
        }
        free(pieces);
    }
    barrier_destroy(&exchange->barrier);
    free(exchange->sides);
    free(exchange->values);
    free(exchange);
}

int exchange_start(struct exchange *exchange, int rank, int bucket) {
    struct side *side = &exchange->sides[rank];
    struct piece *piece = &side->pieces[bucket];
    TRY(device_mark(replica_device(side->replica), &piece->complete));
    return window_open(piece->window, &piece->complete);
}

void exchange_trace(struct exchange *exchange, int rank, struct trace *trace, int row) {
    exchange->sides[rank].trace = trace;
    exchange->sides[rank].row = row;
}

static void show(const struct side *side, int bucket, double start, const char *what) {
    char name[64];
    if (!side->trace)
        return;
    (void)snprintf(name, sizeof name, "bucket %d: %s", bucket, what);
    trace_span(side->trace, side->row, name, start, clock_seconds());
}

/* Waits for the replica's own gradients, and then for those of the others. */
static int meet(struct exchange *exchange, int rank, int bucket) {
    struct side *side = &exchange->sides[rank];
    struct piece *piece = &side->pieces[bucket];
    void *values;
    TRY(window_wait(piece->window, &values));
    exchange->values[bucket * exchange->count + rank] = values;
    double start = clock_seconds();
    int have_met = barrier_wait(&exchange->barrier);
    show(side, bucket, start, "wait for the others");
    return !have_met;
}

int exchange_wait(struct exchange *exchange, int rank, int bucket) {
    struct side *side = &exchange->sides[rank];
    struct piece *piece = &side->pieces[bucket];
    int rc = meet(exchange, rank, bucket);
    if (rc)
        return rc;
    double start = clock_seconds();
    sum_share(exchange->values + (ptrdiff_t)bucket * exchange->count, exchange->count, rank,
              buffer_bytes(replica_bucket(side->replica, bucket)) / sizeof(float));
    int have_met = barrier_wait(&exchange->barrier);
    show(side, bucket, start, "sum");
    if (!have_met)
        return 1;
    TRY(window_close(piece->window, &piece->returned));
    return device_wait_for(replica_device(side->replica), &piece->returned);
}

void exchange_abort(struct exchange *exchange) {
    barrier_break(&exchange->barrier);
}

int exchange_settle(struct exchange *exchange, int rank) {
    const struct side *side = &exchange->sides[rank];
    return mark_wait(replica_device(side->replica), &side->pieces[exchange->buckets - 1].complete);
}
