/* What the training pictures look like on the whole: the mean by channel and by pixel, and the
 * principal components of their colours. Computed from the frames of the test kind (nothing drawn),
 * once, and kept in the user's cache directory under the data's fingerprint.
 */
#ifndef DATA_STATISTICS_H
#define DATA_STATISTICS_H

#include "data/augment.h"
#include "data/dataset.h"

struct statistics {
    struct shape frame;
    int64_t pictures; /* that went in */
    double channel_mean[3];
    float *pixel_mean;                /* [C][H][W] of the frame */
    struct colour_components colours; /* zero unless there are 3 channels */
};

/* Computes or finds them. Sums are whole numbers, so the result is the same whatever the number of
 * threads. At most `most` pictures are taken (0: all), the same ones every time. Free with
 * statistics_free. */
int statistics_get(struct statistics *out, const struct dataset *train, struct shape frame,
                   int64_t most, int threads);

void statistics_free(struct statistics *statistics);

/* What is subtracted from the network's input: one number by channel, or one by pixel of the frame.
 */
struct mean {
    int by_pixel;
    struct shape frame; /* by_pixel: of values [C][H][W] */
    int count;          /* of values: C, or C * H * W */
    float *values;
};

/* Turns the key `mean` of [data] into numbers: "73" (all channels), "123.7,116.3,103.5", "channel"
 * or "pixel"; the latter two need statistics, which may be NULL otherwise. Free with mean_free. */
enum mean_kind { MEAN_NUMBERS, MEAN_CHANNEL, MEAN_PIXEL };
int mean_parse(const char *text, int channels, enum mean_kind *kind, double numbers[3]);
int mean_create(struct mean *out, const char *text, struct shape frame,
                const struct statistics *statistics);
void mean_free(struct mean *mean);

#endif
