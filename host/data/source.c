#include "data/source.h"

#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* What [data] says about one half, and how messages call it. */
struct half_names {
    const char *key, *labels_key;   /* in [data] */
    const char *path, *labels_path; /* their values, or NULL */
    const char *prefix;             /* of the files in a folder */
};

static struct half_names names_of(const struct data_options *options, enum data_half half) {
    if (half == DATA_TRAIN)
        return (struct half_names){"train", "train_labels", options->train, options->train_labels,
                                   "train"};
    return (struct half_names){"test", "test_labels", options->test, options->test_labels, "t10k"};
}

static int ends_with(const char *text, const char *ending) {
    size_t length = strlen(text), tail = strlen(ending);
    return length >= tail && strcasecmp(text + length - tail, ending) == 0;
}

/* What to do about a missing path, where we know. */
static const char *advice(const char *path) {
    static const char datasets[] = "/usr/share/datasets/";
    return strncmp(path, datasets, sizeof datasets - 1) == 0
               ? "; the package dataset-fashion-mnist provides it (./setup installs it)"
               : "";
}

/* Tells whether there is something at the path that a key names, and whether it is a folder. */
static int look_at(const char *key, const char *path, const char *wanted, int *is_folder) {
    struct stat status;
    if (stat(path, &status) != 0)
        return error_set(ERROR_SYSTEM, "data.%s: %s: %s: this should be %s%s", key, path,
                         strerror(errno), wanted, advice(path));
    *is_folder = S_ISDIR(status.st_mode);
    if (!*is_folder && !S_ISREG(status.st_mode))
        return error_set(ERROR_INPUT, "data.%s: %s: neither a regular file nor a folder", key,
                         path);
    return 0;
}

/* Looks in the folder for one of the names under which the file is handed around; *path is NULL
 * when there is none. */
static int find_in_folder(char **path, const char *folder, const char *prefix, const char *what,
                          int dimensions) {
    static const char *const separators[] = {"-", "."};
    static const char *const endings[] = {"", ".gz"};
    for (int i = 0; i < 4; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s-%s%sidx%d-ubyte%s", prefix, what, separators[i / 2],
                       dimensions, endings[i % 2]);
        *path = path_join(folder, name);
        if (!*path)
            return error_no_memory(folder, strlen(folder));
        struct stat status;
        if (stat(*path, &status) == 0)
            return 0;
        free(*path);
        *path = NULL;
    }
    return 0;
}

static int fail_not_in_folder(const char *key, const char *folder, const char *prefix,
                              const char *what, int dimensions) {
    return error_set(ERROR_INPUT, "data.%s: %s: no file %s-%s-idx%d-ubyte or .gz in this folder%s",
                     key, folder, prefix, what, dimensions, advice(folder));
}

/* `optional`: a folder named by `train` need not hold a test half as well. */
static int find_idx_folder(struct source *source, const struct half_names *names,
                           const char *folder, int optional) {
    TRY(find_in_folder(&source->samples, folder, names->prefix, "images", 3));
    TRY(find_in_folder(&source->labels, folder, names->prefix, "labels", 1));
    if (optional && !source->samples && !source->labels)
        return 0;
    if (!source->samples)
        return fail_not_in_folder(names->key, folder, names->prefix, "images", 3);
    if (!source->labels)
        return fail_not_in_folder(names->key, folder, names->prefix, "labels", 1);
    return 0;
}

static int find_idx_files(struct source *source, const struct half_names *names, const char *path,
                          const char *config_path) {
    if (!names->labels_path)
        return error_set(ERROR_INPUT,
                         "data.%s: missing: %s is read as IDX pictures, whose labels stand in a "
                         "file of their own (a CSV file ends in .csv, or needs type=csv)",
                         names->labels_key, path);
    source->samples = strdup(path);
    source->labels = path_beside(config_path, names->labels_path);
    if (!source->samples || !source->labels)
        return error_no_memory(path, strlen(path));
    int is_folder = 0;
    TRY(look_at(names->labels_key, source->labels, "an IDX file of labels", &is_folder));
    if (is_folder)
        return error_set(ERROR_INPUT, "data.%s: %s: a folder; this should be an IDX file of labels",
                         names->labels_key, source->labels);
    return 0;
}

static int find_csv(struct source *source, const struct half_names *names, const char *path) {
    if (names->labels_path)
        return error_set(ERROR_INPUT,
                         "data.%s: goes with IDX files; %s is CSV, whose targets are columns of it "
                         "(see data.target)",
                         names->labels_key, path);
    source->samples = strdup(path);
    return source->samples ? 0 : error_no_memory(path, strlen(path));
}

static int find_folder(struct source *source, const struct data_options *options,
                       const struct half_names *names, const char *path, int optional) {
    if (options->type == DATA_CSV)
        return error_set(ERROR_INPUT, "data.%s: %s: a folder; with type=csv this should be a file",
                         names->key, path);
    if (names->labels_path)
        return error_set(ERROR_INPUT,
                         "data.%s: goes with one IDX file; %s is a folder, which holds the labels",
                         names->labels_key, path);
    return find_idx_folder(source, names, path, optional);
}

/* `shared`: the path is that of `train`, though the other half is looked for. */
static int find_at(struct source *source, const struct data_options *options,
                   const struct half_names *names, const char *path, const char *config_path,
                   int shared) {
    int is_folder = 0;
    TRY(look_at(shared ? "train" : names->key, path,
                "a folder with MNIST's files, an IDX or a CSV file", &is_folder));
    if (is_folder)
        return find_folder(source, options, names, path, shared);
    if (shared)
        return 0;
    int is_csv =
        options->type == DATA_CSV || (options->type == DATA_AUTO && ends_with(path, ".csv"));
    source->type = is_csv ? DATA_CSV : DATA_IDX;
    if (is_csv)
        return find_csv(source, names, path);
    return find_idx_files(source, names, path, config_path);
}

int source_find(struct source *source, const struct data_options *options, enum data_half half,
                const char *config_path) {
    *source = (struct source){.type = DATA_IDX};
    struct half_names names = names_of(options, half);
    if (!names.path && names.labels_path)
        return error_set(ERROR_INPUT, "data.%s: missing, though data.%s is there", names.key,
                         names.labels_key);
    if (half == DATA_TRAIN && !names.path)
        return error_set(ERROR_INPUT, "data.train: missing: it names the samples to learn from");
    const char *named = names.path ? names.path : options->train;
    if (!named)
        return 0;
    char *path = path_beside(config_path, named);
    if (!path)
        return error_no_memory(named, strlen(named));
    int rc = find_at(source, options, &names, path, config_path, !names.path);
    free(path);
    if (rc < 0)
        source_free(source);
    return rc;
}

void source_free(struct source *source) {
    free(source->samples);
    free(source->labels);
    *source = (struct source){0};
}
