/* Pictures that a command line names, as a data set without truth. */
#ifndef CLI_PICTURES_H
#define CLI_PICTURES_H

#include "data/dataset.h"
#include "net/net.h"

#include <stdint.h>

/* Paths of pictures; zeroed, none. Free with paths_free. */
struct paths {
    char **texts;
    int64_t count, room;
    int64_t missing; /* that could not be read: each was named on standard error */
};

/* Adds a file, the pictures in a folder and its subfolders, or, for "-", the paths that standard
 * input lists, one a line. */
int paths_add(struct paths *paths, const char *operand);

void paths_free(struct paths *paths);

/* A data set of those pictures, of which any number may be broken. ERROR_INPUT when the net takes
 * no pictures. Free with dataset_free. */
int pictures_open(struct dataset **out, const struct paths *paths, const struct net *net);

#endif
