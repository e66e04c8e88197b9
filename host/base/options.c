#include "base/options.h"

#include "base/error.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *field(void *target, const struct option *row) {
    return (char *)target + row->offset;
}

static const void *const_field(const void *target, const struct option *row) {
    return (const char *)target + row->offset;
}

int parse_int(const char *text, int *value) {
    char *end;
    errno = 0;
    long parsed = strtol(text, &end, 10);
    if (end == text || *end != '\0')
        return error_set(ERROR_INPUT, "'%.100s' is not a whole number", text);
    if (errno == ERANGE || parsed < INT_MIN || parsed > INT_MAX)
        return error_set(ERROR_INPUT, "%.100s is too large a number", text);
    *value = (int)parsed;
    return 0;
}

int parse_float(const char *text, double *value) {
    char *end;
    double parsed = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(parsed))
        return error_set(ERROR_INPUT, "'%.100s' is not a number", text);
    *value = parsed;
    return 0;
}

static int check_range(const struct option *row, double value, const char *text) {
    if (value >= row->least && value <= row->greatest)
        return 0;
    return error_set(ERROR_INPUT, "%.100s is outside %.10g..%.10g", text, row->least,
                     row->greatest);
}

static int set_int(const struct option *row, const char *text, int *value) {
    int parsed = 0;
    TRY(parse_int(text, &parsed));
    TRY(check_range(row, parsed, text));
    *value = parsed;
    return 0;
}

static int set_float(const struct option *row, const char *text, double *value) {
    double parsed = 0;
    TRY(parse_float(text, &parsed));
    TRY(check_range(row, parsed, text));
    *value = parsed;
    return 0;
}

static int set_enum(const struct option *row, const char *text, int *value) {
    int count = 0;
    char known[512] = "";
    for (; row->names[count]; count++) {
        if (strcmp(row->names[count], text) == 0) {
            *value = count;
            return 0;
        }
        size_t used = strlen(known);
        (void)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "",
                       row->names[count]);
    }
    const char *near = nearest_name(text, row->names, count);
    if (near)
        return error_set(ERROR_INPUT, "'%.100s' is not known; did you mean '%s'? (one of %s)", text,
                         near, known);
    return error_set(ERROR_INPUT, "'%.100s' is not known; it is one of %s", text, known);
}

/* Calls set for each element of a comma-separated list. */
static int set_list(const struct option *row, const char *text, struct option_ints *ints,
                    struct option_floats *floats) {
    int count = 0;
    const char *rest = *text ? text : NULL; /* NULL at the end; a comma announces another element */
    while (rest) {
        char element[64];
        size_t length = strcspn(rest, ",");
        const char *next = rest[length] ? rest + length + 1 : NULL;
        while (length && isspace((unsigned char)*rest))
            rest++, length--;
        while (length && isspace((unsigned char)rest[length - 1]))
            length--;
        if (length >= sizeof element)
            return error_set(ERROR_INPUT, "'%.100s' has an element that is not a number", text);
        if (count == OPTION_LIST_MAX)
            return error_set(ERROR_INPUT, "a list has at most %d elements", OPTION_LIST_MAX);
        memcpy(element, rest, length);
        element[length] = '\0';
        if (ints)
            TRY(set_int(row, element, &ints->values[count]));
        else
            TRY(set_float(row, element, &floats->values[count]));
        count++;
        rest = next;
    }
    if (ints)
        ints->count = count;
    else
        floats->count = count;
    return 0;
}

static int set_value(void *target, const struct option *row, const char *text) {
    switch (row->type) {
    case OPTION_INT:
        return set_int(row, text, field(target, row));
    case OPTION_FLOAT:
        return set_float(row, text, field(target, row));
    case OPTION_BOOL: {
        if (strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
            return error_set(ERROR_INPUT, "'%.100s' is neither 0 nor 1", text);
        *(int *)field(target, row) = text[0] == '1';
        return 0;
    }
    case OPTION_STRING:
        *(const char **)field(target, row) = text;
        return 0;
    case OPTION_ENUM:
        return set_enum(row, text, field(target, row));
    case OPTION_INTS: {
        struct option_ints list = {0};
        TRY(set_list(row, text, &list, NULL));
        *(struct option_ints *)field(target, row) = list;
        return 0;
    }
    case OPTION_FLOATS: {
        struct option_floats list = {0};
        TRY(set_list(row, text, NULL, &list));
        *(struct option_floats *)field(target, row) = list;
        return 0;
    }
    }
    return 0;
}

int option_set(void *target, const struct option *row, const char *text) {
    int rc = set_value(target, row, text);
    return rc < 0 ? error_prefix(rc, "%s: ", row->key) : 0;
}

static void zero(void *target, const struct option *row) {
    switch (row->type) {
    case OPTION_INT:
    case OPTION_BOOL:
    case OPTION_ENUM:
        *(int *)field(target, row) = 0;
        break;
    case OPTION_FLOAT:
        *(double *)field(target, row) = 0;
        break;
    case OPTION_STRING:
        *(const char **)field(target, row) = NULL;
        break;
    case OPTION_INTS:
        *(struct option_ints *)field(target, row) = (struct option_ints){0};
        break;
    case OPTION_FLOATS:
        *(struct option_floats *)field(target, row) = (struct option_floats){0};
        break;
    }
}

void options_defaults(void *target, const struct option *table) {
    for (const struct option *row = table; row->key; row++) {
        zero(target, row);
        if (row->default_text && option_set(target, row, row->default_text) < 0)
            abort(); /* a table whose default does not parse is the programmer's mistake */
    }
}

const struct option *options_find(const struct option *table, const char *key) {
    for (const struct option *row = table; row->key; row++) {
        if (strcmp(row->key, key) == 0)
            return row;
    }
    return NULL;
}

/* The shortest decimal that reads back as the same number: 0.1, not 0.10000000000000001. */
static void print_float(FILE *out, double value) {
    char text[32];
    for (int digits = 6; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    (void)fputs(text, out);
}

int option_print(FILE *out, const void *target, const struct option *row) {
    const void *value = const_field(target, row);
    switch (row->type) {
    case OPTION_INT:
    case OPTION_BOOL:
        (void)fprintf(out, "%d", *(const int *)value);
        return 1;
    case OPTION_FLOAT:
        print_float(out, *(const double *)value);
        return 1;
    case OPTION_STRING: {
        const char *text = *(const char *const *)value;
        if (text)
            (void)fputs(text, out);
        return text != NULL;
    }
    case OPTION_ENUM:
        (void)fputs(row->names[*(const int *)value], out);
        return 1;
    case OPTION_INTS: {
        const struct option_ints *list = value;
        for (int i = 0; i < list->count; i++)
            (void)fprintf(out, "%s%d", i ? "," : "", list->values[i]);
        return list->count > 0;
    }
    case OPTION_FLOATS: {
        const struct option_floats *list = value;
        for (int i = 0; i < list->count; i++) {
            (void)fputs(i ? "," : "", out);
            print_float(out, list->values[i]);
        }
        return list->count > 0;
    }
    }
    return 0;
}

int option_is_set(const void *target, const struct option *row) {
    const void *value = const_field(target, row);
    switch (row->type) {
    case OPTION_STRING:
        return *(const char *const *)value != NULL;
    case OPTION_INTS:
        return ((const struct option_ints *)value)->count > 0;
    case OPTION_FLOATS:
        return ((const struct option_floats *)value)->count > 0;
    default:
        return 1;
    }
}

static void print_range(FILE *out, const struct option *row) {
    (void)fprintf(out, ", %.10g..", row->least);
    if (row->greatest < INT_MAX)
        (void)fprintf(out, "%.10g", row->greatest);
}

void options_document(FILE *out, const struct option *table) {
    for (const struct option *row = table; row->key; row++) {
        (void)fprintf(out, "  %-18s %s\n  %-18s (", row->key, row->help, "");
        switch (row->type) {
        case OPTION_INT:
            (void)fputs("whole number", out);
            print_range(out, row);
            break;
        case OPTION_FLOAT:
            (void)fputs("number", out);
            print_range(out, row);
            break;
        case OPTION_BOOL:
            (void)fputs("0 or 1", out);
            break;
        case OPTION_STRING:
            (void)fputs("text", out);
            break;
        case OPTION_ENUM:
            (void)fputs("one of", out);
            for (int i = 0; row->names[i]; i++)
                (void)fprintf(out, "%s %s", i ? "," : "", row->names[i]);
            break;
        case OPTION_INTS:
            (void)fputs("list of whole numbers, with commas", out);
            print_range(out, row);
            break;
        case OPTION_FLOATS:
            (void)fputs("list of numbers, with commas", out);
            print_range(out, row);
            break;
        }
        if (row->default_text)
            (void)fprintf(out, "; default %s", row->default_text);
        (void)fputs(")\n", out);
    }
}

/* Levenshtein's distance: the least number of insertions, deletions and substitutions. */
static int edit_distance(const char *a, const char *b) {
    enum { LONGEST = 63 };
    size_t m = strlen(a), n = strlen(b);
    if (m > LONGEST || n > LONGEST)
        return INT_MAX;
    int row[LONGEST + 1];
    for (size_t j = 0; j <= n; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= m; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= n; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[n];
}

const char *nearest_name(const char *word, const char *const *candidates, int count) {
    const char *best = NULL;
    int least = INT_MAX;
    for (int i = 0; i < count; i++) {
        int distance = edit_distance(word, candidates[i]);
        if (distance < least) {
            least = distance;
            best = candidates[i];
        }
    }
    /* Up to a third of the letters may be wrong; beyond that a suggestion only confuses. */
    return least <= 1 + (int)strlen(word) / 3 ? best : NULL;
}
