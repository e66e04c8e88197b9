/* What the ways to exchange gradients share (train/exchange.h): for their files alone. */
#ifndef TRAIN_EXCHANGE_WAY_H
#define TRAIN_EXCHANGE_WAY_H

#include "base/barrier.h"
#include "train/exchange.h"

/* One replica's part. */
struct exchange_side {
    struct replica *replica;
    struct mark *complete; /* [buckets] the gradients are */
    struct trace *trace;   /* NULL: none */
    int row;
};

struct exchange {
    const struct exchange_way *way;
    int count, buckets;
    struct exchange_side *sides;
    struct barrier barrier;
    void *state; /* the way's own */
};

/* A way. Its functions are for exchange.c to call: `open` makes the state, `close` frees it, also
 * half-built; `start` comes once the gradients are marked complete. */
struct exchange_way {
    int (*open)(struct exchange *exchange, int copies);
    void (*close)(struct exchange *exchange);
    int (*start)(struct exchange *exchange, int rank, int bucket);
    int (*wait)(struct exchange *exchange, int rank, int bucket);
};

extern const struct exchange_way exchange_way_host, exchange_way_device;

/* Shows in the trace what the replica's thread has done since `start`. */
void exchange_show(const struct exchange_side *side, int bucket, double start, const char *what);

/* Waits until all threads have come. Returns 0; 1 when one has given up. */
int exchange_meet(struct exchange *exchange, int rank, int bucket);

#endif
