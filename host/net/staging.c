#include "net/staging.h"

#include "base/error.h"
#include "layers/trust.h"
#include "ops/net_kernels.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct view) == 32, "as kernels_cl/input.cl has it");

/* Where a micro-batch waits for its forward pass. There are two: one is filled while the kernels
 * read the other. */
struct slot {
    struct buffer *samples; /* bytes of frames, or floats: made when they first come */
    struct buffer *views, *truth;
    struct view *host_views; /* what is being sent; padded */
    void *host_truth;
    struct mark sent; /* the end of its last transfer */
    struct mark read; /* the end of the kernels that read what it held */
    int count;
    int is_bytes, is_floats; /* neither: the truth alone */
};

struct staging {
    const struct net *net;
    struct device *device;
    struct target target;
    enum truth truth_kind;
    struct kernel *input_bytes, *input_floats;
    struct mean mean;           /* no values: none was set */
    struct buffer *mean_values; /* zeros, or those of mean */
    struct slot slots[STAGING_SLOTS];
    int current;   /* the slot of the last forward pass */
    int is_staged; /* the other slot holds what the next one is for */
};

static size_t sample_bytes(const struct net *net, int is_floats) {
    return is_floats ? (size_t)shape_elements(net->input) * sizeof(float)
                     : (size_t)shape_elements(net->frame);
}

struct staging_bytes staging_bytes(const struct net *net, struct tiling tiling,
                                   enum truth truth_kind, int is_floats, int mean_by_pixel) {
    size_t padded = (size_t)tiling.tiles * (size_t)tiling.tile;
    size_t numbers = truth_kind == TRUTH_NUMBERS ? (size_t)net_loss(net)->plan.output.c : 1;
    size_t means = mean_by_pixel ? (size_t)shape_elements(net->frame) : (size_t)net->input.c;
    return (struct staging_bytes){
        .samples = sample_bytes(net, is_floats) * (size_t)tiling.batch,
        .views = padded * sizeof(struct view),
        .truth = padded * numbers * sizeof(float), /* a label is an int32_t, of the same size */
        .mean = means * sizeof(float),
    };
}

static struct slot *current_slot(struct staging *staging) {
    return &staging->slots[staging->current];
}

static struct slot *next_slot(struct staging *staging) {
    return &staging->slots[(staging->current + 1) % STAGING_SLOTS];
}

/* The kernel that takes pictures, for a mean of that kind. */
static int create_input_bytes(struct staging *staging, struct kernel **kernel, int mean_by_pixel) {
    struct kernel_spec spec =
        input_bytes_spec(&staging->target, staging->net->input, staging->net->frame, mean_by_pixel);
    return trust_create_kernel(kernel, staging->device, &spec, NULL);
}

static int create_input_floats(struct staging *staging) {
    struct kernel_spec spec =
        input_floats_spec(&staging->target, staging->net->input, staging->net->frame);
    return trust_create_kernel(&staging->input_floats, staging->device, &spec, NULL);
}

static int create_slot(struct staging *staging, struct slot *slot) {
    struct staging_bytes bytes =
        staging_bytes(staging->net, staging->target.tiling, staging->truth_kind, 0, 0);
    slot->host_truth = calloc(1, bytes.truth);
    slot->host_views = calloc(1, bytes.views);
    if (!slot->host_truth || !slot->host_views)
        return error_no_memory("truths", bytes.truth);
    TRY(buffer_create(&slot->views, staging->device, bytes.views, "views"));
    return buffer_create(&slot->truth, staging->device, bytes.truth, "truths");
}

static void free_slot(struct slot *slot) {
    buffer_free(slot->samples);
    buffer_free(slot->views);
    buffer_free(slot->truth);
    free(slot->host_views);
    free(slot->host_truth);
    mark_free(&slot->sent);
    mark_free(&slot->read);
}

static int create_parts(struct staging *staging) {
    for (int i = 0; i < STAGING_SLOTS; i++)
        TRY(create_slot(staging, &staging->slots[i]));
    TRY(create_input_bytes(staging, &staging->input_bytes, 0));
    TRY(create_input_floats(staging));
    TRY(buffer_create(&staging->mean_values, staging->device,
                      (size_t)staging->net->input.c * sizeof(float), "the mean"));
    return buffer_fill(staging->mean_values, 0);
}

int staging_create(struct staging **out, const struct net *net, struct device *device,
                   const struct target *target, enum truth truth_kind) {
    struct staging *staging = calloc(1, sizeof *staging);
    if (!staging)
        return error_no_memory("samples", sizeof *staging);
    staging->net = net;
    staging->device = device;
    staging->target = *target;
    staging->truth_kind = truth_kind;
    int rc = create_parts(staging);
    if (rc < 0)
        staging_free(staging);
    else
        *out = staging;
    return rc;
}

void staging_free(struct staging *staging) {
    if (!staging)
        return;
    for (int i = 0; i < STAGING_SLOTS; i++)
        free_slot(&staging->slots[i]);
    kernel_free(staging->input_bytes);
    kernel_free(staging->input_floats);
    buffer_free(staging->mean_values);
    free(staging->mean.values);
    free(staging);
}

/* ---- the mean ---- */

/* A mean's values as the device takes them, in new memory: a single one serves all channels. */
static int spread_mean(float **out, int *count, const struct net *net, const struct mean *mean) {
    struct shape frame = net->frame;
    *count = mean->by_pixel ? (int)shape_elements(frame) : frame.c;
    if (mean->by_pixel && !shape_equal(mean->frame, frame))
        return error_set(ERROR_INPUT,
                         "the mean by pixel is for frames of %d x %d x %d; the net's are of "
                         "%d x %d x %d",
                         mean->frame.c, mean->frame.h, mean->frame.w, frame.c, frame.h, frame.w);
    if (mean->count != *count && (mean->by_pixel || mean->count != 1))
        return error_set(ERROR_INPUT, "the mean has %d numbers; the net needs %d", mean->count,
                         *count);
    *out = malloc((size_t)*count * sizeof **out);
    if (!*out)
        return error_no_memory("the mean", (size_t)*count * sizeof **out);
    for (int i = 0; i < *count; i++)
        (*out)[i] = mean->values[mean->count == 1 ? 0 : i];
    return 0;
}

/* Puts the new values and the kernel for them in the place of the old. */
static int send_mean(struct staging *staging, const float *values, int count, int by_pixel) {
    struct buffer *buffer = NULL;
    struct kernel *kernel = NULL;
    size_t bytes = (size_t)count * sizeof *values;
    TRY(buffer_create(&buffer, staging->device, bytes, "the mean"));
    int rc = buffer_write(buffer, 0, bytes, values);
    if (rc == 0)
        rc = create_input_bytes(staging, &kernel, by_pixel);
    if (rc < 0) {
        buffer_free(buffer);
        return rc;
    }
    buffer_free(staging->mean_values);
    kernel_free(staging->input_bytes);
    staging->mean_values = buffer;
    staging->input_bytes = kernel;
    return 0;
}

int staging_set_mean(struct staging *staging, const struct mean *mean) {
    float *values = NULL;
    int count = 0;
    TRY(spread_mean(&values, &count, staging->net, mean));
    int rc = send_mean(staging, values, count, mean->by_pixel);
    if (rc < 0) {
        free(values);
        return rc;
    }
    free(staging->mean.values);
    staging->mean = (struct mean){
        .by_pixel = mean->by_pixel, .frame = staging->net->frame, .count = count, .values = values};
    return 0;
}

const struct mean *staging_mean(const struct staging *staging) {
    return staging->mean.values ? &staging->mean : NULL;
}

/* Copies views, and the middle of the frame where there are none. */
static void copy_views(const struct staging *staging, struct view *to, const struct view *views,
                       int count) {
    struct shape frame = staging->net->frame, input = staging->net->input;
    struct augmentation middle = {0};
    if (!views)
        augment_centre(&middle, frame, input);
    for (int n = 0; n < count; n++) {
        to[n] = views ? views[n] : middle.view;
        assert(to[n].x >= 0 && to[n].x <= frame.w - input.w);
        assert(to[n].y >= 0 && to[n].y <= frame.h - input.h);
    }
}

/* The padding's truths are zeros: a label that exists. */
static void copy_truth(const struct staging *staging, struct slot *slot,
                       const struct samples *samples) {
    size_t count = (size_t)samples->count;
    memset(slot->host_truth, 0, buffer_bytes(slot->truth));
    if (!net_loss(staging->net)->plan.is_loss)
        return; /* a part of a net, without the loss */
    if (samples->labels)
        memcpy(slot->host_truth, samples->labels, count * sizeof *samples->labels);
    else if (samples->targets)
        memcpy(slot->host_truth, samples->targets,
               count * sizeof(float) * (size_t)net_loss(staging->net)->plan.output.c);
}

/* Makes room for a whole micro-batch of such samples. Those who read the old room, if any, keep it
 * alive. */
static int reserve_samples(struct staging *staging, struct slot *slot, size_t each) {
    size_t bytes = each * (size_t)staging->target.tiling.batch;
    if (slot->samples && buffer_bytes(slot->samples) >= bytes)
        return 0;
    buffer_free(slot->samples);
    slot->samples = NULL;
    return buffer_create(&slot->samples, staging->device, bytes, "samples");
}

static int send_slot(struct slot *slot, const void *values, size_t bytes) {
    if (values)
        TRY(buffer_transfer(slot->samples, bytes, values, &slot->read, NULL));
    TRY(buffer_transfer(slot->views, buffer_bytes(slot->views), slot->host_views, NULL, NULL));
    return buffer_transfer(slot->truth, buffer_bytes(slot->truth), slot->host_truth, NULL,
                           &slot->sent);
}

int staging_send(struct staging *staging, const struct samples *samples) {
    struct slot *slot = next_slot(staging);
    int is_bytes = samples->bytes != NULL;
    size_t each = sample_bytes(staging->net, !is_bytes);
    assert(samples->count > 0 && samples->count <= staging->target.tiling.batch);
    if (!is_bytes && staging->mean.by_pixel)
        return error_set(ERROR_INPUT, "a mean by pixel is for pictures, not for numbers");
    if (is_bytes || samples->floats)
        TRY(reserve_samples(staging, slot, each));
    TRY(mark_wait(staging->device, &slot->sent)); /* of the last time: host_truth is still read */
    copy_views(staging, slot->host_views, is_bytes ? samples->views : NULL, samples->count);
    copy_truth(staging, slot, samples);
    slot->count = samples->count;
    slot->is_bytes = is_bytes;
    slot->is_floats = samples->floats != NULL;

    const void *values = is_bytes ? (const void *)samples->bytes : samples->floats;
    int rc = send_slot(slot, values, (size_t)samples->count * each);
    if (rc < 0) { /* nothing marks the end of those that were enqueued */
        error_hold();
        (void)device_finish(staging->device);
        error_release();
        return rc;
    }
    staging->is_staged = 1;
    return 0;
}

int staging_wait(struct staging *staging) {
    int rc = 0;
    for (int i = 0; i < STAGING_SLOTS; i++) {
        int waited = mark_wait(staging->device, &staging->slots[i].sent);
        rc = rc < 0 ? rc : waited;
    }
    return rc;
}

int staging_enter(struct staging *staging, struct buffer *x) {
    const struct slot *slot = current_slot(staging);
    float scale = (float)staging->net->data.scale;
    if (slot->is_bytes)
        return LAUNCH(staging->input_bytes, BUFFER(slot->samples), BUFFER(slot->views),
                      BUFFER(staging->mean_values), BUFFER(x), SCALAR(slot->count), SCALAR(scale));
    if (!slot->is_floats)
        return 0;
    return LAUNCH(staging->input_floats, BUFFER(slot->samples), BUFFER(staging->mean_values),
                  BUFFER(x), SCALAR(slot->count), SCALAR(scale));
}

int staging_advance(struct staging *staging) {
    assert(staging->is_staged);
    /* All that reads the slot of the last pass was enqueued by now. */
    TRY(device_mark(staging->device, &current_slot(staging)->read));
    staging->current = (staging->current + 1) % STAGING_SLOTS;
    staging->is_staged = 0;
    return device_wait_for(staging->device, &current_slot(staging)->sent);
}

int staging_set_views(struct staging *staging, const struct view *views) {
    struct slot *slot = current_slot(staging);
    TRY(mark_wait(staging->device, &slot->sent));
    copy_views(staging, slot->host_views, views, slot->count);
    return buffer_write(slot->views, 0, buffer_bytes(slot->views), slot->host_views);
}

int staging_count(const struct staging *staging) {
    return staging->slots[staging->current].count;
}

struct buffer *staging_truth(const struct staging *staging) {
    return staging->slots[staging->current].truth;
}
