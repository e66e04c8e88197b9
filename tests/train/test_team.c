/* A team learns what one device learns, whatever it is made of. */
#include "support/device.h"
#include "support/limits.h"
#include "support/net_bench.h"
#include "support/suite.h"

#include "base/rng.h"
#include "net/memory_needs.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Dropout and augmentation, batches that end in the middle of a tile, and a last batch of each
 * epoch that is smaller than the others. */
static const char *const net_text =
    "[net]\nheight=8\nwidth=8\nchannels=3\nbatch=22\nresize=10\nflip=1\nangle=5\n"
    "learning_rate=0.02\nmomentum=0.9\ndecay=0.0005\nmax_batches=50\n"
    "[data]\nmean=127\nscale=0.01\n"
    "[convolutional]\nname=conv1\nfilters=5\nsize=3\npad=1\nactivation=relu\n"
    "[lrn]\nalpha=0.01\n"
    "[maxpool]\nsize=3\nstride=2\npadding=0\n"
    "[connected]\noutput=20\nactivation=relu\n"
    "[dropout]\n"
    "[connected]\nname=fc2\noutput=4\nactivation=linear\n"
    "[softmax]\n";

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
    struct record *record = context;
    record->losses[iteration->index] = iteration->loss;
    return 0;
}

static int on_epoch(void *context, int64_t epoch, const struct evaluation *evaluation) {
    struct record *record = context;
    (void)epoch;
    record->evaluation = *evaluation;
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

static void open_team(struct net_bench *bench, const char *devices,
                      const struct team_options *options) {
    struct team_options own = options ? *options : (struct team_options){0};
    own.truth_kind = TRUTH_LABELS;
    /* Three buckets or so. */
    own.bucket_bytes = 4096;
    net_bench_open_team(bench, net_text, devices, &own);
}

/* Trains on these devices; NULL: the test device alone. */
static void trained(struct record *record, const char *devices,
                    const struct team_options *options) {
    struct net_bench bench;
    *record = (struct record){0};
    open_team(&bench, devices, options);
    struct trainer_state state = trainer_start(bench.net);
    train(&bench, &state, record);
    net_bench_close(&bench);
}

/* The issue of it all: within 1e-4, relatively, over 50 iterations. Rounding alone gives some 1e-6
 * a loss, which what is learnt from it may enlarge. */
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
        trained(&record, NULL, NULL);
        is_there = 1;
        /* It does learn, so that the comparison is one. */
        ck_assert_double_lt(record.losses[iterations() - 1], 0.9 * record.losses[0]);
    }
    return &record;
}

/* "0,0" for the test device's index and a pattern "#,#". */
static const char *list_of(const char *pattern) {
    static char text[64];
    size_t used = 0;
    for (const char *c = pattern; *c; c++) {
        if (*c == '#')
            used += (size_t)snprintf(text + used, sizeof text - used, "%d", test_device_index());
        else
            text[used++] = *c;
    }
    text[used] = '\0';
    return text;
}

static const char *const repeated[] = {"#,#", "#,#,#", "#,#,#,#"};

START_TEST(team_of_a_repeated_device_learns_what_one_learns) {
    const char *devices = list_of(repeated[_i]);
    struct record record;
    trained(&record, devices, NULL);
    check_same(&record, alone(), devices);
}
END_TEST

static int parts_of_device(void) {
    struct device_info *all;
    int count;
    ck_succeeds(devices_list(&all, &count));
    int parts = all[test_device_index()].sub_devices;
    free(all);
    return parts;
}

START_TEST(team_of_sub_devices_learns_what_one_device_learns) {
    if (parts_of_device() < 2)
        SKIP_TEST(TEST_NO_PARTS);
    struct record record;
    trained(&record, list_of("#/2"), NULL);
    check_same(&record, alone(), "#/2");
}
END_TEST

/* As many platforms as there are: the test is one where there are two at least. */
START_TEST(team_of_all_devices_there_are_learns_what_one_learns) {
    struct record record, again;
    trained(&record, "all", NULL);
    check_same(&record, alone(), "all");
    trained(&again, "all", NULL);
    ck_assert_uint_eq(record.digest, again.digest);
}
END_TEST

START_TEST(team_learns_the_same_through_copies) {
    struct record mapped, copied;
    trained(&mapped, list_of("#,#"), NULL);
    trained(&copied, list_of("#,#"), &(struct team_options){.copies = 1});
    ck_assert_uint_eq(mapped.digest, copied.digest);
}
END_TEST

static const char *const by_copies[] = {"#,#", "#,#,#,#", "#/2"};

START_TEST(team_learns_the_same_bits_by_copies_among_its_devices) {
    struct record host, device;
    if (strchr(by_copies[_i], '/') && parts_of_device() < 2)
        SKIP_TEST(TEST_NO_PARTS);
    trained(&host, list_of(by_copies[_i]), NULL);
    trained(&device, list_of(by_copies[_i]), &(struct team_options){.exchange = EXCHANGE_DEVICE});
    ck_assert_uint_eq(host.digest, device.digest);
    for (int i = 0; i < iterations(); i++)
        ck_assert(host.losses[i] == device.losses[i]);
}
END_TEST

START_TEST(team_exchanges_by_copies_only_where_that_is_possible) {
    struct net_bench bench;
    open_team(&bench, list_of("#,#"), &(struct team_options){.exchange = EXCHANGE_DEVICE});
    ck_assert(team_exchanges_by_copies(bench.team));
    net_bench_close(&bench);
    open_team(&bench, list_of("#,#"), NULL);
    ck_assert(!team_exchanges_by_copies(bench.team));
    struct team *team;
    struct team_options options = {.truth_kind = TRUTH_LABELS, .exchange = EXCHANGE_DEVICE};
    ck_fails(team_create(&team, bench.net, bench.devices, 2, &options), ERROR_INPUT,
             "--exchange device: only devices of one platform");
    net_bench_close(&bench);
}
END_TEST

START_TEST(team_run_twice_gives_the_same_bits) {
    struct record first, second;
    trained(&first, list_of("#,#,#"), NULL);
    trained(&second, list_of("#,#,#"), NULL);
    ck_assert_uint_eq(first.digest, second.digest);
    for (int i = 0; i < iterations(); i++)
        ck_assert(first.losses[i] == second.losses[i]);
}
END_TEST

START_TEST(team_with_unequal_shares_learns_what_one_learns) {
    static const int shares[] = {17, 1, 4};
    struct record record;
    trained(&record, list_of("#,#,#"), &(struct team_options){.shares = shares});
    check_same(&record, alone(), "#,#,# with shares");
}
END_TEST

START_TEST(team_whose_batch_is_divided_anew_learns_on) {
    static const int before[] = {4, 18}, after[] = {15, 7};
    struct net_bench bench;
    struct record record = {.stop = iterations() * 2 / 5 + 1};
    open_team(&bench, list_of("#,#"), &(struct team_options){.shares = before});
    struct trainer_state state = trainer_start(bench.net);
    train(&bench, &state, &record);
    ck_assert_int_eq(state.iteration, record.stop);
    ck_succeeds(team_divide(bench.team, after));
    ck_assert_int_eq(team_share(bench.team, 0), 15);
    record.stop = 0;
    train(&bench, &state, &record);
    check_same(&record, alone(), "#,# divided anew");
    net_bench_close(&bench);
}
END_TEST

/* Whether it is divided anew is up to the clock; what it learns is not. */
START_TEST(team_that_measures_its_devices_learns_what_one_learns) {
    struct record record;
    trained(&record, list_of("#,#"), &(struct team_options){.is_automatic = 1});
    check_same(&record, alone(), "#,# by rates");
}
END_TEST

/* Memory for some of the batch at once, but not for all of it. */
START_TEST(team_on_a_device_with_little_memory_works_in_parts_and_learns_the_same) {
    struct net_bench bench;
    struct record record = {0};
    struct memory_needs whole, part;
    struct memory_needs_options options = {.is_training = 1, .micro_batch = 22};
    char limit[64];
    open_team(&bench, NULL, NULL);
    const struct device_info info = *device_info(bench.device);
    ck_succeeds(memory_needs(&whole, bench.net, &info, &options));
    options.micro_batch = 8;
    ck_succeeds(memory_needs(&part, bench.net, &info, &options));
    ck_assert_uint_lt(part.total, whole.total);
    net_bench_close(&bench);
    (void)snprintf(limit, sizeof limit, "global_memory=%llu",
                   (unsigned long long)(part.total + whole.total) / 2);
    test_limits(limit);
    open_team(&bench, NULL, NULL);
    test_limits(NULL);
    ck_assert_int_lt(replica_micro_batch(bench.replica), 22);
    struct trainer_state state = trainer_start(bench.net);
    train(&bench, &state, &record);
    check_same(&record, alone(), "# with little memory");
    net_bench_close(&bench);
}
END_TEST

/* How often the log tells of parts, while `shares` becomes the division. */
static int parts_told(struct team *team, const int *shares) {
    int told = 0, before = dup(STDERR_FILENO);
    char line[512];
    FILE *log = tmpfile();
    ck_assert_ptr_nonnull(log);
    ck_assert_int_ge(dup2(fileno(log), STDERR_FILENO), 0);
    int rc = team_divide(team, shares);
    ck_assert_int_ge(dup2(before, STDERR_FILENO), 0);
    close(before);
    ck_succeeds(rc);
    rewind(log);
    while (fgets(line, sizeof line, log))
        told += strstr(line, "is worked through in") != NULL;
    ck_assert_int_eq(fclose(log), 0);
    return told;
}

START_TEST(team_that_is_divided_anew_tells_of_parts_when_they_are_news) {
    static const int large[] = {18, 4}, near[] = {17, 5}, even[] = {11, 11}, other[] = {4, 18};
    struct net_bench bench;
    struct memory_needs part;
    struct memory_needs_options options = {.is_training = 1, .micro_batch = 8};
    char limit[64];
    open_team(&bench, NULL, NULL);
    ck_succeeds(memory_needs(&part, bench.net, device_info(bench.device), &options));
    net_bench_close(&bench);
    (void)snprintf(limit, sizeof limit, "global_memory=%llu",
                   (unsigned long long)(2.1 * (double)part.total));
    test_limits(limit);
    open_team(&bench, list_of("#,#"), NULL); /* two parts of each share */
    test_limits(NULL);
    ck_assert_int_eq(replica_micro_batch(bench.replica), 8);
    ck_assert_int_eq(parts_told(bench.team, large), 1);
    ck_assert_int_eq(parts_told(bench.team, near), 0);
    ck_assert_int_eq(parts_told(bench.team, even), 2);
    ck_assert_int_eq(parts_told(bench.team, other), 1);
    net_bench_close(&bench);
}
END_TEST

START_TEST(team_goes_on_from_what_another_number_of_devices_learnt) {
    struct net_bench pair, single;
    struct record record = {.stop = iterations() * 2 / 5};
    open_team(&pair, list_of("#,#"), NULL);
    struct trainer_state state = trainer_start(pair.net);
    train(&pair, &state, &record);
    open_team(&single, NULL, NULL);
    for (int i = 0; i < pair.net->parameter_count; i++) {
        float values[4096];
        ck_assert_int_le(parameter_elements(net_parameter(pair.net, i, NULL)), 4096);
        ck_succeeds(replica_read_parameter(pair.replica, i, values));
        ck_succeeds(replica_write_parameter(single.replica, i, values));
        ck_succeeds(replica_read_velocity(pair.replica, i, values));
        ck_succeeds(replica_write_velocity(single.replica, i, values));
    }
    record.stop = 0;
    train(&single, &state, &record);
    check_same(&record, alone(), "#,# and then #");
    net_bench_close(&pair);
    net_bench_close(&single);
}
END_TEST

START_TEST(team_shares_the_parameters_of_its_first_replica) {
    struct net_bench bench;
    float values[4 * 20], found[4 * 20];
    open_team(&bench, list_of("#,#,#"), NULL);
    int last = bench.net->parameter_count - 2; /* the weights of fc2 */
    for (int i = 0; i < 4 * 20; i++)
        values[i] = (float)i;
    ck_succeeds(replica_write_parameter(bench.replica, last, values));
    ck_succeeds(replica_write_velocity(bench.replica, last, values));
    ck_fails(team_check(bench.team, NULL), ERROR_DEVICE, "its parameters are no longer those of");
    ck_succeeds(team_share_parameters(bench.team));
    ck_succeeds(team_check(bench.team, NULL));
    ck_succeeds(replica_read_velocity(team_replica(bench.team, 2), last, found));
    ck_assert_int_eq(memcmp(found, values, sizeof values), 0);
    net_bench_close(&bench);
}
END_TEST

/* Infinite weights in the first replica alone: no replica makes an update. */
START_TEST(team_with_a_loss_that_is_not_finite_says_where_and_updates_nothing) {
    struct net_bench bench;
    float huge[4 * 20], before[4 * 20], after[4 * 20];
    open_team(&bench, list_of("#,#"), NULL);
    int last = bench.net->parameter_count - 2;
    for (int i = 0; i < 4 * 20; i++)
        huge[i] = INFINITY;
    ck_succeeds(replica_write_parameter(bench.replica, last, huge));
    ck_succeeds(replica_read_parameter(team_replica(bench.team, 1), last, before));
    struct trainer_options options = {.iterations = 1};
    struct trainer_state state = trainer_start(bench.net);
    struct trainer_listener listener = {0};
    ck_fails(trainer_run(bench.team, &pictures.dataset, NULL, &options, &state, &listener),
             ERROR_NUMERIC,
             "iteration 1: the loss is not finite; the first that is not is the "
             "parameter fc2.weight");
    ck_succeeds(replica_read_parameter(team_replica(bench.team, 1), last, after));
    ck_assert_int_eq(memcmp(before, after, sizeof before), 0);
    ck_assert_int_eq(state.iteration, 0);
    net_bench_close(&bench);
}
END_TEST

START_TEST(team_that_is_larger_than_the_batch_is_refused) {
    struct net_bench bench = {0};
    struct device *devices[3] = {NULL, NULL, NULL};
    struct team *team;
    struct team_options options = {.truth_kind = TRUTH_LABELS};
    const char *text = "[net]\ninputs=4\nbatch=2\n[connected]\noutput=2\n[softmax]\n";
    ck_succeeds(config_parse(&bench.config, "test.cfg", text, strlen(text)));
    ck_succeeds(net_create(&bench.net, bench.config));
    ck_fails(team_create(&team, bench.net, devices, 3, &options), ERROR_INPUT,
             "3 devices cannot share a batch of 2");
    net_free(bench.net);
    config_free(bench.config);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("team");
    tcase_set_timeout(tests, 0);
    make_pictures();
    tcase_add_loop_test(tests, team_of_a_repeated_device_learns_what_one_learns, 0,
                        sizeof repeated / sizeof *repeated);
    tcase_add_test(tests, team_of_sub_devices_learns_what_one_device_learns);
    tcase_add_test(tests, team_of_all_devices_there_are_learns_what_one_learns);
    tcase_add_test(tests, team_learns_the_same_through_copies);
    tcase_add_loop_test(tests, team_learns_the_same_bits_by_copies_among_its_devices, 0,
                        sizeof by_copies / sizeof *by_copies);
    tcase_add_test(tests, team_exchanges_by_copies_only_where_that_is_possible);
    tcase_add_test(tests, team_run_twice_gives_the_same_bits);
    tcase_add_test(tests, team_with_unequal_shares_learns_what_one_learns);
    tcase_add_test(tests, team_whose_batch_is_divided_anew_learns_on);
    tcase_add_test(tests, team_that_measures_its_devices_learns_what_one_learns);
    tcase_add_test(tests, team_on_a_device_with_little_memory_works_in_parts_and_learns_the_same);
    tcase_add_test(tests, team_that_is_divided_anew_tells_of_parts_when_they_are_news);
    tcase_add_test(tests, team_goes_on_from_what_another_number_of_devices_learnt);
    tcase_add_test(tests, team_shares_the_parameters_of_its_first_replica);
    tcase_add_test(tests, team_with_a_loss_that_is_not_finite_says_where_and_updates_nothing);
    tcase_add_test(tests, team_that_is_larger_than_the_batch_is_refused);
    return suite_run("train/team", tests);
}
