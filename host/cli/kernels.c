#include "base/error.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/device_file.h"
#include "net/kernel_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct flags {
    struct job_flags job;
    const char *output, *devices, *like, *set;
    int technique, team, candidates;
};

#define FIELD(name) offsetof(struct flags, name)

/* In the order of enum technique. */
static const char *const techniques[] = {"auto", "reference", "vector", "tiled", NULL};

static const struct option flag_table[] = {
    {"output", "the folder to write to, which is made if need be", OPTION_STRING, FIELD(output),
     NULL, 0, 0, NULL},
    {"devices", "the device to compile for, by its index", OPTION_STRING, FIELD(devices), NULL, 0,
     0, NULL},
    {"like", "a file that describes the device: it need not be here", OPTION_STRING, FIELD(like),
     NULL, 0, 0, NULL},
    {"technique", "auto, as in training, or reference, vector or tiled kernels where there are any",
     OPTION_ENUM, FIELD(technique), "auto", 0, 0, techniques},
    {"team", "of one of so many devices that train together", OPTION_INT, FIELD(team), "1", 1, 64,
     NULL},
    {"candidates", "in place of what training takes, what the tuner would try first", OPTION_BOOL,
     FIELD(candidates), "0", 0, 1, NULL},
    {"batch", "override the batch", OPTION_STRING, FIELD(job.batch), NULL, 0, 0, NULL},
    {"set", "section.key=value: override a key of the config; may be given many times",
     OPTION_STRING, FIELD(set), NULL, 0, 0, NULL},
    {0},
};

/* ---- the texts ---- */

static int write_text(const char *folder, const char *file) {
    struct file_writer writer;
    const char *texts[KERNEL_TEXTS];
    char *path = path_join(folder, file);
    if (!path)
        return error_no_memory("a path", strlen(file));
    int rc = file_create(&writer, path);
    free(path);
    TRY(rc);
    kernel_texts(texts, file);
    for (int i = 0; i < KERNEL_TEXTS; i++)
        (void)fputs(texts[i], writer.stream);
    return file_commit(&writer);
}

static int write_texts(const struct kernel_list *list, const char *folder) {
    for (int i = 0; i < list->count; i++) {
        const char *file = list->kernels[i].spec.file;
        int is_written = 0;
        for (int k = 0; k < i; k++)
            is_written |= list->kernels[k].spec.file == file;
        if (kernel_is_ours(&list->kernels[i].spec) && !is_written)
            TRY(write_text(folder, file));
    }
    return 0;
}

/* ---- the list ---- */

static json_t *sizes(const size_t values[3]) {
    return json_pack("[I,I,I]", (json_int_t)values[0], (json_int_t)values[1],
                     (json_int_t)values[2]);
}

/* What CLBlast does has neither file nor options. */
static json_t *describe_kernel(const struct listed_kernel *kernel,
                               const struct device_info *device) {
    const struct kernel_spec *spec = &kernel->spec;
    char options[KERNEL_OPTIONS_MAX];
    json_t *json = json_pack("{s:s, s:s, s:f, s:f}", "layer", kernel->who, "pass", spec->pass,
                             "flops", spec->flops, "bytes", spec->bytes);
    if (!kernel_is_ours(spec) || !json)
        return json;
    kernel_options(options, device, spec);
    json_t *more =
        json_pack("{s:s, s:s, s:s, s:o, s:o}", "file", spec->file, "function", spec->function,
                  "options", options, "global", sizes(spec->global), "local", sizes(spec->local));
    (void)json_object_update(json, more);
    json_decref(more);
    if (kernel->tuning[0])
        (void)json_object_set_new(json, "candidate", json_string(kernel->tuning));
    return json;
}

static json_t *describe(const struct kernel_list *list, const struct net *net,
                        const struct device_file *device, const struct flags *flags) {
    json_t *kernels = json_array();
    for (int i = 0; i < list->count; i++)
        (void)json_array_append_new(kernels, describe_kernel(&list->kernels[i], &device->info));
    return json_pack("{s:s, s:i, s:i, s:s, s:s, s:s, s:f, s:f, s:o}", "config", net->config->path,
                     "batch", net->options.batch, "team", flags->team, "technique",
                     techniques[flags->technique], "device", device->info.name, "kind",
                     device->info.kind, "gflops", device->gflops, "bandwidth", device->bandwidth,
                     "kernels", kernels);
}

static int write_list(const char *folder, json_t *json) {
    struct file_writer writer;
    char *path = path_join(folder, "kernels.json");
    if (!path || !json)
        return error_no_memory("the list of kernels", 0);
    int rc = file_create(&writer, path);
    free(path);
    TRY(rc);
    (void)json_dumpf(json, writer.stream, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    (void)fputc('\n', writer.stream);
    return file_commit(&writer);
}

/* ---- the command ---- */

static int find_device(struct device_file *device, const struct flags *flags) {
    if (flags->like && flags->devices)
        return error_set(ERROR_INPUT, "--like: not with --devices");
    if (flags->like)
        return device_file_read(device, flags->like);
    struct device *opened;
    TRY(open_device(&opened, flags->devices));
    *device = (struct device_file){.info = *device_info(opened)};
    device_close(opened);
    return 0;
}

static int write_list_of(const struct kernel_list *list, const struct net *net,
                         const struct device_file *device, const struct flags *flags) {
    TRY(directory_create(flags->output));
    TRY(write_texts(list, flags->output));
    json_t *json = describe(list, net, device, flags);
    int rc = write_list(flags->output, json);
    json_decref(json);
    if (rc == 0)
        (void)printf("%s: %d kernels\n", flags->output, list->count);
    return rc;
}

static int write_kernels(const struct net *net, const struct device_file *device,
                         const struct flags *flags) {
    struct kernel_list list;
    struct tunings *tunings;
    TRY(device_find_tunings(&tunings, &device->info));
    struct target target = {
        .technique = (enum technique)flags->technique, .device = device->info, .tunings = tunings};
    int rc = flags->candidates ? kernel_list_create_candidates(&list, net, &target)
                               : kernel_list_create(&list, net, &target, flags->team);
    if (rc == 0) {
        rc = write_list_of(&list, net, device, flags);
        kernel_list_free(&list);
    }
    tunings_free(tunings);
    return rc;
}

static int run(const struct command *command, int argc, char **argv) {
    struct flags flags = {0};
    struct arguments arguments;
    struct device_file device;
    struct job job;
    TRY(arguments_parse(&arguments, command, &flags, argc, argv));
    if (arguments.wants_help) {
        command_print_help(command);
        return 0;
    }
    if (!flags.output)
        return error_set(ERROR_INPUT, "--output: the folder to write to is missing");
    if (flags.candidates && flags.team > 1)
        return error_set(ERROR_INPUT, "--candidates: not with --team");
    TRY(find_device(&device, &flags));
    TRY(job_open(&job, command, &arguments, &flags.job));
    int rc = write_kernels(job.net, &device, &flags);
    job_close(&job);
    return rc;
}

const struct command command_kernels = {
    .name = "kernels",
    .usage = "CONFIG --output FOLDER [--devices INDEX | --like FILE] [--technique NAME]\n"
             "              [--team N | --candidates] [--batch N] [--set section.key=value]...",
    .help = "Writes the kernels that a config is compiled to on a device: the texts (NAME.cl), and "
            "for\n"
            "each kernel its options, geometry, and work at least (kernels.json). They are what "
            "training\n"
            "gives the driver, so that another compiler can be shown them. With --like the device "
            "need\n"
            "not be here: 'clnet help device' documents the description, tests/vendor/devices has "
            "some.",
    .flags = flag_table,
    .run = run,
};
