#include "base/error.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/share.h"
#include "cli/tune_first.h"
#include "layers/trust.h"
#include "train/tuner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct flags {
    struct job_flags job;
    const char *devices, *set, *export_to, *import_from;
    int tune, list;
    double seconds;
};

#define FIELD(name) offsetof(struct flags, name)

static const struct option flag_table[] = {
    {"devices", "the devices to tune for, in turn, as 'clnet devices' lists them: by default all",
     OPTION_STRING, FIELD(devices), NULL, 0, 0, NULL},
    {"batch", "override the batch", OPTION_STRING, FIELD(job.batch), NULL, 0, 0, NULL},
    {"tune",
     "quick: by small steps from what is known; full: every value, until nothing helps; off: "
     "nothing",
     OPTION_ENUM, FIELD(tune), "quick", 0, 0, tune_names},
    {"seconds", "time for each device; 0: 60 for quick, as long as it takes for full", OPTION_FLOAT,
     FIELD(seconds), "0", 0, 1e6, NULL},
    {"list",
     "print what is chosen for each pass, and why; without a config, all that is known of the "
     "devices",
     OPTION_BOOL, FIELD(list), "0", 0, 1, NULL},
    {"import", "a file that --export wrote: keep what it has for the devices, first of all",
     OPTION_STRING, FIELD(import_from), NULL, 0, 0, NULL},
    {"export", "write what was found for the devices to this file, last of all", OPTION_STRING,
     FIELD(export_to), NULL, 0, 0, NULL},
    {"set", "section.key=value: override a key of the config; may be given many times",
     OPTION_STRING, FIELD(set), NULL, 0, 0, NULL},
    {0},
};

enum { QUICK_SECONDS = 60 };

/* ---- tuning ---- */

static void print_finding(void *context, const struct tuner_finding *f) {
    (void)context;
    (void)printf("  %-12s %-16s %9.3f ms, was %9.3f%s; tried %d, %d cannot run, %d wrong\n"
                 "  %-12s %s\n",
                 f->layer->name, f->pass, 1e3 * f->tuning.seconds, 1e3 * f->tuning.seconds_before,
                 f->tuning.seconds < f->tuning.seconds_before ? "" : " (nothing is faster)",
                 f->tried, f->cannot, f->wrong, "", f->tuning.values);
}

static int is_stopped(void *context) {
    (void)context;
    return interrupt_signal() != 0;
}

static int tune_device(const struct flags *flags, const struct net *net, struct device *device) {
    struct tuner_options options = {.is_full = flags->tune == TUNE_FULL,
                                    .seconds = flags->seconds,
                                    .found = print_finding,
                                    .is_stopped = is_stopped};
    if (flags->tune == TUNE_QUICK && options.seconds <= 0)
        options.seconds = QUICK_SECONDS;
    int done = tuner_run(net, device, &options);
    TRY(done);
    (void)printf("  %d passes were tuned\n", done);
    return 0;
}

/* ---- what is known ---- */

static void print_times(const struct tuning *row) {
    if (row->seconds > 0)
        (void)printf("  %-29s %.3f ms when it was found, %.3f before\n", "", 1e3 * row->seconds,
                     1e3 * row->seconds_before);
}

/* Why none of the ways to compute a pass is the one that the table says. */
static const char *why_not(const struct layer_kernels *kernels, const struct choice *taken) {
    for (int i = 0; i < kernels->choice_count; i++) {
        const struct choice *choice = &kernels->choices[i];
        if (choice->refused && strcmp(choice->pass, taken->pass) == 0)
            return choice->refused;
    }
    return "this device has no such way to compute it";
}

static void print_choice(const struct device *device, const struct layer *layer,
                         const struct layer_kernels *kernels, const struct choice *taken) {
    const struct tuning chosen = tuning_of(taken, taken->values, taken->origin);
    const struct tuning *row = tunings_find(device_tunings(device), taken);
    (void)printf("  %-12s %-16s %-8s %s\n", layer->name, taken->pass, origin_names[taken->origin],
                 chosen.values);
    if (row && strcmp(row->values, chosen.values) == 0)
        print_times(row);
    else if (row)
        (void)printf("  %-29s not '%s' (%s): %s\n", "", row->values, origin_names[row->origin],
                     why_not(kernels, taken));
}

static void list_choices(const struct net *net, const struct device *device) {
    struct target target = {.tiling = tiling_for_batch(net_micro_batch(net)),
                            .device = *device_info(device),
                            .tunings = device_tunings(device)};
    for (int i = 0; i < net->count; i++) {
        const struct node *node = &net->nodes[i];
        struct layer_kernels kernels = {0};
        node->layer.type->kernels(&node->layer, &target, node->needs_dx[0], net_truth_kind(net),
                                  &kernels);
        for (int c = 0; c < kernels.choice_count; c++) {
            if (kernels.choices[c].is_taken)
                print_choice(device, &node->layer, &kernels, &kernels.choices[c]);
        }
        if (trust_replace(&node->layer, &target, node->needs_dx[0], net_truth_kind(net), &kernels) >
            0)
            (void)printf("  %-12s 'clnet doctor' found kernels of these wrong; others take their "
                         "places\n",
                         node->layer.name);
    }
}

static void list_table(const struct device *device) {
    const struct tunings *tunings = device_tunings(device);
    for (int i = 0; i < tunings_count(tunings); i++) {
        const struct tuning *row = tunings_at(tunings, i);
        (void)printf("  %-29s %-8s %s\n  %-29s %s\n", row->kernel, origin_names[row->origin],
                     row->values, "", row->problem);
        print_times(row);
    }
    if (tunings_count(tunings) == 0)
        (void)printf("  nothing is known\n");
}

/* ---- the command ---- */

/* `net` is NULL where there is no config. */
static int run_device(const struct flags *flags, const struct net *net,
                      struct device_choice choice) {
    struct device *device;
    int rc = 0;
    TRY(device_open_profiling(&device, choice));
    const struct device_info *info = device_info(device);
    (void)printf("device %d: %s (%s, driver %s)\n", info->index, info->name, info->platform,
                 info->driver);
    if (!net)
        list_table(device);
    else if (!flags->list && flags->tune != TUNE_OFF)
        rc = tune_device(flags, net, device);
    if (rc == 0 && net && flags->list)
        list_choices(net, device);
    device_close(device);
    return rc;
}

static int run_devices(const struct flags *flags, const struct net *net) {
    struct device_choice *choices;
    int count, rc = 0;
    TRY(devices_choose(&choices, &count, flags->devices));
    for (int i = 0; rc == 0 && i < count && !is_stopped(NULL); i++)
        rc = run_device(flags, net, choices[i]);
    free(choices);
    return rc;
}

/* What needs a config, or would do without one. */
static int run_config(const struct command *command, const struct flags *flags,
                      const struct arguments *arguments) {
    struct job job = {0};
    int needs_none = flags->list || flags->import_from || flags->export_to;
    if (arguments->operand_count == 0 && needs_none)
        return flags->list ? run_devices(flags, NULL) : 0;
    TRY(job_open(&job, command, arguments, &flags->job));
    int rc = run_devices(flags, job.net);
    job_close(&job);
    return rc;
}

static int run(const struct command *command, int argc, char **argv) {
    struct flags flags = {0};
    struct arguments arguments;
    TRY(arguments_parse(&arguments, command, &flags, argc, argv));
    if (arguments.wants_help) {
        command_print_help(command);
        return 0;
    }
    if (!flags.devices)
        flags.devices = "all";
    interrupt_catch();
    if (flags.import_from)
        TRY(share_import(flags.import_from, flags.devices));
    TRY(run_config(command, &flags, &arguments));
    return flags.export_to ? share_export(flags.export_to, flags.devices) : 0;
}

const struct command command_tune = {
    .name = "tune",
    .usage = "[CONFIG] [--devices LIST] [--batch N] [--tune off|quick|full] [--seconds N] [--list] "
             "[--import FILE] [--export FILE] [--set section.key=value]...",
    .help = "Finds the fastest kernels for a config on each device, by trying, and keeps what it "
            "finds in the user's\ncache, by device, driver, shape and kernel, for every later run. "
            "What is faster must also be right.\nSIGINT ends it with what was found. With --list "
            "it only tells what is chosen now.\nWhat was found is shared by files: --export writes "
            "one, "
            "--import keeps what one has for the devices here; what\nwas found here stays, and "
            "what was found of other kernels is left out. These and --list need no config.",
    .flags = flag_table,
    .run = run,
};
