#include "net/weights.h"

#include "base/error.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_LENGTH = 256 };

#define MEAN_NAME "input.mean"
#define VELOCITY "velocity/"
#define CLASSES_KEY "classes"

static void tensor_name(const struct net *net, int index, const char *prefix,
                        char name[NAME_MAX_LENGTH]) {
    const struct layer *layer;
    const struct parameter *parameter = net_parameter(net, index, &layer);
    (void)snprintf(name, NAME_MAX_LENGTH, "%s%s.%s", prefix, layer->name, parameter->name);
}

/* A file in the making: its tensors, and what they point to. */
struct draft {
    struct safetensor *tensors;
    char (*names)[NAME_MAX_LENGTH];
    float *values;
    int count;
};

static void free_draft(struct draft *draft) {
    free(draft->tensors);
    free(draft->names);
    free(draft->values);
}

/* Adds all parameters, or what else there is of each, and moves *next behind their values. */
static int add_parameters(struct draft *draft, struct replica *replica, const char *prefix,
                          int (*read)(struct replica *, int, float *), float **next) {
    const struct net *net = replica_net(replica);
    for (int i = 0; i < net->parameter_count; i++) {
        const struct parameter *parameter = net_parameter(net, i, NULL);
        struct safetensor *tensor = &draft->tensors[draft->count];
        tensor_name(net, i, prefix, draft->names[draft->count]);
        tensor->name = draft->names[draft->count++];
        tensor->values = *next;
        tensor->dimensions = parameter->dimensions;
        for (int d = 0; d < parameter->dimensions; d++)
            tensor->sizes[d] = parameter->sizes[d];
        TRY(read(replica, i, *next));
        *next += parameter_elements(parameter);
    }
    return 0;
}

static void add_mean(struct draft *draft, const struct mean *mean) {
    if (!mean)
        return;
    struct safetensor *tensor = &draft->tensors[draft->count++];
    *tensor = (struct safetensor){
        .name = MEAN_NAME,
        .dimensions = mean->by_pixel ? 3 : 1,
        .sizes = {mean->by_pixel ? mean->frame.c : mean->count, mean->frame.h, mean->frame.w},
        .values = mean->values};
}

/* The names as JSON, in new memory; NULL where there are none. */
static int print_classes(char **text, const struct classes *classes) {
    *text = NULL;
    if (!classes || classes->count == 0)
        return 0;
    json_t *array = json_array();
    for (int i = 0; i < classes->count; i++) {
        if (json_array_append_new(array, json_string(classes->names[i])) != 0) {
            json_decref(array);
            return error_set(ERROR_INPUT, "the class name '%.200s' is not UTF-8",
                             classes->names[i]);
        }
    }
    *text = json_dumps(array, JSON_COMPACT);
    json_decref(array);
    return *text ? 0 : error_no_memory("the classes' names", (size_t)classes->count);
}

/* Writes the draft, with our own metadata before those given. */
static int write_draft(const char *path, const struct draft *draft, const struct classes *classes,
                       const char *const metadata[][2], int count) {
    const char *(*all)[2] = calloc((size_t)count + 2, sizeof *all);
    char *names = NULL;
    if (!all)
        return error_no_memory("the metadata", (size_t)count * sizeof *all);
    int rc = print_classes(&names, classes);
    if (rc == 0) {
        int used = 0;
        all[used][0] = "program";
        all[used++][1] = "clnet " CLNET_VERSION;
        if (names) {
            all[used][0] = CLASSES_KEY;
            all[used++][1] = names;
        }
        for (int i = 0; i < count; i++, used++) {
            all[used][0] = metadata[i][0];
            all[used][1] = metadata[i][1];
        }
        rc = safetensors_write(path, draft->tensors, draft->count,
                               (const char *const(*)[2])(void *)all, used);
    }
    free(names);
    free(all);
    return rc;
}

int weights_write(const char *path, struct replica *replica, const struct classes *classes,
                  int with_velocity, const char *const metadata[][2], int metadata_count) {
    const struct net *net = replica_net(replica);
    size_t copies = with_velocity ? 2 : 1, count = copies * (size_t)net->parameter_count + 1;
    size_t bytes = copies * (size_t)net->parameter_elements * sizeof(float);
    struct draft draft = {.tensors = calloc(count, sizeof *draft.tensors),
                          .names = calloc(count, sizeof *draft.names),
                          .values = malloc(bytes)};
    int rc;
    if (!draft.tensors || !draft.names || !draft.values) {
        rc = error_no_memory("the weights", bytes);
        goto done;
    }
    float *next = draft.values;
    TRY_OR(done, add_parameters(&draft, replica, "", replica_read_parameter, &next));
    if (with_velocity)
        TRY_OR(done, add_parameters(&draft, replica, VELOCITY, replica_read_velocity, &next));
    add_mean(&draft, replica_mean(replica));
    rc = write_draft(path, &draft, classes, metadata, metadata_count);
done:
    free_draft(&draft);
    return rc;
}

int weights_save(const char *path, struct replica *replica, const struct classes *classes) {
    return weights_write(path, replica, classes, 0, NULL, 0);
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
                        int index, const char *prefix) {
    char name[NAME_MAX_LENGTH], have[128], want[128];
    tensor_name(net, index, prefix, name);
    const struct parameter *parameter = net_parameter(net, index, NULL);
    const struct safetensor *tensor = safetensors_find(file, name);
    if (!tensor)
        return error_set(ERROR_INPUT, "%s: tensor %s is missing", path, name);
    int64_t sizes[LAYER_DIMENSIONS_MAX] = {0};
    for (int d = 0; d < parameter->dimensions; d++)
        sizes[d] = parameter->sizes[d];
    if (tensor->dimensions == parameter->dimensions &&
        memcmp(tensor->sizes, sizes, sizeof sizes[0] * (size_t)parameter->dimensions) == 0)
        return 0;
    print_sizes(have, sizeof have, tensor->sizes, tensor->dimensions);
    print_sizes(want, sizeof want, sizes, parameter->dimensions);
    return error_set(ERROR_INPUT, "%s: tensor %s is %s; the net's is %s", path, name, have, want);
}

static int is_known(const struct net *net, const char *name) {
    if (strcmp(name, MEAN_NAME) == 0 || strncmp(name, VELOCITY, strlen(VELOCITY)) == 0)
        return 1;
    for (int i = 0; i < net->parameter_count; i++) {
        char known[NAME_MAX_LENGTH];
        tensor_name(net, i, "", known);
        if (strcmp(known, name) == 0)
            return 1;
    }
    return 0;
}

static int check_file(const char *path, const struct safetensors *file, const struct net *net,
                      int with_velocity) {
    for (int i = 0; i < net->parameter_count; i++) {
        TRY(check_tensor(path, file, net, i, ""));
        if (with_velocity)
            TRY(check_tensor(path, file, net, i, VELOCITY));
    }
    for (int t = 0; t < file->count; t++) {
        if (!is_known(net, file->tensors[t].name))
            return error_set(ERROR_INPUT, "%s: tensor %.200s is not of this net", path,
                             file->tensors[t].name);
    }
    return 0;
}

/* Gives the replica the file's mean, if there is one. */
static int take_mean(const char *path, const struct safetensors *file, struct replica *replica) {
    const struct safetensor *tensor = safetensors_find(file, MEAN_NAME);
    if (!tensor)
        return 0;
    int64_t count = 1;
    for (int d = 0; d < tensor->dimensions; d++)
        count = tensor->sizes[d] <= INT32_MAX && count <= INT32_MAX ? count * tensor->sizes[d] : -1;
    if ((tensor->dimensions != 1 && tensor->dimensions != 3) || count < 1 || count > INT32_MAX)
        return error_set(ERROR_INPUT, "%s: tensor " MEAN_NAME " is neither [C] nor [C, H, W]",
                         path);
    struct mean mean = {.by_pixel = tensor->dimensions == 3,
                        .count = (int)count,
                        .values = (float *)tensor->values /* which are only read */};
    if (mean.by_pixel)
        mean.frame = (struct shape){
            .c = (int)tensor->sizes[0], .h = (int)tensor->sizes[1], .w = (int)tensor->sizes[2]};
    int rc = replica_set_mean(replica, &mean);
    return rc < 0 ? error_prefix(rc, "%s: tensor " MEAN_NAME ": ", path) : 0;
}

/* Copies the names out of JSON; what is no list of names is as if there were none. */
static int parse_classes(struct classes *classes, const char *text) {
    json_t *array = text ? json_loads(text, 0, NULL) : NULL;
    size_t count = json_array_size(array);
    struct classes borrowed = {.count = (int)count, .names = calloc(count + 1, sizeof(char *))};
    if (!borrowed.names) {
        json_decref(array);
        return error_no_memory("the classes' names", (count + 1) * sizeof(char *));
    }
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(array, i));
        borrowed.names[i] = (char *)(name ? name : "");
    }
    int rc = classes_copy(classes, &borrowed);
    free(borrowed.names);
    json_decref(array);
    return rc;
}

int weights_take(const struct safetensors *file, const char *path, struct replica *replica,
                 struct classes *classes, int with_velocity) {
    const struct net *net = replica_net(replica);
    TRY(check_file(path, file, net, with_velocity));
    TRY(take_mean(path, file, replica));
    if (classes)
        TRY(parse_classes(classes, safetensors_metadata(file, CLASSES_KEY)));
    for (int i = 0; i < net->parameter_count; i++) {
        char name[NAME_MAX_LENGTH];
        tensor_name(net, i, "", name);
        TRY(replica_write_parameter(replica, i, safetensors_find(file, name)->values));
        if (!with_velocity)
            continue;
        tensor_name(net, i, VELOCITY, name);
        TRY(replica_write_velocity(replica, i, safetensors_find(file, name)->values));
    }
    return 0;
}

int weights_load(const char *path, struct replica *replica, struct classes *classes) {
    struct safetensors file = {0};
    TRY(safetensors_read(&file, path));
    int rc = weights_take(&file, path, replica, classes, 0);
    safetensors_free(&file);
    return rc;
}
