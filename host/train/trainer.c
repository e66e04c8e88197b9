#include "train/trainer.h"

#include "base/error.h"
#include "base/progress.h"
#include "train/schedule.h"

#include <math.h>
#include <stdlib.h>

#define ADVICE "a smaller learning rate (--set net.learning_rate=...) may help"

struct trainer {
    struct replica *replica;
    const struct net *net;
    const struct dataset *train, *test;
    const struct trainer_listener *listener;
    struct schedule schedule;
    int64_t iterations;
    float *losses;
    int32_t *ranks;
    double last;       /* when the last iteration ended */
    double epoch_loss; /* sum over the epoch's samples so far */
    int64_t epoch_samples;
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

/* Forward and backward over a batch, in micro-batches; the sum of its losses. */
static int learn(struct trainer *trainer, const struct batch *batch, double *loss) {
    int micro_batch = net_micro_batch(trainer->net);
    double sum = 0;
    for (int first = 0; first < batch->count; first += micro_batch) {
        int count = batch->count - first < micro_batch ? batch->count - first : micro_batch;
        struct samples samples = batch_part(trainer->train, batch, first, count);
        struct step step = {
            .is_training = 1,
            .seed = (uint32_t)trainer->net->options.seed,
            .iteration = (uint32_t)batch->index,
            .first_sample = (uint32_t)first,
            .global_count = batch->count,
        };
        TRY(replica_forward(trainer->replica, &samples, &step));
        TRY(replica_backward(trainer->replica));
        TRY(replica_results(trainer->replica, trainer->losses, trainer->ranks));
        for (int i = 0; i < count; i++)
            sum += (double)trainer->losses[i];
        if (!isfinite(sum))
            return diverged(trainer, &step);
    }
    *loss = sum / batch->count;
    return 0;
}

static int evaluate_epoch(struct trainer *trainer, int64_t epoch) {
    struct evaluation evaluation;
    double error = trainer->epoch_loss / (double)trainer->epoch_samples;
    if (trainer->test) {
        TRY(evaluate(trainer->replica, trainer->test, NULL, &evaluation));
        if (!isfinite(evaluation.loss))
            return error_set(ERROR_NUMERIC,
                             "after epoch %lld: the loss on the test data is not finite; " ADVICE,
                             (long long)epoch + 1);
        error = evaluation.has_errors ? evaluation.top1_error : evaluation.loss;
    }
    (void)schedule_evaluated(&trainer->schedule, error);
    trainer->epoch_loss = 0;
    trainer->epoch_samples = 0;
    if (trainer->listener->epoch)
        TRY(trainer->listener->epoch(trainer->listener->context, epoch,
                                     trainer->test ? &evaluation : NULL));
    trainer->last = clock_seconds();
    return 0;
}

static int train_batch(struct trainer *trainer, const struct batch *batch) {
    const struct net_options *o = &trainer->net->options;
    struct iteration iteration = {
        .index = batch->index,
        .iterations = trainer->iterations,
        .epoch = batch->epoch,
        .learning_rate = schedule_rate(&trainer->schedule, batch->index),
    };
    TRY(learn(trainer, batch, &iteration.loss));
    trainer->epoch_loss += iteration.loss * batch->count;
    trainer->epoch_samples += batch->count;
    TRY(replica_update(trainer->replica, iteration.learning_rate, o->momentum, o->decay));
    double now = clock_seconds();
    iteration.images_per_second = batch->count / fmax(now - trainer->last, 1e-9);
    trainer->last = now;
    if (trainer->listener->iteration)
        TRY(trainer->listener->iteration(trainer->listener->context, &iteration));

    int64_t per_epoch = loader_batches_per_epoch(trainer->train, o->batch);
    int is_last = batch->index + 1 == trainer->iterations;
    return (batch->index + 1) % per_epoch == 0 || is_last ? evaluate_epoch(trainer, batch->epoch)
                                                          : 0;
}

int trainer_run(struct replica *replica, const struct dataset *train, const struct dataset *test,
                const struct trainer_options *options, const struct trainer_listener *listener) {
    const struct net *net = replica_net(replica);
    struct trainer trainer = {
        .replica = replica,
        .net = net,
        .train = train,
        .test = test,
        .listener = listener,
        .schedule = schedule_start(&net->options, options->iterations),
        .iterations = options->iterations,
        .last = clock_seconds(),
    };
    struct loader_options loader_options = {
        .batch = net->options.batch,
        .seed = (uint32_t)net->options.seed,
        .shuffle = net->data.shuffle,
        .limit = options->iterations,
    };
    size_t micro_batch = (size_t)net_micro_batch(net);
    trainer.losses = malloc(micro_batch * sizeof *trainer.losses);
    trainer.ranks = malloc(micro_batch * sizeof *trainer.ranks);
    struct loader *loader = NULL;
    int rc = trainer.losses && trainer.ranks ? loader_create(&loader, train, &loader_options)
                                             : error_no_memory("the trainer", micro_batch * 8);
    const struct batch *batch;
    while (rc >= 0 && (rc = loader_next(loader, &batch)) > 0)
        rc = train_batch(&trainer, batch);
    loader_free(loader);
    free(trainer.losses);
    free(trainer.ranks);
    return rc;
}
