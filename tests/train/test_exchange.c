/* The exchange alone: replicas whose gradients are known numbers, a thread each. */
#include "support/net_bench.h"
#include "support/suite.h"

#include "base/rng.h"
#include "train/exchange.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* fc1 alone has 300 x 120 weights, more than a bucket of 64 KiB. */
static const char *const net_text = "[net]\ninputs=300\nbatch=8\n"
                                    "[connected]\noutput=120\nactivation=relu\n"
                                    "[connected]\noutput=7\nactivation=linear\n[softmax]\n";

enum { REPLICAS_MAX = 4, BUCKET_BYTES = 1 << 16 };

struct fixture {
    struct net_bench bench[REPLICAS_MAX];
    struct replica *replicas[REPLICAS_MAX];
    struct exchange *exchange;
    int count, buckets;
    int failing; /* rank that gives up in place of its last bucket; -1: none */
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

static void open_fixture(struct fixture *f, int count, int copies) {
    static const struct replica_options options = {
        .is_training = 1, .truth_kind = TRUTH_LABELS, .bucket_bytes = BUCKET_BYTES};
    *f = (struct fixture){.count = count, .failing = -1};
    for (int i = 0; i < count; i++) {
        net_bench_open(&f->bench[i], net_text, &options);
        f->replicas[i] = f->bench[i].replica;
    }
    ck_succeeds(exchange_create(&f->exchange, f->replicas, count, copies));
    f->buckets = replica_bucket_count(f->replicas[0]);
    ck_assert_int_ge(f->buckets, 3);
}

static void close_fixture(struct fixture *f) {
    exchange_free(f->exchange);
    for (int i = 0; i < f->count; i++)
        net_bench_close(&f->bench[i]);
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
    }
    return device_finish(f->bench[self->rank].device);
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
            ck_succeeds(
                buffer_read(replica_bucket(f->replicas[rank], b), 0, count * sizeof *found, found));
            ck_assert_msg(memcmp(found, sum, count * sizeof *sum) == 0,
                          "bucket %d of replica %d is not the sum", b, rank);
        }
        free(sum);
        free(found);
    }
}

static void check_rounds(int count, int copies) {
    struct fixture f;
    struct runner runners[REPLICAS_MAX] = {{0}};
    open_fixture(&f, count, copies);
    for (int round = 0; round < 3; round++) {
        write_gradients(&f, round);
        run_threads(&f, runners);
        for (int i = 0; i < count; i++)
            ck_assert_int_eq(runners[i].rc, 0);
        check_sums(&f, round);
    }
    close_fixture(&f);
}

START_TEST(exchange_sums_in_the_order_of_the_replicas_in_mapped_memory) {
    check_rounds(2, 0);
    check_rounds(3, 0);
}
END_TEST

START_TEST(exchange_sums_in_the_order_of_the_replicas_through_copies) {
    check_rounds(2, 1);
    check_rounds(4, 1);
}
END_TEST

START_TEST(exchange_that_one_replica_gives_up_keeps_no_other_waiting) {
    struct fixture f;
    struct runner runners[REPLICAS_MAX] = {{0}};
    open_fixture(&f, 3, 0);
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
    tcase_add_test(tests, exchange_sums_in_the_order_of_the_replicas_in_mapped_memory);
    tcase_add_test(tests, exchange_sums_in_the_order_of_the_replicas_through_copies);
    tcase_add_test(tests, exchange_that_one_replica_gives_up_keeps_no_other_waiting);
    return suite_run("exchange", tests);
}
