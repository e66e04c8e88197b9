/* The evaluator: ten crops, classes, confusion, and what it shows. */
#include "support/net_bench.h"
#include "support/suite.h"

#include "base/rng.h"
#include "train/evaluator.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N = 7, K = 3, FRAME = 3 * 6 * 6 };

#define NET                                                                         \
    "[net]\nchannels=3\nheight=5\nwidth=5\nresize=6\nbatch=3\n[data]\nscale=0.01\n" \
    "[convolutional]\nfilters=4\nsize=3\nactivation=relu\n[connected]\noutput=3\n[softmax]\n"

static uint8_t bytes[N * FRAME];
static int32_t labels[N] = {0, 1, 2, 2, 1, 0, 2};

static struct dataset make_data(const struct net *net) {
    struct rng rng = rng_start(5, RNG_SHUFFLE, 0, 0);
    for (int i = 0; i < N * FRAME; i++)
        bytes[i] = (uint8_t)rng_next(&rng);
    return (struct dataset){.input = net->input,
                            .frame = net->frame,
                            .stored = net->frame,
                            .count = N,
                            .outputs = K,
                            .bytes = bytes,
                            .labels = labels};
}

/* What the evaluator shows, by sample. */
struct shown {
    int count;
    float outputs[N][K];
};

static int keep(void *context, int64_t sample, const float *outputs, int count) {
    struct shown *shown = context;
    ck_assert_int_eq(sample, shown->count++);
    ck_assert_int_eq(count, K);
    memcpy(shown->outputs[sample], outputs, sizeof shown->outputs[sample]);
    return 0;
}

/* A sample's probabilities, the mean over its ten crops, each in a pass of its own. */
static void average_crops(const struct net_bench *bench, int sample, double mean[K]) {
    struct step step = {.global_count = 1};
    memset(mean, 0, K * sizeof *mean);
    for (int crop = 0; crop < TEN_CROPS; crop++) {
        struct view view = augment_ten_crop(bench->net->frame, bench->net->input, crop);
        struct samples samples = {.count = 1,
                                  .bytes = bytes + (size_t)sample * FRAME,
                                  .views = &view,
                                  .labels = &labels[sample]};
        float outputs[K];
        ck_succeeds(replica_forward(bench->replica, &samples, &step));
        ck_succeeds(replica_read_output(bench->replica, outputs));
        for (int k = 0; k < K; k++)
            mean[k] += (double)outputs[k] / TEN_CROPS;
    }
}

START_TEST(evaluate_averages_the_probabilities_of_ten_crops) {
    struct net_bench bench;
    struct replica_options inference = {.truth_kind = TRUTH_LABELS};
    net_bench_open(&bench, NET, &inference);
    struct dataset data = make_data(bench.net);
    struct shown shown = {0};
    struct evaluation_options options = {
        .crops = TEN_CROPS, .threads = 1, .show = keep, .context = &shown};
    struct evaluation evaluation;
    ck_succeeds(evaluate(&bench.replica, 1, &data, &options, &evaluation));
    ck_assert_int_eq(shown.count, N);
    double loss = 0;
    for (int n = 0; n < N; n++) {
        double mean[K];
        average_crops(&bench, n, mean);
        for (int k = 0; k < K; k++)
            ck_assert_double_eq_tol((double)shown.outputs[n][k], mean[k], 1e-6);
        loss -= log(mean[labels[n]]) / N;
    }
    ck_assert_double_eq_tol(evaluation.loss, loss, 1e-5);
    net_bench_close(&bench);
}
END_TEST

START_TEST(evaluate_counts_classes_and_confusions_as_it_counts_errors) {
    struct net_bench bench;
    struct replica_options inference = {.truth_kind = TRUTH_LABELS};
    net_bench_open(&bench, NET, &inference);
    struct dataset data = make_data(bench.net);
    static const int64_t samples[K] = {2, 2, 3};
    struct class_count classes[K] = {{0}};
    int64_t confusion[K][K] = {{0}};
    struct evaluation_options options = {
        .threads = 1, .classes = classes, .confusion = confusion[0]};
    struct evaluation evaluation;
    ck_succeeds(evaluate(&bench.replica, 1, &data, &options, &evaluation));
    int64_t errors = 0;
    for (int k = 0; k < K; k++) {
        int64_t sum = 0;
        for (int other = 0; other < K; other++)
            sum += confusion[k][other];
        ck_assert_int_eq(sum, samples[k]);
        ck_assert_int_eq(classes[k].samples, samples[k]);
        ck_assert_int_eq(classes[k].errors, sum - confusion[k][k]);
        errors += classes[k].errors;
    }
    ck_assert_int_eq(evaluation.samples, N);
    ck_assert_double_eq_tol(evaluation.top1_error, (double)errors / N, 1e-9);
    net_bench_close(&bench);
}
END_TEST

START_TEST(evaluate_refuses_ten_crops_of_what_has_none) {
    struct net_bench bench;
    struct replica_options inference = {.truth_kind = TRUTH_LABELS};
    net_bench_open(&bench, NET, &inference);
    struct dataset data = make_data(bench.net);
    struct evaluation evaluation;
    struct evaluation_options options = {.crops = 5};
    ck_fails(evaluate(&bench.replica, 1, &data, &options, &evaluation), ERROR_INPUT,
             "there can be 1 or 10");
    float numbers[1] = {0};
    data.bytes = NULL;
    data.floats = numbers;
    options.crops = TEN_CROPS;
    ck_fails(evaluate(&bench.replica, 1, &data, &options, &evaluation), ERROR_INPUT,
             "the data are numbers");
    net_bench_close(&bench);
}
END_TEST

/* Else the best net that there can be would be one whose pictures are all broken. */
START_TEST(evaluate_refuses_data_of_which_every_picture_is_broken) {
    struct net_bench bench;
    struct replica_options inference = {.truth_kind = TRUTH_LABELS};
    net_bench_open(&bench, NET, &inference);
    char path[] = "/tmp/clnet-evaluator-XXXXXX";
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(close(descriptor), 0);
    struct dataset data = make_data(bench.net);
    data.bytes = NULL;
    data.broken_share = 1;
    ck_succeeds(picture_files_create(&data.files));
    for (int i = 0; i < N; i++)
        ck_succeeds(picture_files_add(data.files, path, -1, 0, 0));
    struct evaluation evaluation;
    ck_fails(evaluate(&bench.replica, 1, &data, NULL, &evaluation), ERROR_INPUT,
             "not one of the 7 pictures");
    struct shown shown = {0};
    struct evaluation_options options = {.show = keep, .context = &shown};
    ck_succeeds(evaluate(&bench.replica, 1, &data, &options, &evaluation));
    ck_assert_int_eq(shown.count, 0);
    picture_files_free(data.files);
    ck_assert_int_eq(unlink(path), 0);
    net_bench_close(&bench);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("evaluator");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, evaluate_averages_the_probabilities_of_ten_crops);
    tcase_add_test(tests, evaluate_counts_classes_and_confusions_as_it_counts_errors);
    tcase_add_test(tests, evaluate_refuses_ten_crops_of_what_has_none);
    tcase_add_test(tests, evaluate_refuses_data_of_which_every_picture_is_broken);
    return suite_run("train/evaluator", tests);
}
