#include "net/parameters.h"

#include "base/error.h"

#include <stdlib.h>

/* Where a parameter lies: views into one segment of each flat buffer. */
struct place {
    int segment;
    size_t offset; /* in floats */
    size_t elements;
    struct buffer *value, *gradient, *velocity;
};

/* A segment of the flat buffers, and its update. */
struct segment {
    size_t elements;
    struct buffer *values, *gradients, *velocity, *multipliers;
    struct kernel *update;
};

struct parameters {
    const struct net *net;
    struct device *device;
    int is_training;
    struct place *places;
    struct segment *segments;
    int segment_count;
};

/* Deals the parameters out to segments, in order. */
static int place_parameters(struct parameters *parameters, size_t bytes_max) {
    const struct net *net = parameters->net;
    struct parameter_layout layout;
    TRY(parameter_layout_create(&layout, net, device_info(parameters->device), bytes_max));
    parameters->places = calloc((size_t)net->parameter_count + 1, sizeof *parameters->places);
    parameters->segments = calloc((size_t)net->parameter_count + 1, sizeof *parameters->segments);
    int rc = parameters->places && parameters->segments
                 ? 0
                 : error_no_memory("the parameters", sizeof *parameters->places);
    for (int i = 0; rc == 0 && i < net->parameter_count; i++)
        parameters->places[i] = (struct place){.segment = layout.places[i].segment,
                                               .offset = layout.places[i].offset,
                                               .elements = layout.places[i].elements};
    for (int i = 0; rc == 0 && i < layout.segment_count; i++)
        parameters->segments[i].elements = layout.segments[i];
    parameters->segment_count = rc == 0 ? layout.segment_count : 0;
    parameter_layout_free(&layout);
    return rc;
}

static int create_multipliers(struct parameters *parameters, int index) {
    struct segment *segment = &parameters->segments[index];
    size_t blocks = segment->elements / PARAMETERS_BLOCK;
    float(*table)[2] = calloc(blocks, sizeof *table);
    if (!table)
        return error_no_memory("multipliers", blocks * sizeof *table);
    for (int i = 0; i < parameters->net->parameter_count; i++) {
        const struct place *place = &parameters->places[i];
        if (place->segment != index)
            continue;
        const struct parameter *parameter = net_parameter(parameters->net, i, NULL);
        size_t first = place->offset / PARAMETERS_BLOCK;
        size_t end = (place->offset + place->elements + PARAMETERS_BLOCK - 1) / PARAMETERS_BLOCK;
        for (size_t b = first; b < end; b++) {
            table[b][0] = (float)parameter->lr;
            table[b][1] = (float)parameter->decay;
        }
    }
    int rc = buffer_create(&segment->multipliers, parameters->device, blocks * sizeof *table,
                           "learning-rate multipliers");
    if (rc == 0)
        rc = buffer_write(segment->multipliers, 0, blocks * sizeof *table, table);
    free(table);
    return rc;
}

static int create_segment(struct parameters *parameters, const struct target *target, int index) {
    struct segment *segment = &parameters->segments[index];
    size_t bytes = segment->elements * sizeof(float);
    TRY(buffer_create(&segment->values, parameters->device, bytes, "parameters"));
    TRY(buffer_fill(segment->values, 0));
    if (!parameters->is_training)
        return 0;
    TRY(buffer_create(&segment->gradients, parameters->device, bytes, "gradients"));
    TRY(buffer_create(&segment->velocity, parameters->device, bytes, "velocity"));
    TRY(buffer_fill(segment->gradients, 0));
    TRY(buffer_fill(segment->velocity, 0));
    TRY(create_multipliers(parameters, index));
    int vector = target_vector(target);
    struct kernel_spec spec =
        kernel_spec("solver.cl", "solver_update", segment->elements / (size_t)vector, 1, 1);
    kernel_define(&spec, "T", TILE_MAX);
    kernel_define(&spec, "TUNE_VECTOR", vector);
    kernel_define(&spec, "BLOCK", PARAMETERS_BLOCK);
    return kernel_create(&segment->update, parameters->device, &spec);
}

static int create_views(struct parameters *parameters) {
    for (int i = 0; i < parameters->net->parameter_count; i++) {
        struct place *place = &parameters->places[i];
        const struct segment *segment = &parameters->segments[place->segment];
        size_t offset = place->offset * sizeof(float), bytes = place->elements * sizeof(float);
        TRY(buffer_view(&place->value, segment->values, offset, bytes));
        if (!parameters->is_training)
            continue;
        TRY(buffer_view(&place->gradient, segment->gradients, offset, bytes));
        TRY(buffer_view(&place->velocity, segment->velocity, offset, bytes));
    }
    return 0;
}

int parameters_create(struct parameters **out, const struct net *net, struct device *device,
                      const struct target *target, int is_training, size_t segment_max) {
    struct parameters *parameters = calloc(1, sizeof *parameters);
    if (!parameters)
        return error_no_memory("the parameters", sizeof *parameters);
    parameters->net = net;
    parameters->device = device;
    parameters->is_training = is_training;
    int rc = place_parameters(parameters, segment_max);
    for (int i = 0; rc == 0 && i < parameters->segment_count; i++)
        rc = create_segment(parameters, target, i);
    if (rc == 0)
        rc = create_views(parameters);
    if (rc < 0) {
        parameters_free(parameters);
        return rc;
    }
    *out = parameters;
    return 0;
}

void parameters_free(struct parameters *parameters) {
    if (!parameters)
        return;
    for (int i = 0; parameters->places && i < parameters->net->parameter_count; i++) {
        buffer_free(parameters->places[i].value);
        buffer_free(parameters->places[i].gradient);
        buffer_free(parameters->places[i].velocity);
    }
    for (int i = 0; i < parameters->segment_count; i++) {
        struct segment *segment = &parameters->segments[i];
        buffer_free(segment->values);
        buffer_free(segment->gradients);
        buffer_free(segment->velocity);
        buffer_free(segment->multipliers);
        kernel_free(segment->update);
    }
    free(parameters->places);
    free(parameters->segments);
    free(parameters);
}

struct buffer *parameters_value(const struct parameters *parameters, int index) {
    return parameters->places[index].value;
}

struct buffer *parameters_gradient(const struct parameters *parameters, int index) {
    return parameters->places[index].gradient;
}

struct buffer *parameters_velocity(const struct parameters *parameters, int index) {
    return parameters->places[index].velocity;
}

int parameters_update(struct parameters *parameters, double rate, double momentum, double decay) {
    float r = (float)rate, m = (float)momentum, d = (float)decay;
    for (int i = 0; i < parameters->segment_count; i++) {
        const struct segment *segment = &parameters->segments[i];
        TRY(LAUNCH(segment->update, BUFFER(segment->values), BUFFER(segment->velocity),
                   BUFFER(segment->gradients), BUFFER(segment->multipliers), SCALAR(r), SCALAR(m),
                   SCALAR(d)));
    }
    return 0;
}
