#include "net/parameter_layout.h"

#include "base/error.h"

#include <stdlib.h>

static size_t padded(size_t elements) {
    return (elements + PARAMETERS_BLOCK - 1) / PARAMETERS_BLOCK * PARAMETERS_BLOCK;
}

static int too_large(const struct net *net, int index, const struct device_info *device,
                     size_t elements, size_t segment_max) {
    const struct layer *layer;
    const struct parameter *parameter = net_parameter(net, index, &layer);
    return error_set(
        ERROR_DEVICE,
        "device %d (%s): %s.%s takes %.1f MiB, and the device gives at most %.1f MiB in one piece",
        device->index, device->name, layer->name, parameter->name,
        (double)elements * sizeof(float) / (1 << 20),
        (double)segment_max * sizeof(float) / (1 << 20));
}

int parameter_layout_create(struct parameter_layout *layout, const struct net *net,
                            const struct device_info *device, size_t bytes_max) {
    size_t segment_max = bytes_max / sizeof(float) / PARAMETERS_BLOCK * PARAMETERS_BLOCK;
    size_t used = 0;
    *layout = (struct parameter_layout){0};
    layout->places = calloc((size_t)net->parameter_count + 1, sizeof *layout->places);
    layout->segments = calloc((size_t)net->parameter_count + 1, sizeof *layout->segments);
    int rc = layout->places && layout->segments
                 ? 0
                 : error_no_memory("the parameters", sizeof *layout->places);
    for (int i = 0; rc == 0 && i < net->parameter_count; i++) {
        size_t elements = (size_t)parameter_elements(net_parameter(net, i, NULL));
        size_t room = padded(elements);
        if (room > segment_max) {
            rc = too_large(net, i, device, room, segment_max);
            break;
        }
        if (layout->segment_count == 0 || used + room > segment_max) {
            layout->segment_count++;
            used = 0;
        }
        layout->places[i] = (struct parameter_place){
            .segment = layout->segment_count - 1, .offset = used, .elements = elements};
        used += room;
        layout->segments[layout->segment_count - 1] = used;
    }
    if (rc < 0)
        parameter_layout_free(layout);
    return rc;
}

void parameter_layout_free(struct parameter_layout *layout) {
    free(layout->places);
    free(layout->segments);
    *layout = (struct parameter_layout){0};
}

size_t blocks_first(size_t floats, size_t i, size_t count) {
    return floats / PARAMETERS_BLOCK * i / count * PARAMETERS_BLOCK;
}

size_t blocks_most(size_t floats, size_t count) {
    return (floats / PARAMETERS_BLOCK + count - 1) / count * PARAMETERS_BLOCK;
}

/* None is tiny. */
size_t bucket_count(size_t floats, size_t bucket_bytes) {
    size_t bytes = floats * sizeof(float), blocks = floats / PARAMETERS_BLOCK;
    if (bucket_bytes == 0)
        return 1;
    size_t count = bytes / bucket_bytes + (bytes % bucket_bytes != 0);
    return count < blocks ? count : blocks;
}

size_t exchange_room(size_t floats, int peers) {
    return (size_t)(peers - 1) * blocks_most(floats, (size_t)peers) * sizeof(float);
}

size_t parameter_layout_exchange_room(const struct parameter_layout *layout, size_t bucket_bytes,
                                      int peers) {
    size_t most = 0;
    for (int i = 0; i < layout->segment_count; i++) {
        size_t floats = layout->segments[i];
        size_t largest = blocks_most(floats, bucket_count(floats, bucket_bytes));
        most = largest > most ? largest : most;
    }
    return exchange_room(most, peers);
}
