#include "net/weights.h"

#include "base/error.h"
#include "data/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_LENGTH = 256 };

static void tensor_name(const struct net *net, int index, char name[NAME_MAX_LENGTH]) {
    const struct layer *layer;
    const struct parameter *parameter = net_parameter(net, index, &layer);
    (void)snprintf(name, NAME_MAX_LENGTH, "%s.%s", layer->name, parameter->name);
}

int weights_save(const char *path, struct replica *replica) {
    const struct net *net = replica_net(replica);
    int count = net->parameter_count;
    struct safetensor *tensors = calloc((size_t)count + 1, sizeof *tensors);
    char(*names)[NAME_MAX_LENGTH] = calloc((size_t)count + 1, sizeof *names);
    float *values = malloc((size_t)net->parameter_elements * sizeof *values);
    int rc = 0;
    if (!tensors || !names || !values)
        rc = error_no_memory("the weights", (size_t)net->parameter_elements * sizeof *values);

    float *next = values;
    for (int i = 0; rc == 0 && i < count; i++) {
        const struct parameter *parameter = net_parameter(net, i, NULL);
        tensor_name(net, i, names[i]);
        tensors[i].name = names[i];
        tensors[i].values = next;
        tensors[i].dimensions = parameter->dimensions;
        for (int d = 0; d < parameter->dimensions; d++)
            tensors[i].sizes[d] = parameter->sizes[d];
        rc = replica_read_parameter(replica, i, next);
        next += parameter_elements(parameter);
    }
    if (rc == 0) {
        static const char *const metadata[][2] = {{"program", "clnet " CLNET_VERSION}};
        rc = safetensors_write(path, tensors, count, metadata, 1);
    }
    free(tensors);
    free(names);
    free(values);
    return rc;
}

/* "4096 x 9216" */
static void print_sizes(char *text, size_t size, const int64_t *sizes, int dimensions) {
    size_t used = 0;
    text[0] = '\0';
    for (int d = 0; d < dimensions && used < size; d++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", d ? " x " : "",
                                 (long long)sizes[d]);
}

static int check_tensor(const char *path, const struct safetensors *file, const struct net *net,
                        int index) {
    char name[NAME_MAX_LENGTH], have[128], want[128];
    tensor_name(net, index, name);
    const struct parameter *parameter = net_parameter(net, index, NULL);
    const struct safetensor *tensor = safetensors_find(file, name);
    if (!tensor)
        return error_set(ERROR_INPUT, "%s: tensor %s is missing", path, name);
    int64_t sizes[LAYER_DIMENSIONS_MAX];
    for (int d = 0; d < parameter->dimensions; d++)
        sizes[d] = parameter->sizes[d];
    if (tensor->dimensions == parameter->dimensions &&
        memcmp(tensor->sizes, sizes, sizeof sizes[0] * (size_t)parameter->dimensions) == 0)
        return 0;
    print_sizes(have, sizeof have, tensor->sizes, tensor->dimensions);
    print_sizes(want, sizeof want, sizes, parameter->dimensions);
    return error_set(ERROR_INPUT, "%s: tensor %s is %s; the net's is %s", path, name, have, want);
}

static int check_extra(const char *path, const struct safetensors *file, const struct net *net) {
    for (int t = 0; t < file->count; t++) {
        char name[NAME_MAX_LENGTH] = "";
        int known = 0;
        for (int i = 0; i < net->parameter_count && !known; i++) {
            tensor_name(net, i, name);
            known = strcmp(name, file->tensors[t].name) == 0;
        }
        if (!known)
            return error_set(ERROR_INPUT, "%s: tensor %.200s is not of this net", path,
                             file->tensors[t].name);
    }
    return 0;
}

int weights_load(const char *path, struct replica *replica) {
    const struct net *net = replica_net(replica);
    struct safetensors file = {0};
    TRY(safetensors_read(&file, path));
    int rc = 0;
    for (int i = 0; rc == 0 && i < net->parameter_count; i++)
        rc = check_tensor(path, &file, net, i);
    if (rc == 0)
        rc = check_extra(path, &file, net);
    for (int i = 0; rc == 0 && i < net->parameter_count; i++) {
        char name[NAME_MAX_LENGTH];
        tensor_name(net, i, name);
        rc = replica_write_parameter(replica, i, safetensors_find(&file, name)->values);
    }
    safetensors_free(&file);
    return rc;
}
