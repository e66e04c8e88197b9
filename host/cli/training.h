/* A training as `clnet train` does it: what it is made of, and what it tells while it goes on. */
#ifndef CLI_TRAINING_H
#define CLI_TRAINING_H

#include "base/progress.h"
#include "cli/crew.h"
#include "train/run.h"
#include "train/trainer.h"

struct training {
    struct job job;
    struct dataset *train, *test;
    struct statistics statistics; /* of the training pictures, for pca_noise */
    struct crew crew;
    struct run run;
    struct trainer_state state;
    int64_t iterations; /* of the whole training */
    int is_verbose;

    struct progress progress;
    int64_t first;   /* iterations that were done when this process began */
    double warm;     /* when its first one was done */
    double reported; /* when an epoch was last told of */
};

/* What the trainer calls; its context is the training. */
struct trainer_listener training_listener(struct training *training);

/* Prints how it ended and what to do next. */
int training_print_end(const struct training *training, const char *config);

#endif
