/* Which way gradients are exchanged: what is asked for, or what is faster, or what works at all. */
#include "support/device.h"
#include "support/limits.h"
#include "support/suite.h"

#include "train/exchange_choice.h"

#include <stdlib.h>
#include <string.h>

static const char *const net_text = "[net]\ninputs=300\nbatch=8\n"
                                    "[connected]\noutput=120\nactivation=relu\n"
                                    "[connected]\noutput=7\nactivation=linear\n[softmax]\n";

struct pair {
    struct config *config;
    struct net *net;
    struct device *devices[2];
    struct replica *replicas[2];
};

/* Twice the test device, in one context. */
static void open_pair(struct pair *pair, const char *limits) {
    static const struct replica_options options = {
        .is_training = 1, .truth_kind = TRUTH_LABELS, .bucket_bytes = 1 << 16};
    const struct device_choice twice[] = {WHOLE_DEVICE(test_device_index()),
                                          WHOLE_DEVICE(test_device_index())};
    ck_succeeds(config_parse(&pair->config, "test.cfg", net_text, strlen(net_text)));
    ck_succeeds(net_create(&pair->net, pair->config));
    test_limits(limits);
    ck_succeeds(devices_open(pair->devices, twice, 2, DEVICES_SHARE_CONTEXT));
    test_limits(NULL);
    for (int i = 0; i < 2; i++)
        ck_succeeds(replica_create(&pair->replicas[i], pair->net, pair->devices[i], &options));
}

static void close_pair(struct pair *pair) {
    for (int i = 0; i < 2; i++)
        replica_free(pair->replicas[i]);
    for (int i = 0; i < 2; i++)
        device_close(pair->devices[i]);
    net_free(pair->net);
    config_free(pair->config);
}

static void check_zeros(const struct pair *pair) {
    for (int i = 0; i < 2; i++) {
        for (int b = 0; b < replica_bucket_count(pair->replicas[i]); b++) {
            struct buffer *bucket = replica_bucket(pair->replicas[i], b);
            size_t count = buffer_bytes(bucket) / sizeof(float);
            float *values = malloc(count * sizeof *values);
            ck_assert_ptr_nonnull(values);
            ck_succeeds(buffer_read(bucket, 0, count * sizeof *values, values));
            for (size_t k = 0; k < count; k++)
                ck_assert(values[k] == 0);
            free(values);
        }
    }
}

/* What was measured is up to the clock. */
START_TEST(exchange_choose_measures_and_leaves_gradients_of_zero) {
    struct pair pair;
    struct exchange *exchange;
    open_pair(&pair, NULL);
    ck_succeeds(exchange_choose(&exchange, pair.replicas, 2, EXCHANGE_AUTO, _i));
    check_zeros(&pair);
    exchange_free(exchange);
    close_pair(&pair);
}
END_TEST

START_TEST(exchange_choose_takes_the_way_that_is_asked_for) {
    static const enum exchange_by asked[] = {EXCHANGE_HOST, EXCHANGE_DEVICE};
    struct pair pair;
    struct exchange *exchange;
    open_pair(&pair, NULL);
    for (int i = 0; i < 2; i++) {
        ck_succeeds(exchange_choose(&exchange, pair.replicas, 2, asked[i], 0));
        ck_assert_int_eq(exchange_is_by(exchange), asked[i]);
        check_zeros(&pair);
        exchange_free(exchange);
    }
    close_pair(&pair);
}
END_TEST

/* Each device sums one slice, and fails at the next. */
START_TEST(exchange_choose_goes_by_way_of_the_host_where_copies_fail) {
    struct pair pair;
    struct exchange *exchange;
    open_pair(&pair, "launches=1");
    ck_succeeds(exchange_choose(&exchange, pair.replicas, 2, EXCHANGE_AUTO, 0));
    ck_assert_int_eq(exchange_is_by(exchange), EXCHANGE_HOST);
    check_zeros(&pair);
    exchange_free(exchange);
    ck_fails(exchange_choose(&exchange, pair.replicas, 2, EXCHANGE_DEVICE, 0), ERROR_DEVICE,
             "kernel sum_slice: device ");
    close_pair(&pair);
}
END_TEST

START_TEST(exchange_peers_are_those_that_share_a_context) {
    const struct device_choice own = WHOLE_DEVICE(test_device_index());
    struct device *devices[3];
    struct pair pair;
    int peers;
    open_pair(&pair, NULL);
    ck_succeeds(exchange_peers(&peers, pair.devices, 2, EXCHANGE_AUTO));
    ck_assert_int_eq(peers, 2);
    ck_succeeds(exchange_peers(&peers, pair.devices, 2, EXCHANGE_HOST));
    ck_assert_int_eq(peers, 0);
    ck_succeeds(exchange_peers(&peers, pair.devices, 1, EXCHANGE_DEVICE));
    ck_assert_int_eq(peers, 0);
    memcpy(devices, pair.devices, sizeof pair.devices);
    ck_succeeds(device_open(&devices[2], own));
    ck_succeeds(exchange_peers(&peers, devices, 3, EXCHANGE_AUTO));
    ck_assert_int_eq(peers, 0);
    ck_fails(exchange_peers(&peers, devices, 3, EXCHANGE_DEVICE), ERROR_INPUT,
             "--exchange device: only devices of one platform copy to each other");
    device_close(devices[2]);
    close_pair(&pair);
}
END_TEST

START_TEST(exchange_is_worth_a_trial_among_devices_of_one_platform_with_memory_of_their_own) {
    static const struct device_info devices[] = {{.platform = "A"},
                                                 {.platform = "A"},
                                                 {.platform = "B"},
                                                 {.platform = "A", .is_unified = 1}};
    static const struct {
        struct device_choice choices[2];
        int count, is_worth;
    } trials[] = {
        {{{.index = 0}, {.index = 1}}, 2, 1}, {{{.index = 0}, {.index = 0}}, 2, 1},
        {{{.index = 0}, {.index = 2}}, 2, 0}, {{{.index = 1}, {.index = 3}}, 2, 0},
        {{{.index = 3}, {.index = 3}}, 2, 0}, {{{.index = 0}}, 1, 0},
    };
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++)
        ck_assert_int_eq(exchange_is_worth_a_trial(devices, trials[i].choices, trials[i].count),
                         trials[i].is_worth);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("exchange_choice");
    tcase_set_timeout(tests, 0);
    tcase_add_loop_test(tests, exchange_choose_measures_and_leaves_gradients_of_zero, 0, 2);
    tcase_add_test(tests, exchange_choose_takes_the_way_that_is_asked_for);
    tcase_add_test(tests, exchange_choose_goes_by_way_of_the_host_where_copies_fail);
    tcase_add_test(tests, exchange_peers_are_those_that_share_a_context);
    tcase_add_test(
        tests, exchange_is_worth_a_trial_among_devices_of_one_platform_with_memory_of_their_own);
    return suite_run("train/exchange_choice", tests);
}
