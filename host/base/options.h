/* Options as a table: key, help, type, default, least and greatest exist once, here, and serve the
 * parser, the error messages, the documentation and the written-back config alike.
 *
 * A table describes the fields of a plain struct and ends with a row whose key is NULL. Strings are
 * borrowed from the text they were parsed from. Nothing needs freeing.
 */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include <stddef.h>
#include <stdio.h>

enum option_type {
    OPTION_INT,    /* int */
    OPTION_FLOAT,  /* double */
    OPTION_BOOL,   /* int: 0 or 1 */
    OPTION_STRING, /* const char *, NULL when the default is NULL */
    OPTION_ENUM,   /* int: index into names */
    OPTION_INTS,   /* struct option_ints: "40000,60000" */
    OPTION_FLOATS, /* struct option_floats: ".1,.1" */
};

enum { OPTION_LIST_MAX = 64 };

struct option_ints {
    int count;
    int values[OPTION_LIST_MAX];
};

struct option_floats {
    int count;
    double values[OPTION_LIST_MAX];
};

struct option {
    const char *key;
    const char *help;
    enum option_type type;
    size_t offset;            /* of the field in the struct */
    const char *default_text; /* as a config would say it; NULL: none, the field starts zeroed */
    double least, greatest;   /* inclusive; of numbers and of each element of a list */
    const char *const *names; /* of an enum, NULL-terminated */
};

/* Fills every field with its default. */
void options_defaults(void *target, const struct option *table);

/* The row for key, or NULL. */
const struct option *options_find(const struct option *table, const char *key);

/* Parses text into the row's field. On failure the message says "key: what is wrong" and what was
 * expected, and the field is unchanged. */
int option_set(void *target, const struct option *row, const char *text);

/* Writes the field's value as a config would say it; nothing for a NULL string or an empty list.
 * Returns 1 if something was written. */
int option_print(FILE *out, const void *target, const struct option *row);

/* Whether option_print would write anything. */
int option_is_set(const void *target, const struct option *row);

/* Writes one documentation line or more for each row: key, help, type, range, default. */
void options_document(FILE *out, const struct option *table);

/* The candidate nearest to word by edit distance, or NULL when none is near enough to suggest. */
const char *nearest_name(const char *word, const char *const *candidates, int count);

/* Parses a whole decimal number; ERROR_INPUT with a message that says what was expected. */
int parse_int(const char *text, int *value);
int parse_float(const char *text, double *value);

#endif
