#include "data/source.h"

#include "base/error.h"
#include "base/file.h"
#include "data/csv.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FEATURE = -1 };

/* What the columns of a file are for. */
struct roles {
    const struct csv *csv;
    const char *path;
    int *roles;  /* [columns]: FEATURE, or which of the targets */
    int targets; /* assigned so far */
};

/* The column with this name, or with this number from 1 when the file has no header. */
static int find_column(int *column, const struct roles *r, const char *name) {
    const struct csv *csv = r->csv;
    if (!csv->names) {
        if (parse_int(name, column) < 0 || *column < 1 || *column > csv->columns)
            return error_set(ERROR_INPUT,
                             "data.target: '%.100s': %s has no header, so that its columns are "
                             "named by number, 1..%d",
                             name, r->path, csv->columns);
        (*column)--;
        return 0;
    }
    int found = 0;
    for (int i = 0; i < csv->columns; i++) {
        if (strcmp(csv->names[i], name) == 0 && found++ == 0)
            *column = i;
    }
    if (found == 1)
        return 0;
    if (found > 1)
        return error_set(ERROR_INPUT, "data.target: %d columns of %s are called '%.100s'", found,
                         r->path, name);
    const char *near = nearest_name(name, (const char *const *)csv->names, csv->columns);
    return error_set(ERROR_INPUT, "data.target: no column of %s is called '%.100s'%s%s%s", r->path,
                     name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int assign_column(struct roles *r, const char *name) {
    int column;
    TRY(find_column(&column, r, name));
    if (r->roles[column] != FEATURE)
        return error_set(ERROR_INPUT, "data.target: column '%.100s' stands twice", name);
    r->roles[column] = r->targets++;
    return 0;
}

/* Goes through a list of columns; the text is cut up. */
static int assign_list(struct roles *r, char *list) {
    for (char *name = list; name;) {
        char *comma = strchr(name, ',');
        char *end = comma ? comma : name + strlen(name);
        while (name < end && isspace((unsigned char)*name))
            name++;
        while (name < end && isspace((unsigned char)end[-1]))
            end--;
        *end = '\0';
        TRY(assign_column(r, name));
        name = comma ? comma + 1 : NULL;
    }
    return 0;
}

static int assign_named(struct roles *r, const char *target, int wanted) {
    char *list = strdup(target);
    if (!list)
        return error_no_memory("data.target", strlen(target));
    int rc = assign_list(r, list);
    free(list);
    if (rc == 0 && r->targets != wanted)
        rc = error_set(ERROR_INPUT, "data.target: names %d columns; the network's loss wants %d",
                       r->targets, wanted);
    return rc;
}

static int assign_last(struct roles *r, int wanted) {
    const struct csv *csv = r->csv;
    if (wanted >= csv->columns)
        return error_set(ERROR_INPUT,
                         "%s has %d columns; the last %d are the targets, which leaves no input",
                         r->path, csv->columns, wanted);
    for (int i = csv->columns - wanted; i < csv->columns; i++)
        r->roles[i] = r->targets++;
    return 0;
}

static int assign_roles(struct roles *r, const char *target, const struct data_request *request) {
    const struct csv *csv = r->csv;
    r->roles = malloc((size_t)csv->columns * sizeof *r->roles);
    if (!r->roles)
        return error_no_memory(r->path, (size_t)csv->columns * sizeof *r->roles);
    for (int i = 0; i < csv->columns; i++)
        r->roles[i] = FEATURE;
    int wanted = request->labels_only ? 1 : request->outputs;
    TRY(target ? assign_named(r, target, wanted) : assign_last(r, wanted));

    int features = csv->columns - wanted;
    struct shape s = request->input;
    if (features != shape_elements(s))
        return error_set(ERROR_INPUT,
                         "%s has %d columns, %d for the target and %d for the input; the network "
                         "expects an input of %" PRId64 " (%dx%dx%d, w x h x c)",
                         r->path, csv->columns, wanted, features, shape_elements(s), s.w, s.h, s.c);
    return 0;
}

static int set_label(int32_t *label, const struct roles *r, long row, int column, int outputs) {
    const struct csv *csv = r->csv;
    float value = csv->values[(size_t)row * (size_t)csv->columns + (size_t)column];
    if (value < 0 || value >= (float)outputs || value != floorf(value)) {
        const char *name = csv->names ? csv->names[column] : "the target";
        return error_set(ERROR_INPUT,
                         "%s:%ld: column %d (%.60s): %.9g is not a label; expected a whole number "
                         "in 0..%d",
                         r->path, csv->lines[row], column + 1, name, (double)value, outputs - 1);
    }
    *label = (int32_t)value;
    return 0;
}

static int allocate(struct dataset *dataset, const struct roles *r, int labels_only) {
    size_t count = (size_t)r->csv->rows;
    size_t features = (size_t)(r->csv->columns - r->targets), targets = (size_t)r->targets;
    dataset->floats = calloc(count, features * sizeof *dataset->floats);
    if (labels_only)
        dataset->labels = calloc(count, sizeof *dataset->labels);
    else
        dataset->targets = calloc(count * targets + 1, sizeof *dataset->targets);
    if (!dataset->floats || (!dataset->labels && !dataset->targets))
        return error_no_memory(r->path, count * (features + targets) * sizeof *dataset->floats);
    return 0;
}

/* Deals the fields of the rows out to inputs and targets. */
static int deal(struct dataset *dataset, const struct roles *r) {
    const struct csv *csv = r->csv;
    float *feature = dataset->floats;
    for (long row = 0; row < csv->rows; row++) {
        const float *values = csv->values + (size_t)row * (size_t)csv->columns;
        for (int c = 0; c < csv->columns; c++) {
            if (r->roles[c] == FEATURE)
                *feature++ = values[c];
            else if (dataset->labels)
                TRY(set_label(&dataset->labels[row], r, row, c, dataset->outputs));
            else
                dataset->targets[row * r->targets + r->roles[c]] = values[c];
        }
    }
    return 0;
}

static int take(struct dataset *dataset, const struct csv *csv, const char *path,
                const char *target, const struct data_request *request) {
    struct roles roles = {.csv = csv, .path = path};
    int rc;
    TRY_OR(done, assign_roles(&roles, target, request));
    TRY_OR(done, allocate(dataset, &roles, request->labels_only));
    dataset->input = dataset->frame = dataset->stored = request->input;
    dataset->count = csv->rows;
    rc = deal(dataset, &roles);
done:
    free(roles.roles);
    return rc;
}

int source_read_csv(struct dataset *dataset, const struct source *source, const char *target,
                    const struct data_request *request) {
    char *text;
    size_t length;
    TRY(file_read(source->samples, SIZE_MAX, &text, &length));
    struct csv csv;
    int rc = csv_parse(&csv, source->samples, text, length);
    free(text);
    TRY(rc);
    rc = take(dataset, &csv, source->samples, target, request);
    csv_free(&csv);
    return rc;
}
