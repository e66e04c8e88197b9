/* Which class was taken for which, as a file. */
#ifndef CLI_CONFUSION_H
#define CLI_CONFUSION_H

#include "data/dataset.h"

/* The name of a class, or its label where it has none; that text lives in one of a few buffers
 * that take turns. */
const char *class_name(const struct classes *classes, int label);

/* Writes counts [outputs][outputs], truth by prediction: as CSV with the classes' names, or as a
 * picture when the path ends in .png. */
int write_confusion(const char *path, const int64_t *counts, int outputs,
                    const struct classes *names);

#endif
