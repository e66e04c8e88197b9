/* Checkpoints: nothing of a training's state is lost, and what is no checkpoint is refused. */
#include "support/net_bench.h"
#include "support/suite.h"

#include "data/safetensors.h"
#include "net/weights.h"
#include "train/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const text = "[net]\ninputs=3\nbatch=2\nepochs=1\nseed=9\n"
                                "[connected]\nname=fc1\noutput=2\nactivation=linear\n[softmax]\n";

enum { PARAMETERS = 8 };

static char path[64];

static void setup(void) {
    (void)snprintf(path, sizeof path, "/tmp/clnet-checkpoint-XXXXXX");
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(close(descriptor), 0);
}

static void teardown(void) {
    (void)unlink(path);
}

/* Numbers with all their bits in use, each another. */
static const struct trainer_state state = {
    .iteration = 123456789012,
    .fingerprint = 0xfedcba9876543210,
    .plateau = {.rate = 0.1, .best = 1.0 / 3, .stale = 4, .has_best = 1},
    .epoch_loss = 1e-310, /* denormal */
    .epoch_samples = 77,
    .has_evaluation = 1,
    .evaluation = {.loss = 2.0 / 3,
                   .has_errors = 1,
                   .top1_error = 1.0 / 7,
                   .top5_error = 1.0 / 9,
                   .samples = 1001},
    .best_epoch = 12,
    .best_iteration = 1234,
    .best_error = 0.7,
};

static int read_velocities(struct net_bench *bench, float values[PARAMETERS]) {
    TRY(replica_read_velocity(bench->replica, 0, values));
    return replica_read_velocity(bench->replica, 1, values + 6);
}

START_TEST(checkpoint_brings_back_every_bit) {
    struct net_bench bench, other;
    struct trainer_state back = {0};
    float velocity[PARAMETERS] = {1, 2, 3, 4, 5, 6, 0.1F, -8}, got[PARAMETERS];
    net_bench_open(&bench, text, NULL);
    ck_succeeds(replica_write_velocity(bench.replica, 0, velocity));
    ck_succeeds(replica_write_velocity(bench.replica, 1, velocity + 6));
    ck_succeeds(checkpoint_write(path, bench.replica, &state, NULL));
    net_bench_open(&other, text, NULL);
    ck_succeeds(replica_initialise(other.replica, 77));
    ck_succeeds(checkpoint_read(path, other.replica, &back));
    ck_succeeds(read_velocities(&other, got));
    ck_assert_mem_eq(got, velocity, sizeof velocity);
    float *a = net_bench_parameters(&bench), *b = net_bench_parameters(&other);
    ck_assert_mem_eq(a, b, PARAMETERS * sizeof *a);

    ck_assert_int_eq(back.iteration, state.iteration);
    ck_assert_uint_eq(back.fingerprint, state.fingerprint);
    ck_assert(back.plateau.rate == state.plateau.rate);
    ck_assert(back.plateau.best == state.plateau.best);
    ck_assert_int_eq(back.plateau.stale, state.plateau.stale);
    ck_assert_int_eq(back.plateau.has_best, state.plateau.has_best);
    ck_assert(back.epoch_loss == state.epoch_loss);
    ck_assert_int_eq(back.epoch_samples, state.epoch_samples);
    ck_assert_int_eq(back.has_evaluation, state.has_evaluation);
    ck_assert(back.evaluation.loss == state.evaluation.loss);
    ck_assert_int_eq(back.evaluation.has_errors, state.evaluation.has_errors);
    ck_assert(back.evaluation.top1_error == state.evaluation.top1_error);
    ck_assert(back.evaluation.top5_error == state.evaluation.top5_error);
    ck_assert_int_eq(back.evaluation.samples, state.evaluation.samples);
    ck_assert_int_eq(back.best_epoch, state.best_epoch);
    ck_assert_int_eq(back.best_iteration, state.best_iteration);
    ck_assert(back.best_error == state.best_error);
    free(a);
    free(b);
    net_bench_close(&bench);
    net_bench_close(&other);
}
END_TEST

START_TEST(checkpoint_serves_as_weights) {
    struct net_bench bench, other;
    net_bench_open(&bench, text, NULL);
    ck_succeeds(checkpoint_write(path, bench.replica, &state, NULL));
    net_bench_open(&other, text, NULL);
    ck_succeeds(replica_initialise(other.replica, 77));
    ck_succeeds(weights_load(path, other.replica, NULL));
    float *a = net_bench_parameters(&bench), *b = net_bench_parameters(&other);
    ck_assert_mem_eq(a, b, PARAMETERS * sizeof *a);
    free(a);
    free(b);
    net_bench_close(&bench);
    net_bench_close(&other);
}
END_TEST

START_TEST(checkpoint_that_is_none_is_refused_and_changes_nothing) {
    struct net_bench bench;
    struct trainer_state back = {.iteration = 5};
    net_bench_open(&bench, text, NULL);
    float *before = net_bench_parameters(&bench);
    ck_succeeds(replica_initialise(bench.replica, 77));
    ck_succeeds(weights_save(path, bench.replica, NULL));
    ck_succeeds(replica_initialise(bench.replica, 9));
    ck_fails(checkpoint_read(path, bench.replica, &back), ERROR_INPUT, "not a checkpoint");
    ck_assert_ptr_nonnull(strstr(error_message(), path));

    ck_succeeds(checkpoint_write(path, bench.replica, &state, NULL));
    ck_assert_int_eq(truncate(path, 900), 0);
    ck_fails(checkpoint_read(path, bench.replica, &back), ERROR_INPUT, path);
    ck_assert_int_eq(unlink(path), 0);
    ck_fails(checkpoint_read(path, bench.replica, &back), ERROR_SYSTEM, path);
    float *after = net_bench_parameters(&bench);
    ck_assert_mem_eq(before, after, PARAMETERS * sizeof *before);
    ck_assert_int_eq(back.iteration, 5);
    free(before);
    free(after);
    net_bench_close(&bench);
}
END_TEST

START_TEST(checkpoint_of_another_seed_is_refused) {
    struct net_bench bench, other;
    struct trainer_state back;
    net_bench_open(&bench, text, NULL);
    ck_succeeds(checkpoint_write(path, bench.replica, &state, NULL));
    char seeded[256];
    (void)snprintf(seeded, sizeof seeded, "%s", text);
    *strstr(seeded, "seed=9") = '#';
    net_bench_open(&other, seeded, NULL);
    ck_fails(checkpoint_read(path, other.replica, &back), ERROR_INPUT, "its seed is 9");
    net_bench_close(&bench);
    net_bench_close(&other);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("checkpoint");
    tcase_set_timeout(tests, 0);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, checkpoint_brings_back_every_bit);
    tcase_add_test(tests, checkpoint_serves_as_weights);
    tcase_add_test(tests, checkpoint_that_is_none_is_refused_and_changes_nothing);
    tcase_add_test(tests, checkpoint_of_another_seed_is_refused);
    return suite_run("train/checkpoint", tests);
}
