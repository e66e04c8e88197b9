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
    int64_t samples;
};

int evaluate(struct replica *replica, const struct dataset *dataset, struct evaluation *evaluation);

/* A part of a batch: `count` samples from `first` on. */
struct samples batch_part(const struct dataset *dataset, const struct batch *batch, int first,
                          int count);

#endif
