#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"
#include "cli/cli.h"
#include "net/weights.h"
#include "train/trainer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct flags {
    struct job_flags job;
    const char *weights, *devices, *output, *set;
};

#define FIELD(name) offsetof(struct flags, name)

static const struct option flag_table[] = {
    {"devices", "the index of a device, as 'clnet devices' lists them", OPTION_STRING,
     FIELD(devices), NULL, 0, 0, NULL},
    {"data", "what to read in place of what the config names", OPTION_STRING, FIELD(job.data), NULL,
     0, 0, NULL},
    {"weights", "weights to begin with, a safetensors file", OPTION_STRING, FIELD(weights), NULL, 0,
     0, NULL},
    {"epochs", "times to go through the training data", OPTION_STRING, FIELD(job.epochs), NULL, 0,
     0, NULL},
    {"iterations", "updates to train for", OPTION_STRING, FIELD(job.iterations), NULL, 0, 0, NULL},
    {"batch", "override the batch", OPTION_STRING, FIELD(job.batch), NULL, 0, 0, NULL},
    {"seed", "override the seed", OPTION_STRING, FIELD(job.seed), NULL, 0, 0, NULL},
    {"output", "the directory to write, by default runs/<config>-<time>", OPTION_STRING,
     FIELD(output), NULL, 0, 0, NULL},
    {"set", "section.key=value: override a key of the config; may be given many times",
     OPTION_STRING, FIELD(set), NULL, 0, 0, NULL},
    {0},
};

/* A training run and what it writes. */
struct run {
    struct job job;
    struct device *device;
    struct dataset *train, *test;
    struct replica *replica;
    char *directory;
    char *last, *final; /* weights */
    FILE *metrics;
    struct progress progress;
    double warm;                  /* when the first iteration was done */
    double reported;              /* when an epoch was last told of */
    struct evaluation evaluation; /* the last one */
    double best_error;
    int64_t best_epoch;
};

static int shown_epoch(int64_t epoch) {
    return (int)epoch + 1;
}

/* ---- the run's directory ---- */

/* runs/<config's name without its ending>-<time> */
static char *default_directory(const char *config_path) {
    const char *slash = strrchr(config_path, '/');
    const char *name = slash ? slash + 1 : config_path;
    const char *dot = strrchr(name, '.');
    int length = (int)(dot && dot != name ? (size_t)(dot - name) : strlen(name));
    char stamp[32];
    time_t now = time(NULL);
    struct tm local;
    (void)strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", localtime_r(&now, &local));
    size_t size = (size_t)length + sizeof stamp + 8;
    char *directory = malloc(size);
    if (directory)
        (void)snprintf(directory, size, "runs/%.*s-%s", length, name, stamp);
    return directory;
}

static int create_directory(struct run *run, const char *given) {
    run->directory = given ? strdup(given) : default_directory(run->job.config->path);
    if (!run->directory)
        return error_no_memory("a path", 64);
    TRY(directory_create(run->directory));
    run->last = path_join(run->directory, "last.safetensors");
    run->final = path_join(run->directory, "final.safetensors");
    char *metrics = path_join(run->directory, "metrics.jsonl");
    if (!run->last || !run->final || !metrics) {
        free(metrics);
        return error_no_memory("a path", 64);
    }
    int rc = 0;
    /* "x": an earlier run's results are never overwritten. */
    run->metrics = fopen(metrics, "wx");
    if (!run->metrics && errno == EEXIST)
        rc = error_set(ERROR_INPUT, "--output %s: a run is there already; name another directory",
                       run->directory);
    else if (!run->metrics)
        rc = error_set(ERROR_SYSTEM, "%s: cannot write: %s", metrics, strerror(errno));
    free(metrics);
    return rc;
}

static int write_config(const struct run *run) {
    char *path = path_join(run->directory, "config.cfg");
    if (!path)
        return error_no_memory("a path", 64);
    struct file_writer writer;
    int rc = file_create(&writer, path);
    if (rc == 0) {
        net_print_config(run->job.net, writer.stream);
        rc = file_commit(&writer);
    }
    free(path);
    return rc;
}

static int write_metrics(struct run *run, json_t *object) {
    if (!object)
        return error_no_memory("metrics", 0);
    int failed = json_dumpf(object, run->metrics, JSON_COMPACT | JSON_REAL_PRECISION(9)) != 0 ||
                 fputc('\n', run->metrics) == EOF || fflush(run->metrics) != 0;
    json_decref(object);
    return failed ? error_set(ERROR_SYSTEM, "%s/metrics.jsonl: cannot write: %s", run->directory,
                              strerror(errno))
                  : 0;
}

/* ---- what the trainer tells ---- */

static int on_iteration(void *context, const struct iteration *it) {
    struct run *run = context;
    TRY(write_metrics(run, json_pack("{s:I, s:I, s:f, s:f, s:f}", "iteration",
                                     (json_int_t)it->index + 1, "epoch", (json_int_t)it->epoch + 1,
                                     "loss", it->loss, "learning_rate", it->learning_rate,
                                     "images_per_second", it->images_per_second)));
    /* The first iteration has the driver compile, and tells nothing of those to come. */
    double now = clock_seconds();
    if (it->index == 0) {
        run->warm = now;
        return 0;
    }
    int64_t left = it->iterations - it->index - 1;
    int seconds = (int)ceil((now - run->warm) / (double)it->index * (double)left);
    progress_show(&run->progress,
                  "epoch %d, iteration %lld of %lld (%.0f %%), loss %.4f, rate %.3g, "
                  "%.0f images/s, %d:%02d left",
                  shown_epoch(it->epoch), (long long)it->index + 1, (long long)it->iterations,
                  100 * (double)(it->index + 1) / (double)it->iterations, it->loss,
                  it->learning_rate, it->images_per_second, seconds / 60, seconds % 60);
    return 0;
}

static json_t *evaluation_json(int64_t epoch, const struct evaluation *e) {
    json_t *object = json_pack("{s:I, s:f}", "epoch", (json_int_t)epoch + 1, "test_loss", e->loss);
    if (object && e->has_errors) {
        (void)json_object_set_new(object, "test_top1_error", json_real(e->top1_error));
        (void)json_object_set_new(object, "test_top5_error", json_real(e->top5_error));
    }
    return object;
}

static void note_evaluation(struct run *run, int64_t epoch, const struct evaluation *e) {
    double error = e->has_errors ? e->top1_error : e->loss;
    run->evaluation = *e;
    if (run->best_epoch < 0 || error < run->best_error) {
        run->best_error = error;
        run->best_epoch = epoch;
    }
}

static void report_epoch(int64_t epoch, const struct evaluation *e) {
    if (!e)
        log_info("epoch %d is done", shown_epoch(epoch));
    else if (e->has_errors)
        log_info("epoch %d: test loss %.4f, top-1 error %.2f %%, top-5 error %.2f %%",
                 shown_epoch(epoch), e->loss, 100 * e->top1_error, 100 * e->top5_error);
    else
        log_info("epoch %d: test loss %.6g", shown_epoch(epoch), e->loss);
}

static int on_epoch(void *context, int64_t epoch, const struct evaluation *e) {
    struct run *run = context;
    progress_end(&run->progress);
    TRY(weights_save(run->last, run->replica, &run->train->classes));
    if (e)
        note_evaluation(run, epoch, e);
    /* Epochs of a small data set may end by the hundred a second. */
    if (clock_seconds() - run->reported > 0.5) {
        report_epoch(epoch, e);
        run->reported = clock_seconds();
    }
    return e ? write_metrics(run, evaluation_json(epoch, e)) : 0;
}

/* ---- the whole of it ---- */

static int prepare(struct run *run, const struct flags *flags) {
    struct job *job = &run->job;
    TRY(job_open_data(&run->train, job, DATA_TRAIN));
    TRY(job_open_data(&run->test, job, DATA_TEST));
    log_info("data: %s samples to train, %s to test", grouped(run->train->count),
             grouped(run->test ? run->test->count : 0));
    TRY(open_device(&run->device, flags->devices));
    struct replica_options options = {
        .is_training = 1,
        .truth_kind = run->train->labels ? TRUTH_LABELS : TRUTH_NUMBERS,
    };
    TRY(replica_create(&run->replica, job->net, run->device, &options));
    if (flags->weights)
        TRY(weights_load(flags->weights, run->replica, NULL));
    else
        TRY(replica_initialise(run->replica, (uint32_t)job->net->options.seed));
    TRY(job_set_mean(job, run->replica, run->train));
    TRY(create_directory(run, flags->output));
    return write_config(run);
}

static int train(struct run *run) {
    struct trainer_options options;
    TRY(trainer_iterations(run->job.net, run->train, &options.iterations));
    struct trainer_listener listener = {
        .iteration = on_iteration, .epoch = on_epoch, .context = run};
    log_info("training for %s iterations of %d; writing to %s", grouped(options.iterations),
             run->job.net->options.batch, run->directory);
    /* What is there before the first update is good: should it be the only thing that ever is. */
    TRY(weights_save(run->last, run->replica, &run->train->classes));
    run->progress = progress_start("training");
    int rc = trainer_run(run->replica, run->train, run->test, &options, &listener);
    progress_end(&run->progress);
    if (rc < 0) {
        char reason[ERROR_LENGTH];
        (void)snprintf(reason, sizeof reason, "%s", error_message());
        return error_set(rc, "%s\nthe last good weights are in %s", reason, run->last);
    }
    return weights_save(run->final, run->replica, &run->train->classes);
}

static void print_end(const struct run *run, const char *config) {
    const struct evaluation *e = &run->evaluation;
    if (run->test && e->has_errors)
        (void)printf("test error: %.2f %% (best: %.2f %%, after epoch %d)\n", 100 * e->top1_error,
                     100 * run->best_error, shown_epoch(run->best_epoch));
    else if (run->test)
        (void)printf("test loss: %.6g (best: %.6g, after epoch %d)\n", e->loss, run->best_error,
                     shown_epoch(run->best_epoch));
    (void)printf("weights: %s\n", run->final);
    (void)printf("try next:\n");
    if (run->test)
        (void)printf("  clnet test %s --weights %s\n", config, run->final);
    (void)printf("  clnet train %s --weights %s --set net.learning_rate=%g\n", config, run->final,
                 run->job.net->options.learning_rate / 10);
    (void)printf("  clnet summary %s\n", config);
}

static void close_run(struct run *run) {
    if (run->metrics)
        (void)fclose(run->metrics);
    replica_free(run->replica);
    device_close(run->device);
    dataset_free(run->train);
    dataset_free(run->test);
    job_close(&run->job);
    free(run->directory);
    free(run->last);
    free(run->final);
}

static int run(const struct command *command, int argc, char **argv) {
    struct flags flags = {0};
    struct arguments arguments;
    struct run run = {.best_epoch = -1};
    TRY(arguments_parse(&arguments, command, &flags, argc, argv));
    if (arguments.wants_help) {
        command_print_help(command);
        return 0;
    }
    int rc = job_open(&run.job, command, &arguments, &flags.job);
    if (rc == 0)
        rc = prepare(&run, &flags);
    if (rc == 0)
        rc = train(&run);
    if (rc == 0)
        print_end(&run, arguments.operands[0]);
    close_run(&run);
    return rc;
}

const struct command command_train = {
    .name = "train",
    .usage = "CONFIG [--devices INDEX] [--data PATH] [--weights FILE] [--epochs N] "
             "[--iterations N] [--batch N] [--seed N] [--output DIR] "
             "[--set section.key=value]...",
    .help = "Trains the network of a config and writes a directory: the weights, the metrics, and "
            "the config as it was.\n\n"
            "  config.cfg         the config with every default and override in it\n"
            "  metrics.jsonl      a line for each iteration and each evaluation\n"
            "  last.safetensors   the weights at the end of the last epoch\n"
            "  final.safetensors  the weights at the end",
    .flags = flag_table,
    .run = run,
};
