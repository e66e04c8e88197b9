/* The exchange of gradients: each bucket of every replica becomes the sum over all replicas.
 *
 * The sum is taken in the order of the replicas, so that it is the same bits every time, and the
 * same on all of them. There are two ways for it, which give the same bits: in the host's memory
 * (exchange_host.c), whatever the devices, and by copies among devices that share a context
 * (exchange_device.c).
 *
 * Each replica has a thread of its own, which starts every bucket and then waits for every bucket,
 * in the same order. Nothing here blocks but exchange_wait.
 */
#ifndef TRAIN_EXCHANGE_H
#define TRAIN_EXCHANGE_H

#include "net/replica.h"

struct exchange;

enum exchange_by {
    EXCHANGE_AUTO, /* not of exchange_create, but of who is to choose one */
    EXCHANGE_HOST,
    EXCHANGE_DEVICE,
};

/* For replicas of the same net with the same buckets, two or more, which must outlive it.
 * EXCHANGE_DEVICE is for devices that all share one context. `copies`: see window_create. Free with
 * exchange_free, when no thread is in it. */
int exchange_create(struct exchange **out, struct replica *const *replicas, int count,
                    enum exchange_by by, int copies);

void exchange_free(struct exchange *exchange);

/* The replica's gradients of the bucket are complete once all that is enqueued on it so far is
 * done; it begins to give them away. */
int exchange_start(struct exchange *exchange, int rank, int bucket);

/* Waits until the sum is there: what is enqueued on the replica from here on finds it in the
 * bucket. Returns 1 when another replica has given up, or an error. */
int exchange_wait(struct exchange *exchange, int rank, int bucket);

/* A replica gives up: nobody waits for it any more. The exchange can only be freed. */
void exchange_abort(struct exchange *exchange);

/* Shows in that row of a trace what the replica's thread does. */
void exchange_trace(struct exchange *exchange, int rank, struct trace *trace, int row);

/* Waits until the replica's own gradients of all buckets that it has started are complete. */
int exchange_settle(struct exchange *exchange, int rank);

#endif
