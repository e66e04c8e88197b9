/* Where a training leaves the finite numbers. */
#include "base/error.h"
#include "net/replica.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int all_finite(const float *values, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            return 0;
    }
    return 1;
}

int replica_find_nonfinite_parameter(struct replica *replica, char *text, size_t size) {
    int rc = 0;
    for (int i = 0; rc == 0 && i < replica_net(replica)->parameter_count; i++) {
        const struct layer *layer;
        const struct parameter *parameter = net_parameter(replica_net(replica), i, &layer);
        size_t elements = (size_t)parameter_elements(parameter);
        float *values = calloc(elements, sizeof *values);
        if (!values)
            return error_no_memory("a parameter", elements * sizeof *values);
        rc = replica_read_parameter(replica, i, values);
        if (rc == 0 && !all_finite(values, (int64_t)elements)) {
            (void)snprintf(text, size, "the parameter %s.%s", layer->name, parameter->name);
            rc = 1;
        }
        free(values);
    }
    return rc;
}

struct search {
    const struct replica *replica;
    char *text;
    size_t size;
};

static int find_in_output(void *context, int layer, struct shape shape, const float *values) {
    struct search *search = context;
    if (all_finite(values, replica_count(search->replica) * shape_elements(shape)))
        return 0;
    const struct node *nodes = replica_running_net(search->replica)->nodes;
    if (layer == NET_INPUT)
        (void)snprintf(search->text, search->size, "the data");
    else
        (void)snprintf(search->text, search->size, "the output of layer %d (%s)",
                       nodes[layer].index, nodes[layer].layer.name);
    return 1;
}

int replica_find_nonfinite(struct replica *replica, const struct step *step, char *text,
                           size_t size) {
    struct search search = {.replica = replica, .text = text, .size = size};
    int rc = replica_find_nonfinite_parameter(replica, text, size);
    return rc ? rc : replica_visit_outputs(replica, step, find_in_output, &search);
}
