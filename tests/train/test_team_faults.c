/* A team of which a device fails ends at once, and says which one it was. */
#include "support/device.h"
#include "support/limits.h"
#include "support/net_bench.h"
#include "support/suite.h"

#include "train/trainer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Two micro-batches each, and several buckets. */
static const char *const net_text = "[net]\ninputs=6\nbatch=8\nsubdivisions=2\nlearning_rate=0.01\n"
                                    "[connected]\nname=fc1\noutput=40\nactivation=relu\n"
                                    "[connected]\nname=fc2\noutput=40\nactivation=relu\n"
                                    "[connected]\nname=fc3\noutput=3\nactivation=linear\n"
                                    "[softmax]\n";

/* The same with layers that devices share. */
static const char *const hybrid_text =
    "[net]\ninputs=6\nbatch=8\nsubdivisions=2\nlearning_rate=0.01\nparallel=hybrid\n"
    "[convolutional]\nname=conv1\nfilters=40\nsize=1\n"
    "[connected]\nname=fc2\noutput=40\nactivation=relu\n"
    "[connected]\nname=fc3\noutput=3\nactivation=linear\n"
    "[softmax]\n";

/* Two iterations an epoch, of two epochs, each with an evaluation at its end. */
enum { SAMPLES = 16, INPUTS = 6, ITERATIONS = 4 };

/* Nothing here takes longer, unless someone waits for what will never be. */
enum { SECONDS_MOST = 300 };

static float inputs[SAMPLES * INPUTS];
static int32_t labels[SAMPLES];
static struct dataset dataset = {
    .input = {.c = INPUTS, .h = 1, .w = 1},
    .stored = {.c = INPUTS, .h = 1, .w = 1},
    .count = SAMPLES,
    .outputs = 3,
    .floats = inputs,
    .labels = labels,
};

static void make_numbers(void) {
    for (int i = 0; i < SAMPLES * INPUTS; i++)
        inputs[i] = (float)(i % 7) / 7.0F;
    for (int i = 0; i < SAMPLES; i++)
        labels[i] = i % 3;
}

static void start_clock(void) {
    (void)alarm(SECONDS_MOST);
}

static void stop_clock(void) {
    (void)alarm(0);
}

/* Two devices, of which those have limits whose bit is set in `limited`; those that share a context
 * are both limited. */
static void open_devices(struct net_bench *bench, const char *text, const char *limits, int limited,
                         int is_shared) {
    const struct device_choice twice[] = {WHOLE_DEVICE(test_device_index()),
                                          WHOLE_DEVICE(test_device_index())};
    *bench = (struct net_bench){.device_count = 2};
    ck_succeeds(config_parse(&bench->config, "test.cfg", text, strlen(text)));
    ck_succeeds(net_create(&bench->net, bench->config));
    for (int i = 0; i < 2; i += is_shared ? 2 : 1) {
        if (limited & 1 << i)
            test_limits(limits);
        ck_succeeds(devices_open(&bench->devices[i], twice, is_shared ? 2 : 1,
                                 is_shared ? DEVICES_SHARE_CONTEXT : 0));
        test_limits(NULL);
    }
    bench->device = bench->devices[0];
}

static int make_team(struct net_bench *bench, const struct team_options *given) {
    struct team_options options = given ? *given : (struct team_options){0};
    options.truth_kind = TRUTH_LABELS;
    options.bucket_bytes = 1024;
    return team_create(&bench->team, bench->net, bench->devices, 2, &options);
}

/* From the making of the team on. */
static int train(struct net_bench *bench, const struct team_options *given,
                 struct trainer_state *state) {
    struct trainer_options options = {.iterations = ITERATIONS};
    struct trainer_listener listener = {0};
    *state = trainer_start(bench->net);
    TRY(make_team(bench, given));
    TRY(team_initialise(bench->team, 1));
    return trainer_run(bench->team, &dataset, &dataset, &options, state, &listener);
}

static void open_failing(struct net_bench *bench, const char *text, int commands, int limited,
                         int is_shared) {
    char limits[64];
    (void)snprintf(limits, sizeof limits, "commands=%d", commands);
    open_devices(bench, text, limits, limited, is_shared);
}

static void check_failure(int rc, int commands) {
    char named[64];
    (void)snprintf(named, sizeof named, "device %d (", test_device_index());
    ck_assert_msg(rc == ERROR_DEVICE && strstr(error_message(), named) &&
                      strstr(error_message(), "CL_OUT_OF_RESOURCES"),
                  "commands=%d: code %d, %s", commands, rc, error_message());
}

/* About the commands that the training takes on one device, by having it fail after ever more of
 * them, `first` and then `stride` more each time. Two sweeps fail in different places. */
static int sweep(const char *text, int first, int stride, int limited,
                 const struct team_options *options) {
    struct net_bench bench;
    struct trainer_state state;
    int is_shared = options && options->exchange == EXCHANGE_DEVICE;
    for (int commands = first;; commands += stride) {
        open_failing(&bench, text, commands, limited, is_shared);
        int rc = train(&bench, options, &state);
        if (rc < 0) {
            check_failure(rc, commands);
            /* An evaluation belongs to an iteration that was made. */
            ck_assert(state.iteration < ITERATIONS || !state.has_evaluation ||
                      state.evaluation.samples == SAMPLES);
        }
        net_bench_close(&bench);
        if (rc == 0)
            return commands;
    }
}

static const int devices_limited[] = {1, 2, 3};

/* Forward, backward, exchange, update, evaluation: whatever comes next has to be given up. */
START_TEST(team_ends_wherever_a_device_is_lost_and_names_it) {
    int commands = sweep(net_text, 1 + 4 * _i, 29, devices_limited[_i], NULL);
    /* Two micro-batches of 3 + 1 layers there and back, in 4 iterations, at the least. */
    ck_assert_int_gt(commands, 4 * 2 * 2 * 4);
}
END_TEST

START_TEST(team_that_copies_ends_wherever_a_device_is_lost) {
    ck_assert_int_gt(sweep(net_text, 3, 29, 2, &(struct team_options){.copies = 1}), 4 * 2 * 2 * 4);
}
END_TEST

START_TEST(team_that_shares_layers_ends_wherever_a_device_is_lost) {
    struct team_options options = {.copies = _i == 1};
    ck_assert_int_gt(sweep(hybrid_text, 2 + 29 * _i, 87, devices_limited[_i], &options),
                     4 * 2 * 2 * 4);
}
END_TEST

/* The one with more samples works through them in more parts, and so fails before the other. */
static const int unequal[][2] = {{7, 1}, {1, 7}};

START_TEST(team_that_copies_among_its_devices_ends_wherever_one_is_lost) {
    struct team_options options = {.exchange = EXCHANGE_DEVICE, .shares = unequal[_i]};
    ck_assert_int_gt(sweep(net_text, 2 + 5 * _i, 29, 3, &options), 4 * 2 * 2 * 4);
}
END_TEST

/* Has a device fail in the first iteration: the making of a team takes some commands too. */
static void fail_early(struct net_bench *bench, struct trainer_state *state, int limited) {
    for (int commands = 1;; commands += 7) {
        open_failing(bench, net_text, commands, limited, 0);
        check_failure(train(bench, NULL, state), commands);
        if (strstr(error_message(), "iteration 1: "))
            return;
        net_bench_close(bench);
    }
}

START_TEST(team_that_loses_a_device_in_its_first_iteration_has_made_none) {
    struct net_bench bench;
    struct trainer_state state;
    fail_early(&bench, &state, 2);
    ck_assert_int_eq(state.iteration, 0);
    net_bench_close(&bench);
}
END_TEST

/* A second device that fails while the batch is divided anew, with the first one done. */
START_TEST(team_that_cannot_be_divided_anew_keeps_its_shares) {
    static const int shares[] = {6, 2};
    int failures = 0, is_divided = 0;
    for (int commands = 1; !is_divided; commands++) {
        struct net_bench bench;
        open_failing(&bench, net_text, commands, 2, 0);
        int rc = make_team(&bench, NULL);
        if (rc == 0) {
            int divided = team_divide(bench.team, shares);
            is_divided = divided == 0;
            failures += divided < 0;
            ck_assert_int_eq(team_share(bench.team, 0), is_divided ? 6 : 4);
            ck_assert_int_eq(team_share(bench.team, 1), is_divided ? 2 : 4);
        }
        net_bench_close(&bench);
    }
    ck_assert_int_gt(failures, 0);
}
END_TEST

START_TEST(team_is_not_made_when_one_device_has_too_little_memory) {
    struct net_bench bench;
    for (int which = 1; which <= 2; which++) {
        open_devices(&bench, net_text, "global_memory=4K", which, 0);
        ck_fails(make_team(&bench, NULL), ERROR_DEVICE, "device ");
        ck_assert_ptr_null(bench.team);
        bench.replica = NULL;
        net_bench_close(&bench);
    }
}
END_TEST

/* What cleans up fails too, and keeps quiet about it. */
START_TEST(team_keeps_the_message_of_the_first_failure_when_it_is_freed) {
    struct net_bench bench;
    struct trainer_state state;
    char message[512];
    fail_early(&bench, &state, 1);
    (void)snprintf(message, sizeof message, "%s", error_message());
    net_bench_close(&bench);
    ck_assert_str_eq(error_message(), message);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("team_faults");
    tcase_set_timeout(tests, 0);
    tcase_add_checked_fixture(tests, start_clock, stop_clock);
    make_numbers();
    tcase_add_loop_test(tests, team_ends_wherever_a_device_is_lost_and_names_it, 0,
                        sizeof devices_limited / sizeof *devices_limited);
    tcase_add_test(tests, team_that_copies_ends_wherever_a_device_is_lost);
    tcase_add_loop_test(tests, team_that_shares_layers_ends_wherever_a_device_is_lost, 0,
                        sizeof devices_limited / sizeof *devices_limited);
    tcase_add_loop_test(tests, team_that_copies_among_its_devices_ends_wherever_one_is_lost, 0, 2);
    tcase_add_test(tests, team_that_loses_a_device_in_its_first_iteration_has_made_none);
    tcase_add_test(tests, team_that_cannot_be_divided_anew_keeps_its_shares);
    tcase_add_test(tests, team_is_not_made_when_one_device_has_too_little_memory);
    tcase_add_test(tests, team_keeps_the_message_of_the_first_failure_when_it_is_freed);
    return suite_run("train/team_faults", tests);
}
