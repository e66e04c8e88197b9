/* Tunings as a text that people read, share and ship. One form for all: what `clnet tune` exports
 * and imports, what a run keeps beside its config, and what comes with the program
 * (kernels_cl/tunings.tsv).
 *
 * The first line says the version and names the columns, which tabs separate; then each line is a
 * tuning:
 *
 *     platform, device   where it holds: the names as a device gives them, or patterns, fnmatch(3)
 *     driver             with which it was found; says nothing about where it holds
 *     kernel, problem, values, origin    as in struct tuning
 *     source             kernel_text_hash of the values' file, in hexadecimal; or `any`
 *     ms, ms before      of a pass, with these values and with those before; 0: unknown
 *
 * Lines that are empty or begin with # say nothing, and the first line may come again: files can be
 * joined by putting one behind the other. Where two lines speak of the same, the later one counts.
 */
#ifndef CL_TUNING_FILE_H
#define CL_TUNING_FILE_H

#include "cl/device.h"
#include "cl/tuning.h"

#include <stddef.h>
#include <stdio.h>

enum { TUNING_FILE_BYTES_MAX = 16 << 20, TUNING_FILE_ROWS_MAX = 1 << 16 };

/* A tuning, and where it holds. */
struct tuning_row {
    char platform[DEVICE_TEXT], device[DEVICE_TEXT], driver[DEVICE_TEXT];
    struct tuning tuning;
};

struct tuning_file {
    struct tuning_row *rows;
    int count;
};

/* Reads a file, or text of a given length that path names in messages. What is accepted fits its
 * place, has no control characters, and its numbers are finite and not negative; whether there are
 * such kernels and values is for those to say who use it. ERROR_INPUT names path, line and column.
 * Free with tuning_file_free, also after a failure. */
int tuning_file_read(struct tuning_file *file, const char *path);
int tuning_file_parse(struct tuning_file *file, const char *path, const char *text, size_t length);

void tuning_file_free(struct tuning_file *file);

/* Whether a row holds on a device. */
int tuning_row_is_of(const struct tuning_row *row, const struct device_info *device);

/* Write the first line, and a row. A control character in a name becomes a ?, which as a pattern
 * stands for it. Whether all could be written is for the stream's owner to ask. */
void tuning_file_begin(FILE *out);
void tuning_row_write(FILE *out, const struct tuning_row *row);

/* Writes what the devices' tables have of this origin or of later ones, once where devices are of
 * the same name and driver. Returns how many rows, or what file_create and file_commit fail with.
 */
int tuning_file_save(const char *path, struct device *const *devices, int count,
                     enum origin earliest);

/* Adds to a device's table what a text like shipped_tunings (cl/source.h) has for it: of origin
 * `shipped` and of any source, whatever it says of how that was found. */
int tuning_file_add_shipped(struct tunings *tunings, const struct device_info *device,
                            const char *text);

/* Replaces a device's table, but nothing of what later runs find, by the rows of a file that hold
 * on it, if there are any. Returns how many of these are left out, since they were found of other
 * texts of the kernels than there are now. A file that cannot be read changes nothing. */
int tuning_file_load(const char *path, struct device *device);

/* What came of the rows that hold on a device. */
struct tuning_import {
    int imported;
    int found_here;    /* left out: a tuning that was found here stays */
    int other_sources; /* left out: found of another text of the kernels */
};

/* Keeps a file's rows that hold on a device, for this run and later ones, as imported, and as long
 * as the kernels' texts are what they are now. ERROR_SYSTEM where nothing can be kept. */
int tuning_file_import(const struct tuning_file *file, struct device *device,
                       struct tuning_import *done);

#endif
