/* Training as a whole: reproducible, the same in parts, and stopping where numbers end. */
#include "support/net_bench.h"
#include "support/suite.h"

#include "base/rng.h"
#include "data/picture.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const small_net = "[net]\nheight=9\nwidth=8\nchannels=2\nbatch=22\n"
                                     "learning_rate=0.05\nmomentum=0.9\ndecay=0.0005\nepochs=2\n"
                                     "[convolutional]\nname=conv1\nfilters=5\nsize=3\npad=1\n"
                                     "activation=relu\n"
                                     "[lrn]\nalpha=0.01\n"
                                     "[maxpool]\nsize=3\nstride=2\npadding=0\n"
                                     "[dropout]\n"
                                     "[connected]\nname=fc2\noutput=4\nactivation=linear\n"
                                     "[softmax]\n";

enum { SAMPLES = 57, ELEMENTS = 144 };

/* Pictures of noise with a class's brightness. */
struct noise {
    struct dataset dataset;
    float pixels[SAMPLES * ELEMENTS];
    int32_t labels[SAMPLES];
};

static void make_noise(struct noise *noise) {
    struct rng rng = rng_start(7, RNG_SHUFFLE, 1, 2);
    for (int n = 0; n < SAMPLES; n++) {
        noise->labels[n] = (int32_t)rng_below(&rng, 4);
        for (int e = 0; e < ELEMENTS; e++)
            noise->pixels[n * ELEMENTS + e] =
                rng_uniform(&rng) + 0.2F * (float)noise->labels[n] - 0.5F;
    }
    noise->dataset = (struct dataset){.input = {.c = 2, .h = 9, .w = 8},
                                      .count = SAMPLES,
                                      .outputs = 4,
                                      .floats = noise->pixels,
                                      .labels = noise->labels};
}

struct record {
    double losses[64];
    int iterations, epochs;
    struct evaluation last;
};

static int on_iteration(void *context, const struct iteration *iteration) {
    struct record *record = context;
    ck_assert_int_eq(iteration->index, record->iterations);
    record->losses[record->iterations++] = iteration->loss;
    return 0;
}

static int on_epoch(void *context, int64_t epoch, const struct evaluation *evaluation) {
    struct record *record = context;
    ck_assert_int_eq(epoch, record->epochs);
    record->epochs++;
    if (evaluation)
        record->last = *evaluation;
    return 0;
}

static int train(struct net_bench *bench, const struct noise *noise, struct record *record) {
    struct trainer_options options = {0};
    *record = (struct record){0};
    ck_succeeds(trainer_iterations(bench->net, &noise->dataset, &options.iterations));
    struct trainer_listener listener = {
        .iteration = on_iteration, .epoch = on_epoch, .context = record};
    struct trainer_state state = trainer_start(bench->net);
    return trainer_run(bench->team, &noise->dataset, &noise->dataset, &options, &state, &listener);
}

/* The small net with overrides, trained; its weights, which the caller frees. */
static float *trained(const char *const *overrides, const struct team_options *options,
                      struct record *record) {
    struct noise *noise = malloc(sizeof *noise);
    make_noise(noise);
    struct net_bench bench = {0};
    struct config *config;
    ck_succeeds(config_parse(&config, "test.cfg", small_net, strlen(small_net)));
    char *text = NULL;
    size_t size;
    for (; overrides && *overrides; overrides++)
        ck_succeeds(config_set(config, *overrides));
    struct net *net;
    ck_succeeds(net_create(&net, config));
    FILE *out = open_memstream(&text, &size);
    net_print_config(net, out);
    ck_assert_int_eq(fclose(out), 0);
    net_free(net);
    config_free(config);

    net_bench_open_team(&bench, text, NULL, options);
    ck_succeeds(train(&bench, noise, record));
    float *weights = net_bench_parameters(&bench);
    net_bench_close(&bench);
    free(text);
    free(noise);
    return weights;
}

enum { PARAMETERS = 5 * 2 * 9 + 5 + 4 * 5 * 4 * 3 + 4 };

START_TEST(trainer_goes_through_epochs_with_a_smaller_last_batch) {
    struct record record;
    free(trained(NULL, NULL, &record));
    ck_assert_int_eq(record.iterations, 6); /* ceil(57 / 22) twice */
    ck_assert_int_eq(record.epochs, 2);
    ck_assert_int_eq(record.last.samples, SAMPLES);
    ck_assert_int_eq(record.last.has_errors, 1);
}
END_TEST

START_TEST(trainer_same_seed_gives_bit_identical_weights) {
    struct record record;
    float *a = trained(NULL, NULL, &record), *b = trained(NULL, NULL, &record);
    ck_assert_int_eq(memcmp(a, b, PARAMETERS * sizeof *a), 0);
    static const char *const other_seed[] = {"net.seed=2", NULL};
    float *c = trained(other_seed, NULL, &record);
    ck_assert_int_ne(memcmp(a, c, PARAMETERS * sizeof *a), 0);
    free(a);
    free(b);
    free(c);
}
END_TEST

START_TEST(trainer_subdivisions_give_the_same_weights_within_rounding) {
    static const char *const overrides[][3] = {
        {"net.max_batches=1", "net.subdivisions=1", NULL},
        {"net.max_batches=1", "net.subdivisions=2", NULL},
        {"net.max_batches=1", "net.subdivisions=4", NULL},
    };
    struct record record;
    float *whole = trained(overrides[0], NULL, &record);
    for (int i = 1; i < 3; i++) {
        float *parts = trained(overrides[i], NULL, &record);
        ck_assert_double_le(largest_difference(parts, whole, PARAMETERS), 1e-5);
        free(parts);
    }
    free(whole);
}
END_TEST

START_TEST(trainer_split_flat_buffers_give_bit_identical_weights) {
    /* So small an allocation that the four parameters need two segments, and activations several.
     */
    struct team_options split = {.truth_kind = TRUTH_LABELS, .allocation_limit = 3600};
    static const char *const small_batch[] = {"net.batch=2", "net.epochs=1", NULL};
    struct record record;
    float *whole = trained(small_batch, NULL, &record);
    float *parts = trained(small_batch, &split, &record);
    ck_assert_int_eq(memcmp(parts, whole, PARAMETERS * sizeof *whole), 0);
    free(whole);
    free(parts);
}
END_TEST

START_TEST(trainer_lowers_the_loss) {
    static const char *const longer[] = {"net.epochs=15", NULL};
    struct record record;
    free(trained(longer, NULL, &record));
    ck_assert_double_lt(record.last.loss, 0.8 * record.losses[0]);
}
END_TEST

START_TEST(trainer_stops_before_the_update_where_the_loss_is_not_finite) {
    struct noise *noise = malloc(sizeof *noise);
    struct record record;
    make_noise(noise);
    struct net_bench bench;
    net_bench_open_team(&bench, small_net, NULL, NULL);
    noise->pixels[3 * ELEMENTS + 5] = NAN;
    ck_fails(train(&bench, noise, &record), ERROR_NUMERIC, "the first that is not is the data");
    ck_assert_msg(strstr(error_message(), "iteration ") == error_message(), "%s", error_message());
    float *weights = net_bench_parameters(&bench);
    ck_assert(isfinite(largest(weights, PARAMETERS)));
    free(weights);
    net_bench_close(&bench);
    free(noise);
}
END_TEST

START_TEST(trainer_names_the_layer_that_went_non_finite_first) {
    struct noise *noise = malloc(sizeof *noise);
    struct record record;
    make_noise(noise);
    struct net_bench bench;
    net_bench_open_team(&bench, small_net, NULL, NULL);
    float huge[4 * 60];
    for (int i = 0; i < 4 * 60; i++)
        huge[i] = 3e38F;
    ck_succeeds(replica_write_parameter(bench.replica, 2, huge));
    ck_fails(train(&bench, noise, &record), ERROR_NUMERIC, "iteration 1: ");
    ck_assert_msg(strstr(error_message(), "the output of layer 4 (fc2)") != NULL, "%s",
                  error_message());
    huge[7] = NAN;
    ck_succeeds(replica_write_parameter(bench.replica, 2, huge));
    ck_fails(train(&bench, noise, &record), ERROR_NUMERIC, "the parameter fc2.weight");
    net_bench_close(&bench);
    free(noise);
}
END_TEST

/* Whatever may hang on the past: momentum, dropout, a plateau of the error, a smaller last batch.
 */
static const char *const eventful[] = {"net.policy=plateau", "net.patience=1", "net.threshold=0.5",
                                       "net.epochs=4"};

static void open_eventful(struct net_bench *bench) {
    struct config *config;
    ck_succeeds(config_parse(&config, "test.cfg", small_net, strlen(small_net)));
    for (size_t i = 0; i < sizeof eventful / sizeof *eventful; i++)
        ck_succeeds(config_set(config, eventful[i]));
    struct net *net;
    ck_succeeds(net_create(&net, config));
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    net_print_config(net, out);
    ck_assert_int_eq(fclose(out), 0);
    net_free(net);
    config_free(config);
    net_bench_open_team(bench, text, NULL, NULL);
    free(text);
}

static int stop_at(void *context, const struct trainer_state *state) {
    return state->iteration == *(const int64_t *)context;
}

/* Trains from *state on until `stop`; returns what trainer_run does. */
static int train_until(struct net_bench *bench, const struct noise *noise,
                       struct trainer_state *state, int64_t stop) {
    struct trainer_options options = {.iterations = 12};
    struct trainer_listener listener = {.done = stop_at, .context = &stop};
    return trainer_run(bench->team, &noise->dataset, &noise->dataset, &options, state, &listener);
}

START_TEST(trainer_goes_on_from_a_checkpoint_to_the_same_bits) {
    struct noise *noise = malloc(sizeof *noise);
    make_noise(noise);
    struct net_bench straight, first, second;
    open_eventful(&straight);
    struct trainer_state whole = trainer_start(straight.net);
    ck_assert_int_eq(train_until(&straight, noise, &whole, 0), 0);

    char path[] = "/tmp/clnet-trainer-XXXXXX";
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(close(descriptor), 0);
    open_eventful(&first);
    struct trainer_state state = trainer_start(first.net);
    ck_assert_int_eq(train_until(&first, noise, &state, 5), 1);
    ck_succeeds(checkpoint_write(path, first.replica, &state, NULL));
    net_bench_close(&first);

    open_eventful(&second);
    struct trainer_state restored = {0};
    ck_succeeds(checkpoint_read(path, second.replica, &restored));
    ck_assert_int_eq(restored.iteration, 5);
    ck_assert_int_eq(train_until(&second, noise, &restored, 0), 0);
    float *a = net_bench_parameters(&straight), *b = net_bench_parameters(&second);
    ck_assert_int_eq(memcmp(a, b, PARAMETERS * sizeof *a), 0);
    ck_assert_double_lt(whole.plateau.rate, 0.05); /* something did hang on the past */
    ck_assert(whole.plateau.rate == restored.plateau.rate);
    ck_assert(whole.best_error == restored.best_error);
    ck_assert_int_eq(whole.best_iteration, restored.best_iteration);
    ck_assert_int_eq(unlink(path), 0);
    free(a);
    free(b);
    net_bench_close(&straight);
    net_bench_close(&second);
    free(noise);
}
END_TEST

START_TEST(trainer_that_is_at_its_end_does_nothing) {
    struct noise *noise = malloc(sizeof *noise);
    make_noise(noise);
    struct net_bench bench;
    open_eventful(&bench);
    struct trainer_state state = trainer_start(bench.net);
    state.iteration = 12;
    float *before = net_bench_parameters(&bench);
    ck_assert_int_eq(train_until(&bench, noise, &state, 0), 0);
    float *after = net_bench_parameters(&bench);
    ck_assert_int_eq(memcmp(before, after, PARAMETERS * sizeof *before), 0);
    free(before);
    free(after);
    net_bench_close(&bench);
    free(noise);
}
END_TEST

/* Six pictures in files, of which the third and the fourth are none: with a batch of two, the
 * second batch is empty. */
enum { PICTURES = 6, SIDE = 8 };

struct gallery {
    char directory[32];
    struct dataset dataset;
    int32_t labels[PICTURES];
};

static void write_picture(const char *path, int index) {
    struct rng rng = rng_start(8, RNG_SHUFFLE, (uint32_t)index, 0);
    struct picture picture;
    ck_succeeds(picture_create(&picture, SIDE, SIDE, 3));
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        picture.pixels[i] = (uint8_t)rng_below(&rng, 256);
    ck_succeeds(picture_write_png(path, &picture));
    picture_free(&picture);
}

static void make_gallery(struct gallery *gallery) {
    struct shape shape = {.c = 3, .h = SIDE, .w = SIDE};
    *gallery =
        (struct gallery){.directory = "/tmp/clnet-trainer-XXXXXX", .labels = {0, 1, 2, 3, 2}};
    ck_assert_ptr_nonnull(mkdtemp(gallery->directory));
    gallery->dataset = (struct dataset){.input = shape,
                                        .frame = shape,
                                        .stored = shape,
                                        .count = PICTURES,
                                        .outputs = 4,
                                        .labels = gallery->labels,
                                        .broken_share = 1};
    ck_succeeds(picture_files_create(&gallery->dataset.files));
    for (int i = 0; i < PICTURES; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "%s/%d.png", gallery->directory, i);
        if (i / 2 == 1) {
            FILE *file = fopen(path, "wb");
            ck_assert_ptr_nonnull(file);
            ck_assert_int_ge(fputs("no picture", file), 0);
            ck_assert_int_eq(fclose(file), 0);
        } else {
            write_picture(path, i);
        }
        ck_succeeds(picture_files_add(gallery->dataset.files, path, -1, 0, 0));
    }
}

static void free_gallery(struct gallery *gallery) {
    for (int64_t i = 0; i < PICTURES; i++)
        ck_assert_int_eq(unlink(picture_files_name(gallery->dataset.files, i)), 0);
    ck_assert_int_eq(rmdir(gallery->directory), 0);
    picture_files_free(gallery->dataset.files);
}

/* What each iteration has left behind. */
struct steps {
    struct net_bench *bench;
    int samples[PICTURES];
    double losses[PICTURES];
    float *weights[PICTURES];
    int count;
};

static int note_step(void *context, const struct iteration *iteration) {
    struct steps *steps = context;
    steps->samples[steps->count] = iteration->samples;
    steps->losses[steps->count] = iteration->loss;
    steps->weights[steps->count++] = net_bench_parameters(steps->bench);
    return 0;
}

static const char *const pictures_net = "[net]\nheight=8\nwidth=8\nchannels=3\nbatch=2\n"
                                        "learning_rate=0.01\nmomentum=0.9\ndecay=0.1\nepochs=2\n"
                                        "[data]\nshuffle=0\nscale=0.01\n"
                                        "[connected]\noutput=4\nactivation=linear\n[softmax]\n";

START_TEST(trainer_counts_a_batch_of_broken_pictures_and_makes_no_update) {
    enum { NUMBERS = 4 * 3 * SIDE * SIDE + 4 };
    struct gallery gallery;
    struct net_bench bench;
    make_gallery(&gallery);
    net_bench_open_team(&bench, pictures_net, NULL, NULL);
    struct steps steps = {.bench = &bench};
    struct trainer_options options = {0};
    struct trainer_listener listener = {.iteration = note_step, .context = &steps};
    struct trainer_state state = trainer_start(bench.net);
    ck_succeeds(trainer_iterations(bench.net, &gallery.dataset, &options.iterations));
    ck_succeeds(
        trainer_run(bench.team, &gallery.dataset, &gallery.dataset, &options, &state, &listener));
    ck_assert_int_eq(state.iteration, 6);
    ck_assert_int_eq(steps.count, 6);
    ck_assert_int_eq(state.evaluation.samples, 4);
    for (int i = 0; i < 6; i++) {
        int is_broken = i % 3 == 1;
        ck_assert_int_eq(steps.samples[i], is_broken ? 0 : 2);
        ck_assert(isfinite(steps.losses[i]));
        if (i > 0)
            ck_assert_int_eq(
                memcmp(steps.weights[i], steps.weights[i - 1], NUMBERS * sizeof(float)) == 0,
                is_broken);
    }
    for (int i = 0; i < 6; i++)
        free(steps.weights[i]);
    net_bench_close(&bench);
    free_gallery(&gallery);
}
END_TEST

/* How many lines of the log name a broken picture, of the standard error that went into a file. */
static int count_warnings(FILE *log) {
    char line[256];
    int count = 0;
    rewind(log);
    while (fgets(line, sizeof line, log))
        count += strstr(line, "left out") != NULL;
    return count;
}

START_TEST(trainer_names_a_broken_picture_once_however_often_it_tests) {
    struct gallery gallery;
    struct net_bench bench;
    make_gallery(&gallery);
    net_bench_open_team(&bench, pictures_net, NULL, NULL);
    struct trainer_options options = {.iterations = 9};
    struct trainer_listener listener = {0};
    struct trainer_state state = trainer_start(bench.net);
    FILE *log = tmpfile();
    int before = dup(STDERR_FILENO);
    ck_assert(log && before >= 0);
    ck_assert_int_ge(dup2(fileno(log), STDERR_FILENO), 0);
    int rc =
        trainer_run(bench.team, &gallery.dataset, &gallery.dataset, &options, &state, &listener);
    ck_assert_int_ge(dup2(before, STDERR_FILENO), 0);
    (void)close(before);
    ck_succeeds(rc);
    ck_assert_int_eq(count_warnings(log), 4); /* two to train on, and the same two to test on */
    (void)fclose(log);
    net_bench_close(&bench);
    free_gallery(&gallery);
}
END_TEST

START_TEST(trainer_asks_how_long_to_train) {
    struct noise *noise = malloc(sizeof *noise);
    make_noise(noise);
    struct net_bench bench;
    int64_t iterations;
    static const char *const text = "[net]\ninputs=4\n[connected]\n[cost]\n";
    net_bench_open_team(&bench, text, NULL, NULL);
    ck_fails(trainer_iterations(bench.net, &noise->dataset, &iterations), ERROR_INPUT,
             "nothing says how long to train");
    net_bench_close(&bench);
    free(noise);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("trainer");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, trainer_goes_through_epochs_with_a_smaller_last_batch);
    tcase_add_test(tests, trainer_same_seed_gives_bit_identical_weights);
    tcase_add_test(tests, trainer_subdivisions_give_the_same_weights_within_rounding);
    tcase_add_test(tests, trainer_split_flat_buffers_give_bit_identical_weights);
    tcase_add_test(tests, trainer_lowers_the_loss);
    tcase_add_test(tests, trainer_stops_before_the_update_where_the_loss_is_not_finite);
    tcase_add_test(tests, trainer_names_the_layer_that_went_non_finite_first);
    tcase_add_test(tests, trainer_goes_on_from_a_checkpoint_to_the_same_bits);
    tcase_add_test(tests, trainer_that_is_at_its_end_does_nothing);
    tcase_add_test(tests, trainer_counts_a_batch_of_broken_pictures_and_makes_no_update);
    tcase_add_test(tests, trainer_names_a_broken_picture_once_however_often_it_tests);
    tcase_add_test(tests, trainer_asks_how_long_to_train);
    return suite_run("train/trainer", tests);
}
