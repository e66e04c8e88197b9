#include "cli/tune_first.h"

#include "base/error.h"
#include "base/log.h"
#include "base/options.h"
#include "cl/device.h"
#include "net/memory_needs.h"
#include "train/tuner.h"

#include <stdlib.h>
#include <string.h>

const char *const tune_names[] = {"off", "quick", "full", NULL};

enum { QUICK_SECONDS = 20 };

static int read_mode(enum tune *mode, const char *tune) {
    const char *from = "--tune", *text = tune;
    *mode = TUNE_QUICK;
    if (!text) {
        from = "CLNET_TUNE";
        text = getenv(from);
    }
    if (!text || !*text)
        return 0;
    for (int i = 0; tune_names[i]; i++) {
        if (strcmp(text, tune_names[i]) == 0) {
            *mode = (enum tune)i;
            return 0;
        }
    }
    return error_set(ERROR_INPUT, "%s: '%.40s' is none of off, quick, full", from, text);
}

int tune_first_check(const char *tune) {
    enum tune mode;
    return read_mode(&mode, tune);
}

/* The samples of a pass, as a team would plan them; 0 where they do not fit. */
static int micro_batch_of(const struct net *net, const struct device *device, int share,
                          enum truth truth_kind, int is_floats) {
    const struct memory_needs_options options = {.tunings = device_tunings(device),
                                                 .is_training = 1,
                                                 .truth_kind = truth_kind,
                                                 .is_floats = is_floats};
    int parts = net->options.subdivisions < share ? net->options.subdivisions : share;
    struct memory_fit fit;
    return memory_fit(&fit, net, device_info(device), &options, share, parts, 1) == 0
               ? fit.micro_batch
               : 0;
}

static int tune_device(enum tune mode, const struct net *net, struct device_choice choice,
                       int share, enum truth truth_kind, int is_floats) {
    struct device *device;
    TRY(device_open_profiling(&device, choice));
    struct tuner_options options = {.micro_batch =
                                        micro_batch_of(net, device, share, truth_kind, is_floats),
                                    .is_full = mode == TUNE_FULL,
                                    .enough = mode == TUNE_FULL ? ORIGIN_FULL : ORIGIN_IMPORTED,
                                    .seconds = mode == TUNE_FULL ? 0 : QUICK_SECONDS};
    int tuned = options.micro_batch ? tuner_run(net, device, &options) : 0;
    if (tuned > 0)
        log_info("device %d: %d passes were tuned; 'clnet tune' goes on with that, --tune off does "
                 "without",
                 device_info(device)->index, tuned);
    device_close(device);
    return tuned < 0 ? tuned : 0;
}

static int is_same(const struct device_choice *a, const struct device_choice *b) {
    return a->index == b->index && a->parts == b->parts;
}

int tune_first(const char *tune, const struct net *net, const struct device_choice *choices,
               int count, enum truth truth_kind, int is_floats) {
    enum tune mode;
    TRY(read_mode(&mode, tune));
    int share = (net->options.batch + count - 1) / count;
    for (int i = 0; mode != TUNE_OFF && i < count; i++) {
        int is_done = 0;
        for (int j = 0; j < i; j++)
            is_done |= is_same(&choices[i], &choices[j]);
        if (!is_done)
            TRY(tune_device(mode, net, choices[i], share, truth_kind, is_floats));
    }
    return 0;
}
