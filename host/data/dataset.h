/* A data set in memory: samples, each an input and what is to be learnt from it.
 *
 * Inputs are bytes (pictures, H x W x C) or floats (features, in the order of the network's input,
 * C x H x W). What is to be learnt is a class label or a vector of numbers.
 */
#ifndef DATA_DATASET_H
#define DATA_DATASET_H

#include "base/options.h"
#include "base/shape.h"

#include <stdint.h>

/* The keys of [data]. */
struct data_options {
    const char *train, *test;               /* what to read; beside the config unless absolute */
    const char *train_labels, *test_labels; /* IDX files named one by one */
    int type;                               /* enum data_type */
    const char *target;                     /* csv: the column or columns to predict */
    int shuffle;
    double mean, scale; /* what the network sees is (value - mean) * scale */
};

extern const struct option data_option_table[];

enum data_type { DATA_AUTO, DATA_IDX, DATA_CSV };

enum data_half { DATA_TRAIN, DATA_TEST };

/* What the network needs. */
struct data_request {
    struct shape input;
    int outputs;     /* of the loss layer: K classes, or K numbers */
    int labels_only; /* the loss knows labels only (softmax) */
};

struct dataset {
    struct shape input; /* as requested: an IDX picture may serve as a vector of its bytes */
    int64_t count;
    int outputs; /* as requested */

    uint8_t *bytes;  /* [count][H][W][C], or NULL */
    float *floats;   /* [count][C][H][W], or NULL: exactly one of the two is there */
    int32_t *labels; /* [count], each in 0..outputs-1, or NULL */
    float *targets;  /* [count][outputs], or NULL: exactly one of the two is there */
};

/* Reads one half. `config_path` is the file that relative paths are beside. A test half that names
 * no `test` reads the same IDX folder as `train`; when there is no test half at all, *out is NULL
 * and 0 is returned. What does not suit the request (picture shape, label out of range, number of
 * columns) is ERROR_INPUT; messages name the file, what in it is wrong (sample, line), and what was
 * expected. The caller frees with dataset_free. */
int dataset_open(struct dataset **out, const struct data_options *options, enum data_half half,
                 const char *config_path, const struct data_request *request);

void dataset_free(struct dataset *dataset);

#endif
