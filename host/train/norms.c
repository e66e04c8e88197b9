#include "train/norms.h"

#include "base/error.h"
#include "base/log.h"

#include <math.h>
#include <stdlib.h>

static double norm(const float *values, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += (double)values[i] * (double)values[i];
    return sqrt(sum);
}

static int log_parameter(struct replica *replica, int index, float *values) {
    const struct layer *layer;
    const struct parameter *parameter = net_parameter(replica_net(replica), index, &layer);
    int64_t count = parameter_elements(parameter);
    TRY(replica_read_parameter(replica, index, values));
    double weight = norm(values, count);
    TRY(replica_read_gradient(replica, index, values));
    double gradient = norm(values, count);
    log_info("  %-24s %-8s norm %-10.4g gradient %-10.4g ratio %.3g", layer->name, parameter->name,
             weight, gradient, weight > 0 ? gradient / weight : 0);
    return 0;
}

int norms_log(struct replica *replica, int64_t iteration) {
    const struct net *net = replica_net(replica);
    size_t bytes = (size_t)net->parameter_elements * sizeof(float);
    float *values = malloc(bytes);
    if (!values)
        return error_no_memory("norms", bytes);
    log_info("iteration %lld:", (long long)iteration + 1);
    int rc = 0;
    for (int i = 0; rc == 0 && i < net->parameter_count; i++)
        rc = log_parameter(replica, i, values);
    free(values);
    return rc;
}
