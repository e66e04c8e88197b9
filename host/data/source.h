/* Where the samples of one half come from: the files, found and told apart before any is read, and
 * what turns them into a data set. For dataset.c and the sources only. */
#ifndef DATA_SOURCE_H
#define DATA_SOURCE_H

#include "data/dataset.h"

struct source {
    enum data_type type; /* never DATA_AUTO */
    enum data_half half;
    char *samples;     /* a file or a folder; NULL when there is no such half */
    char *labels;      /* IDX files only */
    char *root;        /* list: the folder that its paths are beside; NULL: the list's own */
    double test_share; /* pictures: samples hold both halves, and this share is held out to test
                          on; 0: they are this half */
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
int source_read_folder(struct dataset *dataset, const struct source *source,
                       const struct data_request *request);
int source_read_list(struct dataset *dataset, const struct source *source,
                     const struct data_request *request);
int source_read_tar(struct dataset *dataset, const struct source *source,
                    const struct data_request *request);
int source_read_cifar(struct dataset *dataset, const struct source *source,
                      const struct data_request *request);

/* The names under which CIFAR's files are handed around: whether a folder holds one of either half.
 */
int cifar_in_folder(const char *folder);

/* Sets input, frame and stored of a data set of pictures in memory of shape `held`, or says why
 * they do not suit the request. A picture may also be taken as a vector of its bytes, in the order
 * in which they lie. */
int source_set_shapes(struct dataset *dataset, const char *path, struct shape held,
                      const struct data_request *request);

/* Whether labels become numbers to learn: a loss with a single output that takes numbers is a
 * regression on the label's value. */
int source_labels_are_numbers(const struct data_request *request);

/* Names in the order in which they were found, on the heap. */
struct names {
    int64_t count, room;
    char **texts;
};

int names_add(struct names *names, const char *text);
int names_add_joined(struct names *names, const char *folder, const char *name); /* folder/name */
void names_sort(struct names *names);
void names_free(struct names *names);

/* Adds the names in a folder, but neither hidden ones nor `.` and `..`, sorted. */
int names_add_folder(struct names *names, const char *folder);

/* Picture files as a source finds them: of those that are added, the wanted half is kept. */
struct gathering {
    const struct source *source;
    const struct data_request *request;
    struct picture_files *files;
    int32_t *labels; /* [room] */
    int64_t room;
    int64_t seen;    /* of either half */
    int64_t ignored; /* files that are no pictures */
    void *hash;      /* of what was kept */
};

/* A picture that was found. */
struct found {
    const char *path; /* or the member of the archive */
    const char *name; /* seen from the source's root: what the split and the fingerprint see */
    int label;
    int archive; /* -1, 0, 0 for a file of its own */
    int64_t offset, size;
};

int gathering_start(struct gathering *g, const struct source *source,
                    const struct data_request *request);

/* A label that the network has no output for is ERROR_INPUT. */
int gathering_add(struct gathering *g, const struct found *found);

/* Hands everything over to the data set; that nothing was found is ERROR_INPUT. */
int gathering_finish(struct gathering *g, struct dataset *dataset);

void gathering_free(struct gathering *g);

/* Labels for classes that the data names. The names become the data set's, unless the request has
 * some already: then labels are by those, and a name that is not among them is ERROR_INPUT.
 * *labels, [names->count], is for the caller to free. */
int source_name_classes(struct dataset *dataset, int **labels, const struct names *names,
                        const char *path, const struct data_request *request);

#endif
