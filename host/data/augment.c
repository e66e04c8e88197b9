#include "data/augment.h"

#include "base/error.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIELD(name) offsetof(struct augment_options, name)

const struct option augment_option_table[] = {
    {"resize",
     "pictures: short side, in pixels, that each is scaled to before the network's input is cut "
     "out of it; 0: that of the input",
     OPTION_INT, FIELD(resize), "0", 0, PICTURE_SIDE_MAX, NULL},
    {"flip", "pictures, training: mirror half of them (Darknet's key)", OPTION_BOOL, FIELD(flip),
     "0", 0, 1, NULL},
    {"min_crop",
     "pictures, training: least short side that one is zoomed to; 0: `resize` (Darknet's key)",
     OPTION_INT, FIELD(min_crop), "0", 0, PICTURE_SIDE_MAX, NULL},
    {"max_crop",
     "pictures, training: greatest short side that one is zoomed to; 0: `resize` (Darknet's key)",
     OPTION_INT, FIELD(max_crop), "0", 0, PICTURE_SIDE_MAX, NULL},
    {"angle", "pictures, training: rotate by up to so many degrees either way (Darknet's key)",
     OPTION_FLOAT, FIELD(angle), "0", 0, 180, NULL},
    {"aspect", "pictures, training: stretch by up to this factor, or squeeze by it (Darknet's key)",
     OPTION_FLOAT, FIELD(aspect), "1", 1, 10, NULL},
    {"saturation",
     "pictures, training: multiply or divide the saturation by up to this (Darknet's key)",
     OPTION_FLOAT, FIELD(saturation), "1", 1, 100, NULL},
    {"exposure",
     "pictures, training: multiply or divide the brightness by up to this (Darknet's key)",
     OPTION_FLOAT, FIELD(exposure), "1", 1, 100, NULL},
    {"hue",
     "pictures, training: turn the hue by up to this share of the circle either way (Darknet's "
     "key)",
     OPTION_FLOAT, FIELD(hue), "0", 0, 1, NULL},
    {"pca_noise",
     "pictures, training: deviation of the noise along the colours' principal components; the "
     "AlexNet paper has 0.1",
     OPTION_FLOAT, FIELD(pca_noise), "0", 0, 100, NULL},
    {0},
};

static int short_side(struct shape shape) {
    return shape.h < shape.w ? shape.h : shape.w;
}

static int or_else(int value, int instead) {
    return value ? value : instead;
}

int augment_frame(struct shape *frame, const struct augment_options *options, struct shape input) {
    int from = short_side(input), to = or_else(options->resize, from);
    if (to < from)
        return error_set(ERROR_INPUT,
                         "resize: %d is less than the short side of the network's input, %d", to,
                         from);
    int least = or_else(options->min_crop, to), most = or_else(options->max_crop, to);
    if (least > most)
        return error_set(ERROR_INPUT, "min_crop: %d is more than max_crop, %d", least, most);
    double scale = (double)to / from;
    *frame = (struct shape){input.c, (int)lround(input.h * scale), (int)lround(input.w * scale)};
    return 0;
}

static double draw_between(struct rng *rng, double least, double most) {
    return least + (most - least) * rng_uniform(rng);
}

/* As Darknet's rand_scale: up to the factor, or divided by it. */
static double draw_factor(struct rng *rng, double most) {
    double factor = draw_between(rng, 1, most);
    return rng_uniform(rng) < 0.5F ? factor : 1 / factor;
}

/* 0..bound-1, from exactly one number, which rng_below does not promise. */
static int draw_below(struct rng *rng, int bound) {
    return (int)((double)rng_uniform(rng) * bound);
}

static void draw_colour_noise(struct view *view, struct rng *rng, double noise,
                              const struct colour_components *colours, int channels) {
    float pairs[2][2];
    rng_gaussian_pair(rng, pairs[0]);
    rng_gaussian_pair(rng, pairs[1]);
    if (noise == 0 || !colours || channels != 3)
        return;
    for (int c = 0; c < 3; c++) {
        double sum = 0;
        for (int k = 0; k < 3; k++)
            sum += colours->axes[c][k] * colours->deviations[k] * pairs[k / 2][k % 2];
        view->add[c] = (float)(sum * noise);
    }
}

/* Draws the same numbers in the same order whatever the options: switching one on leaves the
 * others' choices as they were. */
void augment_draw(struct augmentation *out, const struct augment_options *options,
                  struct shape frame, struct shape input, const struct colour_components *colours,
                  uint32_t seed, int64_t epoch, int64_t sample) {
    struct rng rng = rng_start(seed, RNG_AUGMENT, (uint32_t)epoch, (uint32_t)sample);
    const double radians = 3.14159265358979323846 / 180;
    int side = short_side(frame);
    *out = (struct augmentation){0};
    out->zoom =
        draw_between(&rng, or_else(options->min_crop, side), or_else(options->max_crop, side)) /
        side;
    out->angle = draw_between(&rng, -options->angle, options->angle) * radians;
    out->aspect = draw_factor(&rng, options->aspect);
    double room = out->zoom > 1 ? (out->zoom - 1) / 2 : 0;
    out->shift_x = draw_between(&rng, -room, room) * frame.w;
    out->shift_y = draw_between(&rng, -room, room) * frame.h;
    out->saturation = draw_factor(&rng, options->saturation);
    out->exposure = draw_factor(&rng, options->exposure);
    out->hue = draw_between(&rng, -options->hue, options->hue);
    out->view.x = draw_below(&rng, frame.w - input.w + 1);
    out->view.y = draw_below(&rng, frame.h - input.h + 1);
    out->view.mirror = draw_below(&rng, 2) && options->flip;
    draw_colour_noise(&out->view, &rng, options->pca_noise, colours, input.c);
}

void augment_centre(struct augmentation *out, struct shape frame, struct shape input) {
    *out = (struct augmentation){
        .zoom = 1,
        .aspect = 1,
        .saturation = 1,
        .exposure = 1,
        .view = {.x = (frame.w - input.w) / 2, .y = (frame.h - input.h) / 2},
    };
}

struct view augment_ten_crop(struct shape frame, struct shape input, int i) {
    int place = i % (TEN_CROPS / 2), right = frame.w - input.w, bottom = frame.h - input.h;
    struct view view = {.mirror = i >= TEN_CROPS / 2};
    if (place == 4) {
        view.x = right / 2;
        view.y = bottom / 2;
    } else {
        view.x = place % 2 ? right : 0;
        view.y = place / 2 ? bottom : 0;
    }
    return view;
}

/* Where a frame's pixels lie in the picture: a point p of the frame, from its centre, is turned
 * back, shifted, multiplied by the steps, and counted from the picture's centre. */
struct geometry {
    double step_x, step_y; /* pixels of the picture for one of the scaled picture */
    double shift_x, shift_y;
    double cosine, sine;
};

/* A stretched picture must still cover the frame: it grows in one direction, never shrinks in the
 * other. */
static struct geometry find_geometry(struct shape frame, const struct picture *picture,
                                     const struct augmentation *augmentation) {
    double across = (double)picture->width / frame.w, down = (double)picture->height / frame.h;
    double step = (across < down ? across : down) / augmentation->zoom;
    double aspect = augmentation->aspect;
    return (struct geometry){
        .step_x = aspect > 1 ? step / aspect : step,
        .step_y = aspect < 1 ? step * aspect : step,
        .shift_x = augmentation->shift_x,
        .shift_y = augmentation->shift_y,
        .cosine = cos(augmentation->angle),
        .sine = sin(augmentation->angle),
    };
}

static int clamp_index(double i, int count) {
    return i < 0 ? 0 : i >= count ? count - 1 : (int)i;
}

/* For each pixel along one side of the frame: the picture's pixels that it averages. */
struct axis {
    int taps;   /* room for weights of each */
    int *first; /* of the picture's pixels */
    int *count;
    float *weights; /* [side][taps] */
};

/* The share of each pixel in the interval from begin to begin + width, those beyond the edges
 * counting for the ones at the edges. */
static void weigh_interval(struct axis *axis, int i, double begin, double width, int count) {
    float *weights = axis->weights + (size_t)i * (size_t)axis->taps;
    int first = clamp_index(floor(begin), count), last = first;
    memset(weights, 0, (size_t)axis->taps * sizeof *weights);
    double end = begin + width;
    for (double at = floor(begin); at < end; at++) {
        double share = fmin(at + 1, end) - fmax(at, begin);
        last = clamp_index(at, count);
        weights[last - first] += (float)(share / width);
    }
    axis->first[i] = first;
    axis->count[i] = last - first + 1;
}

/* Shrinking averages over what a pixel of the frame covers. A box as wide as one pixel of the
 * picture, where a pixel of the frame covers less, is the same as interpolating linearly. */
static int open_axis(struct axis *axis, int side, int count, double step, double shift) {
    double width = step > 1 ? step : 1;
    axis->taps = width + 2 < count ? (int)width + 2 : count;
    size_t weights = (size_t)side * (size_t)axis->taps * sizeof *axis->weights;
    size_t indices = 2 * (size_t)side * sizeof *axis->first;
    axis->weights = malloc(weights + indices);
    if (!axis->weights)
        return error_no_memory("resampling a picture", weights + indices);
    axis->first = (int *)(axis->weights + (size_t)side * (size_t)axis->taps);
    axis->count = axis->first + side;
    for (int i = 0; i < side; i++) {
        double middle = count / 2.0 + (i + 0.5 - side / 2.0 + shift) * step;
        weigh_interval(axis, i, middle - width / 2, width, count);
    }
    return 0;
}

/* The weighted sum of rows of bytes, from column `first` on. */
static void sum_rows(float *restrict sums, const struct picture *picture, const struct axis *down,
                     int y, size_t first, size_t count) {
    const float *weights = down->weights + (size_t)y * (size_t)down->taps;
    size_t stride = (size_t)picture->width * (size_t)picture->channels;
    const uint8_t *row = picture->pixels + (size_t)down->first[y] * stride + first;
    float weight = weights[0];
    for (size_t i = 0; i < count; i++)
        sums[i] = weight * row[i];
    for (int k = 1; k < down->count[y]; k++) {
        row += stride;
        weight = weights[k];
        for (size_t i = 0; i < count; i++)
            sums[i] += weight * row[i];
    }
}

static uint8_t to_byte(float value) {
    return value <= 0 ? 0 : value >= 255 ? 255 : (uint8_t)(value + 0.5F);
}

static void sum_columns_3(uint8_t *row, const float *sums, const struct axis *across, int width) {
    for (int x = 0; x < width; x++, row += 3) {
        const float *weights = across->weights + (size_t)x * (size_t)across->taps;
        const float *from = sums + (size_t)3 * (size_t)(across->first[x] - across->first[0]);
        float a = 0, b = 0, c = 0;
        for (int k = 0; k < across->count[x]; k++, from += 3) {
            a += weights[k] * from[0];
            b += weights[k] * from[1];
            c += weights[k] * from[2];
        }
        row[0] = to_byte(a);
        row[1] = to_byte(b);
        row[2] = to_byte(c);
    }
}

static void sum_columns_1(uint8_t *row, const float *sums, const struct axis *across, int width) {
    for (int x = 0; x < width; x++) {
        const float *weights = across->weights + (size_t)x * (size_t)across->taps;
        const float *from = sums + (across->first[x] - across->first[0]);
        float sum = 0;
        for (int k = 0; k < across->count[x]; k++)
            sum += weights[k] * from[k];
        row[x] = to_byte(sum);
    }
}

/* Without a rotation rows and columns are averaged one after the other. */
static int resample_upright(uint8_t *pixels, struct shape frame, const struct picture *picture,
                            const struct geometry *geometry) {
    struct axis across = {0}, down = {0};
    float *sums = NULL;
    int rc;
    TRY_OR(done, open_axis(&across, frame.w, picture->width, geometry->step_x, geometry->shift_x));
    TRY_OR(done, open_axis(&down, frame.h, picture->height, geometry->step_y, geometry->shift_y));
    size_t channels = (size_t)frame.c, first = (size_t)across.first[0] * channels;
    size_t end = (size_t)(across.first[frame.w - 1] + across.count[frame.w - 1]) * channels;
    sums = malloc((end - first) * sizeof *sums);
    if (!sums) {
        rc = error_no_memory("resampling a picture", (end - first) * sizeof *sums);
        goto done;
    }
    for (int y = 0; y < frame.h; y++) {
        uint8_t *row = pixels + (size_t)y * (size_t)frame.w * channels;
        sum_rows(sums, picture, &down, y, first, end - first);
        if (frame.c == 3)
            sum_columns_3(row, sums, &across, frame.w);
        else
            sum_columns_1(row, sums, &across, frame.w);
    }
done:
    free(sums);
    free(down.weights);
    free(across.weights);
    return rc;
}

/* Not by fmin and fmax, which are calls, for their care about NaN. */
static double clamp(double value, double most) {
    return value < 0 ? 0 : value > most ? most : value;
}

/* Adds the picture's colour at a point, interpolated between the four pixels around it. */
static void add_point(float sum[3], const struct picture *picture, double x, double y) {
    size_t channels = (size_t)picture->channels, stride = (size_t)picture->width * channels;
    double most_x = picture->width - 1, most_y = picture->height - 1;
    x = clamp(x - 0.5, most_x);
    y = clamp(y - 0.5, most_y);
    int left = (int)x, top = (int)y;
    float right_share = (float)(x - left), bottom_share = (float)(y - top);
    size_t right = left < (int)most_x ? channels : 0, bottom = top < (int)most_y ? stride : 0;
    const uint8_t *p = picture->pixels + (size_t)top * stride + (size_t)left * channels;
    for (size_t c = 0; c < channels; c++, p++) {
        float above = (float)p[0] + right_share * (float)(p[right] - p[0]);
        float below = (float)p[bottom] + right_share * (float)(p[bottom + right] - p[bottom]);
        sum[c] += above + bottom_share * (below - above);
    }
}

/* So many points of a pixel of the frame that they are no farther apart than the picture's pixels.
 */
static int points_for(double step) {
    return step > 1 ? (int)ceil(step) : 1;
}

static void resample_rotated(uint8_t *pixels, struct shape frame, const struct picture *picture,
                             const struct geometry *g) {
    int across = points_for(g->step_x), down = points_for(g->step_y);
    int points = across > down ? across : down;
    double apart = 1.0 / points;
    float share = (float)(apart * apart);
    /* The way in the picture along a row of the frame, and along a column. */
    double x_by_x = g->cosine * g->step_x, y_by_x = g->sine * g->step_y;
    double x_by_y = -g->sine * g->step_x, y_by_y = g->cosine * g->step_y;
    double middle_x = picture->width / 2.0 + g->shift_x * g->step_x;
    double middle_y = picture->height / 2.0 + g->shift_y * g->step_y;
    for (int y = 0; y < frame.h; y++) {
        for (int x = 0; x < frame.w; x++) {
            float sum[3] = {0};
            for (int i = 0; i < points; i++) {
                double down_by = y + (i + 0.5) * apart - frame.h / 2.0;
                for (int j = 0; j < points; j++) {
                    double right_by = x + (j + 0.5) * apart - frame.w / 2.0;
                    add_point(sum, picture, middle_x + right_by * x_by_x + down_by * x_by_y,
                              middle_y + right_by * y_by_x + down_by * y_by_y);
                }
            }
            for (int c = 0; c < frame.c; c++)
                *pixels++ = to_byte(sum[c] * share);
        }
    }
}

/* The value is the greatest channel and the saturation how far the least lies below it, so that
 * without turning the hue a change of both is linear. */
static void change_pixel(uint8_t rgb[3], float saturation, float exposure, float hue) {
    float r = rgb[0], g = rgb[1], b = rgb[2];
    float most = r > g ? r : g, least = r < g ? r : g;
    most = b > most ? b : most;
    float range = most - (b < least ? b : least);
    if (range > 0) {
        /* In sixths of the circle: 0 red, 2 green, 4 blue. */
        if (most == r)
            hue += (g - b) / range;
        else if (most == g)
            hue += 2 + (b - r) / range;
        else
            hue += 4 + (r - g) / range;
    }
    for (int c = 0; c < 3; c++) {
        /* How far from this channel's own sixths: 0 within one of it, 1 from two on. */
        float from = hue - 2 * (float)c;
        while (from < -3)
            from += 6;
        while (from > 3)
            from -= 6;
        double lack = clamp((from < 0 ? -from : from) - 1, 1);
        rgb[c] = to_byte(exposure * (most - saturation * range * (float)lack));
    }
}

static void change_colours(uint8_t *pixels, struct shape frame,
                           const struct augmentation *augmentation) {
    float saturation = (float)augmentation->saturation, exposure = (float)augmentation->exposure;
    float hue = 6 * (float)augmentation->hue;
    size_t count = (size_t)frame.h * (size_t)frame.w;
    if (frame.c == 3 && (saturation != 1 || hue != 0)) {
        for (size_t i = 0; i < count; i++)
            change_pixel(pixels + 3 * i, saturation, exposure, hue);
    } else if (exposure != 1) {
        uint8_t changed[256];
        for (int value = 0; value < 256; value++)
            changed[value] = to_byte(exposure * (float)value);
        for (size_t i = 0; i < count * (size_t)frame.c; i++)
            pixels[i] = changed[pixels[i]];
    }
}

static int is_same_size(struct shape frame, const struct picture *picture,
                        const struct geometry *g) {
    return picture->width == frame.w && picture->height == frame.h && g->step_x == 1 &&
           g->step_y == 1 && g->shift_x == 0 && g->shift_y == 0;
}

int augment_apply(uint8_t *frame_pixels, struct shape frame, const struct picture *picture,
                  const struct augmentation *augmentation) {
    struct geometry geometry = find_geometry(frame, picture, augmentation);
    if (augmentation->angle != 0)
        resample_rotated(frame_pixels, frame, picture, &geometry);
    else if (is_same_size(frame, picture, &geometry))
        memcpy(frame_pixels, picture->pixels, (size_t)shape_elements(frame));
    else
        TRY(resample_upright(frame_pixels, frame, picture, &geometry));
    change_colours(frame_pixels, frame, augmentation);
    return 0;
}

int augment_least_side(struct shape frame, const struct augmentation *augmentation) {
    double aspect = augmentation->aspect;
    double stretch = aspect > 1 ? aspect : 1 / aspect;
    return (int)ceil((frame.w > frame.h ? frame.w : frame.h) * augmentation->zoom * stretch);
}
