/* A net from a config's text on the test device, for tests of whole nets. */
#ifndef SUPPORT_NET_BENCH_H
#define SUPPORT_NET_BENCH_H

#include "train/team.h"

enum { NET_BENCH_DEVICES = 8 };

struct net_bench {
    struct config *config;
    struct net *net;
    struct device *device;
    struct replica *replica;
    /* Of a team; the device and the replica are its first. */
    struct team *team;
    struct device *devices[NET_BENCH_DEVICES];
    int device_count;
};

/* Builds everything, and fails the test when something fails. `options` may be NULL: training,
 * labels. Parameters are initialised from the config's seed. */
void net_bench_open(struct net_bench *bench, const char *text,
                    const struct replica_options *options);

/* The same from a file below the source directory, with overrides "section.key=value", NULL-ended.
 */
void net_bench_read(struct net_bench *bench, const char *path, const char *const *overrides,
                    const struct replica_options *options);

/* The same as a team, on the devices that are listed as for --devices; NULL: the test device. They
 * share a context for EXCHANGE_DEVICE alone. */
void net_bench_open_team(struct net_bench *bench, const char *text, const char *devices,
                         const struct team_options *options);

void net_bench_close(struct net_bench *bench);

/* All parameters, or all gradients, one after the other; the caller frees. */
float *net_bench_parameters(struct net_bench *bench);
float *net_bench_gradients(struct net_bench *bench);

/* Largest |a - b|, and largest |b|, over count elements. */
double largest_difference(const float *a, const float *b, int64_t count);
double largest(const float *b, int64_t count);

/* The whole of a file below the source directory. */
char *source_path(const char *name);

#endif
