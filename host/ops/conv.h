/* Convolutions over a batch: the problem, and the kernels of each technique for its passes. */
#ifndef OPS_CONV_H
#define OPS_CONV_H

#include "cl/tuning.h"
#include "ops/bias_activation.h"

/* Square windows. Channels are those of all groups together. */
struct conv {
    struct shape in, out;
    int size, stride, padding, groups;
    enum activation activation; /* of the output */
};

enum conv_pass { CONV_PASS_FORWARD, CONV_PASS_DATA, CONV_PASS_FILTER, CONV_PASSES };

/* The pack kernels rearrange or transform the filters into scratch memory, for the kernel that
 * follows, which may use what lies behind them. Where a kernel finishes backward filter, that one
 * leaves in scratch memory what it makes dw of: parts to add, or transformed sums. */
enum {
    CONV_PACK_FORWARD,    /* w, scratch */
    CONV_FORWARD,         /* x, w or scratch, b, y */
    CONV_PACK_BACKWARD,   /* w, scratch */
    CONV_BACKWARD_DATA,   /* dy, w or scratch, dx */
    CONV_BACKWARD_FILTER, /* dy, x, dw or scratch */
    CONV_FINISH_FILTER,   /* scratch, dw */
    CONV_KERNELS,
};

enum { CONV_TECHNIQUES = 4, CONV_CHOICES = CONV_TECHNIQUES * CONV_PASSES };

/* A spec without a file is not needed. */
struct conv_specs {
    struct kernel_spec specs[CONV_KERNELS];
    size_t scratch_bytes;
    struct choice choices[CONV_CHOICES]; /* of each pass, the ways to compute it */
    int choice_count;
};

/* A way to compute the passes. */
struct conv_technique {
    /* Fills the space, defaults and most of a choice. Returns 0 where the device has too little for
     * it, or the problem is none of its kind. */
    int (*open)(struct choice *choice, const struct conv *conv, const struct target *target,
                enum conv_pass pass);
    /* Adds the kernels of a pass, with these values, but for the macros that describe the problem.
     */
    void (*add)(struct conv_specs *out, const struct conv *conv, const struct target *target,
                enum conv_pass pass, const int values[]);
};

/* Register tiles over the images of a tile, on any device: conv_vector.cl. */
extern const struct conv_technique conv_vector;

/* Register tiles over the pixels of a row and their images, for CPUs: conv_rows.cl. */
extern const struct conv_technique conv_rows;

/* Whether only that fills vectors: a tile has fewer images than a vector has lanes. */
int conv_rows_fills(const struct target *target);

/* Tiles in local memory, for GPUs: conv_tiled.cl. */
extern const struct conv_technique conv_tiled;

/* Minimal filtering, for windows of 3 x 3 or 5 x 5, with a stride those of each phase:
 * conv_winograd.cl, and for backward weight on CPUs conv_winograd_filter.cl. */
extern const struct conv_technique conv_winograd, conv_winograd_filter;
const struct conv_technique *conv_winograd_for(enum conv_pass pass);

/* Whether there are patches of so many results along a side, 2 or 4, and which ones there are, in
 * words; how long the side of their source is; the channels of a group in all phases; and which
 * patches take fewer multiplications for results of that size. */
int conv_winograd_knows(const struct conv *conv, int patch);
extern const char conv_winograd_patches[];
int conv_winograd_side(const struct conv *conv, int patch);
int conv_winograd_channels(const struct conv *conv);
int conv_winograd_patch(const struct conv *conv, int height, int width);

/* Whether that is to be taken by default: where it was measured to be faster. */
int conv_winograd_wins(const struct conv *conv, const struct target *target, enum conv_pass pass);

/* The kernels for a target, by its technique and tunings. */
struct conv_specs conv_specs(const struct conv *conv, const struct target *target, int needs_dx);

/* For techniques: adds the kernel that packs the filters for CONV_PASS_FORWARD or _DATA, by blocks
 * of so many result channels, and its scratch memory. */
void conv_add_pack(struct conv_specs *out, const struct conv *conv, enum conv_pass pass, int block);

/* Channels of a group that come in, and that go out. */
int conv_c(const struct conv *conv);
int conv_k(const struct conv *conv);

#endif
