#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/interrupt.h"
#include "cli/training.h"
#include "cli/tune_first.h"
#include "net/weights.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct flags {
    struct job_flags job;
    struct crew_flags crew;
    const char *weights, *output, *resume, *set;
    int verbose;
};

#define FIELD(name) offsetof(struct flags, name)

static const struct option flag_table[] = {
    {"devices",
     "the devices to train on, as 'clnet devices' lists them: 0, or 0,1, or all; 0/2 is the two "
     "halves of device 0",
     OPTION_STRING, FIELD(crew.devices), NULL, 0, 0, NULL},
    {"split",
     "the samples of a batch that each device takes, as 96,32; or auto: by how fast they are; by "
     "default equally many",
     OPTION_STRING, FIELD(crew.split), NULL, 0, 0, NULL},
    {"exchange", CREW_EXCHANGE_HELP, OPTION_ENUM, FIELD(crew.exchange), "auto", 0, 0,
     crew_exchanges},
    {"tune", TUNE_FIRST_HELP, OPTION_STRING, FIELD(crew.tune), NULL, 0, 0, NULL},
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
    {"resume", "the directory of a run to go on with, in place of a config", OPTION_STRING,
     FIELD(resume), NULL, 0, 0, NULL},
    {"trace", "a file to write a timeline to, for chrome://tracing or ui.perfetto.dev",
     OPTION_STRING, FIELD(crew.trace), NULL, 0, 0, NULL},
    {"timeout",
     "seconds for which a device may not answer before the training ends, to be resumed; 0: it may "
     "never answer",
     OPTION_INT, FIELD(crew.timeout), "300", 0, 1000000, NULL},
    {"verbose", "log the norms of weights and gradients by layer, every 50 iterations", OPTION_BOOL,
     FIELD(verbose), "0", 0, 1, NULL},
    {"set", "section.key=value: override a key of the config; may be given many times",
     OPTION_STRING, FIELD(set), NULL, 0, 0, NULL},
    {0},
};

/* ---- where it is written ---- */

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

static int create_run(struct training *training, const char *given) {
    char *path = given ? strdup(given) : default_directory(training->job.config->path);
    if (!path)
        return error_no_memory("a path", 64);
    int rc =
        run_create(&training->run, path, team_replica(training->crew.team, 0), &training->state,
                   &training->train->classes, training->crew.devices, training->crew.count);
    free(path);
    return rc < 0 && given ? error_prefix(rc, "--output: ") : rc;
}

/* ---- going on ---- */

static int refuse_with_resume(const struct flags *flags, const struct arguments *arguments) {
    const char *const others[][2] = {
        {"data", flags->job.data},
        {"weights", flags->weights},
        {"batch", flags->job.batch},
        {"seed", flags->job.seed},
        {"output", flags->output},
        {"tune", flags->crew.tune},
        {"set", arguments->assignment_count ? arguments->assignments[0] : NULL},
    };
    if (arguments->operand_count > 0)
        return error_set(ERROR_INPUT,
                         "%s: --resume takes no config: the run's own config.cfg is what goes on",
                         arguments->operands[0]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (others[i][1])
            return error_set(ERROR_INPUT,
                             "--%s: not with --resume, which goes on with the run as it is; "
                             "--devices, --split, --exchange, --epochs, --iterations, --trace, "
                             "--timeout and --verbose may be given",
                             others[i][0]);
    }
    return 0;
}

/* Opens the run and makes its config the operand: *path is its, which the caller frees. */
static int open_run(struct training *training, char **path, struct arguments *arguments,
                    const struct flags *flags) {
    TRY(refuse_with_resume(flags, arguments));
    int rc = run_open(&training->run, flags->resume);
    if (rc < 0)
        return error_prefix(rc, "--resume ");
    *path = run_file(&training->run, "config.cfg");
    if (!*path)
        return error_no_memory("a path", strlen(flags->resume));
    arguments->operands[arguments->operand_count++] = *path;
    return 0;
}

/* Other data than those that it was trained on are the user's business, but not to be overlooked.
 */
static void compare_data(struct training *training) {
    uint64_t now = training->train->fingerprint, before = training->state.fingerprint;
    if (now && before && now != before)
        log_warning("data.train: %s: the data have changed since the checkpoint of iteration "
                    "%" PRId64 "; the run goes on with them as they are now",
                    training->job.net->data.train, training->state.iteration);
    training->state.fingerprint = now;
}

static int resume_run(struct training *training, const struct flags *flags) {
    TRY(run_resume(&training->run, team_replica(training->crew.team, 0), &training->state,
                   &training->train->classes));
    TRY(team_share_parameters(training->crew.team));
    compare_data(training);
    int is_longer = (flags->job.epochs || flags->job.iterations) &&
                    training->iterations > training->state.iteration;
    return is_longer ? run_write_config(&training->run) : 0;
}

/* ---- the whole of it ---- */

/* Labels of both halves must mean the same classes. */
static int open_data(struct training *training) {
    const struct job *job = &training->job;
    TRY(job_open_data(&training->train, job, DATA_TRAIN));
    struct data_request request = net_data_request(job->net);
    if (training->train->classes.count > 0)
        request.classes = &training->train->classes;
    TRY(dataset_open(&training->test, &job->net->data, DATA_TEST, job->config->path, &request));
    log_info("data: %s samples to train, %s to test", grouped(training->train->count),
             grouped(training->test ? training->test->count : 0));
    return 0;
}

/* A run that goes on does so with the tunings that it began with. */
static int open_crew(struct training *training, const struct flags *flags) {
    struct crew_flags how = flags->crew;
    char *path = flags->resume ? run_file(&training->run, "tunings.tsv") : NULL;
    if (flags->resume && !path)
        return error_no_memory("a path", strlen(flags->resume));
    how.tunings = path;
    int rc = crew_open(&training->crew, "train", training->job.net, &how,
                       training->train->labels ? TRUTH_LABELS : TRUTH_NUMBERS,
                       training->train->floats != NULL);
    free(path);
    return rc;
}

static int prepare(struct training *training, const struct flags *flags) {
    struct job *job = &training->job;
    TRY(tune_first_check(flags->crew.tune));
    TRY(open_data(training));
    TRY(trainer_iterations(job->net, training->train, &training->iterations));
    TRY(open_crew(training, flags));
    if (job->net->augment.pca_noise > 0)
        TRY(statistics_get(&training->statistics, training->train, job->net->frame,
                           job->net->data.statistics_samples, 0));
    training->state = trainer_start(job->net);
    training->state.fingerprint = training->train->fingerprint;
    training->is_verbose = flags->verbose;
    if (flags->resume)
        return resume_run(training, flags);
    struct replica *first = team_replica(training->crew.team, 0);
    TRY(team_initialise(training->crew.team, (uint32_t)job->net->options.seed));
    if (flags->weights)
        TRY(weights_load(flags->weights, first, NULL));
    TRY(job_set_mean(job, first, training->train));
    TRY(team_share_parameters(training->crew.team));
    return create_run(training, flags->output);
}

static int write_final(struct training *training) {
    char *path = run_file(&training->run, "final.safetensors");
    if (!path)
        return error_no_memory("a path", 0);
    int rc = weights_save(path, team_replica(training->crew.team, 0), &training->train->classes);
    free(path);
    return rc;
}

static int failed(const struct training *training, int code) {
    char reason[ERROR_LENGTH];
    (void)snprintf(reason, sizeof reason, "%s", error_message());
    return error_set(code, "%s\nclnet train --resume %s goes on from iteration %" PRId64, reason,
                     training->run.path, training->run.saved_iteration);
}

/* Should a device not answer: checkpoints change by rename, so there is a whole one at any moment.
 */
static void advise_watchdog(const struct training *training) {
    char advice[1024];
    (void)snprintf(advice, sizeof advice,
                   "clnet train --resume %s goes on from the last checkpoint", training->run.path);
    watchdog_advise(training->crew.watchdog, advice);
}

/* Returns 0 at the end, or the signal that ended it. */
static int train(struct training *training) {
    struct trainer_options options = {
        .iterations = training->iterations,
        .colours = training->job.net->augment.pca_noise > 0 ? &training->statistics.colours : NULL,
        .trace = training->crew.trace,
    };
    struct trainer_listener listener = training_listener(training);
    training->first = training->state.iteration;
    if (training->first)
        log_info("going on from iteration %s of %s; writing to %s", grouped(training->first),
                 grouped(training->iterations), training->run.path);
    else
        log_info("training for %s iterations of %d; writing to %s", grouped(training->iterations),
                 training->job.net->options.batch, training->run.path);
    advise_watchdog(training);
    interrupt_catch();
    training->progress = progress_start("training");
    int rc = trainer_run(training->crew.team, training->train, training->test, &options,
                         &training->state, &listener);
    progress_end(&training->progress);
    if (rc == 0)
        rc = write_final(training);
    if (rc < 0)
        return failed(training, rc);
    return rc > 0 ? interrupt_signal() : 0;
}

/* A run that is at its end already. Killed between its last checkpoint and its final weights, it
 * still lacks these, or has those of when it was shorter. */
static int tell_finished(struct training *training) {
    TRY(write_final(training));
    log_info("%s: this run is finished: it is at iteration %s of %s; --iterations or --epochs "
             "lengthen it",
             training->run.path, grouped(training->state.iteration), grouped(training->iterations));
    return 0;
}

/* Exit status of a process that a signal ended, as shells show it. */
enum { STATUS_OF_SIGNAL = 128 };

static int finish(struct training *training, const char *config) {
    if (training->state.iteration >= training->iterations) {
        TRY(tell_finished(training));
        return training_print_end(training, config);
    }
    int number = train(training);
    TRY(number);
    if (number == 0)
        return training_print_end(training, config);
    log_warning("stopped at iteration %" PRId64 "; go on with: clnet train --resume %s",
                training->state.iteration, training->run.path);
    return STATUS_OF_SIGNAL + number;
}

/* Returns what a trace that cannot be written makes of rc. */
static int close_training(struct training *training, int rc) {
    run_close(&training->run);
    int closed = crew_close(&training->crew);
    statistics_free(&training->statistics);
    dataset_free(training->train);
    dataset_free(training->test);
    job_close(&training->job);
    return rc == 0 ? closed : rc;
}

static int run(const struct command *command, int argc, char **argv) {
    struct flags flags = {0};
    struct arguments arguments;
    struct training training = {.run = RUN_CLOSED};
    char *config = NULL;
    TRY(arguments_parse(&arguments, command, &flags, argc, argv));
    if (arguments.wants_help) {
        command_print_help(command);
        return 0;
    }
    int rc = flags.resume ? open_run(&training, &config, &arguments, &flags) : 0;
    if (rc == 0)
        rc = job_open(&training.job, command, &arguments, &flags.job);
    if (rc == 0)
        rc = prepare(&training, &flags);
    if (rc == 0)
        rc = finish(&training, arguments.operands[0]);
    rc = close_training(&training, rc);
    free(config);
    return rc;
}

const struct command command_train = {
    .name = "train",
    .usage =
        "CONFIG [--devices LIST] [--split SHARES] [--exchange WAY] [--tune MODE] [--data PATH] "
        "[--weights FILE] [--epochs N] [--iterations N] [--batch N] [--seed N] [--output DIR] "
        "[--trace FILE] [--timeout SECONDS] [--verbose] [--set section.key=value]...\n"
        "      clnet train --resume DIR [--devices LIST] [--split SHARES] [--exchange WAY] "
        "[--epochs N] "
        "[--iterations N] "
        "[--timeout SECONDS] [--verbose]",
    .help = "Trains the network of a config and writes a directory: the weights, the metrics, and "
            "the config as it was.\n\n"
            "  config.cfg                 the config with every default and override in it\n"
            "  metrics.jsonl              a line for each iteration and each evaluation\n"
            "  tunings.tsv                how the devices' kernels were tuned, as 'clnet tune\n"
            "                             --export' writes it\n"
            "  classes.txt                the names of the classes, if the data names them\n"
            "  checkpoint-N.safetensors   all that it takes to go on from iteration N; the last\n"
            "                             few, as net.keep says\n"
            "  best.safetensors           the checkpoint with the least error on the test data\n"
            "  final.safetensors          the weights at the end\n\n"
            "With --resume it goes on from the newest checkpoint of such a directory, to the same\n"
            "weights as if it had never stopped; --epochs or --iterations lengthen it. SIGINT and\n"
            "SIGTERM end it after the iteration, with a checkpoint; a second one, at once.",
    .flags = flag_table,
    .run = run,
};
