#include "train/exchange.h"

#include "base/error.h"
#include "base/progress.h"
#include "train/exchange_way.h"

#include <stdio.h>
#include <stdlib.h>

static int create_side(struct exchange *exchange, int rank, struct replica *replica) {
    struct exchange_side *side = &exchange->sides[rank];
    side->replica = replica;
    side->complete = calloc((size_t)exchange->buckets + 1, sizeof *side->complete);
    return side->complete ? 0 : error_no_memory("the exchange", sizeof *side->complete);
}

static int create_sides(struct exchange *exchange, struct replica *const *replicas) {
    exchange->sides = calloc((size_t)exchange->count, sizeof *exchange->sides);
    if (!exchange->sides)
        return error_no_memory("the exchange", sizeof *exchange->sides);
    for (int i = 0; i < exchange->count; i++)
        TRY(create_side(exchange, i, replicas[i]));
    return 0;
}

int exchange_create(struct exchange **out, struct replica *const *replicas, int count,
                    enum exchange_by by, int copies) {
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (!exchange)
        return error_no_memory("the exchange", sizeof *exchange);
    exchange->way = by == EXCHANGE_DEVICE ? &exchange_way_device : &exchange_way_host;
    exchange->count = count;
    exchange->buckets = replica_bucket_count(replicas[0]);
    barrier_init(&exchange->barrier, count);
    int rc = create_sides(exchange, replicas);
    if (rc == 0)
        rc = exchange->way->open(exchange, copies);
    if (rc < 0)
        exchange_free(exchange);
    else
        *out = exchange;
    return rc;
}

static void free_side(struct exchange_side *side, int buckets) {
    for (int b = 0; side->complete && b < buckets; b++)
        mark_free(&side->complete[b]);
    free(side->complete);
}

void exchange_free(struct exchange *exchange) {
    if (!exchange)
        return;
    exchange->way->close(exchange);
    for (int i = 0; exchange->sides && i < exchange->count; i++)
        free_side(&exchange->sides[i], exchange->buckets);
    barrier_destroy(&exchange->barrier);
    free(exchange->sides);
    free(exchange);
}

int exchange_start(struct exchange *exchange, int rank, int bucket) {
    struct exchange_side *side = &exchange->sides[rank];
    TRY(device_mark(replica_device(side->replica), &side->complete[bucket]));
    return exchange->way->start(exchange, rank, bucket);
}

int exchange_wait(struct exchange *exchange, int rank, int bucket) {
    return exchange->way->wait(exchange, rank, bucket);
}

void exchange_trace(struct exchange *exchange, int rank, struct trace *trace, int row) {
    exchange->sides[rank].trace = trace;
    exchange->sides[rank].row = row;
}

void exchange_show(const struct exchange_side *side, int bucket, double start, const char *what) {
    char name[64];
    if (!side->trace)
        return;
    (void)snprintf(name, sizeof name, "bucket %d: %s", bucket, what);
    trace_span(side->trace, side->row, name, start, clock_seconds());
}

int exchange_meet(struct exchange *exchange, int rank, int bucket) {
    double start = clock_seconds();
    int have_met = barrier_wait(&exchange->barrier);
    exchange_show(&exchange->sides[rank], bucket, start, "wait for the others");
    return !have_met;
}

void exchange_abort(struct exchange *exchange) {
    barrier_break(&exchange->barrier);
}

int exchange_settle(struct exchange *exchange, int rank) {
    const struct exchange_side *side = &exchange->sides[rank];
    return mark_wait(replica_device(side->replica), &side->complete[exchange->buckets - 1]);
}
