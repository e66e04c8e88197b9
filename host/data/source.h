/* Where the samples of one half come from: the files, found and told apart before any is read, and
 * what turns them into a data set. For dataset.c only. */
#ifndef DATA_SOURCE_H
#define DATA_SOURCE_H

#include "data/dataset.h"

struct source {
    enum data_type type; /* never DATA_AUTO */
    char *samples;       /* IDX pictures, or CSV; NULL when there is no such half */
    char *labels;        /* IDX only */
};

/* Finds the files that the options name. As dataset_open does, it finds no test half where none is
 * named. Free with source_free. */
int source_find(struct source *source, const struct data_options *options, enum data_half half,
                const char *config_path);

void source_free(struct source *source);

/* Fill an empty data set; what is in it after a failure is for dataset_free. `target` is that of
 * struct data_options. */
int source_read_idx(struct dataset *dataset, const struct source *source,
                    const struct data_request *request);
int source_read_csv(struct dataset *dataset, const struct source *source, const char *target,
                    const struct data_request *request);

#endif
