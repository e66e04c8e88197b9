/* The learning rate of each iteration. */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H

#include "net/net.h"

/* What the plateau policy remembers; all of it is here, so that it can be saved. */
struct plateau {
    double rate; /* now */
    double best; /* the least error so far */
    int stale;   /* evaluations since */
    int has_best;
};

struct schedule {
    const struct net_options *options;
    int64_t iterations; /* of the whole training */
    struct plateau plateau;
};

struct schedule schedule_start(const struct net_options *options, int64_t iterations);

/* The rate for the update of this iteration, from 0. Darknet's policies and formulas, but that an
 * iteration counts from 0 for all of them:
 *   constant  rate
 *   step      rate * scale^floor(i / step)
 *   steps     rate * the scales of all steps that i has reached
 *   exp       rate * gamma^i
 *   poly      rate * (1 - i / iterations)^power
 *   sig       rate / (1 + exp(gamma * (i - step)))
 *   plateau   rate, falling by `factor` when the error stops falling
 * During burn_in, for all: rate * ((i + 1) / burn_in)^power. */
double schedule_rate(const struct schedule *schedule, int64_t iteration);

/* Tells the error of an epoch, for plateau: the test data's; the loss on it, where there are no
 * classes; the training loss, where there is no test data. Returns 1 if the rate fell. */
int schedule_evaluated(struct schedule *schedule, double error);

#endif
