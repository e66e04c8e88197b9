/* A timeline of what happened when, for chrome://tracing and ui.perfetto.dev: Chrome's trace event
 * format, JSON. Rows ("threads") belong to groups ("processes"), and hold spans.
 *
 * Spans are written as they come, from any thread, so that a process that is killed leaves a file
 * that the viewers still read.
 */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include <stddef.h>

struct trace;

/* Begins a file, over what is there; ERROR_SYSTEM names it. Close with trace_close. */
int trace_open(struct trace **out, const char *path);

/* Completes the file. NULL is fine. What could not be written is ERROR_SYSTEM. */
int trace_close(struct trace *trace);

/* A row of that name in the group of that name, which is made when it is new. Rows stand in the
 * order in which they were made. */
int trace_row(struct trace *trace, const char *group, const char *name);

/* Adds a span to a row; times are of clock_seconds. Spans of a row may nest but not overlap
 * otherwise. */
void trace_span(struct trace *trace, int row, const char *name, double start, double end);

#endif
