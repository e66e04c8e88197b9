#include "data/dataset.h"

#include "base/error.h"
#include "data/source.h"

#include <stdlib.h>

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
        rc = error_set(ERROR_INPUT, "data.target: names columns of CSV, but %s is IDX",
                       source.samples);
        goto done;
    }
    dataset = calloc(1, sizeof *dataset);
    if (!dataset) {
        rc = error_no_memory("a data set", sizeof *dataset);
        goto done;
    }
    dataset->outputs = request->outputs;
    if (source.type == DATA_CSV)
        rc = source_read_csv(dataset, &source, options->target, request);
    else
        rc = source_read_idx(dataset, &source, request);
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
    free(dataset->bytes);
    free(dataset->floats);
    free(dataset->labels);
    free(dataset->targets);
    free(dataset);
}

static const char *const type_names[] = {
    [DATA_AUTO] = "auto",
    [DATA_IDX] = "idx",
    [DATA_CSV] = "csv",
    NULL,
};

#define FIELD(name) offsetof(struct data_options, name)

const struct option data_option_table[] = {
    {"train",
     "the samples to learn from: a folder with the four files of MNIST, an IDX file of pictures, "
     "or "
     "a CSV file; relative to the config",
     OPTION_STRING, FIELD(train), NULL, 0, 0, NULL},
    {"test",
     "the samples to measure on, likewise; when it is missing, the folder that train names serves "
     "both",
     OPTION_STRING, FIELD(test), NULL, 0, 0, NULL},
    {"train_labels", "the IDX file of labels that goes with an IDX file in train", OPTION_STRING,
     FIELD(train_labels), NULL, 0, 0, NULL},
    {"test_labels", "the IDX file of labels that goes with an IDX file in test", OPTION_STRING,
     FIELD(test_labels), NULL, 0, 0, NULL},
    {"type", "how to read train and test; auto: what ends in .csv is CSV, anything else IDX",
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
