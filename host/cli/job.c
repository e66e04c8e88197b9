#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const net_names[] = {"net", "network", NULL};
static const char *const data_names[] = {"data", NULL};

static int set_net(struct config *config, const char *key, const char *value) {
    struct config_section *section = config_find(config, net_names);
    return section && value ? config_set_value(section, key, value) : 0;
}

/* --data: one path that serves both halves, in place of what the config names. */
static int set_data(struct config *config, const char *path) {
    if (!config_find(config, data_names))
        TRY(config_add_section(config, "data"));
    struct config_section *section = config_find(config, data_names);
    static const char *const others[] = {"test", "train_labels", "test_labels", "root"};
    for (int i = 0; i < 4; i++)
        config_remove(section, others[i]);
    char *absolute = realpath(path, NULL);
    int rc = config_set_value(section, "train", absolute ? absolute : path);
    free(absolute);
    return rc;
}

/* Paths in a config are seen from its directory; make them so that they hold anywhere, since the
 * config is written into the run's directory. */
static int make_paths_absolute(struct config *config) {
    static const char *const keys[] = {"train", "test", "train_labels", "test_labels", "root"};
    struct config_section *section = config_find(config, data_names);
    for (int i = 0; section && i < 5; i++) {
        const char *value = config_value(section, keys[i]);
        if (!value)
            continue;
        char *beside = path_beside(config->path, value);
        if (!beside)
            return error_no_memory("a path", strlen(value));
        char *absolute = realpath(beside, NULL);
        int rc = absolute ? config_set_value(section, keys[i], absolute) : 0;
        free(beside);
        free(absolute);
        TRY(rc); /* a path that does not exist is for those to tell who read it */
    }
    return 0;
}

static int apply(struct config *config, const struct arguments *arguments,
                 const struct job_flags *flags) {
    for (int i = 0; i < arguments->assignment_count; i++)
        TRY(config_set(config, arguments->assignments[i]));
    TRY(make_paths_absolute(config)); /* those that were just set too */
    if (flags->data)
        TRY(set_data(config, flags->data));
    TRY(set_net(config, "batch", flags->batch));
    TRY(set_net(config, "subdivisions", flags->subdivisions));
    TRY(set_net(config, "seed", flags->seed));
    if (flags->epochs || flags->iterations) {
        /* The command line has the last word: what it does not name ends nothing. */
        TRY(set_net(config, "epochs", flags->epochs ? flags->epochs : "0"));
        TRY(set_net(config, "max_batches", flags->iterations ? flags->iterations : "0"));
    }
    return 0;
}

int job_open(struct job *job, const struct command *command, const struct arguments *arguments,
             const struct job_flags *flags) {
    *job = (struct job){0};
    if (arguments->operand_count != 1)
        return error_set(ERROR_INPUT, "expected one config: clnet %s %s", command->name,
                         command->usage);
    TRY(config_read(&job->config, arguments->operands[0]));
    int rc = apply(job->config, arguments, flags);
    if (rc == 0)
        rc = net_create(&job->net, job->config);
    if (rc < 0)
        job_close(job);
    return rc;
}

void job_close(struct job *job) {
    net_free(job->net);
    config_free(job->config);
    *job = (struct job){0};
}

int open_device(struct device **out, const char *list) {
    struct device_choice *choices;
    int count;
    TRY(devices_choose(&choices, &count, list));
    struct device_choice choice = choices[0];
    free(choices);
    if (count > 1)
        return error_set(ERROR_INPUT, "--devices: expected one device, but %s names %d", list,
                         count);
    TRY(device_open(out, choice));
    const struct device_info *info = device_info(*out);
    log_info("device %d: %s (%s)", info->index, info->name, info->platform);
    return 0;
}

int job_open_data(struct dataset **out, const struct job *job, enum data_half half) {
    struct data_request request = net_data_request(job->net);
    return dataset_open(out, &job->net->data, half, job->config->path, &request);
}

const char *grouped(int64_t number) {
    enum { BUFFERS = 8, LENGTH = 32 };
    static char buffers[BUFFERS][LENGTH];
    static int next;
    char digits[LENGTH];
    char *text = buffers[next++ % BUFFERS];
    int length = snprintf(digits, sizeof digits, "%" PRId64, number), used = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-')
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = '\0';
    return text;
}

int print_json(json_t *json) {
    if (!json)
        return error_no_memory("JSON", 0);
    int failed = json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) != 0;
    json_decref(json);
    (void)putchar('\n');
    return failed ? error_set(ERROR_SYSTEM, "standard output: cannot write") : 0;
}
