#include "cli/training.h"

#include "base/error.h"
#include "base/log.h"
#include "cli/interrupt.h"
#include "train/norms.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NORMS_INTERVAL = 50 }; /* iterations from one log of the norms to the next */

static int shown_epoch(int64_t epoch) {
    return (int)epoch + 1;
}

static int write_metrics(struct training *training, json_t *object) {
    char *line = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    int rc = line ? run_write_metrics(&training->run, line) : error_no_memory("metrics", 0);
    free(line);
    return rc;
}

static int wants_gradients(void *context, int64_t index) {
    const struct training *training = context;
    return training->is_verbose && (index == training->first || (index + 1) % NORMS_INTERVAL == 0);
}

static int on_gradients(void *context, int64_t index) {
    struct training *training = context;
    progress_end(&training->progress);
    return norms_log(team_replica(training->crew.team, 0), index);
}

static void show_progress(struct training *training, const struct iteration *it) {
    /* The first iteration has the driver compile, and tells nothing of those to come. */
    double now = clock_seconds();
    int64_t done = it->index - training->first;
    if (done == 0) {
        training->warm = now;
        return;
    }
    int64_t left = it->iterations - it->index - 1;
    long long seconds = (long long)ceil((now - training->warm) / (double)done * (double)left);
    progress_show_share(&training->progress, (double)(it->index + 1) / (double)it->iterations,
                        "epoch %d, %.0f images/s, loss %.4f, rate %.3g, %lld:%02lld left, "
                        "iteration %lld of %lld",
                        shown_epoch(it->epoch), it->images_per_second, it->loss, it->learning_rate,
                        seconds / 60, seconds % 60, (long long)it->index + 1,
                        (long long)it->iterations);
}

static int on_iteration(void *context, const struct iteration *it) {
    struct training *training = context;
    /* A batch of which every picture is broken has no loss. */
    json_t *loss = it->samples ? json_real(it->loss) : NULL;
    TRY(write_metrics(training, json_pack("{s:I, s:I, s:o?, s:f, s:f, s:f}", "iteration",
                                          (json_int_t)it->index + 1, "epoch",
                                          (json_int_t)it->epoch + 1, "loss", loss, "learning_rate",
                                          it->learning_rate, "images_per_second",
                                          it->images_per_second, "loader_wait", it->loader_wait)));
    show_progress(training, it);
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
    struct training *training = context;
    progress_end(&training->progress);
    /* Epochs of a small data set may end by the hundred a second. */
    if (clock_seconds() - training->reported > 0.5) {
        report_epoch(epoch, e);
        training->reported = clock_seconds();
    }
    return e ? write_metrics(training, evaluation_json(epoch, e)) : 0;
}

/* What is saved must be what all devices agree upon. */
static int save(struct training *training, const struct trainer_state *state) {
    if (team_size(training->crew.team) > 1)
        TRY(team_check(training->crew.team, NULL));
    return run_save(&training->run, team_replica(training->crew.team, 0), state);
}

static int on_done(void *context, const struct trainer_state *state) {
    struct training *training = context;
    int64_t per_epoch = loader_batches_per_epoch(training->train, training->job.net->options.batch);
    int is_end = state->iteration == training->iterations, number = interrupt_signal();
    if (is_end || number || run_is_save_time(&training->run, state, per_epoch))
        TRY(save(training, state));
    return number && !is_end;
}

struct trainer_listener training_listener(struct training *training) {
    return (struct trainer_listener){.wants_gradients = wants_gradients,
                                     .gradients = on_gradients,
                                     .iteration = on_iteration,
                                     .epoch = on_epoch,
                                     .done = on_done,
                                     .context = training};
}

int training_print_end(const struct training *training, const char *config) {
    const struct trainer_state *state = &training->state;
    const struct evaluation *e = &state->evaluation;
    char *weights = run_file(&training->run, "final.safetensors");
    if (!weights)
        return error_no_memory("a path", 0);
    if (state->has_evaluation && e->has_errors)
        (void)printf("test error: %.2f %% (best: %.2f %%, after epoch %d)\n", 100 * e->top1_error,
                     100 * state->best_error, shown_epoch(state->best_epoch));
    else if (state->has_evaluation)
        (void)printf("test loss: %.6g (best: %.6g, after epoch %d)\n", e->loss, state->best_error,
                     shown_epoch(state->best_epoch));
    (void)printf("weights: %s\n", weights);
    (void)printf("try next:\n");
    if (training->test)
        (void)printf("  clnet test %s --weights %s\n", config, weights);
    (void)printf("  clnet train %s --weights %s --set net.learning_rate=%g\n", config, weights,
                 training->job.net->options.learning_rate / 10);
    (void)printf("  clnet summary %s\n", config);
    free(weights);
    return 0;
}
