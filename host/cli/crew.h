/* A team with its devices and its trace, as a command line asks for them. */
#ifndef CLI_CREW_H
#define CLI_CREW_H

#include "cli/cli.h"
#include "cli/watchdog.h"
#include "train/team.h"

/* Flags of the commands that have a team learn; NULL: not given. */
struct crew_flags {
    const char *devices, *split, *trace, *tune;
    const char *tunings; /* a file of tunings to work with, in place of those that are known; where
                            there is none there, without any */
    int timeout;         /* seconds; 0: none */
    int exchange;        /* enum exchange_by */
};

/* The values of --exchange, for the tables of flags. */
extern const char *const crew_exchanges[];
#define CREW_EXCHANGE_HELP                                                                       \
    "how gradients are exchanged: host: by way of the host; device: by copies among devices of " \
    "one "                                                                                       \
    "platform; auto: the faster"

struct crew {
    struct device **devices;
    int count;
    struct trace *trace; /* NULL: none is asked for */
    struct team *team;
    struct watchdog *watchdog; /* NULL: without --timeout */
};

/* Opens the devices that --devices names, or the best one, and says which, and how to use those
 * that are left, after what is unknown of their kernels was tuned, as --tune says,
 * unless the tunings are given; then the trace,
 * a team that learns such samples, and what watches them for the command of that name. The devices
 * share a context if they exchange by copies. Close with crew_close, also on failure. */
int crew_open(struct crew *crew, const char *command, const struct net *net,
              const struct crew_flags *flags, enum truth truth_kind, int is_floats);

/* A trace that could not be written whole is ERROR_SYSTEM. */
int crew_close(struct crew *crew);

#endif
