#include "train/trainer.h"

#include "base/error.h"
#include "base/progress.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define ADVICE "a smaller learning rate (--set net.learning_rate=...) may help"

struct trainer {
    struct replica *replica;
    const struct net *net;
    const struct dataset *train, *test;
    const struct trainer_listener *listener;
    struct trainer_state *state;
    struct schedule schedule; /* its plateau is the state's, while an iteration lasts */
    int64_t iterations;
    int threads;   /* of loaders */
    int is_tested; /* the test data have been gone through */
    struct loader *loader;
    const struct batch *next; /* from the loader, its first part staged; NULL: not fetched yet */
    float *losses;
    int32_t *ranks;
    double last;   /* when the last iteration ended */
    double waited; /* seconds for the loader since */
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

/* Loss not finite: says which iteration, and where the first such number stands. */
static int diverged(struct trainer *trainer, const struct step *step) {
    char where[256];
    int rc = replica_find_nonfinite(trainer->replica, step, where, sizeof where);
    if (rc < 0)
        return rc;
    return error_set(ERROR_NUMERIC,
                     "iteration %u: the loss is not finite; the first that is not is %s; " ADVICE,
                     step->iteration + 1, rc > 0 ? where : "the loss itself");
}

/* Begins to send the part of a batch from `first` on; returns how many samples that is. */
static int stage(struct trainer *trainer, const struct batch *batch, int first) {
    int micro_batch = replica_micro_batch(trainer->replica);
    int count = batch->count - first < micro_batch ? batch->count - first : micro_batch;
    if (count == 0)
        return 0;
    struct samples samples = batch_part(trainer->train, batch, first, count);
    TRY(replica_stage(trainer->replica, &samples));
    return count;
}

/* Takes the next batch from the loader, and begins to send it. The one before it ceases to be. */
static int fetch(struct trainer *trainer) {
    double start = clock_seconds();
    int rc = loader_next(trainer->loader, &trainer->next);
    trainer->waited += clock_seconds() - start;
    TRY(rc);
    return trainer->next ? stage(trainer, trainer->next, 0) : 0;
}

/* Whether an evaluation follows the batch: it needs the staging memory for itself. */
static int is_evaluated(const struct trainer *trainer, int64_t index) {
    int64_t per_epoch = loader_batches_per_epoch(trainer->train, trainer->net->options.batch);
    return (index + 1) % per_epoch == 0 || index + 1 == trainer->iterations;
}

/* While the device works on the batch's last part: the next batch. */
static int look_ahead(struct trainer *trainer, int64_t index) {
    if (is_evaluated(trainer, index))
        return 0;
    TRY(replica_stage_wait(trainer->replica)); /* the loader takes back what it lies in */
    return fetch(trainer);
}

static int add_losses(struct trainer *trainer, int count, const struct step *step, double *sum) {
    TRY(replica_results(trainer->replica, trainer->losses, trainer->ranks));
    for (int i = 0; i < count; i++)
        *sum += (double)trainer->losses[i];
    return isfinite(*sum) ? 0 : diverged(trainer, step);
}

/* Forward and backward over a batch whose first part is staged, in micro-batches; the mean of its
 * losses. The batch is not to be looked into afterwards. */
static int learn(struct trainer *trainer, const struct batch *batch, double *loss) {
    int micro_batch = replica_micro_batch(trainer->replica);
    struct step step = {
        .is_training = 1,
        .seed = (uint32_t)trainer->net->options.seed,
        .iteration = (uint32_t)batch->index,
        .global_count = batch->count,
    };
    double sum = 0;
    int total = batch->count;
    for (int first = 0; first < total; first += micro_batch) {
        step.first_sample = (uint32_t)first;
        TRY(replica_forward_staged(trainer->replica, &step));
        TRY(replica_backward(trainer->replica, NULL, NULL));
        int left = total - first - micro_batch;
        if (left > 0)
            TRY(stage(trainer, batch, first + micro_batch));
        else
            TRY(look_ahead(trainer, batch->index));
        TRY(add_losses(trainer, left > 0 ? micro_batch : micro_batch + left, &step, &sum));
    }
    *loss = sum / total;
    return 0;
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
        TRY(evaluate(trainer->replica, trainer->test, &options, evaluation));
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

static int update(struct trainer *trainer, const struct iteration *iteration) {
    const struct net_options *o = &trainer->net->options;
    if (trainer->listener->gradients)
        TRY(trainer->listener->gradients(trainer->listener->context, iteration->index));
    const struct update update = {
        .rate = iteration->learning_rate, .momentum = o->momentum, .decay = o->decay};
    return replica_update(trainer->replica, &update);
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
    if (batch->count > 0) {
        TRY(learn(trainer, batch, &iteration.loss));
        TRY(update(trainer, &iteration));
    }
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

static int run(struct trainer *trainer) {
    int rc = 0;
    while (rc == 0 && trainer->state->iteration < trainer->iterations) {
        if (!trainer->next)
            TRY(fetch(trainer));
        assert(trainer->next);
        struct batch batch = *trainer->next;
        trainer->next = NULL;
        rc = train_batch(trainer, &batch);
    }
    return rc;
}

int trainer_run(struct replica *replica, const struct dataset *train, const struct dataset *test,
                const struct trainer_options *options, struct trainer_state *state,
                const struct trainer_listener *listener) {
    const struct net *net = replica_net(replica);
    if (state->iteration >= options->iterations)
        return 0;
    struct trainer trainer = {
        .replica = replica,
        .net = net,
        .train = train,
        .test = test,
        .listener = listener,
        .state = state,
        .schedule = schedule_start(&net->options, options->iterations),
        .iterations = options->iterations,
        .threads = options->threads,
        .last = clock_seconds(),
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
    };
    size_t micro_batch = (size_t)replica_micro_batch(trainer.replica);
    trainer.losses = malloc(micro_batch * sizeof *trainer.losses);
    trainer.ranks = malloc(micro_batch * sizeof *trainer.ranks);
    int rc = trainer.losses && trainer.ranks
                 ? loader_create(&trainer.loader, train, &loader_options)
                 : error_no_memory("the trainer", micro_batch * 8);
    if (rc == 0)
        rc = run(&trainer);
    /* A listener or an error may have ended it with a batch on its way: it lies in the loader. */
    int waited = replica_stage_wait(replica);
    loader_free(trainer.loader);
    free(trainer.losses);
    free(trainer.ranks);
    return rc == 0 && waited < 0 ? waited : rc;
}
