/* The directory of a training run:
 *
 *     config.cfg                       what is trained, everything filled in
 *     tunings.tsv                      how the devices' kernels were tuned, for the same bits when
 *                                      it goes on: cl/tuning_file.h
 *     classes.txt                      names of the classes, a line each, if the data has them
 *     metrics.jsonl                    a line for each iteration and each evaluation
 *     checkpoint-<iteration>.safetensors   the last few, from which training goes on
 *     best.safetensors                 the checkpoint with the least error on the test data
 *     final.safetensors                the weights at the end
 *     lock                             held by the process that trains, whose id it names
 *
 * Its files are whole at any moment, so that a process may be killed at any moment: config.cfg
 * comes last and makes a directory a run, and each file takes its name when it is complete. Only
 * metrics.jsonl grows; what is in it beyond a checkpoint is cut off when training goes on from
 * there.
 */
#ifndef TRAIN_RUN_H
#define TRAIN_RUN_H

#include "train/trainer.h"

#include <stdio.h>

struct run {
    char *path;
    int lock; /* descriptor; -1: not held */
    FILE *metrics;
    const struct net *net;
    const struct classes *classes;
    double saved_at;         /* clock_seconds of the last checkpoint */
    int64_t saved_iteration; /* its iteration; -1: none yet */
};

/* A run that is not open, for run_close. */
#define RUN_CLOSED ((struct run){.lock = -1, .saved_iteration = -1})

/* Makes a run of a directory: the replica's parameters as its first checkpoint, the tunings of the
 * devices that train, and the config.
 * What a creation that was killed has left there is taken away; a directory that is a run already,
 * or that another process trains in, is ERROR_INPUT. Net and classes must outlive the run. Close
 * with run_close, also on failure. */
int run_create(struct run *run, const char *path, struct replica *replica,
               const struct trainer_state *state, const struct classes *classes,
               struct device *const *devices, int device_count);

/* Takes the lock of a run that is to go on. What is no run, or is in use, is ERROR_INPUT. Close
 * with run_close, also on failure. */
int run_open(struct run *run, const char *path);

/* Goes on with an open run: loads the newest checkpoint that can be read into the replica and
 * *state, and cuts metrics.jsonl off behind it. Net and classes must outlive the run. */
int run_resume(struct run *run, struct replica *replica, struct trainer_state *state,
               const struct classes *classes);

void run_close(struct run *run);

/* Writes config.cfg anew: a run was extended. */
int run_write_config(const struct run *run);

/* Appends a line to metrics.jsonl. */
int run_write_metrics(struct run *run, const char *line);

/* Whether [net] asks for a checkpoint now: at the end of an epoch, or after save_minutes or
 * save_iterations. */
int run_is_save_time(const struct run *run, const struct trainer_state *state,
                     int64_t batches_per_epoch);

/* Writes a checkpoint, unless that iteration has one, and best.safetensors, if it is the best; then
 * removes the checkpoints that `keep` has no room for. */
int run_save(struct run *run, struct replica *replica, const struct trainer_state *state);

/* The path of a file of the run, in new memory that the caller frees; NULL when it is used up. */
char *run_file(const struct run *run, const char *name);

#endif
