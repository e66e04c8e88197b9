/* A team: replicas of one net, each on its device and with a thread of its own, that learn as one.
 *
 * Every batch is divided among them (train/split.h); the gradients, means over the whole batch, are
 * summed (train/exchange.h) while the earlier layers still compute, and every replica makes the
 * same update: their parameters stay equal to the bit. What a team learns does not depend on its
 * devices but by rounding; what is random depends on the place in the batch alone.
 *
 * With parallel=hybrid that is so up to the net's first fully connected layer; from there on each
 * device has some rows of every such layer (train/hybrid.h). The team's replicas are of the whole
 * net in any case, as others see them.
 *
 * Its functions are for one thread, the one that made it. After one of them failed, a team can only
 * be freed.
 */
#ifndef TRAIN_TEAM_H
#define TRAIN_TEAM_H

#include "data/loader.h"
#include "net/replica.h"
#include "train/exchange.h"

struct team;

struct team_options {
    enum technique technique;
    enum truth truth_kind;
    int is_floats;       /* the samples come as floats, not as bytes of frames */
    int mean_by_pixel;   /* there will be a mean for each pixel */
    const int *shares;   /* of the batch, one for each device; NULL: equal ones */
    int is_automatic;    /* measure the devices, and divide the batch anew as they turn out */
    size_t bucket_bytes; /* of gradients that leave at once; 0: TEAM_BUCKET_BYTES */
    enum exchange_by
        exchange;            /* EXCHANGE_AUTO: the faster way, where the devices share a context */
    int copies;              /* see window_create */
    size_t allocation_limit; /* see struct replica_options */
    struct trace *trace;     /* shows what the devices do, which were opened for profiling, and what
                                their threads; must outlive the team. NULL: none */
};

/* Large enough for a bus to reach its speed, small enough that the first ones leave early. */
enum { TEAM_BUCKET_BYTES = 16 << 20 };

/* Makes a replica on each of the open devices [count]; these and the net must outlive it. A share
 * that a device has no memory for is worked through in parts, as few as fit (net/memory_needs.h),
 * which the log tells; when not one sample fits, that is ERROR_DEVICE and nothing was allocated.
 * Parameters are undefined until team_initialise, or until those of the first replica were written
 * and shared. Free with team_free. */
int team_create(struct team **out, const struct net *net, struct device *const *devices, int count,
                const struct team_options *options);

void team_free(struct team *team);

int team_size(const struct team *team);
struct replica *team_replica(const struct team *team, int rank);
struct replica *const *team_replicas(const struct team *team); /* [team_size] */
int team_share(const struct team *team, int rank);             /* samples of a whole batch */

/* Whether gradients are exchanged by copies among the devices, not by way of the host. */
int team_exchanges_by_copies(const struct team *team);

/* Fills the parameters of all as their initialisers say. */
int team_initialise(struct team *team, uint32_t seed);

/* Gives all replicas the parameters, velocity and mean of the first. */
int team_share_parameters(struct team *team);

/* Compares the replicas' digests; ERROR_DEVICE names one that differs from the first. Returns the
 * digest in *digest unless NULL. */
int team_check(struct team *team, uint64_t *digest);

/* Makes the replicas fit for an evaluation: with parallel=hybrid they fetch the parameters. */
int team_prepare_evaluation(struct team *team);

/* Begins to send a batch, or as much of it as fits. It must stay as it is until team_wait_sent,
 * after team_begin. */
int team_stage(struct team *team, const struct dataset *dataset, const struct batch *batch);

/* Sets the team to work on the batch that was staged: forward, backward, exchange and, unless
 * `update` is NULL, the update. Step's first_sample and global_count are the team's to fill in. */
int team_begin(struct team *team, const struct step *step, const struct update *update);

/* Whether the next batch may be staged while the team works. */
int team_can_look_ahead(const struct team *team);

/* Waits until all of the batch has left the host's memory: the next one may be staged. */
int team_wait_sent(struct team *team);

/* Waits for the end, but for an update that may still go on, and gives the mean loss of the batch's
 * samples. A loss that is not finite is ERROR_NUMERIC, which says what is not, and no replica has
 * made an update. */
int team_end(struct team *team, double *loss);

/* The update that team_begin left out. */
int team_update(struct team *team, const struct update *update);

/* Divides the batch so from here on: shares of at least 1, one for each device, that add up to it.
 * No batch may be staged. */
int team_divide(struct team *team, const int *shares);

/* Whether the batch may be divided anew after this iteration. If so no batch is to be staged before
 * team_end and team_rebalance, which logs what it changes. */
int team_is_measured(const struct team *team);
int team_rebalance(struct team *team);

/* Waits until no replica has anything of a batch in the host's memory, also after a failure. */
int team_stage_wait(struct team *team);

#endif
