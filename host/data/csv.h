/* CSV of numbers: an optional header line of column names, then rows of equal length, separated by
 * commas. Spaces around a field and empty lines are ignored; a field may stand in double quotes.
 * The first line is a header when none of its fields is a number. */
#ifndef DATA_CSV_H
#define DATA_CSV_H

#include <stddef.h>

struct csv {
    int columns;
    long rows;
    char **names;  /* [columns]; NULL when the file has no header */
    float *values; /* [rows][columns] */
    long *lines;   /* [rows]: the line of the file that each row stood in, for messages */
};

/* Parses text; `path` is for messages, which name path:line and the column. Fields that are not
 * finite numbers, and rows of other lengths than the first, are ERROR_INPUT. Free with csv_free. */
int csv_parse(struct csv *csv, const char *path, const char *text, size_t length);

void csv_free(struct csv *csv);

#endif
