#include "cli/crew.h"

#include "base/error.h"
#include "base/log.h"
#include "cl/tuning_file.h"
#include "cli/tune_first.h"
#include "train/exchange_choice.h"
#include "train/split.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const crew_exchanges[] = {"auto", "host", "device", NULL};

static void tell_device(const struct device *device) {
    const struct device_info *info = device_info(device);
    log_info("device %d: %s (%s)", info->index, info->name, info->platform);
}

/* For someone who named none: there may be more. */
static int tell_others(void) {
    struct device_info *all;
    int count;
    TRY(devices_list(&all, &count));
    if (count > 1)
        log_info("there are %d devices: --devices all uses them together, --devices 0,1 some of "
                 "them, as 'clnet devices' lists them",
                 count);
    free(all);
    return 0;
}

/* Whether the devices are to share a context, which is for copies among them alone. */
static int is_to_share(int *share, const struct device_choice *choices, int count, int exchange) {
    struct device_info *all;
    int listed;
    *share = exchange == EXCHANGE_DEVICE;
    if (exchange != EXCHANGE_AUTO)
        return 0;
    TRY(devices_list(&all, &listed));
    *share = exchange_is_worth_a_trial(all, choices, count);
    free(all);
    return 0;
}

/* The tunings of another time in place of those that are known now. */
static int load_tunings(struct device *device, const char *path) {
    if (access(path, F_OK) != 0) {
        tunings_clear(device_tunings(device));
        return 0;
    }
    int left_out = tuning_file_load(path, device);
    if (left_out > 0)
        log_warning(
            "%s: %d tunings are of kernels that have changed since: the bits will not be as "
            "if the training had never stopped",
            path, left_out);
    return left_out < 0 ? left_out : 0;
}

static int open_choices(struct crew *crew, const struct device_choice *choices, int count,
                        const struct crew_flags *flags) {
    int share;
    crew->devices = calloc((size_t)count, sizeof(struct device *));
    if (!crew->devices)
        return error_no_memory("devices", (size_t)count * sizeof(struct device *));
    TRY(is_to_share(&share, choices, count, flags->exchange));
    TRY(devices_open(crew->devices, choices, count,
                     (share ? DEVICES_SHARE_CONTEXT : 0) | (flags->trace ? DEVICES_PROFILING : 0)));
    crew->count = count;
    for (int i = 0; i < count; i++) {
        tell_device(crew->devices[i]);
        if (flags->tunings)
            TRY(load_tunings(crew->devices[i], flags->tunings));
    }
    return 0;
}

static int open_devices(struct crew *crew, const struct net *net, const struct crew_flags *flags,
                        enum truth truth_kind, int is_floats) {
    struct device_choice *choices;
    int count;
    TRY(devices_choose(&choices, &count, flags->devices));
    int rc =
        flags->tunings ? 0 : tune_first(flags->tune, net, choices, count, truth_kind, is_floats);
    if (rc == 0)
        rc = open_choices(crew, choices, count, flags);
    free(choices);
    return rc == 0 && !flags->devices ? tell_others() : rc;
}

static int is_auto(const char *split) {
    return split && strcmp(split, "auto") == 0;
}

/* The batch's shares as --split gives them, in new memory; NULL for equal ones, or when they are to
 * be measured. */
static int parse_split(int **shares, int count, int batch, const char *split) {
    *shares = NULL;
    if (!split || is_auto(split))
        return 0;
    *shares = calloc((size_t)count, sizeof **shares);
    if (!*shares)
        return error_no_memory("shares", (size_t)count * sizeof **shares);
    int rc = split_parse(*shares, count, batch, split);
    return rc < 0 ? error_prefix(rc, "--split: ") : 0;
}

static int open_once(struct crew *crew, const char *command, const struct net *net,
                     const struct crew_flags *flags, enum truth truth_kind, int is_floats) {
    int *shares;
    TRY(open_devices(crew, net, flags, truth_kind, is_floats));
    TRY(watchdog_start(&crew->watchdog, crew->devices, crew->count, flags->timeout, command));
    if (flags->trace)
        TRY(trace_open(&crew->trace, flags->trace));
    int rc = parse_split(&shares, crew->count, net->options.batch, flags->split);
    struct team_options options = {
        .truth_kind = truth_kind,
        .is_floats = is_floats,
        .mean_by_pixel = net->data.mean && strcmp(net->data.mean, "pixel") == 0,
        .shares = shares,
        .is_automatic = is_auto(flags->split),
        .bucket_bytes = (size_t)(net->options.bucket * (1 << 20)),
        .exchange = (enum exchange_by)flags->exchange,
        .trace = crew->trace,
    };
    if (rc == 0)
        rc = team_create(&crew->team, net, crew->devices, crew->count, &options);
    free(shares);
    return rc;
}

/* Where copies were tried and turned out not to be faster, each device gets a context of its own.
 */
int crew_open(struct crew *crew, const char *command, const struct net *net,
              const struct crew_flags *flags, enum truth truth_kind, int is_floats) {
    TRY(open_once(crew, command, net, flags, truth_kind, is_floats));
    if (crew->count < 2 || !device_shares_context(crew->devices[0], crew->devices[1]) ||
        team_exchanges_by_copies(crew->team))
        return 0;
    struct crew_flags again = *flags;
    again.exchange = EXCHANGE_HOST;
    log_info("the devices are opened again, each in a context of its own");
    TRY(crew_close(crew));
    return open_once(crew, command, net, &again, truth_kind, is_floats);
}

int crew_close(struct crew *crew) {
    team_free(crew->team);
    error_hold();
    for (int i = 0; crew->watchdog && i < crew->count; i++)
        (void)device_finish(crew->devices[i]); /* as long as someone watches */
    error_release();
    watchdog_stop(crew->watchdog);
    for (int i = 0; i < crew->count; i++)
        device_close(crew->devices[i]);
    free(crew->devices);
    int rc = trace_close(crew->trace);
    *crew = (struct crew){0};
    return rc;
}
