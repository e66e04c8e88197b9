#include "train/exchange_choice.h"

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "train/exchange_way.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* The first round is not timed: drivers allocate and compile in it. */
enum { TIMED_ROUNDS = 3 };

/* A trial of an exchange. */
struct trial {
    struct exchange *exchange;
    struct replica *const *replicas;
    int count;
    double seconds; /* of a round, at best */
};

/* A replica's turn in a round. */
struct turn {
    struct trial *trial;
    int rank, code;
    char *message; /* of its failure */
    pthread_t thread;
};

int exchange_is_worth_a_trial(const struct device_info *devices,
                              const struct device_choice *choices, int count) {
    const char *platform = devices[choices[0].index].platform;
    for (int i = 0; i < count; i++) {
        const struct device_info *device = &devices[choices[i].index];
        if (device->is_unified || strcmp(device->platform, platform) != 0)
            return 0;
    }
    return count > 1;
}

static int share_a_context(struct device *const *devices, int count) {
    for (int i = 1; i < count; i++) {
        if (!device_shares_context(devices[0], devices[i]))
            return 0;
    }
    return count > 1;
}

int exchange_peers(int *peers, struct device *const *devices, int count, enum exchange_by by) {
    int can_copy = share_a_context(devices, count);
    *peers = can_copy && by != EXCHANGE_HOST ? count : 0;
    if (by == EXCHANGE_DEVICE && count > 1 && !can_copy)
        return error_set(ERROR_INPUT,
                         "--exchange device: only devices of one platform copy to each "
                         "other, and these do not: leave it out");
    return 0;
}

enum exchange_by exchange_is_by(const struct exchange *exchange) {
    return exchange->way == &exchange_way_device ? EXCHANGE_DEVICE : EXCHANGE_HOST;
}

/* ---- a round ---- */

static int take_turn(const struct turn *turn) {
    struct exchange *exchange = turn->trial->exchange;
    struct replica *replica = turn->trial->replicas[turn->rank];
    int buckets = replica_bucket_count(replica);
    for (int b = 0; b < buckets; b++)
        TRY(exchange_start(exchange, turn->rank, b));
    for (int b = 0; b < buckets; b++) {
        int rc = exchange_wait(exchange, turn->rank, b);
        if (rc)
            return rc;
    }
    return device_finish(replica_device(replica));
}

static void *thread_main(void *context) {
    struct turn *turn = context;
    turn->code = take_turn(turn);
    if (turn->code < 0)
        turn->message = strdup(error_message());
    if (turn->code)
        exchange_abort(turn->trial->exchange);
    return NULL;
}

/* Those that were started have ended after it. */
static int run_turns(struct trial *trial, struct turn *turns) {
    int started = 0, rc = 0;
    for (; rc == 0 && started < trial->count; started += rc == 0) {
        struct turn *turn = &turns[started];
        *turn = (struct turn){.trial = trial, .rank = started};
        if (pthread_create(&turn->thread, NULL, thread_main, turn) != 0)
            rc = error_set(ERROR_SYSTEM, "cannot start a thread for the exchange of gradients");
    }
    if (rc < 0)
        exchange_abort(trial->exchange);
    for (int i = 0; i < started; i++) {
        (void)pthread_join(turns[i].thread, NULL);
        if (rc == 0 && turns[i].code < 0)
            rc = error_set(turns[i].code, "%s", turns[i].message ? turns[i].message : "");
        free(turns[i].message);
    }
    return rc;
}

static int run_round(struct trial *trial, double *seconds) {
    struct turn *turns = calloc((size_t)trial->count, sizeof *turns);
    if (!turns)
        return error_no_memory("a trial of the exchange", (size_t)trial->count * sizeof *turns);
    double start = clock_seconds();
    int rc = run_turns(trial, turns);
    *seconds = clock_seconds() - start;
    free(turns);
    return rc;
}

/* ---- what it gives ---- */

/* Replica k's gradients become `first`, and `step` more for each k. */
static int fill(const struct trial *trial, float first, float step) {
    for (int k = 0; k < trial->count; k++) {
        for (int b = 0; b < replica_bucket_count(trial->replicas[k]); b++)
            TRY(buffer_fill(replica_bucket(trial->replicas[k], b), first + step * (float)k));
    }
    return 0;
}

static int check_bucket(struct replica *replica, int bucket, float want) {
    const struct device_info *info = device_info(replica_device(replica));
    size_t bytes = buffer_bytes(replica_bucket(replica, bucket)), wrong = 0;
    float *values = malloc(bytes);
    if (!values)
        return error_no_memory("a trial of the exchange", bytes);
    int rc = buffer_read(replica_bucket(replica, bucket), 0, bytes, values);
    for (size_t i = 0; rc == 0 && i < bytes / sizeof *values; i++)
        wrong += values[i] != want;
    free(values);
    if (rc == 0 && wrong)
        return error_set(ERROR_DEVICE,
                         "device %d (%s): gradients that were summed by copies among devices are "
                         "wrong, %zu of %zu",
                         info->index, info->name, wrong, bytes / sizeof *values);
    return rc;
}

/* Small whole numbers have one sum. */
static int check_sums(struct trial *trial) {
    double seconds;
    TRY(fill(trial, 1, 1));
    TRY(run_round(trial, &seconds));
    float want = (float)(trial->count * (trial->count + 1)) / 2;
    for (int k = 0; k < trial->count; k++) {
        for (int b = 0; b < replica_bucket_count(trial->replicas[k]); b++)
            TRY(check_bucket(trial->replicas[k], b, want));
    }
    return fill(trial, 0, 0);
}

/* ---- choosing ---- */

static int measure(struct trial *trial) {
    for (int i = 0; i <= TIMED_ROUNDS; i++) {
        double seconds;
        TRY(run_round(trial, &seconds));
        if (i > 0 && seconds < trial->seconds)
            trial->seconds = seconds;
    }
    return 0;
}

/* A driver may grant a context and then fail at copies: that is what the other way is for. */
static int race(struct trial *device, struct trial *host, int copies) {
    int rc = check_sums(device);
    if (rc == 0)
        rc = measure(device);
    if (rc < 0) {
        log_warning("%s: gradients are exchanged by way of the host", error_message());
        exchange_free(device->exchange); /* nothing of it is under way after that */
        *device = *host;
        TRY(fill(host, 0, 0));
    }
    TRY(exchange_create(&host->exchange, host->replicas, host->count, EXCHANGE_HOST, copies));
    if (rc < 0)
        return 0;
    TRY(measure(host));
    log_info("gradients are exchanged %s: all of them take %.2f ms by copies among the devices, "
             "%.2f ms by way of the host",
             device->seconds <= host->seconds ? "by copies" : "by way of the host",
             1e3 * device->seconds, 1e3 * host->seconds);
    return 0;
}

int exchange_choose(struct exchange **out, struct replica *const *replicas, int count,
                    enum exchange_by by, int copies) {
    struct trial device = {.replicas = replicas, .count = count, .seconds = INFINITY};
    struct trial host = device;
    if (by == EXCHANGE_HOST)
        return exchange_create(out, replicas, count, by, copies);
    TRY(exchange_create(&device.exchange, replicas, count, EXCHANGE_DEVICE, copies));
    int rc = by == EXCHANGE_AUTO ? race(&device, &host, copies) : check_sums(&device);
    struct trial *best = !device.exchange || host.seconds < device.seconds ? &host : &device;
    if (rc == 0) {
        *out = best->exchange;
        best->exchange = NULL;
    }
    exchange_free(device.exchange);
    exchange_free(host.exchange);
    return rc;
}
