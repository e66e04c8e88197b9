#include "cli/crew.h"

#include "base/error.h"
#include "base/log.h"
#include "train/split.h"

#include <stdlib.h>
#include <string.h>

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

static int open_choices(struct crew *crew, const struct device_choice *choices, int count,
                        int is_profiling) {
    crew->devices = calloc((size_t)count, sizeof(struct device *));
    if (!crew->devices)
        return error_no_memory("devices", (size_t)count * sizeof(struct device *));
    for (; crew->count < count; crew->count++) {
        struct device **device = &crew->devices[crew->count];
        TRY(is_profiling ? device_open_profiling(device, choices[crew->count])
                         : device_open(device, choices[crew->count]));
        tell_device(*device);
    }
    return 0;
}

static int open_devices(struct crew *crew, const char *list, int is_profiling) {
    struct device_choice *choices;
    int count;
    TRY(devices_choose(&choices, &count, list));
    int rc = open_choices(crew, choices, count, is_profiling);
    free(choices);
    return rc == 0 && !list ? tell_others() : rc;
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

int crew_open(struct crew *crew, const char *command, const struct net *net,
              const struct crew_flags *flags, enum truth truth_kind, int is_floats) {
    int *shares;
    TRY(open_devices(crew, flags->devices, flags->trace != NULL));
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
        .trace = crew->trace,
    };
    if (rc == 0)
        rc = team_create(&crew->team, net, crew->devices, crew->count, &options);
    free(shares);
    return rc;
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
