#include "base/error.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "train/tuner.h"

#include <stdio.h>
#include <stdlib.h>

enum { TUNE_OFF, TUNE_QUICK, TUNE_FULL };
static const char *const modes[] = {"off", "quick", "full", NULL};

struct flags {
    struct job_flags job;
    const char *devices, *set;
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
     OPTION_ENUM, FIELD(tune), "quick", 0, 0, modes},
    {"seconds", "time for each device; 0: 60 for quick, as long as it takes for full", OPTION_FLOAT,
     FIELD(seconds), "0", 0, 1e6, NULL},
    {"list", "print what is chosen for each pass, and why", OPTION_BOOL, FIELD(list), "0", 0, 1,
     NULL},
    {"set", "section.key=value: override a key of the config; may be given many times",
     OPTION_STRING, FIELD(set), NULL, 0, 0, NULL},
    {0},
};

enum { QUICK_SECONDS = 60 };

static void print_finding(void *context, const struct tuner_finding *f) {
    (void)context;
    (void)printf("  %-12s %-16s %9.3f ms, was %9.3f; tried %d, %d cannot run, %d wrong\n"
                 "  %-12s %s\n",
                 f->layer->name, f->pass, 1e3 * f->tuning.seconds, 1e3 * f->tuning.default_seconds,
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

static void print_choice(const struct device *device, const struct layer *layer,
                         const struct choice *choice) {
    const struct tuning chosen = tuning_of(choice, choice->values, choice->origin);
    const struct tuning *row = tunings_find(device_tunings(device), choice);
    if (choice->refused)
        (void)printf("  %-12s %-16s not '%s': %s\n", layer->name, choice->pass, row->values,
                     choice->refused);
    if (!choice->is_taken)
        return;
    (void)printf("  %-12s %-16s %-8s %s\n", layer->name, choice->pass, origin_names[choice->origin],
                 chosen.values);
    if (row && row->seconds > 0)
        (void)printf("  %-29s %.3f ms when it was tuned, %.3f before\n", "", 1e3 * row->seconds,
                     1e3 * row->default_seconds);
}

static void list_device(const struct net *net, const struct device *device) {
    struct target target = {.tiling = tiling_for_batch(net_micro_batch(net)),
                            .device = *device_info(device),
                            .tunings = device_tunings(device)};
    for (int i = 0; i < net->count; i++) {
        const struct node *node = &net->nodes[i];
        struct layer_kernels kernels = {0};
        node->layer.type->kernels(&node->layer, &target, node->needs_dx[0], TRUTH_LABELS, &kernels);
        for (int c = 0; c < kernels.choice_count; c++)
            print_choice(device, &node->layer, &kernels.choices[c]);
    }
}

static int run_device(const struct flags *flags, const struct net *net,
                      struct device_choice choice) {
    struct device *device;
    TRY(device_open_profiling(&device, choice));
    const struct device_info *info = device_info(device);
    (void)printf("device %d: %s (%s, driver %s)\n", info->index, info->name, info->platform,
                 info->driver);
    int rc = flags->list || flags->tune == TUNE_OFF ? 0 : tune_device(flags, net, device);
    if (rc == 0 && flags->list)
        list_device(net, device);
    device_close(device);
    return rc;
}

static int run_devices(const struct flags *flags, const struct net *net) {
    struct device_choice *choices;
    int count, rc = 0;
    TRY(devices_choose(&choices, &count, flags->devices ? flags->devices : "all"));
    for (int i = 0; rc == 0 && i < count && !is_stopped(NULL); i++)
        rc = run_device(flags, net, choices[i]);
    free(choices);
    return rc;
}

static int run(const struct command *command, int argc, char **argv) {
    struct flags flags = {0};
    struct arguments arguments;
    struct job job;
    TRY(arguments_parse(&arguments, command, &flags, argc, argv));
    if (arguments.wants_help) {
        command_print_help(command);
        return 0;
    }
    TRY(job_open(&job, command, &arguments, &flags.job));
    interrupt_catch();
    int rc = run_devices(&flags, job.net);
    job_close(&job);
    return rc;
}

const struct command command_tune = {
    .name = "tune",
    .usage = "CONFIG [--devices LIST] [--batch N] [--tune off|quick|full] [--seconds N] [--list] "
             "[--set section.key=value]...",
    .help = "Finds the fastest kernels for a config on each device, by trying, and keeps what it "
            "finds in the user's\ncache, by device, driver, shape and kernel, for every later run. "
            "What is faster must also be right.\nSIGINT ends it with what was found. With --list "
            "it only tells what is chosen now.",
    .flags = flag_table,
    .run = run,
};
