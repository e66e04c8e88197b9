/* The tuner: the fastest of the right ones wins, and is there for the next run. */
#include "layers/trust.h"
#include "support/device.h"
#include "support/suite.h"
#include "train/tuner.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char cache[] = "/tmp/clnet-tuner-XXXXXX";

static const char text[] = "[net]\nbatch=16\nwidth=6\nheight=5\nchannels=4\n"
                           "[conv]\nfilters=6\nsize=3\npad=1\nactivation=relu\n"
                           "[avgpool]\n[softmax]\n";

static const char product_text[] = "[net]\nbatch=16\nwidth=4\nheight=4\nchannels=2\n"
                                   "[conn]\noutput=48\nactivation=relu\n[softmax]\n";

/* A device on which whatever has these values is fast, and perhaps wrong. */
struct story {
    const char *fast;
    int is_wrong, is_fast_now, found, wrong, stops;
};

static double tell_time(void *context, const char *values, double seconds) {
    struct story *story = context;
    (void)seconds; /* timings are never asserted */
    story->is_fast_now = strstr(values, story->fast) != NULL;
    return story->is_fast_now ? 0.5 : 1;
}

static void spoil(void *context, enum layer_result result, float *values, int64_t count) {
    struct story *story = context;
    (void)result;
    for (int64_t i = 0; i < count && story->is_wrong && story->is_fast_now; i++)
        values[i] += 1;
}

static void count_finding(void *context, const struct tuner_finding *finding) {
    struct story *story = context;
    story->found++;
    story->wrong += finding->wrong;
}

static int is_stopped(void *context) {
    return ((struct story *)context)->stops;
}

/* A device that is slow for whatever it has run a few times: every newcomer seems to be better. */
struct noise {
    char values[32][TUNING_PROBLEM];
    int calls[32], count;
};

static double tell_noise(void *context, const char *values, double seconds) {
    enum { NEW = 6 }; /* calls: as many as a newcomer gets */
    struct noise *noise = context;
    (void)seconds;
    int i = 0;
    while (i < noise->count && strcmp(noise->values[i], values) != 0)
        i++;
    if (i == noise->count) {
        ck_assert_int_lt(noise->count++, 32);
        (void)snprintf(noise->values[i], sizeof noise->values[i], "%s", values);
    }
    return noise->calls[i]++ < NEW ? 0.5 : 1;
}

static int has_heard_enough(void *context) {
    return ((struct noise *)context)->count > 6;
}

static int tune(const struct net *net, struct device *device, struct story *story) {
    const struct tuner_options options = {.technique = TECHNIQUE_VECTOR,
                                          .enough = ORIGIN_IMPORTED,
                                          .found = count_finding,
                                          .is_stopped = is_stopped,
                                          .context = story,
                                          .disturb = spoil,
                                          .clock = tell_time};
    return tuner_run(net, device, &options);
}

/* What a run on the device would use for a pass of the convolution. */
static struct choice chosen_for(const char *pass, const struct net *net,
                                const struct device *device) {
    const struct target target = {.tiling = tiling_for_batch(16),
                                  .technique = TECHNIQUE_VECTOR,
                                  .device = *device_info(device),
                                  .tunings = device_tunings(device)};
    struct layer_kernels kernels = {0};
    const struct layer *layer = &net->nodes[0].layer;
    layer->type->kernels(layer, &target, 0, TRUTH_LABELS, &kernels);
    for (int i = 0; i < kernels.choice_count; i++) {
        if (kernels.choices[i].is_taken && strcmp(kernels.choices[i].pass, pass) == 0)
            return kernels.choices[i];
    }
    ck_abort_msg("%s: nothing is chosen", pass);
}

static struct choice chosen(const struct net *net, const struct device *device) {
    return chosen_for("forward", net, device);
}

static struct device *opened(void) {
    struct device *device;
    ck_succeeds(device_open_profiling(&device, WHOLE_DEVICE(device_info(test_device())->index)));
    return device;
}

static void with_net_of(const char *config_text, void (*test)(const struct net *net)) {
    struct config *config;
    struct net *net;
    ck_succeeds(config_parse(&config, "tuner.cfg", config_text, strlen(config_text)));
    ck_succeeds(net_create(&net, config));
    test(net);
    net_free(net);
    config_free(config);
}

static void with_net(void (*test)(const struct net *net)) {
    with_net_of(text, test);
}

static void check_wrong(const struct net *net) {
    struct story story = {.fast = "DEPTH=3", .is_wrong = 1};
    struct device *device = opened();
    int before = chosen(net, device).values[4];
    ck_assert_int_ne(before, 3);
    ck_assert_int_eq(tune(net, device, &story), 2); /* forward and backward filter */
    ck_assert_int_eq(story.found, 2);
    ck_assert_int_gt(story.wrong, 0);
    ck_assert_int_eq(chosen(net, device).values[4], before);
    device_close(device);
}

/* The fastest has the span next to the default's, which a quick search tries: a whole row on CPUs,
 * one pixel on others. */
static void check_right(const struct net *net) {
    struct device *device = opened();
    int span = chosen(net, device).values[3] > 4 ? 4 : 2;
    struct story story = {.fast = span == 4 ? "SPAN=4" : "SPAN=2"};
    ck_assert_int_eq(tune(net, device, &story), 2);
    struct choice choice = chosen(net, device);
    ck_assert_int_eq(choice.values[3], span);
    ck_assert_int_eq(choice.origin, ORIGIN_QUICK);
    device_close(device);
    device = opened(); /* another run */
    ck_assert_int_eq(chosen(net, device).values[3], span);
    ck_assert_int_eq(tune(net, device, &story), 0); /* all is known */
    device_close(device);
}

/* Its activation has a slope, which the gradients are held against. */
static void check_backward(const struct net *net) {
    struct story story = {.fast = "FILTERS=5"};
    struct device *device = opened();
    ck_assert_int_ne(chosen_for("backward weight", net, device).values[0], 5);
    ck_assert_int_eq(tune(net, device, &story), 2);
    ck_assert_int_eq(story.wrong, 0);
    ck_assert_int_eq(chosen_for("backward weight", net, device).values[0], 5);
    device_close(device);
}

/* The first layer has no gradient of its input, so there are two products. */
static void check_products(const struct net *net) {
    struct story story = {.fast = "gemm_vector.cl VECTORS=1 ROWS=5"};
    struct device *device = opened();
    ck_assert_int_eq(tune(net, device, &story), 2);
    ck_assert_int_eq(story.wrong, 0);
    for (int i = 0; i < 2; i++) {
        struct choice choice = chosen_for(i ? "backward weight" : "forward", net, device);
        ck_assert_str_eq(choice.space->file, "gemm_vector.cl");
        ck_assert_int_eq(choice.origin, ORIGIN_QUICK);
    }
    device_close(device);
}

/* Needs no kernel that turns a matrix around, as the way by default does. */
static void check_other_way(const struct net *net) {
    struct story story = {.fast = "gemm_dot.cl"};
    struct device *device = opened();
    ck_assert_str_eq(chosen_for("backward weight", net, device).space->file, "gemm_vector.cl");
    ck_assert_int_eq(tune(net, device, &story), 2);
    ck_assert_int_eq(story.wrong, 0);
    ck_assert_str_eq(chosen_for("backward weight", net, device).space->file, "gemm_dot.cl");
    device_close(device);
}

static void check_noise(const struct net *net) {
    static struct noise noise;
    const struct tuner_options options = {.technique = TECHNIQUE_VECTOR,
                                          .is_stopped = has_heard_enough,
                                          .context = &noise,
                                          .clock = tell_noise};
    struct device *device = opened();
    struct choice before = chosen(net, device);
    ck_assert_int_eq(tuner_run(net, device, &options), 1);
    ck_assert_int_gt(noise.count, 6);
    struct choice after = chosen(net, device);
    ck_assert_int_eq(after.origin, ORIGIN_QUICK);
    ck_assert_int_eq(memcmp(after.values, before.values, sizeof after.values), 0);
    device_close(device);
}

static void check_stopped(const struct net *net) {
    struct story story = {.fast = "SPAN=4", .stops = 1};
    struct device *device = opened();
    ck_assert_int_eq(tune(net, device, &story), 0);
    ck_assert_int_eq(chosen(net, device).origin, ORIGIN_DEFAULT);
    device_close(device);
}

/* Each begins with nothing known. */
static void forget(void) {
    static char store[64];
    static int number;
    (void)snprintf(store, sizeof store, "%s/store%d", cache, number++);
    ck_assert_int_eq(setenv("CLNET_STORE", store, 1), 0);
}

START_TEST(tuner_never_lets_a_wrong_candidate_win_however_fast) {
    with_net(check_wrong);
}
END_TEST

START_TEST(tuner_finds_the_fastest_and_the_next_run_knows_it) {
    with_net(check_right);
}
END_TEST

START_TEST(tuner_finds_the_fastest_for_gradients_too) {
    with_net(check_backward);
}
END_TEST

START_TEST(tuner_tunes_products) {
    with_net_of(product_text, check_products);
}
END_TEST

START_TEST(tuner_finds_a_way_that_needs_fewer_kernels) {
    with_net_of(product_text, check_other_way);
}
END_TEST

START_TEST(tuner_keeps_what_was_known_where_all_gains_were_noise) {
    with_net(check_noise);
}
END_TEST

START_TEST(tuner_ends_when_it_is_asked_to) {
    with_net(check_stopped);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("tuner");
    tcase_set_timeout(tests, 0);
    if (!mkdtemp(cache) || setenv("XDG_CACHE_HOME", cache, 1) != 0)
        return EXIT_FAILURE;
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_checked_fixture(tests, forget, NULL);
    tcase_add_test(tests, tuner_never_lets_a_wrong_candidate_win_however_fast);
    tcase_add_test(tests, tuner_finds_the_fastest_and_the_next_run_knows_it);
    tcase_add_test(tests, tuner_finds_the_fastest_for_gradients_too);
    tcase_add_test(tests, tuner_tunes_products);
    tcase_add_test(tests, tuner_finds_a_way_that_needs_fewer_kernels);
    tcase_add_test(tests, tuner_keeps_what_was_known_where_all_gains_were_noise);
    tcase_add_test(tests, tuner_ends_when_it_is_asked_to);
    return suite_run("train/tuner", tests);
}
