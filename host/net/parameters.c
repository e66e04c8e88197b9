#include "net/parameters.h"

#include "base/error.h"
#include "layers/trust.h"
#include "ops/net_kernels.h"

#include <stdlib.h>

/* Where a parameter lies: views into one segment of each flat buffer. */
struct place {
    int segment;
    size_t offset; /* in floats */
    size_t elements;
    struct buffer *value, *gradient, *velocity;
};

/* A segment of the flat buffers. */
struct segment {
    size_t elements;
    struct buffer *values, *gradients, *velocity;
};

/* A piece of a segment that is updated at once: whole blocks. */
struct bucket {
    int segment;
    size_t first, elements; /* in floats */
    int layer;              /* the first that has a parameter here */
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
    struct bucket *buckets; /* none unless it trains */
    int bucket_count;
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

static int create_segment(struct parameters *parameters, int index) {
    struct segment *segment = &parameters->segments[index];
    size_t bytes = segment->elements * sizeof(float);
    TRY(buffer_create(&segment->values, parameters->device, bytes, "parameters"));
    TRY(buffer_fill(segment->values, 0));
    if (!parameters->is_training)
        return 0;
    TRY(buffer_create(&segment->gradients, parameters->device, bytes, "gradients"));
    TRY(buffer_create(&segment->velocity, parameters->device, bytes, "velocity"));
    TRY(buffer_fill(segment->gradients, 0));
    return buffer_fill(segment->velocity, 0);
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

/* ---- buckets ---- */

/* Cuts the segments into buckets, from the last one's end to the first one's beginning. */
static int place_buckets(struct parameters *parameters, size_t bucket_bytes) {
    size_t count = 0;
    for (int s = 0; s < parameters->segment_count; s++)
        count += bucket_count(parameters->segments[s].elements, bucket_bytes);
    parameters->buckets = calloc(count + 1, sizeof *parameters->buckets);
    if (!parameters->buckets)
        return error_no_memory("buckets", (count + 1) * sizeof *parameters->buckets);
    for (int s = parameters->segment_count - 1; s >= 0; s--) {
        size_t elements = parameters->segments[s].elements;
        size_t pieces = bucket_count(elements, bucket_bytes);
        for (size_t i = pieces; i-- > 0;) {
            size_t first = blocks_first(elements, i, pieces);
            parameters->buckets[parameters->bucket_count++] =
                (struct bucket){.segment = s,
                                .first = first,
                                .elements = blocks_first(elements, i + 1, pieces) - first};
        }
    }
    return 0;
}

static int layer_of(const struct net *net, int parameter) {
    int i = net->count - 1;
    while (i > 0 && (net->nodes[i].layer.plan.parameter_count == 0 ||
                     net->nodes[i].parameter_first > parameter))
        i--;
    return i;
}

/* The bucket's table of multipliers, a pair for each block, and its first layer. */
static void fill_table(const struct parameters *parameters, struct bucket *bucket,
                       float (*table)[2]) {
    size_t begin = bucket->first / PARAMETERS_BLOCK;
    size_t stop = begin + bucket->elements / PARAMETERS_BLOCK;
    for (int i = parameters->net->parameter_count - 1; i >= 0; i--) {
        const struct place *place = &parameters->places[i];
        const struct parameter *parameter = net_parameter(parameters->net, i, NULL);
        size_t first = place->offset / PARAMETERS_BLOCK;
        size_t end = (place->offset + place->elements + PARAMETERS_BLOCK - 1) / PARAMETERS_BLOCK;
        if (place->segment != bucket->segment || first >= stop || end <= begin)
            continue;
        for (size_t b = first > begin ? first : begin; b < end && b < stop; b++) {
            table[b - begin][0] = (float)parameter->lr;
            table[b - begin][1] = (float)parameter->decay;
        }
        bucket->layer = layer_of(parameters->net, i);
    }
}

static int create_multipliers(struct parameters *parameters, struct bucket *bucket) {
    size_t blocks = bucket->elements / PARAMETERS_BLOCK;
    float(*table)[2] = calloc(blocks, sizeof *table);
    if (!table)
        return error_no_memory("multipliers", blocks * sizeof *table);
    fill_table(parameters, bucket, table);
    int rc = buffer_create(&bucket->multipliers, parameters->device, blocks * sizeof *table,
                           "learning-rate multipliers");
    if (rc == 0)
        rc = buffer_write(bucket->multipliers, 0, blocks * sizeof *table, table);
    free(table);
    return rc;
}

static int create_bucket(struct parameters *parameters, const struct target *target,
                         struct bucket *bucket) {
    const struct segment *segment = &parameters->segments[bucket->segment];
    size_t offset = bucket->first * sizeof(float), bytes = bucket->elements * sizeof(float);
    TRY(buffer_view(&bucket->values, segment->values, offset, bytes));
    TRY(buffer_view(&bucket->gradients, segment->gradients, offset, bytes));
    TRY(buffer_view(&bucket->velocity, segment->velocity, offset, bytes));
    TRY(create_multipliers(parameters, bucket));
    struct target reference = *target;
    reference.technique = TECHNIQUE_REFERENCE;
    struct kernel_spec spec = solver_spec(target, bucket->elements, PARAMETERS_BLOCK);
    struct kernel_spec plain = solver_spec(&reference, bucket->elements, PARAMETERS_BLOCK);
    return trust_create_kernel(&bucket->update, parameters->device, &spec, &plain);
}

static int create_buckets(struct parameters *parameters, const struct target *target,
                          size_t bucket_bytes) {
    if (!parameters->is_training)
        return 0;
    TRY(place_buckets(parameters, bucket_bytes));
    for (int i = 0; i < parameters->bucket_count; i++)
        TRY(create_bucket(parameters, target, &parameters->buckets[i]));
    return 0;
}

/* ---- the whole ---- */

int parameters_create(struct parameters **out, const struct net *net, struct device *device,
                      const struct target *target, int is_training, size_t segment_max,
                      size_t bucket_bytes) {
    struct parameters *parameters = calloc(1, sizeof *parameters);
    if (!parameters)
        return error_no_memory("the parameters", sizeof *parameters);
    parameters->net = net;
    parameters->device = device;
    parameters->is_training = is_training;
    int rc = place_parameters(parameters, segment_max);
    for (int i = 0; rc == 0 && i < parameters->segment_count; i++)
        rc = create_segment(parameters, i);
    if (rc == 0)
        rc = create_views(parameters);
    if (rc == 0)
        rc = create_buckets(parameters, target, bucket_bytes);
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
    }
    for (int i = 0; i < parameters->bucket_count; i++) {
        struct bucket *bucket = &parameters->buckets[i];
        buffer_free(bucket->values);
        buffer_free(bucket->gradients);
        buffer_free(bucket->velocity);
        buffer_free(bucket->multipliers);
        kernel_free(bucket->update);
    }
    free(parameters->buckets);
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

int parameters_bucket_count(const struct parameters *parameters) {
    return parameters->bucket_count;
}

struct buffer *parameters_bucket(const struct parameters *parameters, int bucket) {
    return parameters->buckets[bucket].gradients;
}

int parameters_bucket_layer(const struct parameters *parameters, int bucket) {
    return parameters->buckets[bucket].layer;
}

int parameters_update(struct parameters *parameters, int bucket, float rate, float momentum,
                      float decay) {
    const struct bucket *b = &parameters->buckets[bucket];
    return LAUNCH(b->update, BUFFER(b->values), BUFFER(b->velocity), BUFFER(b->gradients),
                  BUFFER(b->multipliers), SCALAR(rate), SCALAR(momentum), SCALAR(decay));
}
