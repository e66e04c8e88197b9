#include "train/trainer.h"

#include "base/error.h"
#include "base/progress.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

#define ADVICE "a smaller learning rate (--set net.learning_rate=...) may help"

struct trainer {
    struct team *team;
    const struct net *net;
    const struct dataset *train, *test;
    const struct trainer_listener *listener;
    struct trainer_state *state;
    struct schedule schedule; /* its plateau is the state's, while an iteration lasts */
    int64_t iterations;
    int threads;   /* of loaders */
    int is_tested; /* the test data have been gone through */
    struct loader *loader;
    const struct batch *next; /* from the loader, and staged; NULL: not fetched yet */
    double last;              /* when the last iteration ended */
    double waited;            /* seconds for the loader since */
    struct trace *trace;
    int row;
};

int trainer_iterations(const struct net *net, const struct dataset *train, int64_t *iterations) {
    const struct net_options *o = &net->options;
    int64_t by_epochs = o->epochs * loader_batches_per_epoch(train, o->batch);
    if (!o->epochs && !o->max_batches)
        return error_set(ERROR_INPUT,
                         "%s: nothing says how long to train: set epochs or max_batches in [net], "
                         "or give --epochs or --iterations",
                         net->config->path);
    *iterations = o->max_batches;
    if (!o->max_batches || (o->epochs && by_epochs < o->max_batches))
        *iterations = by_epochs;
    return 0;
}

struct trainer_state trainer_start(const struct net *net) {
    return (struct trainer_state){.plateau = schedule_start(&net->options, 0).plateau};
}

/* Takes the next batch from the loader, and begins to send it. The one before it ceases to be. */
static int fetch(struct trainer *trainer) {
    double start = clock_seconds();
    int rc = loader_next(trainer->loader, &trainer->next);
    trainer->waited += clock_seconds() - start;
    if (trainer->trace)
        trace_span(trainer->trace, trainer->row, "wait for data", start, clock_seconds());
    TRY(rc);
    return trainer->next ? team_stage(trainer->team, trainer->train, trainer->next) : 0;
}

/* Whether an evaluation follows the batch: it needs the staging memory for itself. */
static int is_evaluated(const struct trainer *trainer, int64_t index) {
    int64_t per_epoch = loader_batches_per_epoch(trainer->train, trainer->net->options.batch);
    return (index + 1) % per_epoch == 0 || index + 1 == trainer->iterations;
}

/* While the devices work on the batch: the next one. The loader then takes back what this one lies
 * in. */
static int look_ahead(struct trainer *trainer, int64_t index, int is_measured) {
    if (is_evaluated(trainer, index) || is_measured || !team_can_look_ahead(trainer->team))
        return 0;
    TRY(team_wait_sent(trainer->team));
    return fetch(trainer);
}

static int show_gradients(struct trainer *trainer, int64_t index, const struct update *update) {
    TRY(trainer->listener->gradients(trainer->listener->context, index));
    return team_update(trainer->team, update);
}

/* Forward, backward and update over the batch that is staged; the mean of its losses. */
static int learn(struct trainer *trainer, const struct iteration *iteration, double *loss) {
    const struct net_options *o = &trainer->net->options;
    const struct trainer_listener *listener = trainer->listener;
    struct step step = {
        .is_training = 1, .seed = (uint32_t)o->seed, .iteration = (uint32_t)iteration->index};
    struct update update = {
        .rate = iteration->learning_rate, .momentum = o->momentum, .decay = o->decay};
    int is_shown =
        listener->wants_gradients && listener->wants_gradients(listener->context, iteration->index);
    int is_measured = team_is_measured(trainer->team);
    TRY(team_begin(trainer->team, &step, is_shown ? NULL : &update));
    int ahead = look_ahead(trainer, iteration->index, is_measured);
    int rc = team_end(trainer->team, loss);
    if (rc < 0)
        return error_prefix(rc, "iteration %lld: ", (long long)iteration->index + 1);
    TRY(ahead);
    if (is_shown)
        TRY(show_gradients(trainer, iteration->index, &update));
    return is_measured ? team_rebalance(trainer->team) : 0;
}

/* What an evaluation says about the training as a whole. One in the middle of an epoch, at the end
 * of the training, is not the schedule's: a longer training would not have made it. */
static void note_error(struct trainer *trainer, double error, int64_t epoch, int is_whole_epoch) {
    struct trainer_state *state = trainer->state;
    if (state->has_evaluation && (!state->best_iteration || error < state->best_error)) {
        state->best_error = error;
        state->best_epoch = epoch;
        state->best_iteration = state->iteration;
    }
    if (!is_whole_epoch)
        return;
    trainer->schedule.plateau = state->plateau;
    (void)schedule_evaluated(&trainer->schedule, error);
    state->plateau = trainer->schedule.plateau;
    state->epoch_loss = 0;
    state->epoch_samples = 0;
}

static int evaluate_epoch(struct trainer *trainer, int64_t epoch) {
    struct trainer_state *state = trainer->state;
    struct evaluation *evaluation = &state->evaluation;
    double error = state->epoch_loss / (double)(state->epoch_samples ? state->epoch_samples : 1);
    if (trainer->test) {
        struct evaluation_options options = {.threads = trainer->threads,
                                             .is_repeated = trainer->is_tested};
        TRY(team_prepare_evaluation(trainer->team));
        TRY(evaluate(team_replicas(trainer->team), team_size(trainer->team), trainer->test,
                     &options, evaluation));
        trainer->is_tested = 1;
        if (!isfinite(evaluation->loss))
            return error_set(ERROR_NUMERIC,
                             "after epoch %lld: the loss on the test data is not finite; " ADVICE,
                             (long long)epoch + 1);
        error = evaluation->has_errors ? evaluation->top1_error : evaluation->loss;
        state->has_evaluation = 1;
    }
    int64_t per_epoch = loader_batches_per_epoch(trainer->train, trainer->net->options.batch);
    note_error(trainer, error, epoch, state->iteration % per_epoch == 0);
    return trainer->listener->epoch ? trainer->listener->epoch(trainer->listener->context, epoch,
                                                               trainer->test ? evaluation : NULL)
                                    : 0;
}

static int train_batch(struct trainer *trainer, const struct batch *batch) {
    struct trainer_state *state = trainer->state;
    trainer->schedule.plateau = state->plateau;
    struct iteration iteration = {
        .index = batch->index,
        .iterations = trainer->iterations,
        .epoch = batch->epoch,
        .samples = batch->count,
        .learning_rate = schedule_rate(&trainer->schedule, batch->index),
    };
    if (batch->count > 0)
        TRY(learn(trainer, &iteration, &iteration.loss));
    state->iteration = iteration.index + 1;
    state->epoch_loss += iteration.loss * iteration.samples;
    state->epoch_samples += iteration.samples;
    double now = clock_seconds();
    double seconds = fmax(now - trainer->last, 1e-9);
    iteration.images_per_second = iteration.samples / seconds;
    iteration.loader_wait = fmin(trainer->waited / seconds, 1);
    trainer->last = now;
    trainer->waited = 0;
    if (trainer->listener->iteration)
        TRY(trainer->listener->iteration(trainer->listener->context, &iteration));
    if (is_evaluated(trainer, iteration.index))
        TRY(evaluate_epoch(trainer, iteration.epoch));
    int rc =
        trainer->listener->done ? trainer->listener->done(trainer->listener->context, state) : 0;
    if (is_evaluated(trainer, iteration.index))
        trainer->last = clock_seconds();
    return rc;
}

static void show_iteration(struct trainer *trainer, const struct batch *batch, double start) {
    char name[64];
    if (!trainer->trace)
        return;
    (void)snprintf(name, sizeof name, "iteration %lld", (long long)batch->index + 1);
    trace_span(trainer->trace, trainer->row, name, start, clock_seconds());
}

static int run(struct trainer *trainer) {
    int rc = 0;
    while (rc == 0 && trainer->state->iteration < trainer->iterations) {
        if (!trainer->next)
            TRY(fetch(trainer));
        assert(trainer->next);
        struct batch batch = *trainer->next;
        trainer->next = NULL;
        double start = clock_seconds();
        rc = train_batch(trainer, &batch);
        show_iteration(trainer, &batch, start);
    }
    return rc;
}

int trainer_run(struct team *team, const struct dataset *train, const struct dataset *test,
                const struct trainer_options *options, struct trainer_state *state,
                const struct trainer_listener *listener) {
    const struct net *net = replica_net(team_replica(team, 0));
    if (state->iteration >= options->iterations)
        return 0;
    struct trainer trainer = {
        .team = team,
        .net = net,
        .train = train,
        .test = test,
        .listener = listener,
        .state = state,
        .schedule = schedule_start(&net->options, options->iterations),
        .iterations = options->iterations,
        .threads = options->threads,
        .last = clock_seconds(),
        .trace = options->trace,
    };
    struct loader_options loader_options = {
        .batch = net->options.batch,
        .seed = (uint32_t)net->options.seed,
        .shuffle = net->data.shuffle,
        .first = state->iteration,
        .limit = options->iterations - state->iteration,
        .threads = options->threads,
        .is_training = 1,
        .augment = net->augment,
        .colours = options->colours,
        .trace = options->trace,
    };
    if (options->trace)
        TRY(trainer.row = trace_row(options->trace, "trainer", "iterations"));
    TRY(loader_create(&trainer.loader, train, &loader_options));
    int rc = run(&trainer);
    /* A listener or an error may have ended it with a batch on its way: it lies in the loader. */
    if (rc < 0)
        error_hold();
    int waited = team_stage_wait(team);
    if (rc < 0)
        error_release();
    loader_free(trainer.loader);
    return rc == 0 && waited < 0 ? waited : rc;
}
