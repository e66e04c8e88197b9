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

void tunings_clear(struct tunings *tunings) {
    tunings->count = 0;
}

static struct tuning *find_row(const struct tunings *tunings, const char *kernel,
                               const char *problem) {
    for (int i = 0; i < tunings->count; i++) {
        struct tuning *row = &tunings->rows[i];
        if (strcmp(row->problem, problem) == 0 && strcmp(row->kernel, kernel) == 0)
            return row;
    }
    return NULL;
}

const struct tuning *tunings_about(const struct tunings *tunings, const char *kernel,
                                   const char *problem) {
    return find_row(tunings, kernel, problem);
}

uint64_t tuning_text_hash(const struct tuning *tuning) {
    char file[TUNING_PROBLEM];
    (void)snprintf(file, sizeof file, "%.*s", (int)strcspn(tuning->values, " "), tuning->values);
    return kernel_text_hash(file);
}

int tuning_is_current(const struct tuning *tuning) {
    uint64_t hash = tuning_text_hash(tuning);
    return hash && (tuning->source == 0 || tuning->source == hash);
}

int tunings_set(struct tunings *tunings, const struct tuning *tuning) {
    if (!tuning_is_current(tuning))
        return 0;
    struct tuning *row = find_row(tunings, tuning->kernel, tuning->problem);
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

static void write_kernel(char kernel[TUNING_NAME], const struct choice *choice) {
    (void)snprintf(kernel, TUNING_NAME, "%s %s", choice->operation, choice->pass);
}

const struct tuning *tunings_find(const struct tunings *tunings, const struct choice *choice) {
    char kernel[TUNING_NAME];
    write_kernel(kernel, choice);
    return find_row(tunings, kernel, choice->problem);
}

/* ---- values as text ---- */

/* Without the TUNE_ that they all begin with. */
static const char *short_name(const struct knob *knob) {
    assert(strncmp(knob->macro, "TUNE_", 5) == 0);
    return knob->macro + 5;
}

static void write_values(char text[TUNING_PROBLEM], const struct space *space, const int values[]) {
    int used = snprintf(text, TUNING_PROBLEM, "%s", space->file);
    for (int i = 0; i < space->knob_count; i++)
        used += snprintf(text + used, (size_t)(TUNING_PROBLEM - used), " %s=%d",
                         short_name(&space->knobs[i]), values[i]);
    assert(used < TUNING_PROBLEM);
}

/* What follows the name of the space's file in a row's values, or NULL. */
static const char *values_of(const struct space *space, const char *text) {
    size_t length = strlen(space->file);
    int is_named =
        strncmp(text, space->file, length) == 0 && (text[length] == ' ' || text[length] == '\0');
    return is_named ? text + length : NULL;
}

/* Whether the text names each knob, in their order, each after a space, with a number. */
static int read_values(int values[], const struct space *space, const char *text) {
    for (int i = 0; i < space->knob_count; i++) {
        const char *name = short_name(&space->knobs[i]);
        size_t length = strlen(name);
        char *end;
        if (*text++ != ' ' || strncmp(text, name, length) != 0 || text[length] != '=')
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

/* Takes the values of a row, or says why not. */
static void read_row(struct choice *choice, const struct target *target, const void *problem,
                     const struct tuning *row, const char *text) {
    int values[KNOBS_MAX] = {0};
    struct candidate candidate = {.target = target, .problem = problem, .values = values};
    choice->refused = read_values(values, choice->space, text)
                          ? tuning_refuse(choice->space, &candidate)
                          : "it does not name the knobs that there are";
    if (choice->refused)
        return;
    memcpy(choice->values, values, sizeof values);
    choice->origin = row->origin;
}

const struct choice *tuning_choose(struct choice *ways, int count, const struct target *target,
                                   const void *problem, const struct kernel_spec *spec) {
    struct choice *taken = &ways[0];
    for (int i = 0; i < count; i++) {
        memcpy(ways[i].values, ways[i].defaults, sizeof ways[i].values);
        write_problem(ways[i].problem, spec);
        const struct tuning *row = target->tunings ? tunings_find(target->tunings, &ways[i]) : NULL;
        const char *text = row ? values_of(ways[i].space, row->values) : NULL;
        if (!text)
            continue;
        read_row(&ways[i], target, problem, row, text);
        if (!ways[i].refused)
            taken = &ways[i];
    }
    taken->is_taken = 1;
    return taken;
}

int choice_step(const struct choice *choice, int knob, int value, int step) {
    const int *choices = choice->space->knobs[knob].choices, most = choice->most[knob];
    int below = 0;
    for (int i = 0; i < KNOB_CHOICES_MAX && choices[i] != 0 && !(most && choices[i] > most); i++) {
        if (step > 0 && choices[i] > value)
            return choices[i];
        if (step < 0 && choices[i] < value)
            below = choices[i];
    }
    return below;
}

void tuning_define(struct kernel_spec *spec, const struct space *space, const int values[]) {
    for (int i = 0; i < space->knob_count; i++)
        kernel_define(spec, space->knobs[i].macro, values[i]);
}

struct tuning tuning_of(const struct choice *choice, const int values[KNOBS_MAX],
                        enum origin origin) {
    struct tuning tuning = {.source = kernel_text_hash(choice->space->file), .origin = origin};
    write_kernel(tuning.kernel, choice);
    memcpy(tuning.problem, choice->problem, sizeof tuning.problem);
    write_values(tuning.values, choice->space, values);
    return tuning;
}
