#include "base/error.h"
#include "cli/cli.h"
#include "net/weights.h"
#include "train/evaluator.h"

#include <stdio.h>

struct flags {
    struct job_flags job;
    const char *weights, *devices, *set;
    int json;
};

#define FIELD(name) offsetof(struct flags, name)

static const struct option flag_table[] = {
    {"weights", "the trained weights, a safetensors file", OPTION_STRING, FIELD(weights), NULL, 0,
     0, NULL},
    {"data", "what to read in place of what the config names", OPTION_STRING, FIELD(job.data), NULL,
     0, 0, NULL},
    {"devices", "the index of a device, as 'clnet devices' lists them", OPTION_STRING,
     FIELD(devices), NULL, 0, 0, NULL},
    {"batch", "override the batch", OPTION_STRING, FIELD(job.batch), NULL, 0, 0, NULL},
    {"json", "print JSON", OPTION_BOOL, FIELD(json), "0", 0, 1, NULL},
    {"set", "section.key=value: override a key of the config; may be given many times",
     OPTION_STRING, FIELD(set), NULL, 0, 0, NULL},
    {0},
};

static int print_result(const struct evaluation *e, int json) {
    if (json) {
        json_t *object =
            json_pack("{s:I, s:f}", "samples", (json_int_t)e->samples, "loss", e->loss);
        if (object && e->has_errors) {
            (void)json_object_set_new(object, "top1_error", json_real(e->top1_error));
            (void)json_object_set_new(object, "top5_error", json_real(e->top5_error));
        }
        return print_json(object);
    }
    (void)printf("%s samples: loss %.6f", grouped(e->samples), e->loss);
    if (e->has_errors)
        (void)printf(", top-1 error %.2f %%, top-5 error %.2f %%", 100 * e->top1_error,
                     100 * e->top5_error);
    (void)putchar('\n');
    return 0;
}

static int test(const struct job *job, const struct flags *flags, struct device *device,
                const struct dataset *data) {
    struct replica_options options = {.truth_kind = data->labels ? TRUTH_LABELS : TRUTH_NUMBERS};
    struct replica *replica;
    struct evaluation evaluation = {0};
    TRY(replica_create(&replica, job->net, device, &options));
    int rc = weights_load(flags->weights, replica);
    if (rc == 0)
        rc = evaluate(replica, data, &evaluation);
    replica_free(replica);
    return rc < 0 ? rc : print_result(&evaluation, flags->json);
}

static int run(const struct command *command, int argc, char **argv) {
    struct flags flags = {0};
    struct arguments arguments;
    struct job job = {0};
    struct device *device = NULL;
    struct dataset *data = NULL;
    int rc;
    TRY(arguments_parse(&arguments, command, &flags, argc, argv));
    if (arguments.wants_help) {
        command_print_help(command);
        return 0;
    }
    if (!flags.weights)
        return error_set(ERROR_INPUT, "--weights: which weights to test is missing");
    TRY_OR(done, job_open(&job, command, &arguments, &flags.job));
    TRY_OR(done, job_open_data(&data, &job, DATA_TEST));
    if (!data) {
        rc = error_set(ERROR_INPUT, "%s: [data] names no test data; set test=, or give --data",
                       job.config->path);
        goto done;
    }
    TRY_OR(done, open_device(&device, flags.devices));
    rc = test(&job, &flags, device, data);
done:
    device_close(device);
    dataset_free(data);
    job_close(&job);
    return rc;
}

const struct command command_test = {
    .name = "test",
    .usage = "CONFIG --weights FILE [--data PATH] [--devices INDEX] [--batch N] [--json] "
             "[--set section.key=value]...",
    .help = "Tells the loss and the errors of trained weights on the test data.",
    .flags = flag_table,
    .run = run,
};
