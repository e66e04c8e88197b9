/* The weights of a net as a safetensors file: tensors <layer>.weight and <layer>.bias, of the
 * shapes that PyTorch has. */
#ifndef NET_WEIGHTS_H
#define NET_WEIGHTS_H

#include "net/replica.h"

/* Writes the replica's parameters; the file is whole or not there. */
int weights_save(const char *path, struct replica *replica);

/* Reads the replica's parameters. A tensor that is missing, that the net does not have, or that has
 * another shape is ERROR_INPUT, naming it, and nothing is loaded. */
int weights_load(const char *path, struct replica *replica);

#endif
