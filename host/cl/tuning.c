#include "cl/tuning.h"

#include "base/error.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const origin_names[] = {"default", "shipped", "imported", "quick", "full", NULL};

/* ---- tables ---- */

struct tunings {
    struct tuning *rows;
    int count, room;
};

struct tunings *tunings_create(void) {
    return calloc(1, sizeof(struct tunings));
}

void tunings_free(struct tunings *tunings) {
    if (!tunings)
        return;
    free(tunings->rows);
    free(tunings);
}

static struct tuning *find_row(const struct tunings *tunings, const char *kernel,
                               const char *problem, uint64_t source) {
    for (int i = 0; i < tunings->count; i++) {
        struct tuning *row = &tunings->rows[i];
        if (row->source == source && strcmp(row->problem, problem) == 0 &&
            strcmp(row->kernel, kernel) == 0)
            return row;
    }
    return NULL;
}

int tunings_set(struct tunings *tunings, const struct tuning *tuning) {
    struct tuning *row = find_row(tunings, tuning->kernel, tuning->problem, tuning->source);
    if (!row && tunings->count == tunings->room) {
        int room = tunings->room ? 2 * tunings->room : 32;
        struct tuning *rows = realloc(tunings->rows, (size_t)room * sizeof *rows);
        if (!rows)
            return error_no_memory("tunings", (size_t)room * sizeof *rows);
        tunings->rows = rows;
        tunings->room = room;
    }
    if (!row)
        row = &tunings->rows[tunings->count++];
    *row = *tuning;
    return 0;
}

int tunings_count(const struct tunings *tunings) {
    return tunings->count;
}

const struct tuning *tunings_at(const struct tunings *tunings, int i) {
    assert(i >= 0 && i < tunings->count);
    return &tunings->rows[i];
}

static void write_kernel(char kernel[TUNING_NAME], const struct space *space) {
    (void)snprintf(kernel, TUNING_NAME, "%s %s", space->file, space->name);
}

const struct tuning *tunings_find(const struct tunings *tunings, const struct choice *choice) {
    char kernel[TUNING_NAME];
    write_kernel(kernel, choice->space);
    const struct tuning *row =
        find_row(tunings, kernel, choice->problem, kernel_text_hash(choice->space->file));
    return row ? row : find_row(tunings, kernel, choice->problem, 0);
}

/* ---- values as text ---- */

/* Without the TUNE_ that they all begin with. */
static const char *short_name(const struct knob *knob) {
    assert(strncmp(knob->macro, "TUNE_", 5) == 0);
    return knob->macro + 5;
}

static void write_values(char text[TUNING_PROBLEM], const struct space *space, const int values[]) {
    int used = 0;
    for (int i = 0; i < space->knob_count; i++)
        used += snprintf(text + used, (size_t)(TUNING_PROBLEM - used), "%s%s=%d", i ? " " : "",
                         short_name(&space->knobs[i]), values[i]);
    assert(used < TUNING_PROBLEM);
}

/* Whether the text names each knob, in their order, with a number. */
static int read_values(int values[], const struct space *space, const char *text) {
    for (int i = 0; i < space->knob_count; i++) {
        const char *name = short_name(&space->knobs[i]);
        size_t length = strlen(name);
        char *end;
        if ((i > 0 && *text++ != ' ') || strncmp(text, name, length) != 0 || text[length] != '=')
            return 0;
        text += length + 1;
        if (*text < '0' || *text > '9')
            return 0;
        long value = strtol(text, &end, 10);
        if (value > 1 << 20)
            return 0;
        values[i] = (int)value;
        text = end;
    }
    return *text == '\0';
}

/* ---- choosing ---- */

const char *tuning_refuse(const struct space *space, const struct candidate *candidate) {
    for (int i = 0; i < space->knob_count; i++) {
        if (candidate->values[i] < 1)
            return "a value is less than 1";
    }
    for (const struct rule *rule = space->rules; rule->holds; rule++) {
        if (!rule->holds(candidate))
            return rule->broken;
    }
    return NULL;
}

static void write_problem(char text[TUNING_PROBLEM], const struct kernel_spec *spec) {
    int used = 0;
    text[0] = '\0';
    for (int i = 0; i < spec->define_count && used < TUNING_PROBLEM; i++)
        used += snprintf(text + used, (size_t)(TUNING_PROBLEM - used), "%s%s=%s", i ? " " : "",
                         spec->defines[i].name, spec->defines[i].value);
    assert(used < TUNING_PROBLEM);
}

/* Takes what the table says, or says why not. */
static void take(struct choice *choice, const struct target *target, const void *problem,
                 const struct tuning *row) {
    int values[KNOBS_MAX] = {0};
    struct candidate candidate = {.target = target, .problem = problem, .values = values};
    choice->refused = read_values(values, choice->space, row->values)
                          ? tuning_refuse(choice->space, &candidate)
                          : "it does not name the knobs that there are";
    if (choice->refused)
        return;
    memcpy(choice->values, values, sizeof values);
    choice->origin = row->origin;
}

void tuning_choose(struct choice *choice, const struct space *space, const struct target *target,
                   const void *problem, const struct kernel_spec *spec) {
    choice->space = space;
    choice->origin = ORIGIN_DEFAULT;
    choice->refused = NULL;
    memcpy(choice->values, choice->defaults, sizeof choice->values);
    write_problem(choice->problem, spec);
    const struct tuning *row = target->tunings ? tunings_find(target->tunings, choice) : NULL;
    if (row)
        take(choice, target, problem, row);
}

void tuning_define(struct kernel_spec *spec, const struct choice *choice) {
    for (int i = 0; i < choice->space->knob_count; i++)
        kernel_define(spec, choice->space->knobs[i].macro, choice->values[i]);
}

struct tuning tuning_of(const struct choice *choice, const int values[KNOBS_MAX],
                        enum origin origin) {
    struct tuning tuning = {.source = kernel_text_hash(choice->space->file), .origin = origin};
    write_kernel(tuning.kernel, choice->space);
    memcpy(tuning.problem, choice->problem, sizeof tuning.problem);
    write_values(tuning.values, choice->space, values);
    return tuning;
}
