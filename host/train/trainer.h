/* Training: batches from the loader through the replica, an update each, an evaluation each epoch.
 */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include "data/loader.h"
#include "net/replica.h"
#include "train/evaluator.h"

struct trainer_options {
    int64_t iterations; /* updates to make; at least 1 */
};

/* What happened in one iteration. */
struct iteration {
    int64_t index; /* from 0 */
    int64_t iterations;
    int64_t epoch; /* from 0 */
    double loss;   /* mean over the batch, before the update */
    double learning_rate;
    double images_per_second;
};

/* The trainer tells what happens; each returns 0, or an error that ends the training. NULL: not
 * wanted. */
struct trainer_listener {
    int (*iteration)(void *context, const struct iteration *iteration);
    /* After each epoch, and at the end; `evaluation` is NULL without test data. */
    int (*epoch)(void *context, int64_t epoch, const struct evaluation *evaluation);
    void *context;
};

/* Updates to make for the net's max_batches and epochs, whichever ends first; ERROR_INPUT when it
 * has neither. */
int trainer_iterations(const struct net *net, const struct dataset *train, int64_t *iterations);

/* Trains. `test` may be NULL. A loss that is not finite is ERROR_NUMERIC, and the message names the
 * iteration and where the first such number is; that iteration makes no update. */
int trainer_run(struct replica *replica, const struct dataset *train, const struct dataset *test,
                const struct trainer_options *options, const struct trainer_listener *listener);

#endif
