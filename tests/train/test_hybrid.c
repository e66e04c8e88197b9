/* Devices that share the layers of a net learn what one device learns. */
#include "support/device.h"
#include "support/limits.h"
#include "support/net_bench.h"
#include "support/suite.h"

#include "base/file.h"
#include "base/rng.h"
#include "net/memory_needs.h"
#include "train/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Dropout and augmentation; outputs and batches that are no multiple of the number of devices; a
 * last batch of each epoch, of 13, that is smaller than the others. */
#define NET                                                                    \
    "height=8\nwidth=8\nchannels=3\nbatch=22\nresize=10\nflip=1\nangle=5\n"    \
    "learning_rate=0.02\nmomentum=0.9\ndecay=0.0005\nmax_batches=50\n"         \
    "[data]\nscale=0.01\n"                                                     \
    "[convolutional]\nname=conv1\nfilters=5\nsize=3\npad=1\nactivation=relu\n" \
    "[lrn]\nalpha=0.01\n"                                                      \
    "[maxpool]\nsize=3\nstride=2\npadding=0\n"                                 \
    "[connected]\nname=fc1\noutput=20\nactivation=relu\n"                      \
    "[dropout]\nname=drop1\n"                                                  \
    "[connected]\nname=fc2\noutput=20\nactivation=relu\n"                      \
    "[shortcut]\nfrom=drop1\n"                                                 \
    "[connected]\nname=fc3\noutput=4\nactivation=linear\n"                     \
    "[softmax]\n"

static const char *const hybrid_text = "[net]\nparallel=hybrid\n" NET;
static const char *const divided_text = "[net]\nparallel=hybrid\nsubdivisions=2\n" NET;
static const char *const data_text = "[net]\n" NET;

enum { SAMPLES = 57, SIDE = 10, FRAME = 3 * SIDE * SIDE, ITERATIONS_MAX = 50 };

struct pictures {
    struct dataset dataset;
    uint8_t bytes[SAMPLES * FRAME];
    int32_t labels[SAMPLES];
};

static struct pictures pictures;

/* Noise with a class's brightness. */
static void make_pictures(void) {
    struct rng rng = rng_start(7, RNG_SHUFFLE, 1, 2);
    for (int n = 0; n < SAMPLES; n++) {
        pictures.labels[n] = (int32_t)rng_below(&rng, 4);
        for (int e = 0; e < FRAME; e++)
            pictures.bytes[n * FRAME + e] =
                (uint8_t)(rng_below(&rng, 190) + 20 * (uint32_t)pictures.labels[n]);
    }
    pictures.dataset = (struct dataset){.input = {.c = 3, .h = 8, .w = 8},
                                        .frame = {.c = 3, .h = SIDE, .w = SIDE},
                                        .stored = {.c = 3, .h = SIDE, .w = SIDE},
                                        .count = SAMPLES,
                                        .outputs = 4,
                                        .bytes = pictures.bytes,
                                        .labels = pictures.labels};
}

/* As many as there is time for. */
static int iterations(void) {
    return test_iterations(ITERATIONS_MAX);
}

struct record {
    double losses[ITERATIONS_MAX];
    struct evaluation evaluation;
    uint64_t digest;
    int64_t stop; /* iteration to stop after; 0: none */
};

static int on_iteration(void *context, const struct iteration *iteration) {
    ((struct record *)context)->losses[iteration->index] = iteration->loss;
    return 0;
}

static int on_epoch(void *context, int64_t epoch, const struct evaluation *evaluation) {
    (void)epoch;
    ((struct record *)context)->evaluation = *evaluation;
    return 0;
}

static int on_done(void *context, const struct trainer_state *state) {
    return state->iteration == ((const struct record *)context)->stop;
}

static void train(struct net_bench *bench, struct trainer_state *state, struct record *record) {
    struct trainer_options options = {.iterations = iterations()};
    struct trainer_listener listener = {
        .iteration = on_iteration, .epoch = on_epoch, .done = on_done, .context = record};
    ck_succeeds(
        trainer_run(bench->team, &pictures.dataset, &pictures.dataset, &options, state, &listener));
    ck_succeeds(team_check(bench->team, &record->digest));
}

/* With a mean of 127, and buckets that are small. */
static void open_team(struct net_bench *bench, const char *text, const char *devices, int copies) {
    float values[] = {127};
    struct mean mean = {.count = 1, .values = values};
    struct team_options options = {
        .truth_kind = TRUTH_LABELS, .bucket_bytes = 1024, .copies = copies};
    net_bench_open_team(bench, text, devices, &options);
    ck_succeeds(replica_set_mean(bench->replica, &mean));
    ck_succeeds(team_share_parameters(bench->team));
}

static void trained(struct record *record, const char *text, const char *devices, int copies) {
    struct net_bench bench;
    *record = (struct record){0};
    open_team(&bench, text, devices, copies);
    struct trainer_state state = trainer_start(bench.net);
    train(&bench, &state, record);
    net_bench_close(&bench);
}

/* Within 1e-4, relatively, over 50 iterations. Rounding alone gives some 1e-6 a loss, which what is
 * learnt from it may enlarge. */
static void check_same(const struct record *found, const struct record *expected,
                       const char *devices) {
    for (int i = 0; i < iterations(); i++)
        ck_assert_msg(fabs(found->losses[i] - expected->losses[i]) <=
                          1e-4 * fabs(expected->losses[i]),
                      "devices %s, iteration %d: the loss is %.9g, on one device %.9g", devices,
                      i + 1, found->losses[i], expected->losses[i]);
    ck_assert_double_le(fabs(found->evaluation.loss - expected->evaluation.loss),
                        1e-4 * expected->evaluation.loss);
    ck_assert_int_eq(found->evaluation.samples, expected->evaluation.samples);
}

/* What one device learns: computed once. */
static const struct record *alone(void) {
    static struct record record;
    static int is_there;
    if (!is_there) {
        trained(&record, data_text, NULL, 0);
        is_there = 1;
        /* It does learn, so that the comparison is one. */
        ck_assert_double_lt(record.losses[iterations() - 1], 0.9 * record.losses[0]);
    }
    return &record;
}

/* The test device, so many times. */
static const char *times(int count) {
    static char text[64];
    size_t used = 0;
    for (int i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%d", i ? "," : "",
                                 test_device_index());
    return text;
}

START_TEST(hybrid_devices_learn_what_one_learns) {
    struct record record;
    trained(&record, hybrid_text, times(_i), 0);
    check_same(&record, alone(), times(_i));
}
END_TEST

START_TEST(hybrid_devices_learn_the_same_in_subdivisions) {
    struct record record;
    trained(&record, divided_text, times(3), 0);
    check_same(&record, alone(), times(3));
}
END_TEST

/* As many platforms as there are: the test is one where there are two at least. */
START_TEST(hybrid_devices_of_all_platforms_learn_what_one_learns) {
    struct record record;
    trained(&record, hybrid_text, "all", 0);
    check_same(&record, alone(), "all");
}
END_TEST

START_TEST(hybrid_run_twice_and_through_copies_gives_the_same_bits) {
    struct record first, second, copied;
    trained(&first, hybrid_text, times(3), 0);
    trained(&second, hybrid_text, times(3), 0);
    trained(&copied, hybrid_text, times(3), 1);
    ck_assert_uint_eq(first.digest, second.digest);
    ck_assert_uint_eq(first.digest, copied.digest);
    ck_assert_int_eq(memcmp(first.losses, second.losses, sizeof first.losses), 0);
}
END_TEST

/* Reads what the parts of the one have, and gives it to the other, by way of a checkpoint. */
static void go_on_with(const char *first_text, const char *first_devices, const char *text,
                       const char *devices) {
    char path[] = "/tmp/clnet-hybrid-XXXXXX";
    struct net_bench before, after;
    struct record record = {.stop = iterations() * 2 / 5};
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    close(file);
    open_team(&before, first_text, first_devices, 0);
    struct trainer_state state = trainer_start(before.net);
    train(&before, &state, &record);
    ck_succeeds(checkpoint_write(path, before.replica, &state, NULL));
    net_bench_close(&before);

    open_team(&after, text, devices, 0);
    ck_succeeds(checkpoint_read(path, after.replica, &state));
    ck_succeeds(team_share_parameters(after.team));
    ck_assert_int_eq(state.iteration, record.stop);
    record.stop = 0;
    train(&after, &state, &record);
    check_same(&record, alone(), "in two halves");
    net_bench_close(&after);
    (void)remove(path);
}

START_TEST(hybrid_checkpoint_goes_on_on_one_device) {
    go_on_with(hybrid_text, times(3), data_text, NULL);
}
END_TEST

START_TEST(hybrid_devices_go_on_from_the_checkpoint_of_one) {
    go_on_with(data_text, NULL, hybrid_text, times(2));
}
END_TEST

START_TEST(hybrid_parameters_begin_as_those_of_the_whole_net) {
    struct net_bench parts, whole;
    float found[4096], expected[4096];
    open_team(&parts, hybrid_text, times(3), 0);
    open_team(&whole, data_text, NULL, 0);
    for (int i = 0; i < whole.net->parameter_count; i++) {
        size_t count = (size_t)parameter_elements(net_parameter(whole.net, i, NULL));
        ck_assert_uint_le(count, 4096);
        ck_succeeds(replica_read_parameter(parts.replica, i, found));
        ck_succeeds(replica_read_parameter(whole.replica, i, expected));
        ck_assert_int_eq(memcmp(found, expected, count * sizeof *found), 0);
    }
    net_bench_close(&parts);
    net_bench_close(&whole);
}
END_TEST

/* Writes a parameter of fc3, the same value everywhere but for one in the second device's rows, has
 * an iteration fail, and tells that nothing was updated. */
static void diverge(const char *text, float value, float other, const char *message) {
    struct net_bench bench;
    float values[4 * 20], after[4 * 20];
    open_team(&bench, text, times(2), 0);
    int last = bench.net->parameter_count - 2; /* the weights of fc3 */
    for (int i = 0; i < 4 * 20; i++)
        values[i] = i == 70 ? other : value;
    ck_succeeds(replica_write_parameter(bench.replica, last, values));
    struct trainer_options options = {.iterations = 1};
    struct trainer_state state = trainer_start(bench.net);
    struct trainer_listener listener = {0};
    ck_fails(trainer_run(bench.team, &pictures.dataset, NULL, &options, &state, &listener),
             ERROR_NUMERIC, message);
    ck_succeeds(replica_read_parameter(bench.replica, last, after));
    ck_assert_int_eq(memcmp(values, after, sizeof values), 0);
    net_bench_close(&bench);
}

START_TEST(hybrid_with_a_loss_that_is_not_finite_says_where_and_updates_nothing) {
    diverge(hybrid_text, 1, INFINITY,
            "iteration 1: the loss is not finite; the first that is not is the parameter "
            "fc3.weight");
}
END_TEST

/* Sums beyond the largest float, of parameters below it. */
START_TEST(hybrid_with_an_output_that_is_not_finite_names_the_layer) {
    diverge(_i ? divided_text : hybrid_text, 3e38F, 3e38F,
            "iteration 1: the loss is not finite; the first that is not is the output of layer 7 "
            "(fc3)");
}
END_TEST

/* What the plan says that a device of several takes with such a micro-batch. */
static uint64_t planned(const struct net_bench *bench, int rank, int ranks, int micro_batch) {
    struct memory_needs needs;
    struct memory_needs_options options = {
        .is_training = 1, .micro_batch = micro_batch, .rank = rank, .ranks = ranks};
    ck_succeeds(memory_needs(&needs, bench->net, device_info(bench->devices[0]), &options));
    ck_assert_uint_eq(needs.total, needs.parameters + needs.gradients + needs.velocity +
                                       needs.multipliers + needs.activations + needs.scratch +
                                       needs.staging + needs.results);
    return needs.total;
}

/* After an epoch and its evaluation, when all samples have their room. */
START_TEST(hybrid_devices_take_what_is_planned_to_the_byte) {
    struct net_bench bench;
    struct record record = {.stop = 3};
    open_team(&bench, _i ? divided_text : hybrid_text, times(3), 0);
    struct trainer_state state = trainer_start(bench.net);
    train(&bench, &state, &record);
    for (int rank = 0; rank < 3; rank++)
        ck_assert_uint_eq(device_allocated(bench.devices[rank]),
                          planned(&bench, rank, 3, _i ? 4 : 8));
    net_bench_close(&bench);
}
END_TEST

/* Memory enough for the whole net with the share of 8 on each, but not for its parts. */
START_TEST(hybrid_devices_with_little_memory_work_in_parts_and_learn_the_same) {
    struct net_bench bench;
    struct record record = {0};
    char limit[64];
    open_team(&bench, hybrid_text, times(3), 0);
    uint64_t more = planned(&bench, 2, 3, 8), less = planned(&bench, 2, 3, 4);
    ck_assert_uint_lt(less, more);
    ck_assert_uint_lt(planned(&bench, 0, 0, 8), (more + less) / 2);
    net_bench_close(&bench);
    (void)snprintf(limit, sizeof limit, "global_memory=%llu",
                   3 * (unsigned long long)(more + less) / 2);
    test_limits(limit);
    open_team(&bench, hybrid_text, times(3), 0);
    test_limits(NULL);
    ck_assert_int_eq(replica_micro_batch(bench.replica), 4);
    struct trainer_state state = trainer_start(bench.net);
    train(&bench, &state, &record);
    check_same(&record, alone(), "with little memory");
    net_bench_close(&bench);
}
END_TEST

static void refuse(const char *text, const struct team_options *options, const char *message) {
    struct net_bench bench = {0};
    struct device *devices[2] = {NULL, NULL};
    struct team *team;
    ck_succeeds(config_parse(&bench.config, "test.cfg", text, strlen(text)));
    ck_succeeds(net_create(&bench.net, bench.config));
    ck_fails(team_create(&team, bench.net, devices, 2, options), ERROR_INPUT, message);
    net_free(bench.net);
    config_free(bench.config);
}

START_TEST(hybrid_refuses_what_cannot_be_divided_so) {
    static const int shares[] = {12, 10};
    struct team_options options = {.truth_kind = TRUTH_LABELS};
    refuse("[net]\ninputs=4\nbatch=4\nparallel=hybrid\n[connected]\noutput=2\n[softmax]\n",
           &options, "test.cfg:5: connected: parallel=hybrid is not possible");
    options.is_automatic = 1;
    refuse(hybrid_text, &options, "--split: with parallel=hybrid every device takes an equal");
    options = (struct team_options){.shares = shares};
    refuse(hybrid_text, &options, "--split: with parallel=hybrid every device takes an equal");
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("hybrid");
    tcase_set_timeout(tests, 0);
    make_pictures();
    tcase_add_loop_test(tests, hybrid_devices_learn_what_one_learns, 1, 5);
    tcase_add_test(tests, hybrid_devices_learn_the_same_in_subdivisions);
    tcase_add_test(tests, hybrid_devices_of_all_platforms_learn_what_one_learns);
    tcase_add_test(tests, hybrid_run_twice_and_through_copies_gives_the_same_bits);
    tcase_add_test(tests, hybrid_checkpoint_goes_on_on_one_device);
    tcase_add_test(tests, hybrid_devices_go_on_from_the_checkpoint_of_one);
    tcase_add_test(tests, hybrid_parameters_begin_as_those_of_the_whole_net);
    tcase_add_test(tests, hybrid_with_a_loss_that_is_not_finite_says_where_and_updates_nothing);
    tcase_add_loop_test(tests, hybrid_with_an_output_that_is_not_finite_names_the_layer, 0, 2);
    tcase_add_loop_test(tests, hybrid_devices_take_what_is_planned_to_the_byte, 0, 2);
    tcase_add_test(tests, hybrid_devices_with_little_memory_work_in_parts_and_learn_the_same);
    tcase_add_test(tests, hybrid_refuses_what_cannot_be_divided_so);
    return suite_run("train/hybrid", tests);
}
