#include "train/team.h"

#include "base/barrier.h"
#include "base/error.h"
#include "base/log.h"
#include "base/numbers.h"
#include "base/progress.h"
#include "cl/quirks.h"
#include "net/memory_needs.h"
#include "net/net_part.h"
#include "train/evaluator.h"
#include "train/exchange_choice.h"
#include "train/hybrid.h"
#include "train/pace.h"
#include "train/split.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What worker functions return when another worker failed. */
enum { GIVEN_UP = 1 };

/* A part of a batch. */
struct part {
    int first, count;
};

struct worker {
    struct team *team;
    int rank;
    struct device *device;
    int sharing;             /* replicas that share the device's memory */
    struct replica *replica; /* what learns from its samples: of the whole net, or of the front */
    pthread_t thread;
    int is_started;
    int micro_batch;
    int parts;        /* of its share, where these are more than the config says; else 0 */
    struct part next; /* of the batch that is staged */
    struct part part; /* of the batch at hand */
    struct step step; /* the last micro-batch */
    int32_t *ranks;   /* of a micro-batch */
    int has_sent;
    int code; /* of its failure, with the message */
    char *message;
};

struct team {
    const struct net *net;
    struct team_options options;
    int size;
    struct worker *workers;
    struct replica **replicas; /* of the whole net */
    struct replica **learners; /* the same, or the fronts: each worker's */
    int *shares;
    struct exchange *exchange; /* NULL: there is one replica alone */
    int peers;                 /* that may exchange by copies; 0: none */
    struct hybrid *hybrid;     /* NULL: every worker has the whole net */
    struct barrier vote;
    atomic_int diverged; /* rank + 1 of one whose loss is not finite */
    float *losses;       /* of the batch */
    struct pace *pace;   /* NULL: nothing follows from how fast the devices are */

    const struct dataset *next_dataset, *dataset;
    struct batch next_batch, batch;
    struct step step;
    struct update update;
    int has_update;

    pthread_mutex_t lock; /* guards what follows, and each worker's has_sent */
    pthread_cond_t changed;
    unsigned round; /* a new one sets the workers to work */
    int running;    /* workers at work */
    int is_closing;
};

/* ---- what a worker does with its part of a batch ---- */

/* The batch may go, as far as this worker is concerned. */
static void note_sent(struct worker *worker) {
    struct team *team = worker->team;
    pthread_mutex_lock(&team->lock);
    worker->has_sent = 1;
    pthread_cond_broadcast(&team->changed);
    pthread_mutex_unlock(&team->lock);
}

static int stage(struct worker *worker, const struct dataset *dataset, const struct batch *batch,
                 struct part part, int done) {
    int count = least(part.count - done, replica_micro_batch(worker->replica));
    if (count <= 0)
        return 0;
    struct samples samples = batch_part(dataset, batch, part.first + done, count);
    return replica_stage(worker->replica, &samples);
}

static int start_bucket(void *context, int bucket) {
    struct worker *worker = context;
    return exchange_start(worker->team->exchange, worker->rank, bucket);
}

static int all_finite(const float *values, int count) {
    int finite = 1;
    for (int i = 0; i < count; i++)
        finite &= isfinite(values[i]) != 0;
    return finite;
}

/* One micro-batch, `done` samples into the part; the gradients of the last one leave as they come.
 * Returns 1 when a loss is not finite. */
static int learn_micro_batch(struct worker *worker, int done) {
    struct team *team = worker->team;
    struct replica *replica = worker->replica;
    int count = least(worker->part.count - done, replica_micro_batch(replica));
    int is_last = done + count == worker->part.count;
    float *losses = team->losses + worker->part.first + done;
    worker->step.first_sample = (uint32_t)(worker->part.first + done);
    TRY(replica_forward_staged(replica, &worker->step));
    TRY(replica_backward(replica, is_last && team->exchange ? start_bucket : NULL, worker));
    if (is_last) {
        TRY(replica_stage_wait(replica));
        note_sent(worker);
    } else {
        TRY(stage(worker, team->dataset, &team->batch, worker->part, done + count));
    }
    TRY(replica_results(replica, losses, worker->ranks));
    return !all_finite(losses, count);
}

/* A worker that has no sample takes part with gradients of zero. */
static int learn_nothing(struct worker *worker) {
    struct team *team = worker->team;
    note_sent(worker);
    for (int b = 0; team->exchange && b < replica_bucket_count(worker->replica); b++)
        TRY(start_bucket(worker, b));
    return 0;
}

/* ---- the same, where a worker has the front of the net alone, and some rows of the rest ---- */

/* Samples of a part that are in its micro-batch from `done` on; 0: it has fewer. */
static int micro_batch_count(const struct worker *worker, int done) {
    int count = least(worker->part.count - done, replica_micro_batch(worker->replica));
    return count > 0 ? count : 0;
}

/* The first worker, from this one on, that has samples in its micro-batch from `done` on. */
static int find_root(const struct team *team, int rank, int done) {
    while (rank < team->size && micro_batch_count(&team->workers[rank], done) == 0)
        rank++;
    return rank < team->size ? rank : HYBRID_NONE;
}

/* All workers together go through the samples of one after the other. */
static int run_rounds(struct worker *worker, int done) {
    struct team *team = worker->team;
    int root = find_root(team, 0, done), next;
    TRY(hybrid_begin(team->hybrid, worker->rank, micro_batch_count(worker, done) > 0, root));
    for (; root != HYBRID_NONE; root = next) {
        const struct worker *other = &team->workers[root];
        int first = other->part.first + done, count = micro_batch_count(other, done);
        struct samples samples = batch_part(team->dataset, &team->batch, first, count);
        struct step step = worker->step;
        step.first_sample = (uint32_t)first;
        next = find_root(team, root + 1, done);
        TRY(hybrid_round(team->hybrid, worker->rank, root, next, &samples, &step,
                         team->losses + first));
    }
    return 0;
}

static int learn_hybrid_micro_batch(struct worker *worker, int done) {
    struct team *team = worker->team;
    int count = micro_batch_count(worker, done);
    int is_last = done + count == worker->part.count;
    if (count == 0)
        return run_rounds(worker, done);
    worker->step.first_sample = (uint32_t)(worker->part.first + done);
    TRY(replica_forward_staged(worker->replica, &worker->step));
    TRY(stage(worker, team->dataset, &team->batch, worker->part, done + count));
    TRY(run_rounds(worker, done));
    return replica_backward(worker->replica, is_last ? start_bucket : NULL, worker);
}

/* Keeps the first samples whose losses are not finite, while they are there, for the whole net to
 * look into: see report_divergence. */
static int note_divergence(struct worker *worker) {
    struct team *team = worker->team;
    for (int done = 0; done < worker->part.count; done += replica_micro_batch(worker->replica)) {
        int first = worker->part.first + done, count = micro_batch_count(worker, done);
        if (all_finite(team->losses + first, count))
            continue;
        struct replica *whole = team->replicas[worker->rank];
        struct samples samples = batch_part(team->dataset, &team->batch, first, count);
        worker->step.first_sample = (uint32_t)first;
        atomic_store(&team->diverged, worker->rank + 1);
        TRY(replica_stage(whole, &samples));
        return replica_stage_wait(whole);
    }
    return 0;
}

/* Every worker takes part in the rounds of all. */
static int learn_hybrid_part(struct worker *worker) {
    struct team *team = worker->team;
    int longest = 0;
    for (int i = 0; i < team->size; i++) {
        int count = team->workers[i].part.count;
        longest = count > longest ? count : longest;
    }
    for (int done = 0; done < longest; done += replica_micro_batch(worker->replica))
        TRY(learn_hybrid_micro_batch(worker, done));
    if (worker->part.count == 0)
        return learn_nothing(worker);
    TRY(note_divergence(worker));
    TRY(replica_stage_wait(worker->replica));
    note_sent(worker);
    return 0;
}

/* ---- what a worker does with a batch ---- */

static int learn_part(struct worker *worker) {
    struct team *team = worker->team;
    worker->step = team->step;
    if (team->hybrid)
        return learn_hybrid_part(worker);
    if (worker->part.count == 0)
        return learn_nothing(worker);
    for (int done = 0; done < worker->part.count; done += replica_micro_batch(worker->replica)) {
        int rc = learn_micro_batch(worker, done);
        TRY(rc);
        if (rc > 0) {
            atomic_store(&team->diverged, worker->rank + 1);
            return 0;
        }
    }
    return 0;
}

static int exchange_and_update(struct worker *worker) {
    struct team *team = worker->team;
    const struct update *update = team->has_update ? &team->update : NULL;
    for (int b = 0; team->exchange && b < replica_bucket_count(worker->replica); b++) {
        int rc = exchange_wait(team->exchange, worker->rank, b);
        if (rc)
            return rc;
        if (update)
            TRY(replica_update_bucket(worker->replica, b, update));
    }
    if (update && !team->exchange)
        TRY(replica_update(worker->replica, update));
    if (update && team->hybrid)
        TRY(hybrid_update(team->hybrid, worker->rank, update));
    return device_flush(replica_device(worker->replica));
}

/* How long the device takes by itself, before anyone waits for another. What follows then overlaps
 * less. */
static int time_part(struct worker *worker, double started) {
    struct team *team = worker->team;
    int is_whole = team->batch.count == team->net->options.batch;
    if (!team->pace || !is_whole || !pace_count(team->pace, worker->rank))
        return 0;
    TRY(exchange_settle(team->exchange, worker->rank));
    pace_note(team->pace, worker->rank, worker->part.count, clock_seconds() - started);
    return 0;
}

static int learn(struct worker *worker) {
    struct team *team = worker->team;
    double started = clock_seconds();
    TRY(learn_part(worker));
    TRY(time_part(worker, started));
    /* Nobody updates before all know that every loss is finite. */
    if (!barrier_wait(&team->vote))
        return GIVEN_UP;
    if (atomic_load(&team->diverged))
        return 0;
    int rc = exchange_and_update(worker);
    if (rc)
        return rc;
    return device_collect(replica_device(worker->replica));
}

/* ---- its thread ---- */

/* The message is the thread's own: keep it, and let nobody wait for this worker. */
static void note_failure(struct worker *worker, int code) {
    struct team *team = worker->team;
    worker->code = code;
    if (code < 0)
        worker->message = strdup(error_message());
    barrier_break(&team->vote);
    if (team->exchange)
        exchange_abort(team->exchange);
    if (team->hybrid)
        hybrid_abort(team->hybrid);
}

static void *thread_main(void *context) {
    struct worker *worker = context;
    struct team *team = worker->team;
    unsigned round = 0;
    pthread_mutex_lock(&team->lock);
    for (;;) {
        while (!team->is_closing && team->round == round)
            pthread_cond_wait(&team->changed, &team->lock);
        if (team->is_closing)
            break;
        round = team->round;
        pthread_mutex_unlock(&team->lock);
        int rc = learn(worker);
        if (rc)
            note_failure(worker, rc);
        /* It ended amid its samples. Once it had sent them, the next ones may be on their way. */
        if (!worker->has_sent)
            (void)replica_stage_wait(worker->replica);
        pthread_mutex_lock(&team->lock);
        worker->has_sent = 1;
        team->running--;
        pthread_cond_broadcast(&team->changed);
    }
    pthread_mutex_unlock(&team->lock);
    return NULL;
}

/* ---- making one ---- */

/* Replicas that share the memory of a device. */
static int count_sharing(struct device *const *devices, int count, const struct device *device) {
    int sharing = 0;
    for (int i = 0; i < count; i++)
        sharing += device_info(devices[i])->index == device_info(device)->index;
    return sharing;
}

static int is_hybrid(const struct team *team) {
    return team->size > 1 && team->net->options.parallel == PARALLEL_HYBRID;
}

/* The parts of a share that the config asks for, at the least. */
static int least_parts(const struct team *team, int share) {
    return least(team->net->options.subdivisions, share);
}

/* How a share of the worker's would fit its device, as the config divides it or in more parts. */
static int plan_share(const struct worker *worker, int share, struct memory_fit *fit) {
    const struct team *team = worker->team;
    const struct team_options *o = &team->options;
    struct memory_needs_options options = {.technique = o->technique,
                                           .tunings = device_tunings(worker->device),
                                           .is_training = 1,
                                           .truth_kind = o->truth_kind,
                                           .is_floats = o->is_floats,
                                           .mean_by_pixel = o->mean_by_pixel,
                                           .allocation_limit = o->allocation_limit,
                                           .rank = worker->rank,
                                           .ranks = is_hybrid(team) ? team->size : 0,
                                           .peers = team->peers,
                                           .bucket_bytes = o->bucket_bytes};
    return memory_fit(fit, team->net, device_info(worker->device), &options, share,
                      least_parts(team, share), worker->sharing);
}

/* Makes a plan the worker's, and tells of parts that nobody has asked for when they are news. */
static void adopt_plan(struct worker *worker, int share, const struct memory_fit *fit) {
    const struct device_info *info = device_info(worker->device);
    int asked = least_parts(worker->team, share), before = worker->parts;
    worker->micro_batch = fit->micro_batch;
    worker->parts = fit->subdivisions > asked ? fit->subdivisions : 0;
    if (worker->parts && worker->parts != before)
        log_info("device %d (%s): its share of %d samples is worked through in %d parts of up to "
                 "%d, so that they fit its memory",
                 info->index, info->name, share, fit->subdivisions, fit->micro_batch);
}

static struct replica_options options_for(const struct team *team, const struct worker *worker) {
    return (struct replica_options){
        .technique = team->options.technique,
        .is_training = 1,
        .truth_kind = team->options.truth_kind,
        .micro_batch = worker->micro_batch,
        .bucket_bytes = team->size > 1 ? team->options.bucket_bytes : 0,
        .allocation_limit = team->options.allocation_limit,
    };
}

static int create_worker(struct team *team, int rank) {
    struct worker *worker = &team->workers[rank];
    worker->ranks = malloc((size_t)team->net->options.batch * sizeof *worker->ranks);
    return worker->ranks ? 0 : error_no_memory("a worker", (size_t)team->net->options.batch * 4);
}

/* With parallel=hybrid all have the micro-batch of the largest share, the first one's. */
static int check_hybrid(const struct team *team) {
    if (team->options.is_automatic || team->options.shares)
        return error_set(ERROR_INPUT, "--split: with parallel=hybrid every device takes an equal "
                                      "share of the batch: leave it out");
    return net_part_check(team->net, team->size);
}

/* Before anything is allocated. */
static int plan_worker(struct team *team, int rank, struct device *const *devices) {
    struct worker *worker = &team->workers[rank];
    int share = team->shares[is_hybrid(team) ? 0 : rank];
    struct memory_fit fit;
    worker->team = team;
    worker->rank = rank;
    worker->device = devices[rank];
    worker->sharing = count_sharing(devices, team->size, worker->device);
    TRY(plan_share(worker, share, &fit));
    adopt_plan(worker, share, &fit);
    return 0;
}

/* A replica of the whole net for each worker. */
static int create_replicas(struct team *team) {
    for (int i = 0; i < team->size; i++) {
        struct worker *worker = &team->workers[i];
        struct replica_options options = options_for(team, worker);
        TRY(replica_create(&worker->replica, team->net, worker->device, &options));
        team->replicas[i] = team->learners[i] = worker->replica;
    }
    return 0;
}

/* The parts of one net, with a micro-batch that fits all devices. */
static int create_hybrid(struct team *team, struct device *const *devices) {
    struct replica_options options = options_for(team, &team->workers[0]);
    for (int i = 1; i < team->size; i++)
        options.micro_batch = least(options.micro_batch, team->workers[i].micro_batch);
    TRY(hybrid_create(&team->hybrid, team->net, devices, team->size, &options,
                      team->options.copies));
    for (int i = 0; i < team->size; i++) {
        team->learners[i] = team->workers[i].replica = hybrid_front(team->hybrid, i);
        team->replicas[i] = hybrid_whole(team->hybrid, i);
    }
    return 0;
}

static int start_worker(struct worker *worker) {
    if (pthread_create(&worker->thread, NULL, thread_main, worker) != 0)
        return error_set(ERROR_SYSTEM, "cannot start a thread for device %d",
                         device_info(replica_device(worker->replica))->index);
    worker->is_started = 1;
    return 0;
}

static int allocate(struct team *team) {
    size_t count = (size_t)team->size;
    team->workers = calloc(count, sizeof *team->workers);
    team->replicas = calloc(count, sizeof(struct replica *));
    team->learners = calloc(count, sizeof(struct replica *));
    team->shares = calloc(count, sizeof *team->shares);
    team->losses = calloc((size_t)team->net->options.batch, sizeof *team->losses);
    return team->workers && team->replicas && team->learners && team->shares && team->losses
               ? 0
               : error_no_memory("a team", count * sizeof *team->workers);
}

/* Each device has a group of rows: its queues, the exchange, and the rounds. */
static int trace_worker(struct team *team, int rank) {
    struct trace *trace = team->options.trace;
    struct device *device = replica_device(team->replicas[rank]);
    char group[2 * DEVICE_TEXT];
    (void)snprintf(group, sizeof group, "%d: device %d, %s", rank, device_info(device)->index,
                   device_info(device)->name);
    TRY(device_trace(device, trace, group));
    if (!team->exchange)
        return 0;
    int row = trace_row(trace, group, "exchange");
    TRY(row);
    exchange_trace(team->exchange, rank, trace, row);
    if (!team->hybrid)
        return 0;
    row = trace_row(trace, group, "rounds");
    TRY(row);
    hybrid_trace(team->hybrid, rank, trace, row);
    return 0;
}

static int build(struct team *team, struct device *const *devices) {
    TRY(allocate(team));
    if (team->options.shares)
        memcpy(team->shares, team->options.shares, (size_t)team->size * sizeof *team->shares);
    else
        TRY(split_even(team->shares, team->size, team->net->options.batch));
    if (is_hybrid(team))
        TRY(check_hybrid(team));
    TRY(exchange_peers(&team->peers, devices, team->size, team->options.exchange));
    for (int i = 0; i < team->size; i++)
        TRY(plan_worker(team, i, devices));
    for (int i = 0; i < team->size; i++)
        TRY(create_worker(team, i));
    TRY(is_hybrid(team) ? create_hybrid(team, devices) : create_replicas(team));
    if (team->size > 1)
        TRY(exchange_choose(&team->exchange, team->learners, team->size,
                            team->peers ? team->options.exchange : EXCHANGE_HOST,
                            team->options.copies));
    if (team->size > 1 && !team->options.shares && !is_hybrid(team))
        TRY(pace_create(&team->pace, team->size, team->net->options.batch,
                        team->options.is_automatic ? PACE_SOON : PACE_LATER));
    for (int i = 0; team->options.trace && i < team->size; i++)
        TRY(trace_worker(team, i));
    for (int i = 0; i < team->size; i++)
        TRY(start_worker(&team->workers[i]));
    return 0;
}

int team_create(struct team **out, const struct net *net, struct device *const *devices, int count,
                const struct team_options *options) {
    struct team *team = calloc(1, sizeof *team);
    if (!team)
        return error_no_memory("a team", sizeof *team);
    team->net = net;
    team->options = *options;
    if (!team->options.bucket_bytes)
        team->options.bucket_bytes = TEAM_BUCKET_BYTES;
    team->size = count;
    barrier_init(&team->vote, count);
    pthread_mutex_init(&team->lock, NULL);
    pthread_cond_init(&team->changed, NULL);
    int rc = build(team, devices);
    team->options.shares = NULL; /* the caller's */
    if (rc < 0)
        team_free(team);
    else
        *out = team;
    return rc;
}

void team_free(struct team *team) {
    if (!team)
        return;
    pthread_mutex_lock(&team->lock);
    team->is_closing = 1;
    pthread_cond_broadcast(&team->changed);
    pthread_mutex_unlock(&team->lock);
    for (int i = 0; team->workers && i < team->size; i++) {
        if (team->workers[i].is_started)
            (void)pthread_join(team->workers[i].thread, NULL);
    }
    exchange_free(team->exchange);
    pace_free(team->pace);
    for (int i = 0; team->workers && i < team->size; i++) {
        if (!team->hybrid)
            replica_free(team->workers[i].replica);
        free(team->workers[i].ranks);
        free(team->workers[i].message);
    }
    hybrid_free(team->hybrid);
    barrier_destroy(&team->vote);
    pthread_mutex_destroy(&team->lock);
    pthread_cond_destroy(&team->changed);
    free(team->workers);
    free(team->replicas);
    free(team->learners);
    free(team->shares);
    free(team->losses);
    free(team);
}

int team_size(const struct team *team) {
    return team->size;
}

struct replica *team_replica(const struct team *team, int rank) {
    return team->replicas[rank];
}

struct replica *const *team_replicas(const struct team *team) {
    return team->replicas;
}

int team_share(const struct team *team, int rank) {
    return team->shares[rank];
}

int team_exchanges_by_copies(const struct team *team) {
    return team->exchange && exchange_is_by(team->exchange) == EXCHANGE_DEVICE;
}

/* ---- parameters ---- */

int team_initialise(struct team *team, uint32_t seed) {
    if (team->hybrid) /* its first is its all */
        return replica_initialise(team->replicas[0], seed);
    for (int i = 0; i < team->size; i++)
        TRY(replica_initialise(team->replicas[i], seed));
    return 0;
}

/* One parameter of the first replica, and its velocity, to all others; `values` is room for it. */
static int share_parameter(struct team *team, int index, float *values) {
    TRY(replica_read_parameter(team->replicas[0], index, values));
    for (int i = 1; i < team->size; i++)
        TRY(replica_write_parameter(team->replicas[i], index, values));
    TRY(replica_read_velocity(team->replicas[0], index, values));
    for (int i = 1; i < team->size; i++)
        TRY(replica_write_velocity(team->replicas[i], index, values));
    return 0;
}

int team_share_parameters(struct team *team) {
    const struct mean *mean = replica_mean(team->replicas[0]);
    for (int i = 1; mean && i < team->size; i++)
        TRY(replica_set_mean(team->replicas[i], mean));
    for (int i = 0; mean && team->hybrid && i < team->size; i++)
        TRY(replica_set_mean(team->workers[i].replica, mean));
    for (int p = 0; team->size > 1 && !team->hybrid && p < team->net->parameter_count; p++) {
        size_t elements = (size_t)parameter_elements(net_parameter(team->net, p, NULL));
        float *values = malloc(elements * sizeof *values);
        if (!values)
            return error_no_memory("a parameter", elements * sizeof *values);
        int rc = share_parameter(team, p, values);
        free(values);
        TRY(rc);
    }
    return 0;
}

int team_check(struct team *team, uint64_t *digest) {
    const struct device_info *first_info = device_info(replica_device(team->replicas[0]));
    uint64_t first = 0;
    for (int i = 0; i < team->size; i++) {
        uint64_t own;
        struct replica *replica = team->workers[i].replica;
        const struct device_info *info = device_info(replica_device(replica));
        TRY(replica_digest(replica, &own));
        if (i == 0)
            first = own;
        if (own != first)
            return error_set(ERROR_DEVICE,
                             "device %d (%s): its parameters are no longer those of device %d: one "
                             "of the two computes wrongly; 'clnet doctor' may tell which",
                             info->index, info->name, first_info->index);
    }
    if (digest && team->hybrid)
        return replica_digest(team->replicas[0], digest);
    if (digest)
        *digest = first;
    return 0;
}

int team_prepare_evaluation(struct team *team) {
    for (int i = 0; i < team->size; i++)
        TRY(replica_refresh(team->replicas[i]));
    return 0;
}

/* ---- learning, as the thread sees it that made the team ---- */

int team_stage(struct team *team, const struct dataset *dataset, const struct batch *batch) {
    team->next_dataset = dataset;
    team->next_batch = *batch;
    for (int i = 0; i < team->size; i++) {
        struct worker *worker = &team->workers[i];
        int first = split_first(team->shares, team->size, batch->count, i);
        int end = split_first(team->shares, team->size, batch->count, i + 1);
        worker->next = (struct part){.first = first, .count = end - first};
        TRY(stage(worker, dataset, batch, worker->next, 0));
    }
    return 0;
}

int team_begin(struct team *team, const struct step *step, const struct update *update) {
    pthread_mutex_lock(&team->lock);
    team->dataset = team->next_dataset;
    team->batch = team->next_batch;
    team->step = *step;
    team->step.global_count = team->batch.count;
    team->has_update = update != NULL;
    if (update)
        team->update = *update;
    for (int i = 0; i < team->size; i++) {
        team->workers[i].part = team->workers[i].next;
        team->workers[i].has_sent = 0;
    }
    team->running = team->size;
    team->round++;
    pthread_cond_broadcast(&team->changed);
    pthread_mutex_unlock(&team->lock);
    return 0;
}

int team_can_look_ahead(const struct team *team) {
    int can = 1;
    for (int i = 0; i < team->size; i++)
        can &= !(device_info(team->workers[i].device)->quirks & QUIRK_SERIAL);
    return can;
}

int team_wait_sent(struct team *team) {
    pthread_mutex_lock(&team->lock);
    for (int i = 0; i < team->size; i++) {
        while (!team->workers[i].has_sent)
            pthread_cond_wait(&team->changed, &team->lock);
    }
    pthread_mutex_unlock(&team->lock);
    return 0;
}

int team_update(struct team *team, const struct update *update) {
    for (int i = 0; i < team->size; i++) {
        TRY(replica_update(team->workers[i].replica, update));
        if (team->hybrid)
            TRY(hybrid_update(team->hybrid, i, update));
        TRY(device_flush(replica_device(team->replicas[i])));
    }
    return 0;
}

int team_stage_wait(struct team *team) {
    int rc = 0;
    for (int i = 0; i < team->size; i++) {
        int waited = replica_stage_wait(team->workers[i].replica);
        rc = rc < 0 ? rc : waited;
    }
    return rc;
}

/* ---- dividing the batch anew ---- */

/* All of it is planned before anything changes. */
static int divide(struct team *team, const int *shares, struct memory_fit *fits) {
    for (int i = 0; i < team->size; i++)
        TRY(plan_share(&team->workers[i], shares[i], &fits[i]));
    for (int i = 0; i < team->size; i++) {
        if (fits[i].micro_batch != team->workers[i].micro_batch)
            TRY(replica_resize(team->workers[i].replica, fits[i].micro_batch));
    }
    for (int i = 0; i < team->size; i++) {
        adopt_plan(&team->workers[i], shares[i], &fits[i]);
        team->shares[i] = shares[i];
    }
    return 0;
}

int team_divide(struct team *team, const int *shares) {
    struct memory_fit *fits = calloc((size_t)team->size, sizeof *fits);
    int rc = fits ? divide(team, shares, fits)
                  : error_no_memory("a division", (size_t)team->size * sizeof *fits);
    free(fits);
    return rc;
}

int team_is_measured(const struct team *team) {
    return team->options.is_automatic && team->pace && pace_is_due(team->pace);
}

int team_rebalance(struct team *team) {
    const int *shares = pace_divide(team->pace, team->shares);
    return shares ? team_divide(team, shares) : 0;
}

/* Once, to someone who divides the batch evenly among devices that are not equally fast. */
static void advise(struct team *team) {
    if (team->options.is_automatic || !team->pace || !pace_is_due(team->pace))
        return;
    pace_advise(team->pace, team->shares);
    pace_free(team->pace);
    team->pace = NULL;
}

/* ---- the end of an iteration ---- */

/* The first worker that failed of itself. */
static int report_failure(const struct team *team) {
    for (int i = 0; i < team->size; i++) {
        const struct worker *worker = &team->workers[i];
        if (worker->code < 0)
            return error_set(worker->code, "%s", worker->message ? worker->message : "");
    }
    return 0;
}

/* With parallel=hybrid no device has all layers for its samples; but each has the whole net for
 * use, which has what was noted of them. */
static int find_nonfinite(struct team *team, int rank, char *where, size_t size) {
    struct replica *replica = team->workers[rank].replica;
    struct step step = team->workers[rank].step;
    if (team->hybrid) {
        replica = team->replicas[rank];
        step.is_training = 0;
        TRY(replica_refresh(replica));
        TRY(replica_forward_staged(replica, &step));
    }
    return replica_find_nonfinite(replica, &step, where, size);
}

static int report_divergence(struct team *team, int rank) {
    char where[256];
    int rc = find_nonfinite(team, rank, where, sizeof where);
    TRY(rc);
    return error_set(ERROR_NUMERIC,
                     "the loss is not finite; the first that is not is %s; a smaller learning rate "
                     "(--set net.learning_rate=...) may help",
                     rc > 0 ? where : "the loss itself");
}

int team_end(struct team *team, double *loss) {
    pthread_mutex_lock(&team->lock);
    while (team->running > 0)
        pthread_cond_wait(&team->changed, &team->lock);
    pthread_mutex_unlock(&team->lock);
    TRY(report_failure(team));
    int diverged = atomic_load(&team->diverged);
    if (diverged)
        return report_divergence(team, diverged - 1);
    double sum = 0;
    for (int i = 0; i < team->batch.count; i++)
        sum += (double)team->losses[i];
    *loss = sum / team->batch.count;
    advise(team);
    return 0;
}
