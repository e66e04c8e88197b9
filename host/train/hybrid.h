/* Hybrid parallelism: on each of several devices the whole front of a net, for its own samples, and
 * some rows of the back (net/net_part.h), for all samples. The front's gradients are for the team
 * to exchange; the back's rows are nobody else's.
 *
 * The scheme is (b) of A. Krizhevsky, "One weird trick for parallelizing convolutional neural
 * networks" (2014): in rounds, one device after another sends what its front gave to all, which
 * compute the back for these samples and send back its gradient. What the next round is about is
 * sent while this one computes.
 */
#ifndef TRAIN_HYBRID_H
#define TRAIN_HYBRID_H

#include "net/replica.h"

struct hybrid;

/* On each of the open devices [count]; these and the net must outlive it. The options are those of
 * a replica of the whole net, for training; `copies`: see window_create. A net that cannot be
 * divided so is ERROR_INPUT, which says why. Free with hybrid_free, when no thread is in it. */
int hybrid_create(struct hybrid **out, const struct net *net, struct device *const *devices,
                  int count, const struct replica_options *options, int copies);

void hybrid_free(struct hybrid *hybrid);

/* The rank's front, which learns as any replica does, but for the rounds between its forward and
 * its backward pass. */
struct replica *hybrid_front(const struct hybrid *hybrid, int rank);

/* A replica of the whole net, for use, whose parameters are kept by the parts: read there they are
 * whole, and written they go to all parts. Before use: replica_refresh. */
struct replica *hybrid_whole(const struct hybrid *hybrid, int rank);

enum { HYBRID_NONE = -1 };

/* Before the rounds of a micro-batch, of which that of rank `root` is the first (HYBRID_NONE: there
 * is none): shows the others what the rank's front gave, if it has samples. */
int hybrid_begin(struct hybrid *hybrid, int rank, int has_samples, int root);

/* A round: the forward and backward pass of the back for the samples that the front of rank `root`
 * has seen before hybrid_begin, of which the truth counts. Meanwhile what the front of rank `next`
 * gave is on its way, for the next round (HYBRID_NONE: there is none). Each rank's thread calls it,
 * for each round, in order. The root gets the loss of each sample. */
int hybrid_round(struct hybrid *hybrid, int rank, int root, int next, const struct samples *samples,
                 const struct step *step, float *losses);

/* Shows in that row of a trace what the rank's thread does: its waits for the front, and the
 * rounds, by their root. */
void hybrid_trace(struct hybrid *hybrid, int rank, struct trace *trace, int row);

/* Enqueues the update of the rank's rows. */
int hybrid_update(struct hybrid *hybrid, int rank, const struct update *update);

/* One gives up: nobody waits for it any more, and what the rounds give means nothing. */
void hybrid_abort(struct hybrid *hybrid);

#endif
