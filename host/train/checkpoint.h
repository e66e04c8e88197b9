/* A checkpoint: all that a training needs to go on to the same bits, in one safetensors file. The
 * weights stand in it as in any file of weights, and can be used as such; the velocity of each is
 * velocity/<name>; the trainer's state is metadata, its numbers such that no bit is lost.
 */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include "train/trainer.h"

/* Writes the replica and the state; the file is whole or not there. `classes` may be NULL. */
int checkpoint_write(const char *path, struct replica *replica, const struct trainer_state *state,
                     const struct classes *classes);

/* Reads both back. What is no checkpoint of this net and seed is ERROR_INPUT, naming the file and
 * what is wrong, and then nothing has changed. */
int checkpoint_read(const char *path, struct replica *replica, struct trainer_state *state);

#endif
