/* How a parameter begins. */
#ifndef LAYERS_INITIALISER_H
#define LAYERS_INITIALISER_H

#include "base/options.h"

#include <stdint.h>

enum initialiser_kind {
    INITIALISER_CONSTANT, /* value */
    INITIALISER_GAUSSIAN, /* mean 0, standard deviation sigma */
    INITIALISER_UNIFORM,  /* in -range..range */
    INITIALISER_XAVIER,   /* uniform, range sqrt(6 / (fan in + fan out)): Glorot and Bengio, 2010 */
    INITIALISER_MSRA,     /* gaussian, sigma sqrt(2 / fan in): He et al., 2015 */
};

extern const char *const initialiser_names[];

/* Fan in and out: the inputs that an output sums, and the outputs that an input reaches. */
struct initialiser {
    int kind; /* enum initialiser_kind */
    double value, sigma, range;
    double fan_in, fan_out;
};

/* Fills values[0..count-1]. The numbers depend on the seed and the parameter's index in the net
 * alone. */
void initialiser_fill(float *values, int64_t count, const struct initialiser *initialiser,
                      uint32_t seed, uint32_t index);

/* What a layer with weights and biases lets a config say of them: part of its description, and the
 * rows of its table. */
struct parameter_options {
    struct initialiser weight, bias;
    double weight_lr, weight_decay, bias_lr, bias_decay;
};

#define PARAMETER_OPTIONS(type, field)                                    \
    {"weight_init",                                                       \
     "how the weights begin",                                             \
     OPTION_ENUM,                                                         \
     offsetof(type, field.weight.kind),                                   \
     "msra",                                                              \
     0,                                                                   \
     0,                                                                   \
     initialiser_names},                                                  \
        {"weight_value",                                                  \
         "the weights' value, for weight_init=constant",                  \
         OPTION_FLOAT,                                                    \
         offsetof(type, field.weight.value),                              \
         "0",                                                             \
         -1e6,                                                            \
         1e6,                                                             \
         NULL},                                                           \
        {"weight_sigma",                                                  \
         "standard deviation, for weight_init=gaussian",                  \
         OPTION_FLOAT,                                                    \
         offsetof(type, field.weight.sigma),                              \
         "0.01",                                                          \
         0,                                                               \
         1e6,                                                             \
         NULL},                                                           \
        {"weight_range",                                                  \
         "half the width, for weight_init=uniform",                       \
         OPTION_FLOAT,                                                    \
         offsetof(type, field.weight.range),                              \
         "0.05",                                                          \
         0,                                                               \
         1e6,                                                             \
         NULL},                                                           \
        {"bias_init", "how the biases begin",                             \
         OPTION_ENUM, offsetof(type, field.bias.kind),                    \
         "constant",  0,                                                  \
         0,           initialiser_names},                                 \
        {"bias_value", "the biases' value, for bias_init=constant",       \
         OPTION_FLOAT, offsetof(type, field.bias.value),                  \
         "0",          -1e6,                                              \
         1e6,          NULL},                                             \
        {"bias_sigma", "standard deviation, for bias_init=gaussian",      \
         OPTION_FLOAT, offsetof(type, field.bias.sigma),                  \
         "0.01",       0,                                                 \
         1e6,          NULL},                                             \
        {"bias_range", "half the width, for bias_init=uniform",           \
         OPTION_FLOAT, offsetof(type, field.bias.range),                  \
         "0.05",       0,                                                 \
         1e6,          NULL},                                             \
        {"weight_lr",  "multiplies the learning rate of the weights",     \
         OPTION_FLOAT, offsetof(type, field.weight_lr),                   \
         "1",          0,                                                 \
         1e6,          NULL},                                             \
        {"weight_decay",                                                  \
         "multiplies the decay of the weights",                           \
         OPTION_FLOAT,                                                    \
         offsetof(type, field.weight_decay),                              \
         "1",                                                             \
         0,                                                               \
         1e6,                                                             \
         NULL},                                                           \
        {"bias_lr",    "multiplies the learning rate of the biases",      \
         OPTION_FLOAT, offsetof(type, field.bias_lr),                     \
         "1",          0,                                                 \
         1e6,          NULL},                                             \
    {                                                                     \
        "bias_decay", "multiplies the decay of the biases", OPTION_FLOAT, \
            offsetof(type, field.bias_decay), "0", 0, 1e6, NULL           \
    }

#endif
