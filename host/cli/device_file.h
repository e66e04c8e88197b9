/* Devices that are not here, described in a file: a section [device] in a config's syntax. */
#ifndef CLI_DEVICE_FILE_H
#define CLI_DEVICE_FILE_H

#include "cl/device.h"

#include <stdio.h>

/* A device, and its limits as its maker says them; 0: not said. */
struct device_file {
    struct device_info info;
    double gflops, bandwidth; /* 10^9 multiply-adds x 2, and bytes, a second */
};

/* Reads a description. What is wrong with it is ERROR_INPUT, with file:line and key. */
int device_file_read(struct device_file *out, const char *path);

/* Says what a description may hold. */
void device_file_document(FILE *out);

#endif
