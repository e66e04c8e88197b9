/* The exchange alone, both ways of it: replicas whose gradients are known numbers, a thread each.
 */
#include "support/device.h"
#include "support/suite.h"

#include "base/rng.h"
#include "net/memory_needs.h"
#include "train/exchange.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* fc1 alone has 300 x 120 weights, more than a bucket of 64 KiB. */
static const char *const net_text = "[net]\ninputs=300\nbatch=8\n"
                                    "[connected]\noutput=120\nactivation=relu\n"
                                    "[connected]\noutput=7\nactivation=linear\n[softmax]\n";

enum { REPLICAS_MAX = 4, BUCKET_BYTES = 1 << 16 };

/* How the replicas exchange, and on what. */
struct way {
    const char *name;
    enum exchange_by by;
    int copies;
    int is_split; /* on equal parts of the device, where it can be split */
};

static const struct way ways[] = {
    {"in mapped memory", EXCHANGE_HOST, 0, 0},
    {"through copies to the host", EXCHANGE_HOST, 1, 0},
    {"on the device, repeated", EXCHANGE_DEVICE, 0, 0},
    {"on parts of the device", EXCHANGE_DEVICE, 0, 1},
};
enum { WAYS = sizeof ways / sizeof *ways };

struct fixture {
    struct config *config;
    struct net *net;
    struct device *devices[REPLICAS_MAX];
    struct replica *replicas[REPLICAS_MAX];
    uint64_t allocated[REPLICAS_MAX]; /* for the replicas */
    struct exchange *exchange;
    const struct way *way;
    int count, buckets;
    int failing; /* rank that gives up in place of its last bucket; -1: none */
    int hasty;   /* rank that updates each bucket at once; -1: none */
};

struct runner {
    struct fixture *fixture;
    int rank, rc;
};

static size_t bucket_floats(const struct fixture *f, int bucket) {
    return buffer_bytes(replica_bucket(f->replicas[0], bucket)) / sizeof(float);
}

static float *gradients_of(const struct fixture *f, int rank, int bucket, int round) {
    size_t count = bucket_floats(f, bucket);
    float *values = malloc(count * sizeof *values);
    struct rng rng = rng_start((uint32_t)rank, RNG_SHUFFLE, (uint32_t)bucket, (uint32_t)round);
    ck_assert_ptr_nonnull(values);
    for (size_t i = 0; i < count; i++)
        values[i] = rng_uniform(&rng) - 0.5F;
    return values;
}

static void open_devices(struct fixture *f) {
    struct device_choice choices[REPLICAS_MAX];
    struct device_info *all;
    int listed, index = test_device_index();
    ck_succeeds(devices_list(&all, &listed));
    int is_split = f->way->is_split && all[index].sub_devices >= f->count;
    free(all);
    for (int i = 0; i < f->count; i++)
        choices[i] = (struct device_choice){
            .index = index, .part = is_split ? i : 0, .parts = is_split ? f->count : 1};
    ck_succeeds(devices_open(f->devices, choices, f->count,
                             f->way->by == EXCHANGE_DEVICE ? DEVICES_SHARE_CONTEXT : 0));
}

static void open_fixture(struct fixture *f, int count, const struct way *way) {
    static const struct replica_options options = {
        .is_training = 1, .truth_kind = TRUTH_LABELS, .bucket_bytes = BUCKET_BYTES};
    *f = (struct fixture){.count = count, .way = way, .failing = -1, .hasty = -1};
    ck_succeeds(config_parse(&f->config, "test.cfg", net_text, strlen(net_text)));
    ck_succeeds(net_create(&f->net, f->config));
    open_devices(f);
    for (int i = 0; i < count; i++) {
        ck_succeeds(replica_create(&f->replicas[i], f->net, f->devices[i], &options));
        f->allocated[i] = device_allocated(f->devices[i]);
    }
    ck_succeeds(exchange_create(&f->exchange, f->replicas, count, way->by, way->copies));
    f->buckets = replica_bucket_count(f->replicas[0]);
    ck_assert_int_ge(f->buckets, 3);
}

static void close_fixture(struct fixture *f) {
    exchange_free(f->exchange);
    for (int i = 0; i < f->count; i++) {
        ck_assert_uint_eq(device_allocated(f->devices[i]), f->allocated[i]);
        replica_free(f->replicas[i]);
    }
    for (int i = 0; i < f->count; i++)
        device_close(f->devices[i]);
    net_free(f->net);
    config_free(f->config);
}

static void write_gradients(struct fixture *f, int round) {
    for (int rank = 0; rank < f->count; rank++) {
        for (int b = 0; b < f->buckets; b++) {
            float *values = gradients_of(f, rank, b, round);
            ck_succeeds(buffer_write(replica_bucket(f->replicas[rank], b), 0,
                                     bucket_floats(f, b) * sizeof *values, values));
            free(values);
        }
    }
}

static int exchange_all(struct runner *self) {
    struct fixture *f = self->fixture;
    for (int b = 0; b < f->buckets; b++)
        TRY(exchange_start(f->exchange, self->rank, b));
    for (int b = 0; b < f->buckets; b++) {
        if (self->rank == f->failing && b == f->buckets - 1) {
            exchange_abort(f->exchange);
            return 1;
        }
        int rc = exchange_wait(f->exchange, self->rank, b);
        if (rc)
            return rc;
        if (self->rank == f->hasty)
            TRY(replica_update_bucket(f->replicas[self->rank], b, &(struct update){0}));
        TRY(device_flush(f->devices[self->rank]));
    }
    return device_finish(f->devices[self->rank]);
}

static void *thread_main(void *context) {
    struct runner *self = context;
    self->rc = exchange_all(self);
    return NULL;
}

static void run_threads(struct fixture *f, struct runner runners[REPLICAS_MAX]) {
    pthread_t threads[REPLICAS_MAX];
    for (int i = 0; i < f->count; i++) {
        runners[i] = (struct runner){.fixture = f, .rank = i};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, thread_main, &runners[i]), 0);
    }
    for (int i = 0; i < f->count; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}

/* To the bit the sum in the order of the replicas, in single precision. */
static void check_sums(struct fixture *f, int round) {
    for (int b = 0; b < f->buckets; b++) {
        size_t count = bucket_floats(f, b);
        float *sum = gradients_of(f, 0, b, round), *found = malloc(count * sizeof *found);
        ck_assert_ptr_nonnull(found);
        for (int rank = 1; rank < f->count; rank++) {
            float *values = gradients_of(f, rank, b, round);
            for (size_t i = 0; i < count; i++)
                sum[i] += values[i];
            free(values);
        }
        for (int rank = 0; rank < f->count; rank++) {
            if (rank == f->hasty)
                continue;
            ck_succeeds(
                buffer_read(replica_bucket(f->replicas[rank], b), 0, count * sizeof *found, found));
            ck_assert_msg(memcmp(found, sum, count * sizeof *sum) == 0,
                          "%s: bucket %d of replica %d is not the sum", f->way->name, b, rank);
        }
        free(sum);
        free(found);
    }
}

static void check_round(struct fixture *f, int round) {
    struct runner runners[REPLICAS_MAX] = {{0}};
    write_gradients(f, round);
    run_threads(f, runners);
    for (int i = 0; i < f->count; i++)
        ck_assert_int_eq(runners[i].rc, 0);
    check_sums(f, round);
}

START_TEST(exchange_sums_in_the_order_of_the_replicas) {
    for (int count = 2; count <= REPLICAS_MAX; count += 2) {
        struct fixture f;
        open_fixture(&f, count, &ways[_i]);
        for (int round = 0; round < 3; round++)
            check_round(&f, round);
        close_fixture(&f);
    }
}
END_TEST

/* An update zeroes the gradients of whoever makes it at once: the others have their sums. */
START_TEST(exchange_is_over_for_all_before_one_can_update) {
    struct fixture f;
    open_fixture(&f, 3, &ways[_i]);
    for (int round = 0; round < 6; round++) {
        f.hasty = round % 3;
        check_round(&f, round);
    }
    close_fixture(&f);
}
END_TEST

START_TEST(exchange_takes_the_memory_that_was_planned) {
    struct fixture f;
    struct memory_needs needs;
    struct memory_needs_options options = {.is_training = 1,
                                           .peers = ways[_i].by == EXCHANGE_DEVICE ? 3 : 0,
                                           .bucket_bytes = BUCKET_BYTES};
    open_fixture(&f, 3, &ways[_i]);
    ck_succeeds(memory_needs(&needs, f.net, device_info(f.devices[0]), &options));
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(device_allocated(f.devices[i]) - f.allocated[i], needs.exchange);
    close_fixture(&f);
}
END_TEST

START_TEST(exchange_that_one_replica_gives_up_keeps_no_other_waiting) {
    struct fixture f;
    struct runner runners[REPLICAS_MAX] = {{0}};
    open_fixture(&f, 3, &ways[_i]);
    f.failing = 1;
    write_gradients(&f, 0);
    run_threads(&f, runners);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(runners[i].rc, 1);
    close_fixture(&f);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("exchange");
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, exchange_sums_in_the_order_of_the_replicas, 0, WAYS);
    tcase_add_loop_test(tests, exchange_is_over_for_all_before_one_can_update, 0, WAYS);
    tcase_add_loop_test(tests, exchange_takes_the_memory_that_was_planned, 0, WAYS);
    tcase_add_loop_test(tests, exchange_that_one_replica_gives_up_keeps_no_other_waiting, 0, WAYS);
    return suite_run("train/exchange", tests);
}
