/* Lists of labelled files: `path label` a line, as Caffe has them. The label is the last word, so
 * that a path may hold blanks; empty lines are skipped. */
#ifndef DATA_LIST_H
#define DATA_LIST_H

#include <stddef.h>

struct list_row {
    char *path;
    char *label;
    long line; /* of the file, for messages */
};

struct list {
    long count;
    struct list_row *rows; /* [count] */
    /* Private: what the rows point into. */
    char *storage;
    long room;
};

/* Parses text; `path` is for messages, which name path:line. No rows at all is ERROR_INPUT. The
 * text is copied: free with list_free. */
int list_parse(struct list *list, const char *path, const char *text, size_t length);

void list_free(struct list *list);

#endif
