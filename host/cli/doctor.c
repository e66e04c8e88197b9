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
    {"devices",
     "the devices to examine, in turn: 0, or 0,1, or 0/2, as 'clnet train' takes them; by default "
     "all",
     OPTION_STRING, FIELD(devices), NULL, 0, 0, NULL},
    {"batch", "override the batch", OPTION_STRING, FIELD(job.batch), NULL, 0, 0, NULL},
    {"json", "print JSON", OPTION_BOOL, FIELD(json), "0", 0, 1, NULL},
    {"set", "section.key=value: override a key of the config; may be given many times",
     OPTION_STRING, FIELD(set), NULL, 0, 0, NULL},
    {0},
};

static void print_finding(void *context, const struct finding *f) {
    (void)context;
    (void)printf("  %-12s %-16s %-42s ", f->layer ? f->layer->name : "net", f->result, f->kernels);
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
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:b}", "layer", f->layer ? f->layer->name : "net",
                  "result", f->result, "kernels", f->kernels, "compared", (json_int_t)f->compared,
                  "not_written", (json_int_t)f->not_written, "passed", f->passed);
    (void)json_object_set_new(json, "error_of_tolerance",
                              isfinite(f->worst) ? json_real(f->worst) : json_null());
    if (f->message)
        (void)json_object_set_new(json, "message", json_string(f->message));
    (void)json_array_append_new(context, json);
}

/* Returns how many results are wrong, or an error. */
static int examine_open(const struct net *net, struct device *device,
                        const struct doctor_options *options) {
    int wrong = doctor_examine(net, device, options);
    TRY(wrong);
    int slopes = gradient_check(net, device, options);
    TRY(slopes);
    return wrong + slopes;
}

static void print_heading(const struct device_info *info) {
    (void)printf("device %d: %s (%s, driver %s)\n  %-12s %-16s %-42s %9s %9s\n", info->index,
                 info->name, info->platform, info->driver, "layer", "pass", "kernels", "compared",
                 "error/tol");
}

/* `wrong` is an error where the examination did not come to its end. */
static void print_verdict(const struct device_info *info, int wrong) {
    if (wrong < 0)
        (void)printf("  Device %d could NOT be examined to the end: %s\n", info->index,
                     error_message());
    else if (wrong)
        (void)printf("  Device %d is NOT to be trusted with this net: %d of its results are "
                     "wrong.\n",
                     info->index, wrong);
    else
        (void)printf("  Device %d computes this net as it should.\n", info->index);
}

static json_t *verdict_json(const struct device_info *info, int wrong, json_t *findings) {
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:b, s:o}", "device", info->name, "platform", info->platform,
                  "driver", info->driver, "passed", wrong == 0, "findings", findings);
    if (json && wrong < 0)
        (void)json_object_set_new(json, "message", json_string(error_message()));
    return json;
}

/* Returns whether the device is wrong, or could not be examined. `info` is what is known of it
 * before it is opened. */
static int examine_device(const struct net *net, struct device_choice choice,
                          const struct device_info *info, json_t *list) {
    struct device *device = NULL;
    json_t *findings = list ? json_array() : NULL;
    struct doctor_options options = {.found = list ? add_finding : print_finding,
                                     .context = findings};
    int wrong = device_open(&device, choice);
    if (wrong == 0)
        info = device_info(device);
    if (!list)
        print_heading(info);
    if (wrong == 0)
        wrong = examine_open(net, device, &options);
    if (list)
        (void)json_array_append_new(list, verdict_json(info, wrong, findings));
    else
        print_verdict(info, wrong);
    device_close(device);
    return wrong != 0;
}

static int examine_devices(const struct flags *flags, const struct net *net) {
    struct device_choice *choices;
    struct device_info *infos;
    int count, info_count, rc = 0, failures = 0;
    TRY(devices_choose(&choices, &count, flags->devices ? flags->devices : "all"));
    rc = devices_list(&infos, &info_count);
    if (rc < 0) {
        free(choices);
        return rc;
    }
    json_t *list = flags->json ? json_array() : NULL;
    for (int i = 0; i < count; i++)
        failures += examine_device(net, choices[i], &infos[choices[i].index], list);
    if (list)
        rc = print_json(list);
    free(infos);
    free(choices);
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
    .usage = "[CONFIG] [--devices LIST] [--batch N] [--json] [--set section.key=value]...",
    .help = "Runs every kernel of a config (configs/alexnet.cfg by default) at its exact shapes on "
            "each device,\nand compares what comes out with plain C in double precision. Fails "
            "when a device is wrong.",
    .flags = flag_table,
    .run = run,
};
