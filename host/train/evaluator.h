/* How good a net is on a data set. */
#ifndef TRAIN_EVALUATOR_H
#define TRAIN_EVALUATOR_H

#include "data/loader.h"
#include "net/replica.h"

struct evaluation {
    double loss;       /* mean over the data set */
    int has_errors;    /* the truth is labels; otherwise the errors mean nothing */
    double top1_error; /* share of samples whose label does not score highest */
    double top5_error; /* ... is not among the five highest */
    int64_t samples;   /* that went in: pictures that are broken do not */
};

/* The samples of a class, and those among them that another class scored higher for. */
struct class_count {
    int64_t samples, errors;
};

struct evaluation_options {
    int crops; /* views of each picture whose probabilities are averaged: 0 or 1, or TEN_CROPS */
    int threads, is_repeated; /* of the loader: see there */

    /* What to fill besides; NULL: not. Labels only. */
    struct class_count *classes; /* [outputs], zero at first */
    int64_t *confusion;          /* [outputs][outputs], truth by prediction; zero at first */

    /* Is shown each sample's outputs; what is not 0 ends it and is returned. */
    int (*show)(void *context, int64_t sample, const float *outputs, int count);
    void *context;
};

/* By replicas of the same parameters, among which the batches are divided. `options` may be NULL.
 * ERROR_INPUT when ten crops are asked of what is no picture, or of a net
 * whose outputs are no probabilities; and when every picture is broken, unless each sample is to be
 * shown: then none is. */
int evaluate(struct replica *const *replicas, int count, const struct dataset *dataset,
             const struct evaluation_options *options, struct evaluation *evaluation);

/* A part of a batch: `count` samples from `first` on. */
struct samples batch_part(const struct dataset *dataset, const struct batch *batch, int first,
                          int count);

#endif
