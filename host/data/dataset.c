#include "data/dataset.h"

#include "base/error.h"
#include "data/source.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static int read_source(struct dataset *dataset, const struct source *source,
                       const struct data_options *options, const struct data_request *request) {
    switch (source->type) {
    case DATA_CSV:
        return source_read_csv(dataset, source, options->target, request);
    case DATA_FOLDER:
        return source_read_folder(dataset, source, request);
    case DATA_LIST:
        return source_read_list(dataset, source, request);
    case DATA_TAR:
        return source_read_tar(dataset, source, request);
    case DATA_CIFAR:
        return source_read_cifar(dataset, source, request);
    default:
        return source_read_idx(dataset, source, request);
    }
}

/* Of what lies in memory; sources of files know better. */
static int take_fingerprint(struct dataset *set) {
    size_t count = (size_t)set->count;
    size_t stored = (size_t)shape_elements(set->stored), outputs = (size_t)set->outputs;
    XXH64_state_t *state = XXH64_createState();
    if (!state)
        return error_no_memory("a hash", 0);
    (void)XXH64_reset(state, 0);
    (void)XXH64_update(state, &set->stored, sizeof set->stored);
    if (set->bytes)
        (void)XXH64_update(state, set->bytes, count * stored);
    if (set->floats)
        (void)XXH64_update(state, set->floats, count * stored * sizeof *set->floats);
    if (set->labels)
        (void)XXH64_update(state, set->labels, count * sizeof *set->labels);
    if (set->targets)
        (void)XXH64_update(state, set->targets, count * outputs * sizeof *set->targets);
    set->fingerprint = XXH64_digest(state);
    (void)XXH64_freeState(state);
    return 0;
}

int dataset_open(struct dataset **out, const struct data_options *options, enum data_half half,
                 const char *config_path, const struct data_request *request) {
    *out = NULL;
    struct source source;
    TRY(source_find(&source, options, half, config_path));
    struct dataset *dataset = NULL;
    int rc = 0;
    if (!source.samples)
        goto done;
    if (options->target && source.type != DATA_CSV) {
        rc = error_set(ERROR_INPUT, "data.target: names columns of CSV, but %s is none",
                       source.samples);
        goto done;
    }
    dataset = calloc(1, sizeof *dataset);
    if (!dataset) {
        rc = error_no_memory("a data set", sizeof *dataset);
        goto done;
    }
    dataset->outputs = request->outputs;
    dataset->broken_share = options->broken_share;
    rc = read_source(dataset, &source, options, request);
    if (rc == 0 && !dataset->files)
        rc = take_fingerprint(dataset);
done:
    source_free(&source);
    if (rc < 0)
        dataset_free(dataset);
    else
        *out = dataset;
    return rc;
}

void dataset_free(struct dataset *dataset) {
    if (!dataset)
        return;
    classes_free(&dataset->classes);
    picture_files_free(dataset->files);
    free(dataset->bytes);
    free(dataset->floats);
    free(dataset->labels);
    free(dataset->targets);
    free(dataset);
}

int classes_copy(struct classes *to, const struct classes *from) {
    size_t bytes = (size_t)from->count * sizeof *from->names;
    struct classes copy = {0};
    if (from->count && !(copy.names = calloc(1, bytes)))
        return error_no_memory("the names of the classes", bytes);
    for (; copy.count < from->count; copy.count++) {
        copy.names[copy.count] = strdup(from->names[copy.count]);
        if (!copy.names[copy.count]) {
            classes_free(&copy);
            return error_no_memory("the names of the classes", bytes);
        }
    }
    classes_free(to);
    *to = copy;
    return 0;
}

void classes_free(struct classes *classes) {
    for (int i = 0; i < classes->count; i++)
        free(classes->names[i]);
    free(classes->names);
    *classes = (struct classes){0};
}

static const char *const type_names[] = {
    [DATA_AUTO] = "auto", [DATA_IDX] = "idx", [DATA_CSV] = "csv",     [DATA_FOLDER] = "folder",
    [DATA_LIST] = "list", [DATA_TAR] = "tar", [DATA_CIFAR] = "cifar", NULL,
};

#define FIELD(name) offsetof(struct data_options, name)

const struct option data_option_table[] = {
    {"train",
     "the samples to learn from; relative to the config. A folder: of one folder of pictures a "
     "class (or of `train` and `test` or `val` with such in them), of .tar files, or with the "
     "files "
     "of MNIST or CIFAR. A file: IDX pictures, CSV, a list of `path label` a line, or a tar: "
     "WebDataset's pictures and .cls, or ImageNet's archive of class archives",
     OPTION_STRING, FIELD(train), NULL, 0, 0, NULL},
    {"test",
     "the samples to measure on, likewise; when it is missing, what train names serves both where "
     "it holds both, or see test_share",
     OPTION_STRING, FIELD(test), NULL, 0, 0, NULL},
    {"train_labels", "the IDX file of labels that goes with an IDX file in train", OPTION_STRING,
     FIELD(train_labels), NULL, 0, 0, NULL},
    {"test_labels", "the IDX file of labels that goes with an IDX file in test", OPTION_STRING,
     FIELD(test_labels), NULL, 0, 0, NULL},
    {"type",
     "how to read train and test; auto: a folder by what lies in it, a file by its ending: .csv; "
     ".txt, .lst and .list (list); .tar; .bin (cifar); anything else is IDX",
     OPTION_ENUM, FIELD(type), "auto", 0, 0, type_names},
    {"target",
     "CSV: the columns to predict, with commas, by name, or by number from 1 without a header "
     "line; "
     "when it is missing, the last ones",
     OPTION_STRING, FIELD(target), NULL, 0, 0, NULL},
    {"shuffle", "whether each epoch takes the training samples in a random order of its own",
     OPTION_BOOL, FIELD(shuffle), "1", 0, 1, NULL},
    {"mean",
     "subtracted from every input value: the network sees (value - mean) * scale; a number, one "
     "for each channel with commas, or `channel` or `pixel`: computed from the training pictures",
     OPTION_STRING, FIELD(mean), "0", 0, 0, NULL},
    {"scale", "what value - mean is multiplied by; 0.00390625 brings bytes into 0..1", OPTION_FLOAT,
     FIELD(scale), "1", 1e-9, 1e9, NULL},
    {"root", "list: the folder that its paths are seen from; by default the list's own",
     OPTION_STRING, FIELD(root), NULL, 0, 0, NULL},
    {"test_share",
     "pictures in files, where `test` is missing: the share of train that is held out to test on, "
     "by a hash of each name, so that the same pictures are held out every time",
     OPTION_FLOAT, FIELD(test_share), "0", 0, 0.9, NULL},
    {"broken_share",
     "pictures in files: those that cannot be decoded are left out, and more than this share of "
     "them ends the training",
     OPTION_FLOAT, FIELD(broken_share), "0.01", 0, 1, NULL},
    {"statistics_samples",
     "pictures that mean=channel, mean=pixel and pca_noise are computed from; 0: all", OPTION_INT,
     FIELD(statistics_samples), "10000", 0, INT32_MAX, NULL},
    {NULL, NULL, OPTION_INT, 0, NULL, 0, 0, NULL},
};
