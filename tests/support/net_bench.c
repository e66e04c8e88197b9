#include "support/net_bench.h"

#include "support/device.h"
#include "support/suite.h"

#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void finish_opening(struct net_bench *bench, const struct replica_options *options) {
    static const struct replica_options training = {.is_training = 1, .truth_kind = TRUTH_LABELS};
    ck_succeeds(net_create(&bench->net, bench->config));
    ck_succeeds(device_open(&bench->device, WHOLE_DEVICE(test_device_index())));
    ck_succeeds(
        replica_create(&bench->replica, bench->net, bench->device, options ? options : &training));
    ck_succeeds(replica_initialise(bench->replica, (uint32_t)bench->net->options.seed));
}

void net_bench_open(struct net_bench *bench, const char *text,
                    const struct replica_options *options) {
    *bench = (struct net_bench){0};
    ck_succeeds(config_parse(&bench->config, "test.cfg", text, strlen(text)));
    finish_opening(bench, options);
}

void net_bench_read(struct net_bench *bench, const char *path, const char *const *overrides,
                    const struct replica_options *options) {
    *bench = (struct net_bench){0};
    char *whole = source_path(path);
    ck_succeeds(config_read(&bench->config, whole));
    free(whole);
    for (; overrides && *overrides; overrides++)
        ck_succeeds(config_set(bench->config, *overrides));
    finish_opening(bench, options);
}

static void open_devices(struct net_bench *bench, const char *list, enum exchange_by exchange) {
    struct device_choice *choices, own = WHOLE_DEVICE(test_device_index());
    int flags = exchange == EXCHANGE_DEVICE ? DEVICES_SHARE_CONTEXT : 0;
    bench->device_count = 1;
    if (list)
        ck_succeeds(devices_choose(&choices, &bench->device_count, list));
    ck_assert_int_le(bench->device_count, NET_BENCH_DEVICES);
    ck_succeeds(devices_open(bench->devices, list ? choices : &own, bench->device_count, flags));
    if (list)
        free(choices);
}

void net_bench_open_team(struct net_bench *bench, const char *text, const char *devices,
                         const struct team_options *options) {
    static const struct team_options labels = {.truth_kind = TRUTH_LABELS};
    *bench = (struct net_bench){0};
    ck_succeeds(config_parse(&bench->config, "test.cfg", text, strlen(text)));
    ck_succeeds(net_create(&bench->net, bench->config));
    open_devices(bench, devices, options ? options->exchange : EXCHANGE_AUTO);
    ck_succeeds(team_create(&bench->team, bench->net, bench->devices, bench->device_count,
                            options ? options : &labels));
    ck_succeeds(team_initialise(bench->team, (uint32_t)bench->net->options.seed));
    bench->device = bench->devices[0];
    bench->replica = team_replica(bench->team, 0);
}

void net_bench_close(struct net_bench *bench) {
    if (bench->team)
        team_free(bench->team);
    else
        replica_free(bench->replica);
    for (int i = 1; i < bench->device_count; i++)
        device_close(bench->devices[i]);
    device_close(bench->device);
    net_free(bench->net);
    config_free(bench->config);
}

static float *read_all(struct net_bench *bench, int (*read)(struct replica *, int, float *)) {
    float *values = malloc((size_t)bench->net->parameter_elements * sizeof *values);
    ck_assert_ptr_nonnull(values);
    float *next = values;
    for (int i = 0; i < bench->net->parameter_count; i++) {
        ck_succeeds(read(bench->replica, i, next));
        next += parameter_elements(net_parameter(bench->net, i, NULL));
    }
    return values;
}

float *net_bench_parameters(struct net_bench *bench) {
    return read_all(bench, replica_read_parameter);
}

float *net_bench_gradients(struct net_bench *bench) {
    return read_all(bench, replica_read_gradient);
}

/* A NaN is the largest difference of all: it must not slip through a comparison. */
static double larger(double most, double value) {
    return isnan(value) || value > most ? value : most;
}

double largest_difference(const float *a, const float *b, int64_t count) {
    double most = 0;
    for (int64_t i = 0; i < count && !isnan(most); i++)
        most = larger(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

double largest(const float *b, int64_t count) {
    double most = 0;
    for (int64_t i = 0; i < count && !isnan(most); i++)
        most = larger(most, fabs((double)b[i]));
    return most;
}

char *source_path(const char *name) {
    char *path = path_join(CLNET_SOURCE_DIR, name);
    ck_assert_ptr_nonnull(path);
    return path;
}
