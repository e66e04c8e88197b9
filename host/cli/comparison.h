/* Results of `clnet bench` side by side. */
#ifndef CLI_COMPARISON_H
#define CLI_COMPARISON_H

#include <jansson.h>

/* Reads what `clnet bench --json` wrote. Drop *results with json_decref. */
int comparison_read(json_t **results, const char *path);

/* Prints a table in Markdown: a column for each device of the one result and the other, which have
 * these names; and where that makes two, one for how much faster the other is. Both are as
 * benchmark_results_parse accepts them. */
int comparison_print(const json_t *one, const char *one_name, const json_t *other,
                     const char *other_name);

#endif
