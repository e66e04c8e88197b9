/* Augmentation: how a picture becomes what the network sees.
 *
 * On the host a picture is resampled, in one step, into a frame of fixed size: scaled so that it
 * covers the frame, its centre kept; in training also rotated, zoomed and stretched, and its
 * colours changed. On the device (kernels_cl/input.cl) the frame is cropped to the network's input,
 * mirrored, and gets its mean subtracted: what that takes is a `struct view`.
 *
 * Every choice is drawn from the counter-based generator by seed, epoch and sample: it is the same
 * whatever the number of threads.
 */
#ifndef DATA_AUGMENT_H
#define DATA_AUGMENT_H

#include "base/options.h"
#include "base/shape.h"
#include "data/picture.h"

#include <stdint.h>

/* Keys of [net], under Darknet's names where Darknet has them. */
struct augment_options {
    int resize;             /* short side of the frame; 0: that of the network's input, no margin */
    int flip;               /* training: mirror half of the samples */
    int min_crop, max_crop; /* training: short side that the picture is scaled to, in pixels of the
                               frame's scale; 0: resize, that is no zoom */
    double angle;           /* training: rotate by up to so many degrees either way */
    double aspect;          /* training: stretch by up to this factor or its inverse */
    double saturation, exposure; /* training: multiply by up to this factor or its inverse */
    double hue;                  /* training: turn by up to this share of the circle either way */
    double pca_noise; /* training: standard deviation of the colour noise of the 2012 paper */
};

extern const struct option augment_option_table[];

/* The frame for a network's input: input scaled so that its short side is `resize`, rounded.
 * ERROR_INPUT ("resize: ...") when resize is smaller than the input's short side. */
int augment_frame(struct shape *frame, const struct augment_options *options, struct shape input);

/* The part of a frame that the network sees, as the device takes it: 32 bytes. */
struct view {
    int32_t x, y;   /* of the crop's first pixel in the frame */
    int32_t mirror; /* 1: columns from right to left */
    int32_t unused;
    float add[4]; /* to each channel's value, before the mean is subtracted; [3] is 0 */
};

/* Eigenvectors (columns) and the roots of the eigenvalues of the training set's colours, of pixel
 * values 0..255: for the noise of the 2012 paper. */
struct colour_components {
    double axes[3][3]; /* axes[channel][component] */
    double deviations[3];
};

/* Everything that was drawn for one sample. */
struct augmentation {
    double zoom;                      /* > 1: nearer */
    double angle;                     /* radians, counter-clockwise */
    double aspect;                    /* > 1: wider */
    double shift_x, shift_y;          /* of the frame's centre, in pixels of the scaled picture */
    double saturation, exposure, hue; /* 1, 1, 0: unchanged */
    struct view view;
};

/* For training. `colours` may be NULL when pca_noise is 0. */
void augment_draw(struct augmentation *out, const struct augment_options *options,
                  struct shape frame, struct shape input, const struct colour_components *colours,
                  uint32_t seed, int64_t epoch, int64_t sample);

/* For testing: nothing changed, the crop in the middle. */
void augment_centre(struct augmentation *out, struct shape frame, struct shape input);

/* The i-th of the ten test views: four corners and the centre, then those mirrored. */
enum { TEN_CROPS = 10 };
struct view augment_ten_crop(struct shape frame, struct shape input, int i);

/* Resamples a picture (frame.c channels) into frame [H][W][C]: the average over each pixel's area
 * when shrinking, bilinear when enlarging; beyond the picture's edge its edge is repeated. A
 * picture of exactly the frame's size that nothing changes is copied. Fails only for memory. */
int augment_apply(uint8_t *frame_pixels, struct shape frame, const struct picture *picture,
                  const struct augmentation *augmentation);

/* The short side that a decoded picture needs for this augmentation: see picture_decode. */
int augment_least_side(struct shape frame, const struct augmentation *augmentation);

#endif
