#include "data/source.h"

#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* What to do about a missing path, where we know. */
static const char *advice(const char *path) {
    static const char datasets[] = "/usr/share/datasets/", openclipart[] = "/usr/share/openclipart";
    if (strncmp(path, datasets, sizeof datasets - 1) == 0)
        return "; the package dataset-fashion-mnist provides it (./setup installs it)";
    if (strncmp(path, openclipart, sizeof openclipart - 1) == 0)
        return "; the package openclipart-png provides it (./setup --with-openclipart installs it)";
    return "";
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
        return error_set(
            ERROR_INPUT,
            "data.%s: missing: %s is read as IDX pictures, whose labels stand in a "
            "file of their own (a CSV file ends in .csv and a list in .txt, or type= says it)",
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

static int keep_samples(struct source *source, const char *path) {
    source->samples = strdup(path);
    return source->samples ? 0 : error_no_memory(path, strlen(path));
}

static int find_csv(struct source *source, const struct half_names *names, const char *path) {
    if (names->labels_path)
        return error_set(ERROR_INPUT,
                         "data.%s: goes with IDX files; %s is CSV, whose targets are columns of it "
                         "(see data.target)",
                         names->labels_key, path);
    return keep_samples(source, path);
}

/* What is asked for, and where. */
struct search {
    const struct data_options *options;
    struct half_names names;
    const char *config_path;
    int shared; /* the path is that of `train`, though the test half is looked for */
};

/* Pictures in files: the half that `test` does not name is a share of train, if any. */
static int find_pictures(struct source *source, const struct search *search, const char *path) {
    const struct data_options *options = search->options;
    if (!options->test)
        source->test_share = options->test_share;
    if (search->shared && source->test_share == 0)
        return 0;
    if (source->type == DATA_LIST && options->root) {
        source->root = path_beside(search->config_path, options->root);
        if (!source->root)
            return error_no_memory(options->root, strlen(options->root));
    }
    return keep_samples(source, path);
}

/* Whether there is such a folder in a folder; negative on an error. */
static int has_folder(const char *folder, const char *name) {
    char *path = path_join(folder, name);
    if (!path)
        return error_no_memory(folder, strlen(folder));
    struct stat status;
    int found = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    free(path);
    return found;
}

/* Whether MNIST's files lie in a folder, of either half; negative on an error. */
static int has_idx(const char *folder) {
    static const char *const prefixes[] = {"train", "t10k"};
    int found = 0;
    for (int i = 0; i < 4 && !found; i++) {
        char *path;
        TRY(find_in_folder(&path, folder, prefixes[i / 2], i % 2 ? "labels" : "images",
                           i % 2 ? 1 : 3));
        found = path != NULL;
        free(path);
    }
    return found;
}

/* What a folder's entries say: archives, or else folders; negative on an error, DATA_AUTO when
 * neither. */
static int type_by_entries(const char *folder) {
    struct names names = {0};
    int type = DATA_AUTO;
    int rc = names_add_folder(&names, folder);
    for (int64_t i = 0; rc == 0 && i < names.count && type != DATA_TAR; i++) {
        if (path_has_ending(names.texts[i], ".tar"))
            type = DATA_TAR;
        else if (type == DATA_AUTO)
            type = (rc = has_folder(folder, names.texts[i])) > 0 ? DATA_FOLDER : DATA_AUTO;
        rc = rc < 0 ? rc : 0;
    }
    names_free(&names);
    return rc < 0 ? rc : type;
}

/* What kind of data a folder holds; negative on an error. */
static int type_of_folder(const struct search *search, const char *folder) {
    if (search->options->type != DATA_AUTO)
        return search->options->type;
    int found = has_idx(folder);
    if (found)
        return found < 0 ? found : DATA_IDX;
    found = cifar_in_folder(folder);
    if (found)
        return found < 0 ? found : DATA_CIFAR;
    return type_by_entries(folder);
}

static int find_cifar_folder(struct source *source, const struct search *search, const char *path) {
    /* As MNIST's, the folder holds both halves. */
    if (search->shared) {
        static const char *const tests[] = {"test_batch.bin", "test.bin"};
        int found = 0;
        for (int i = 0; i < 2 && !found; i++) {
            char *file = path_join(path, tests[i]);
            if (!file)
                return error_no_memory(path, strlen(path));
            struct stat status;
            found = stat(file, &status) == 0;
            free(file);
        }
        if (!found)
            return 0;
    }
    return keep_samples(source, path);
}

static int find_in(struct source *source, const struct search *search, const char *path) {
    const struct half_names *names = &search->names;
    int type = type_of_folder(search, path);
    TRY(type);
    source->type = (enum data_type)type;
    switch (source->type) {
    case DATA_IDX:
        return find_idx_folder(source, names, path, search->shared);
    case DATA_CIFAR:
        return find_cifar_folder(source, search, path);
    case DATA_FOLDER:
    case DATA_TAR:
        return find_pictures(source, search, path);
    case DATA_CSV:
    case DATA_LIST:
        return error_set(ERROR_INPUT, "data.%s: %s: a folder; with type=%s this should be a file",
                         names->key, path, source->type == DATA_CSV ? "csv" : "list");
    default:
        break;
    }
    if (search->shared)
        return 0;
    return error_set(ERROR_INPUT,
                     "data.%s: %s: no file %s-images-idx3-ubyte or .gz in this folder, no folders "
                     "of classes, no .tar and none of CIFAR's .bin files%s",
                     names->key, path, names->prefix, advice(path));
}

/* A folder of a folder for each half, as ImageNet is unpacked: *half_path is that of the half that
 * is looked for, or NULL. */
static int find_half_folder(char **half_path, const struct search *search, const char *path,
                            enum data_half half) {
    *half_path = NULL;
    enum data_type type = (enum data_type)search->options->type;
    if (search->options->test || (type != DATA_AUTO && type != DATA_FOLDER && type != DATA_TAR))
        return 0;
    int train = has_folder(path, "train"), test = has_folder(path, "test"),
        val = has_folder(path, "val");
    if (train <= 0 || (test <= 0 && val <= 0))
        return train < 0 ? train : 0;
    *half_path = path_join(path, half == DATA_TRAIN ? "train" : test > 0 ? "test" : "val");
    return *half_path ? 0 : error_no_memory(path, strlen(path));
}

static int find_folder(struct source *source, const struct search *search, const char *path) {
    if (search->names.labels_path)
        return error_set(ERROR_INPUT,
                         "data.%s: goes with one IDX file; %s is a folder, which holds the labels",
                         search->names.labels_key, path);
    char *half_path;
    TRY(find_half_folder(&half_path, search, path, source->half));
    if (!half_path)
        return find_in(source, search, path);
    /* From here on it is as if `train` and `test` had named them. */
    struct search inner = *search;
    struct data_options options = *search->options;
    options.test_share = 0;
    inner.options = &options;
    inner.shared = 0;
    int rc = find_in(source, &inner, half_path);
    free(half_path);
    return rc;
}

static enum data_type type_of_file(const struct search *search, const char *path) {
    static const struct {
        const char *ending;
        enum data_type type;
    } endings[] = {
        {".csv", DATA_CSV},     {".txt", DATA_LIST},    {".lst", DATA_LIST},
        {".list", DATA_LIST},   {".tar", DATA_TAR},     {".tgz", DATA_TAR},
        {".tar.gz", DATA_TAR},  {".tar.bz2", DATA_TAR}, {".tar.xz", DATA_TAR},
        {".tar.zst", DATA_TAR}, {".bin", DATA_CIFAR},
    };
    if (search->options->type != DATA_AUTO)
        return (enum data_type)search->options->type;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (path_has_ending(path, endings[i].ending))
            return endings[i].type;
    }
    return DATA_IDX;
}

static int find_file(struct source *source, const struct search *search, const char *path) {
    const struct half_names *names = &search->names;
    source->type = type_of_file(search, path);
    if (source->type == DATA_FOLDER)
        return error_set(ERROR_INPUT,
                         "data.%s: %s: a file; with type=folder this should be a folder",
                         names->key, path);
    int is_picture_source = source->type == DATA_LIST || source->type == DATA_TAR;
    if (search->shared && !is_picture_source)
        return 0;
    if (source->type == DATA_CSV)
        return find_csv(source, names, path);
    if (source->type == DATA_IDX)
        return find_idx_files(source, names, path, search->config_path);
    if (names->labels_path)
        return error_set(ERROR_INPUT, "data.%s: goes with IDX files; %s holds its labels itself",
                         names->labels_key, path);
    return is_picture_source ? find_pictures(source, search, path) : keep_samples(source, path);
}

static int find_at(struct source *source, const struct search *search, const char *path) {
    int is_folder = 0;
    TRY(look_at(search->shared ? "train" : search->names.key, path,
                "a folder of pictures or with MNIST's or CIFAR's files, or an IDX, CSV, list or "
                "tar file: --data PATH names it, or train= and test= in [data]",
                &is_folder));
    return is_folder ? find_folder(source, search, path) : find_file(source, search, path);
}

int source_find(struct source *source, const struct data_options *options, enum data_half half,
                const char *config_path) {
    *source = (struct source){.type = DATA_IDX, .half = half};
    struct search search = {options, names_of(options, half), config_path, 0};
    const struct half_names *names = &search.names;
    if (!names->path && names->labels_path)
        return error_set(ERROR_INPUT, "data.%s: missing, though data.%s is there", names->key,
                         names->labels_key);
    if (half == DATA_TRAIN && !names->path)
        return error_set(ERROR_INPUT, "data.train: missing: it names the samples to learn from; "
                                      "--data PATH names them too");
    const char *named = names->path ? names->path : options->train;
    if (!named)
        return 0;
    search.shared = !names->path;
    char *path = path_beside(config_path, named);
    if (!path)
        return error_no_memory(named, strlen(named));
    int rc = find_at(source, &search, path);
    free(path);
    if (rc < 0)
        source_free(source);
    return rc;
}

void source_free(struct source *source) {
    free(source->samples);
    free(source->labels);
    free(source->root);
    *source = (struct source){0};
}
