#include "base/trace.h"

#include "base/error.h"
#include "base/progress.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS_MAX = 64 };

struct trace {
    FILE *file;
    char *path;
    double start; /* of the file's time, by clock_seconds */
    pthread_mutex_t lock;
    char *groups[GROUPS_MAX];
    int group_count, row_count;
    int *group_of; /* [row_count] */
    int is_first;  /* no event was written yet */
};

int trace_open(struct trace **out, const char *path) {
    struct trace *trace = calloc(1, sizeof *trace);
    char *copy = strdup(path);
    FILE *file = trace && copy ? fopen(path, "w") : NULL;
    if (!file) {
        int rc = trace && copy ? error_set(ERROR_SYSTEM, "%s: %s", path, strerror(errno))
                               : error_no_memory("a trace", sizeof *trace);
        free(trace);
        free(copy);
        return rc;
    }
    *trace = (struct trace){.file = file, .path = copy, .start = clock_seconds(), .is_first = 1};
    pthread_mutex_init(&trace->lock, NULL);
    (void)fputs("[", file);
    *out = trace;
    return 0;
}

int trace_close(struct trace *trace) {
    if (!trace)
        return 0;
    (void)fputs("\n]\n", trace->file);
    int failed = ferror(trace->file) != 0;
    failed |= fclose(trace->file) != 0;
    int rc = failed
                 ? error_set(ERROR_SYSTEM, "%s: the trace could not be written whole", trace->path)
                 : 0;
    pthread_mutex_destroy(&trace->lock);
    for (int i = 0; i < trace->group_count; i++)
        free(trace->groups[i]);
    free(trace->group_of);
    free(trace->path);
    free(trace);
    return rc;
}

/* A string in JSON; what it has no place for, it leaves out. */
static void write_string(FILE *file, const char *text) {
    (void)fputc('"', file);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            (void)fputc('\\', file);
        if ((unsigned char)*text >= ' ')
            (void)fputc(*text, file);
    }
    (void)fputc('"', file);
}

static void begin_event(struct trace *trace) {
    (void)fputs(trace->is_first ? "\n" : ",\n", trace->file);
    trace->is_first = 0;
}

/* What a group (row -1) or a row is called. */
static void write_name(struct trace *trace, int group, int row, const char *name) {
    begin_event(trace);
    (void)fprintf(trace->file, "{\"ph\":\"M\",\"pid\":%d,", group);
    if (row >= 0)
        (void)fprintf(trace->file, "\"tid\":%d,", row);
    (void)fprintf(trace->file,
                  "\"name\":\"%s\",\"args\":{\"name\":", row >= 0 ? "thread_name" : "process_name");
    write_string(trace->file, name);
    (void)fputs("}}", trace->file);
}

/* The group's number; -1 when there is no room for another one. */
static int find_group(struct trace *trace, const char *name) {
    for (int i = 0; i < trace->group_count; i++) {
        if (strcmp(trace->groups[i], name) == 0)
            return i;
    }
    char *copy = trace->group_count < GROUPS_MAX ? strdup(name) : NULL;
    if (!copy)
        return -1;
    trace->groups[trace->group_count] = copy;
    write_name(trace, trace->group_count, -1, name);
    return trace->group_count++;
}

static int add_row(struct trace *trace, const char *group, const char *name) {
    int number = find_group(trace, group);
    int *grown = realloc(trace->group_of, (size_t)(trace->row_count + 1) * sizeof *grown);
    if (grown)
        trace->group_of = grown;
    if (!grown || number < 0)
        return error_set(ERROR_MEMORY, "%s: there is no room for another row", trace->path);
    trace->group_of[trace->row_count] = number;
    write_name(trace, number, trace->row_count, name);
    return trace->row_count++;
}

int trace_row(struct trace *trace, const char *group, const char *name) {
    pthread_mutex_lock(&trace->lock);
    int row = add_row(trace, group, name);
    pthread_mutex_unlock(&trace->lock);
    return row;
}

void trace_span(struct trace *trace, int row, const char *name, double start, double end) {
    pthread_mutex_lock(&trace->lock);
    begin_event(trace);
    (void)fprintf(trace->file,
                  "{\"ph\":\"X\",\"pid\":%d,\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f,\"name\":",
                  trace->group_of[row], row, 1e6 * (start - trace->start), 1e6 * (end - start));
    write_string(trace->file, name);
    (void)fputc('}', trace->file);
    pthread_mutex_unlock(&trace->lock);
}
