#include "train/doctor.h"
#include "base/error.h"
#include "base/log.h"
#include "cli/cli.h"
#include "train/gradient_check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct flags {
    struct job_flags job;
    const char *devices, *set;
    int json;
};

#define FIELD(name) offsetof(struct flags, name)

static const struct option flag_table[] = {
    {"devices", "the index of a device, as 'clnet devices' lists them; by default all, in turn",
     OPTION_STRING, FIELD(devices), NULL, 0, 0, NULL},
    {"batch", "override the batch", OPTION_STRING, FIELD(job.batch), NULL, 0, 0, NULL},
    {"json", "print JSON", OPTION_BOOL, FIELD(json), "0", 0, 1, NULL},
    {"set", "section.key=value: override a key of the config; may be given many times",
     OPTION_STRING, FIELD(set), NULL, 0, 0, NULL},
    {0},
};

static void print_finding(void *context, const struct finding *f) {
    (void)context;
    (void)printf("  %-12s %-16s %-42s ", f->layer->name, f->result, f->kernels);
    if (f->message)
        (void)printf("FAIL\n%s\n", f->message);
    else if (f->not_written)
        (void)printf("%9s %9s  FAIL: %s numbers were not written or are not finite\n", "", "",
                     grouped(f->not_written));
    else
        (void)printf("%9s %9.3g  %s\n", grouped(f->compared), f->worst,
                     f->passed ? "pass" : "FAIL");
}

static void add_finding(void *context, const struct finding *f) {
    json_t *json = json_pack("{s:s, s:s, s:s, s:I, s:I, s:b}", "layer", f->layer->name, "result",
                             f->result, "kernels", f->kernels, "compared", (json_int_t)f->compared,
                             "not_written", (json_int_t)f->not_written, "passed", f->passed);
    (void)json_object_set_new(json, "error_of_tolerance",
                              isfinite(f->worst) ? json_real(f->worst) : json_null());
    if (f->message)
        (void)json_object_set_new(json, "message", json_string(f->message));
    (void)json_array_append_new(context, json);
}

/* Returns how many findings failed, or an error. */
static int examine_device(const struct net *net, const struct device_info *info, json_t *list) {
    struct device *device;
    json_t *findings = list ? json_array() : NULL;
    struct doctor_options options = {.found = list ? add_finding : print_finding,
                                     .context = findings};
    if (!list)
        (void)printf("device %d: %s (%s, driver %s)\n  %-12s %-16s %-42s %9s %9s\n", info->index,
                     info->name, info->platform, info->driver, "layer", "pass", "kernels",
                     "compared", "error/tol");
    int rc = device_open(&device, info->index);
    if (rc == 0) {
        rc = doctor_examine(net, device, &options);
        int slopes = rc >= 0 ? gradient_check(net, device, &options) : 0;
        rc = slopes < 0 ? slopes : rc < 0 ? rc : rc + slopes;
        device_close(device);
    }
    if (rc < 0)
        json_decref(findings);
    else if (list)
        (void)json_array_append_new(list,
                                    json_pack("{s:s, s:s, s:s, s:b, s:o}", "device", info->name,
                                              "platform", info->platform, "driver", info->driver,
                                              "passed", rc == 0, "findings", findings));
    else if (rc)
        (void)printf("  Device %d is NOT to be trusted with this net: %d of its results are "
                     "wrong.\n",
                     info->index, rc);
    else
        (void)printf("  Device %d computes this net as it should.\n", info->index);
    return rc;
}

static int examine_devices(const struct flags *flags, const struct net *net) {
    struct device_info *devices;
    int count, rc = 0, failures = 0, wanted = -1;
    if (flags->devices)
        TRY(parse_device(flags->devices, &wanted));
    TRY(devices_list(&devices, &count));
    if (wanted >= count)
        rc = error_set(ERROR_INPUT, "--devices: there are %d devices, numbered from 0", count);
    json_t *list = flags->json ? json_array() : NULL;
    for (int i = 0; rc >= 0 && i < count; i++) {
        if (wanted < 0 || wanted == i) {
            rc = examine_device(net, &devices[i], list);
            failures += rc > 0 ? rc : 0;
        }
    }
    if (rc >= 0 && list)
        rc = print_json(list);
    else
        json_decref(list);
    free(devices);
    return rc < 0 ? rc : failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run(const struct command *command, int argc, char **argv) {
    struct flags flags = {0};
    struct arguments arguments;
    TRY(arguments_parse(&arguments, command, &flags, argc, argv));
    if (arguments.wants_help) {
        command_print_help(command);
        return 0;
    }
    if (arguments.operand_count == 0)
        arguments.operands[arguments.operand_count++] = "configs/alexnet.cfg";
    struct job job;
    TRY(job_open(&job, command, &arguments, &flags.job));
    int rc = examine_devices(&flags, job.net);
    job_close(&job);
    return rc;
}

const struct command command_doctor = {
    .name = "doctor",
    .usage = "[CONFIG] [--devices INDEX] [--batch N] [--json] [--set section.key=value]...",
    .help = "Runs every kernel of a config (configs/alexnet.cfg by default) at its exact shapes on "
            "each device,\nand compares what comes out with plain C in double precision. Fails "
            "when a device is wrong.",
    .flags = flag_table,
    .run = run,
};
