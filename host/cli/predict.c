#include "base/error.h"
#include "cli/cli.h"
#include "cli/confusion.h"
#include "cli/pictures.h"
#include "train/evaluator.h"

#include <stdio.h>
#include <stdlib.h>

struct flags {
    struct job_flags job;
    const char *weights, *devices, *set;
    int top, crops, json;
};

#define FIELD(name) offsetof(struct flags, name)

static const struct option flag_table[] = {
    {"weights", "the trained weights, a safetensors file", OPTION_STRING, FIELD(weights), NULL, 0,
     0, NULL},
    {"top", "how many classes to name, the likeliest first", OPTION_INT, FIELD(top), "5", 1,
     INT32_MAX, NULL},
    {"crops",
     "10: average over the four corners and the centre of each picture, and their mirror images",
     OPTION_INT, FIELD(crops), "1", 1, TEN_CROPS, NULL},
    {"devices", "the index of a device, as 'clnet devices' lists them", OPTION_STRING,
     FIELD(devices), NULL, 0, 0, NULL},
    {"batch", "pictures at a time; by default the config's batch, at most 64", OPTION_STRING,
     FIELD(job.batch), NULL, 0, 0, NULL},
    {"json", "print JSON", OPTION_BOOL, FIELD(json), "0", 0, 1, NULL},
    {"set", "section.key=value: override a key of the config; may be given many times",
     OPTION_STRING, FIELD(set), NULL, 0, 0, NULL},
    {0},
};

/* A guess. */
struct guess {
    int label;
    float value;
};

struct prediction {
    const struct dataset *data;
    struct classes names;
    struct guess *guesses; /* [outputs] */
    int top, are_shares;   /* the outputs are probabilities */
    int64_t shown;
    json_t *json; /* NULL: text */
};

static int compare_guesses(const void *a, const void *b) {
    const struct guess *x = a, *y = b;
    if (x->value != y->value)
        return x->value > y->value ? -1 : 1;
    return x->label - y->label;
}

static int show_json(const struct prediction *p, const char *path, int count) {
    json_t *guesses = json_array();
    for (int i = 0; i < count; i++)
        (void)json_array_append_new(guesses,
                                    json_pack("{s:i, s:s, s:f}", "label", p->guesses[i].label,
                                              "name", class_name(&p->names, p->guesses[i].label),
                                              p->are_shares ? "probability" : "output",
                                              (double)p->guesses[i].value));
    if (json_array_append_new(p->json,
                              json_pack("{s:s, s:o}", "path", path, "predictions", guesses)) != 0)
        return error_set(ERROR_INPUT, "%s: its name is not UTF-8, which JSON needs", path);
    return 0;
}

static void show_text(const struct prediction *p, const char *path, int count) {
    (void)printf("%s\n", path);
    for (int i = 0; i < count; i++) {
        const char *name = class_name(&p->names, p->guesses[i].label);
        if (p->are_shares)
            (void)printf("  %6.2f %%  %s\n", 100 * (double)p->guesses[i].value, name);
        else
            (void)printf("  %9.6g  %s\n", (double)p->guesses[i].value, name);
    }
}

static int show(void *context, int64_t sample, const float *outputs, int count) {
    struct prediction *p = context;
    const char *path = picture_files_name(p->data->files, sample);
    for (int k = 0; k < count; k++)
        p->guesses[k] = (struct guess){k, outputs[k]};
    qsort(p->guesses, (size_t)count, sizeof *p->guesses, compare_guesses);
    int top = p->top < count ? p->top : count;
    p->shown++;
    if (p->json)
        return show_json(p, path, top);
    show_text(p, path, top);
    return 0;
}

static int predict(struct prediction *p, const struct job *job, const struct flags *flags,
                   struct device *device) {
    struct replica_options options = {.truth_kind = TRUTH_LABELS};
    struct evaluation_options evaluation = {.crops = flags->crops, .show = show, .context = p};
    struct evaluation unused;
    struct replica *replica;
    size_t bytes = (size_t)p->data->outputs * sizeof *p->guesses;
    p->top = flags->top;
    p->are_shares = net_loss(job->net)->plan.labels_only;
    p->guesses = malloc(bytes);
    if (!p->guesses)
        return error_no_memory("predictions", bytes);
    if (flags->json && !(p->json = json_array()))
        return error_no_memory("JSON", 0);
    TRY(replica_create(&replica, job->net, device, &options));
    int rc = job_load_weights(job, replica, flags->weights, &p->names, 0);
    if (rc == 0)
        rc = evaluate(&replica, 1, p->data, &evaluation, &unused);
    replica_free(replica);
    return rc;
}

/* No more of a batch than there is to predict: the device pads, and would work for nothing. */
static int open_job(struct job *job, const struct command *command, struct arguments *arguments,
                    const struct job_flags *flags, int64_t pictures) {
    enum { BATCH_MAX = 64 };
    arguments->operand_count = 1;
    TRY(job_open(job, command, arguments, flags));
    net_limit_batch(job->net, flags->batch || pictures < BATCH_MAX ? pictures : BATCH_MAX);
    return 0;
}

static int gather(struct paths *paths, const struct arguments *arguments) {
    if (arguments->operand_count < 2)
        return error_set(ERROR_INPUT, "which pictures is missing: files, folders, or - for a list "
                                      "of paths on standard input");
    for (int i = 1; i < arguments->operand_count; i++)
        TRY(paths_add(paths, arguments->operands[i]));
    if (paths->count == 0)
        return error_set(paths->missing ? ERROR_SYSTEM : ERROR_INPUT,
                         "there is no picture to be read (.jpg, .jpeg or .png)");
    return 0;
}

static int run(const struct command *command, int argc, char **argv) {
    struct flags flags = {0};
    struct arguments arguments;
    struct job job = {0};
    struct paths paths = {0};
    struct device *device = NULL;
    struct dataset *data = NULL;
    struct prediction prediction = {0};
    int rc;
    TRY(arguments_parse(&arguments, command, &flags, argc, argv));
    if (arguments.wants_help) {
        command_print_help(command);
        return 0;
    }
    if (!flags.weights)
        return error_set(ERROR_INPUT, "--weights: which weights to predict with is missing");
    TRY_OR(done, gather(&paths, &arguments));
    TRY_OR(done, open_job(&job, command, &arguments, &flags.job, paths.count));
    TRY_OR(done, pictures_open(&data, &paths, job.net));
    TRY_OR(done, open_device(&device, flags.devices));
    prediction.data = data;
    TRY_OR(done, predict(&prediction, &job, &flags, device));
    if (flags.json)
        TRY_OR(done, print_json(json_incref(prediction.json)));
    int64_t all = paths.count + paths.missing;
    if (prediction.shown < all)
        rc = error_set(ERROR_SYSTEM, "%s of %s pictures could not be read",
                       grouped(all - prediction.shown), grouped(all));
done:
    json_decref(prediction.json);
    free(prediction.guesses);
    classes_free(&prediction.names);
    device_close(device);
    dataset_free(data);
    job_close(&job);
    paths_free(&paths);
    return rc;
}

const struct command command_predict = {
    .name = "predict",
    .usage = "CONFIG --weights FILE PICTURE... [--top N] [--crops 10] [--json]\n"
             "              [--devices INDEX] [--batch N] [--set section.key=value]...",
    .help = "Tells what trained weights take pictures for. PICTURE is a file, a folder, of which "
            "all\n"
            "pictures are taken with those of its subfolders, or - for a list of paths on standard "
            "input.\n"
            "A picture that cannot be read is named, the others are predicted all the same, and "
            "the\n"
            "exit status is 1.",
    .flags = flag_table,
    .run = run,
};
