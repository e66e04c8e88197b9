/* The weights of a net as a safetensors file: tensors <layer>.weight and <layer>.bias, of the
 * shapes that PyTorch has; `input.mean`, [C] or [C, H, W], when the replica has a mean; and, in a
 * checkpoint, velocity/<layer>.weight and so on. The metadata `classes` is a JSON array of the
 * classes' names, by label.
 */
#ifndef NET_WEIGHTS_H
#define NET_WEIGHTS_H

#include "data/dataset.h"
#include "data/safetensors.h"
#include "net/replica.h"

/* Writes the replica's parameters and mean; the file is whole or not there. `classes` may be NULL.
 */
int weights_save(const char *path, struct replica *replica, const struct classes *classes);

/* Reads the replica's parameters and, where the file has it, its mean. `classes`, unless NULL, gets
 * a copy of the names, none when the file has none; free with classes_free. A tensor that is
 * missing, that the net does not have, or that has another shape is ERROR_INPUT, naming it, and
 * nothing is loaded. What a checkpoint has beyond the weights is passed over. */
int weights_load(const char *path, struct replica *replica, struct classes *classes);

/* For checkpoints: the same, with more metadata, pairs of key and value; with the velocity if
 * asked, which then must be there. weights_take takes from a file that was read and outlives the
 * call; `path` is for messages. */
int weights_write(const char *path, struct replica *replica, const struct classes *classes,
                  int with_velocity, const char *const metadata[][2], int metadata_count);
int weights_take(const struct safetensors *file, const char *path, struct replica *replica,
                 struct classes *classes, int with_velocity);

#endif
