/* A data set: samples, each an input and what is to be learnt from it.
 *
 * Inputs are pictures in files, bytes in memory (pictures, H x W x C) or floats in memory
 * (features, in the order of the network's input, C x H x W). What is to be learnt is a class label
 * or a vector of numbers.
 */
#ifndef DATA_DATASET_H
#define DATA_DATASET_H

#include "base/options.h"
#include "base/shape.h"
#include "data/picture_files.h"

#include <stdint.h>

/* The keys of [data]. */
struct data_options {
    const char *train, *test;               /* what to read; beside the config unless absolute */
    const char *train_labels, *test_labels; /* IDX files named one by one */
    int type;                               /* enum data_type */
    const char *target;                     /* csv: the column or columns to predict */
    int shuffle;
    const char *mean;       /* numbers, "channel" or "pixel": see mean_parse in data/statistics.h */
    double scale;           /* what the network sees is (value - mean) * scale */
    const char *root;       /* list: what its paths are beside; by default the list itself */
    double test_share;      /* pictures: held out of train by a hash of their names */
    double broken_share;    /* pictures: more that cannot be decoded end the training */
    int statistics_samples; /* pictures that mean=channel, mean=pixel and pca_noise look at; 0: all
                             */
};

extern const struct option data_option_table[];

enum data_type { DATA_AUTO, DATA_IDX, DATA_CSV, DATA_FOLDER, DATA_LIST, DATA_TAR, DATA_CIFAR };

enum data_half { DATA_TRAIN, DATA_TEST };

/* Names of the classes, by label. */
struct classes {
    int count; /* 0: the data does not name them */
    char **names;
};

/* Replaces *to by a copy. */
int classes_copy(struct classes *to, const struct classes *from);
void classes_free(struct classes *classes);

/* What the network needs. */
struct data_request {
    struct shape input;
    struct shape frame; /* of pictures, before the crop: data/augment.h. When it is zero it is the
                           input, and pictures in memory must have that size already */
    int outputs;        /* of the loss layer: K classes, or K numbers */
    int labels_only;    /* the loss knows labels only (softmax) */
    const struct classes *classes; /* NULL: as the data has them; else folders are labelled so, and
                                      one that is not among them is ERROR_INPUT */
};

struct dataset {
    struct shape input; /* as requested: an IDX picture may serve as a vector of its bytes */
    struct shape frame; /* what the loader makes of a picture: as requested */
    int64_t count;
    int outputs; /* as requested */
    struct classes classes;
    double broken_share;  /* as in the options */
    uint64_t fingerprint; /* of names, labels and archives' sizes, or of the bytes; 0: unknown */

    /* Exactly one of the three is there. */
    struct picture_files *files; /* [count] */
    uint8_t *bytes;              /* [count][H][W][C] of stored */
    float *floats;               /* [count][C][H][W] of input */
    struct shape stored;         /* of bytes: input, or what is to be resampled into the frame */
    int32_t *labels;             /* [count], each in 0..outputs-1, or NULL */
    float *targets;              /* [count][outputs], or NULL: exactly one of the two is there */
};

/* Reads one half. `config_path` is the file that relative paths are beside. A test half that names
 * no `test` is read from what `train` names: MNIST's or CIFAR's folder, a folder of `train` and
 * `test` or `val`, or the share of its pictures that test_share holds out. When there is no test
 * half at all, *out is NULL and 0 is returned. What does not suit the request (picture shape, label
 * out of range, number of columns) is ERROR_INPUT; messages name the file, what in it is wrong
 * (sample, line), and what was expected. The caller frees with dataset_free. */
int dataset_open(struct dataset **out, const struct data_options *options, enum data_half half,
                 const char *config_path, const struct data_request *request);

void dataset_free(struct dataset *dataset);

#endif
