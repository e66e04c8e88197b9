/* Training: batches from the loader through the team, an update each, an evaluation each epoch.
 */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include "data/loader.h"
#include "train/evaluator.h"
#include "train/schedule.h"
#include "train/team.h"

struct trainer_options {
    int64_t iterations;                      /* batches of the whole training; at least 1 */
    int threads;                             /* of the loader; 0: as it likes */
    const struct colour_components *colours; /* for pca_noise, or NULL */
    struct trace *trace;                     /* shows what the host does; NULL: none */
};

/* Where a training stands between two iterations. With the parameters, their velocity and the
 * config it is all that is needed to go on as if nothing had happened: what is random depends on
 * seed, epoch and iteration alone. */
struct trainer_state {
    int64_t iteration;    /* batches that were learnt from */
    uint64_t fingerprint; /* of the training data; 0: not known */
    struct plateau plateau;
    double epoch_loss; /* sum over the epoch's samples so far */
    int64_t epoch_samples;
    int has_evaluation;
    struct evaluation evaluation; /* the last one */
    int64_t best_epoch;           /* the one with the least error on the test data, from 0 */
    int64_t best_iteration;       /* the state's iteration then; 0: there is none yet */
    double best_error;
};

/* What happened in one iteration. */
struct iteration {
    int64_t index; /* from 0 */
    int64_t iterations;
    int64_t epoch; /* from 0 */
    int samples;   /* 0: all its pictures were broken, and there was no update */
    double loss;   /* mean over the batch, before the update */
    double learning_rate;
    double images_per_second;
    double loader_wait; /* share of its time that went by waiting for the data */
};

/* The trainer tells what happens; each returns 0, or an error that ends the training. NULL: not
 * wanted. */
struct trainer_listener {
    /* Whether the gradients of an iteration, from 0, are to be shown; if so, all replicas hold them
     * when that is called, and make their update afterwards. */
    int (*wants_gradients)(void *context, int64_t index);
    int (*gradients)(void *context, int64_t index);
    int (*iteration)(void *context, const struct iteration *iteration);
    /* After each epoch, and at the end; `evaluation` is NULL without test data. */
    int (*epoch)(void *context, int64_t epoch, const struct evaluation *evaluation);
    /* When all of an iteration is done, its evaluation too: the state is what a checkpoint needs.
     * Returning 1 ends the training here. */
    int (*done)(void *context, const struct trainer_state *state);
    void *context;
};

/* Updates to make for the net's max_batches and epochs, whichever ends first; ERROR_INPUT when it
 * has neither. */
int trainer_iterations(const struct net *net, const struct dataset *train, int64_t *iterations);

/* The state before the first iteration. */
struct trainer_state trainer_start(const struct net *net);

/* Trains from where *state stands up to options->iterations, and keeps *state up to date. `test`
 * may be NULL. A loss that is not finite is ERROR_NUMERIC, and the message names the iteration and
 * where the first such number is; that iteration makes no update. Returns 0 at the end, 1 when the
 * listener ended it, or an error. */
int trainer_run(struct team *team, const struct dataset *train, const struct dataset *test,
                const struct trainer_options *options, struct trainer_state *state,
                const struct trainer_listener *listener);

#endif
