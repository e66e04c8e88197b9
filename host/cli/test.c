#include "base/error.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/confusion.h"
#include "train/evaluator.h"

#include <stdio.h>
#include <stdlib.h>

struct flags {
    struct job_flags job;
    const char *weights, *devices, *set, *confusion;
    int crops, json;
};

#define FIELD(name) offsetof(struct flags, name)

static const struct option flag_table[] = {
    {"weights", "the trained weights, a safetensors file", OPTION_STRING, FIELD(weights), NULL, 0,
     0, NULL},
    {"data", "what to read in place of what the config names", OPTION_STRING, FIELD(job.data), NULL,
     0, 0, NULL},
    {"crops",
     "10: average over the four corners and the centre of each picture, and their mirror images",
     OPTION_INT, FIELD(crops), "1", 1, TEN_CROPS, NULL},
    {"confusion",
     "a file for how often which class was taken for which: .png is a picture, anything else CSV",
     OPTION_STRING, FIELD(confusion), NULL, 0, 0, NULL},
    {"devices", "the index of a device, as 'clnet devices' lists them", OPTION_STRING,
     FIELD(devices), NULL, 0, 0, NULL},
    {"batch", "override the batch", OPTION_STRING, FIELD(job.batch), NULL, 0, 0, NULL},
    {"json", "print JSON, with every class", OPTION_BOOL, FIELD(json), "0", 0, 1, NULL},
    {"set", "section.key=value: override a key of the config; may be given many times",
     OPTION_STRING, FIELD(set), NULL, 0, 0, NULL},
    {0},
};

/* What a test finds out. */
struct findings {
    struct evaluation evaluation;
    int outputs;
    struct class_count *classes; /* NULL: the truth is numbers */
    int64_t *confusion;          /* NULL: was not asked for */
    struct classes names;
};

static void free_findings(struct findings *findings) {
    free(findings->classes);
    free(findings->confusion);
    classes_free(&findings->names);
}

static double error_share(const struct class_count *count) {
    return count->samples ? (double)count->errors / (double)count->samples : 0;
}

static json_t *classes_json(const struct findings *f) {
    json_t *array = json_array();
    for (int k = 0; k < f->outputs; k++)
        (void)json_array_append_new(array,
                                    json_pack("{s:s, s:I, s:f}", "name", class_name(&f->names, k),
                                              "samples", (json_int_t)f->classes[k].samples, "error",
                                              error_share(&f->classes[k])));
    return array;
}

static int print_findings_json(const struct findings *f) {
    const struct evaluation *e = &f->evaluation;
    /* JSON has no NaN: a loss that is not finite is null. */
    json_t *object =
        json_pack("{s:I, s:o?}", "samples", (json_int_t)e->samples, "loss", json_real(e->loss));
    if (object && e->has_errors) {
        (void)json_object_set_new(object, "top1_error", json_real(e->top1_error));
        (void)json_object_set_new(object, "top5_error", json_real(e->top5_error));
        (void)json_object_set_new(object, "classes", classes_json(f));
    }
    return print_json(object);
}

/* A class in the order of the table. */
struct row {
    int label;
    double error;
};

static int compare_rows(const void *a, const void *b) {
    const struct row *x = a, *y = b;
    if (x->error != y->error)
        return x->error > y->error ? -1 : 1;
    return x->label - y->label;
}

/* The classes, worst first; of many only the worst. */
static int print_classes(const struct findings *f) {
    enum { FEW = 20, WORST = 10 };
    struct row *rows = malloc((size_t)f->outputs * sizeof *rows);
    if (!rows)
        return error_no_memory("a table of classes", (size_t)f->outputs * sizeof *rows);
    int count = 0;
    for (int k = 0; k < f->outputs; k++) {
        if (f->classes[k].samples)
            rows[count++] = (struct row){k, error_share(&f->classes[k])};
    }
    qsort(rows, (size_t)count, sizeof *rows, compare_rows);
    int shown = count <= FEW ? count : WORST;
    (void)printf("%10s  %8s  %s\n", "error", "samples",
                 shown < count ? "class, the worst first (--json has all)"
                               : "class, the worst first");
    for (int i = 0; i < shown; i++)
        (void)printf("%8.2f %%  %8s  %s\n", 100 * rows[i].error,
                     grouped(f->classes[rows[i].label].samples),
                     class_name(&f->names, rows[i].label));
    free(rows);
    return 0;
}

static int print_findings(const struct findings *f, int json) {
    const struct evaluation *e = &f->evaluation;
    if (json)
        return print_findings_json(f);
    (void)printf("%s samples: loss %.6f", grouped(e->samples), e->loss);
    if (e->has_errors)
        (void)printf(", top-1 error %.2f %%, top-5 error %.2f %%", 100 * e->top1_error,
                     100 * e->top5_error);
    (void)putchar('\n');
    return e->has_errors && f->outputs > 1 ? print_classes(f) : 0;
}

/* Memory for what is asked for. */
static int prepare(struct findings *f, const struct dataset *data, const char *confusion) {
    size_t outputs = (size_t)data->outputs;
    f->outputs = data->outputs;
    if (confusion && !data->labels)
        return error_set(ERROR_INPUT, "--confusion: the truth is numbers, not classes");
    if (data->labels && !(f->classes = calloc(outputs, sizeof *f->classes)))
        return error_no_memory("the classes", outputs * sizeof *f->classes);
    if (confusion && !(f->confusion = calloc(outputs * outputs, sizeof *f->confusion)))
        return error_no_memory("the confusion of classes", outputs * outputs * sizeof(int64_t));
    return 0;
}

static int test(struct findings *f, const struct job *job, const struct flags *flags,
                struct device *device, const struct dataset *data) {
    struct replica_options options = {.truth_kind = data->labels ? TRUTH_LABELS : TRUTH_NUMBERS};
    struct evaluation_options evaluation = {
        .crops = flags->crops, .classes = f->classes, .confusion = f->confusion};
    struct replica *replica;
    TRY(replica_create(&replica, job->net, device, &options));
    int rc = job_load_weights(job, replica, flags->weights, &f->names, 1);
    if (rc == 0 && f->names.count != f->outputs)
        rc = classes_copy(&f->names, &data->classes);
    if (rc == 0)
        rc = evaluate(&replica, 1, data, &evaluation, &f->evaluation);
    replica_free(replica);
    return rc;
}

static int run(const struct command *command, int argc, char **argv) {
    struct flags flags = {0};
    struct arguments arguments;
    struct job job = {0};
    struct device *device = NULL;
    struct dataset *data = NULL;
    struct findings findings = {0};
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
    TRY_OR(done, prepare(&findings, data, flags.confusion));
    TRY_OR(done, open_device(&device, flags.devices));
    TRY_OR(done, test(&findings, &job, &flags, device, data));
    TRY_OR(done, print_findings(&findings, flags.json));
    if (flags.confusion)
        rc =
            write_confusion(flags.confusion, findings.confusion, findings.outputs, &findings.names);
done:
    free_findings(&findings);
    device_close(device);
    dataset_free(data);
    job_close(&job);
    return rc;
}

const struct command command_test = {
    .name = "test",
    .usage = "CONFIG --weights FILE [--data PATH] [--crops 10] [--confusion FILE]\n"
             "           [--devices INDEX] [--batch N] [--json] [--set section.key=value]...",
    .help = "Tells the loss and the errors of trained weights on the test data, on the whole and "
            "by class.",
    .flags = flag_table,
    .run = run,
};
