/* How samples come to a device: two slots take turns, so that one micro-batch is sent while the
 * kernels read the other; a kernel crops, mirrors, subtracts the mean, and writes the net's first
 * activation. For replica.c only.
 */
#ifndef NET_STAGING_H
#define NET_STAGING_H

#include "cl/target.h"
#include "data/statistics.h"
#include "net/net.h"

/* Samples on the host, a micro-batch: as in struct batch. */
struct samples {
    int count;
    const uint8_t *bytes;     /* [count][H][W][C] of net->frame, or NULL */
    const struct view *views; /* [count], what to see of each frame; NULL: its middle */
    const float *floats;      /* [count][C][H][W], or NULL; neither: the input is there already */
    const int32_t *labels;    /* [count], or NULL */
    const float *targets;     /* [count][outputs], or NULL */
};

struct staging;

/* Bytes of what staging allocates: of each of its two slots, and of the mean. */
enum { STAGING_SLOTS = 2 };
struct staging_bytes {
    size_t samples; /* made when they first come */
    size_t views, truth, mean;
};

/* What a net takes with a tiling, for samples as bytes of frames or as floats. */
struct staging_bytes staging_bytes(const struct net *net, struct tiling tiling,
                                   enum truth truth_kind, int is_floats, int mean_by_pixel);

/* The net and the device must outlive it. Free with staging_free, when the device is idle. */
int staging_create(struct staging **out, const struct net *net, struct device *device,
                   const struct target *target, enum truth truth_kind);

void staging_free(struct staging *staging);

/* As replica_set_mean, replica_mean, replica_stage and replica_stage_wait. */
int staging_set_mean(struct staging *staging, const struct mean *mean);
const struct mean *staging_mean(const struct staging *staging);
int staging_send(struct staging *staging, const struct samples *samples);
int staging_wait(struct staging *staging);

/* Makes what was sent last the current micro-batch: what is enqueued from here on waits for it. */
int staging_advance(struct staging *staging);

/* Other views [count] of the current micro-batch. */
int staging_set_views(struct staging *staging, const struct view *views);

/* Enqueues the kernel that writes the first activation. */
int staging_enter(struct staging *staging, struct buffer *x);

/* Of the current micro-batch. */
int staging_count(const struct staging *staging);
struct buffer *staging_truth(const struct staging *staging);

#endif
