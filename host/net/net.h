/* A net: what a config describes, proved consistent. Layers with their shapes and plans, in
 * topological order, each naming its inputs; host only, immutable, shared by all devices.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "config/config.h"
#include "data/augment.h"
#include "data/dataset.h"
#include "layers/layer.h"

enum learning_policy {
    POLICY_CONSTANT,
    POLICY_STEP,
    POLICY_STEPS,
    POLICY_EXP,
    POLICY_POLY,
    POLICY_SIG,
    POLICY_PLATEAU,
};

enum parallel { PARALLEL_DATA, PARALLEL_HYBRID };

/* The keys of [net]: the input, the batch, and how to train. */
struct net_options {
    int batch, subdivisions;
    int height, width, channels, inputs;
    int max_batches, epochs;
    double learning_rate, momentum, decay;
    int policy; /* enum learning_policy */
    int step, burn_in;
    double scale, gamma, power;
    struct option_ints steps;
    struct option_floats scales;
    double factor, least_rate, threshold;
    int patience;
    int parallel; /* enum parallel */
    int seed;
    int keep, save_iterations; /* checkpoints */
    double save_minutes;
    double bucket; /* MiB of gradients that devices exchange at once */
};

extern const struct option net_option_table[];

/* The keys that every layer has. */
extern const struct option layer_option_table[];

enum { NET_INPUT = -1 }; /* in place of a layer's index: the data */

struct node {
    struct layer layer;
    int index; /* in the whole net, also where this is a part of it: net/net_part.h */
    int inputs[LAYER_INPUTS_MAX];   /* layers before this one, or NET_INPUT */
    int needs_dx[LAYER_INPUTS_MAX]; /* a layer with parameters lies that way */
    int parameter_first;            /* of this layer's parameters among the net's */
    const struct config_section *section;
    void *description; /* owned; what layer.description shows */
    char *name;        /* owned; what layer.name shows */
};

struct net {
    const struct config *config;
    struct net_options options;
    struct augment_options augment; /* keys of [net] too */
    struct data_options data;
    struct shape input;
    struct shape frame; /* of pictures, from which the input is cropped */
    struct node *nodes;
    int count;
    int parameter_count; /* tensors */
    int64_t parameter_elements;
    int64_t macs; /* of an image, forward */
};

/* Builds a net from a config, which must outlive it. Every inconsistency is ERROR_INPUT with
 * file:line, section and key. Free with net_free. */
int net_create(struct net **out, const struct config *config);

void net_free(struct net *net);

/* The loss layer, which is the last. */
const struct layer *net_loss(const struct net *net);

/* What its loss learns from by itself: labels where it knows nothing else. */
enum truth net_truth_kind(const struct net *net);

/* The i-th parameter of the net, and the layer that it belongs to. */
const struct parameter *net_parameter(const struct net *net, int index, const struct layer **layer);

/* The largest micro-batch: ceil(batch / subdivisions). */
int net_micro_batch(const struct net *net);

/* Makes the batch one micro-batch, of at most so many samples: for use, not for training. Only
 * while nothing has been made of the net yet. */
void net_limit_batch(struct net *net, int64_t most);

/* What the data must look like. */
struct data_request net_data_request(const struct net *net);

/* Writes the config that the net was made from with every default filled in; it makes the same net.
 */
void net_print_config(const struct net *net, FILE *out);

/* Writes the documentation of a config: grammar, and every section with its keys. */
void net_document_config(FILE *out);

#endif
