/* Augmentation against a plain reference in double precision, and what is drawn against its ranges.
 */
#include "data/augment.h"

#include "support/suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct shape input = {3, 24, 24};
static const double turn = 3.14159265358979323846 / 2;

/* Noise on a slope, the same in every run. */
static struct picture make_picture(int width, int height, int channels) {
    struct picture picture;
    ck_succeeds(picture_create(&picture, width, height, channels));
    size_t count = (size_t)width * (size_t)height * (size_t)channels;
    for (size_t i = 0; i < count; i++) {
        uint32_t h = ((uint32_t)i + 1) * 2654435761U;
        picture.pixels[i] = (uint8_t)((h ^ h >> 13) * 2246822519U >> 24);
    }
    return picture;
}

static uint8_t *new_frame(struct shape frame) {
    uint8_t *pixels = malloc((size_t)shape_elements(frame));
    ck_assert_ptr_nonnull(pixels);
    return pixels;
}

static struct augmentation unchanged(void) {
    struct augmentation augmentation;
    augment_centre(&augmentation, input, input);
    return augmentation;
}

static double pixel(const struct picture *picture, double x, double y, int c) {
    int column = (int)fmin(fmax(x, 0), picture->width - 1);
    int row = (int)fmin(fmax(y, 0), picture->height - 1);
    return picture->pixels[(row * picture->width + column) * picture->channels + c];
}

/* The share of pixel i that the interval covers. */
static double overlap(double i, double begin, double end) {
    return fmax(0, fmin(i + 1, end) - fmax(i, begin));
}

/* The average over a rectangle of the picture. */
static double area(const struct picture *picture, double x, double y, double width, double height,
                   int c) {
    double sum = 0;
    for (int row = (int)floor(y); row < y + height; row++) {
        for (int column = (int)floor(x); column < x + width; column++)
            sum += pixel(picture, column, row, c) * overlap(column, x, x + width) *
                   overlap(row, y, y + height);
    }
    return sum / (width * height);
}

/* Between the four pixels around a point. */
static double bilinear(const struct picture *picture, double x, double y, int c) {
    x -= 0.5, y -= 0.5;
    double left = floor(x), top = floor(y), fx = x - left, fy = y - top;
    return (pixel(picture, left, top, c) * (1 - fx) + pixel(picture, left + 1, top, c) * fx) *
               (1 - fy) +
           (pixel(picture, left, top + 1, c) * (1 - fx) +
            pixel(picture, left + 1, top + 1, c) * fx) *
               fy;
}

/* Compares with the reference; both axes must shrink, or both enlarge. */
static void check_resample(int width, int height, struct shape frame,
                           const struct augmentation *augmentation) {
    struct picture picture = make_picture(width, height, frame.c);
    uint8_t *pixels = new_frame(frame), *got = pixels;
    ck_succeeds(augment_apply(pixels, frame, &picture, augmentation));
    double step = fmin((double)width / frame.w, (double)height / frame.h) / augmentation->zoom;
    double step_x = step / fmax(augmentation->aspect, 1),
           step_y = step * fmin(augmentation->aspect, 1);
    for (int y = 0; y < frame.h; y++) {
        for (int x = 0; x < frame.w; x++) {
            double from_x = width / 2.0 + (x - frame.w / 2.0 + augmentation->shift_x) * step_x;
            double from_y = height / 2.0 + (y - frame.h / 2.0 + augmentation->shift_y) * step_y;
            for (int c = 0; c < frame.c; c++) {
                double want = step > 1
                                  ? area(&picture, from_x, from_y, step_x, step_y, c)
                                  : bilinear(&picture, from_x + step_x / 2, from_y + step_y / 2, c);
                ck_assert_msg(fabs(*got - want) < 0.501, "%d x %d, (%d, %d): %d, not %g", width,
                              height, x, y, *got, want);
                got++;
            }
        }
    }
    free(pixels);
    picture_free(&picture);
}

START_TEST(shrinking_averages_over_each_pixels_area) {
    struct augmentation a = unchanged();
    check_resample(48, 48, (struct shape){3, 24, 24}, &a);
    check_resample(101, 67, (struct shape){3, 32, 32}, &a);
    check_resample(67, 101, (struct shape){1, 32, 32}, &a);
    check_resample(97, 211, (struct shape){3, 20, 37}, &a);
    a.zoom = 1.3, a.shift_x = 3.2, a.shift_y = -4.1;
    check_resample(101, 67, (struct shape){3, 32, 32}, &a);
    a.aspect = 1.4;
    check_resample(201, 167, (struct shape){3, 32, 32}, &a);
    a.aspect = 0.7, a.zoom = 0.5;
    check_resample(201, 167, (struct shape){3, 32, 32}, &a);
}
END_TEST

START_TEST(enlarging_interpolates_linearly_and_repeats_the_edge) {
    struct augmentation a = unchanged();
    check_resample(12, 12, (struct shape){3, 24, 24}, &a);
    check_resample(17, 11, (struct shape){3, 32, 32}, &a);
    check_resample(1, 1, (struct shape){1, 5, 5}, &a);
    check_resample(1, 9, (struct shape){3, 12, 12}, &a);
    a.zoom = 1.7, a.shift_x = -5, a.shift_y = 2.6, a.aspect = 1.2;
    check_resample(17, 11, (struct shape){3, 32, 32}, &a);
    a.aspect = 1 / 1.2, a.shift_x = 90;
    check_resample(17, 11, (struct shape){1, 32, 32}, &a);
}
END_TEST

START_TEST(a_picture_of_the_frames_size_is_copied) {
    struct augmentation a = unchanged();
    struct picture picture = make_picture(24, 24, 3);
    uint8_t *pixels = new_frame(input);
    ck_succeeds(augment_apply(pixels, input, &picture, &a));
    ck_assert_mem_eq(pixels, picture.pixels, (size_t)shape_elements(input));
    free(pixels);
    picture_free(&picture);
}
END_TEST

START_TEST(a_longer_picture_keeps_its_middle) {
    struct augmentation a = unchanged();
    struct picture picture = make_picture(30, 24, 3);
    uint8_t *pixels = new_frame(input);
    ck_succeeds(augment_apply(pixels, input, &picture, &a));
    for (size_t y = 0; y < 24; y++)
        ck_assert_mem_eq(pixels + y * 24 * 3, picture.pixels + (y * 30 + 3) * 3, (size_t)24 * 3);
    free(pixels);
    picture_free(&picture);
}
END_TEST

START_TEST(rotations_by_right_angles_move_every_pixel) {
    struct picture picture = make_picture(24, 24, 3);
    uint8_t *pixels = new_frame(input);
    for (int quarter = -2; quarter <= 2; quarter++) {
        struct augmentation a = unchanged();
        a.angle = turn * quarter;
        ck_succeeds(augment_apply(pixels, input, &picture, &a));
        for (int y = 0; y < 24; y++) {
            for (int x = 0; x < 24; x++) {
                /* Counter-clockwise: what was at the right is at the top. */
                const int from[5][2] = {
                    {23 - x, 23 - y}, {y, 23 - x}, {x, y}, {23 - y, x}, {23 - x, 23 - y}};
                const int *at = from[quarter + 2];
                ck_assert_mem_eq(pixels + (size_t)3 * (size_t)(y * 24 + x),
                                 picture.pixels + (size_t)3 * (size_t)(at[1] * 24 + at[0]), 3);
            }
        }
    }
    free(pixels);
    picture_free(&picture);
}
END_TEST

/* A slope along the columns and one along the rows: what a pixel shows says where it comes from. */
static struct picture make_slopes(int width, int height) {
    struct picture picture;
    ck_succeeds(picture_create(&picture, width, height, 3));
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            uint8_t *p = picture.pixels + (size_t)3 * (size_t)(y * width + x);
            p[0] = (uint8_t)x;
            p[1] = (uint8_t)y;
            p[2] = 0;
        }
    }
    return picture;
}

/* What a point of the frame, from its centre, should show of such a picture of 200 x 200 at half
 * its size. */
static void check_place(const struct augmentation *a, double x, double y, double from_x,
                        double from_y) {
    const struct shape frame = {3, 100, 100};
    struct picture picture = make_slopes(200, 200);
    uint8_t *pixels = new_frame(frame);
    ck_succeeds(augment_apply(pixels, frame, &picture, a));
    const uint8_t *p = pixels + (size_t)3 * (size_t)((int)(50 + y) * 100 + (int)(50 + x));
    ck_assert_msg(fabs(p[0] - from_x) <= 1.5 && fabs(p[1] - from_y) <= 1.5,
                  "at (%g, %g): from (%d, %d), not (%g, %g)", x, y, p[0], p[1], from_x, from_y);
    free(pixels);
    picture_free(&picture);
}

START_TEST(zoom_aspect_shift_and_angle_move_points_as_they_say) {
    struct augmentation a = unchanged();
    check_place(&a, 20, -30, 100 + 40, 100 - 60);
    a.zoom = 2;
    check_place(&a, 20, -30, 100 + 20, 100 - 30);
    a.shift_x = 10, a.shift_y = 20;
    check_place(&a, 20, -30, 100 + 30, 100 - 10);
    a = unchanged();
    a.aspect = 2;
    check_place(&a, 20, -30, 100 + 20, 100 - 60);
    a.aspect = 0.5;
    check_place(&a, 20, -30, 100 + 40, 100 - 30);
    a = unchanged();
    a.angle = turn / 3; /* 30 degrees: the point comes from 30 degrees clockwise of it */
    check_place(&a, 30, 0, 100 + 60 * cos(turn / 3), 100 + 60 * sin(turn / 3));
    check_place(&a, 0, -30, 100 + 60 * sin(turn / 3), 100 - 60 * cos(turn / 3));
    a.shift_x = 5;
    check_place(&a, 30, 0, 100 + 10 + 60 * cos(turn / 3), 100 + 60 * sin(turn / 3));
}
END_TEST

START_TEST(a_slight_rotation_of_a_shrunk_picture_still_averages) {
    struct picture picture;
    ck_succeeds(picture_create(&picture, 240, 240, 1));
    for (int i = 0; i < 240 * 240; i++)
        picture.pixels[i] = (i % 240 + i / 240) % 2 ? 255 : 0;
    const struct shape frame = {1, 24, 24};
    uint8_t *pixels = new_frame(frame);
    struct augmentation a = unchanged();
    a.angle = 0.01;
    ck_succeeds(augment_apply(pixels, frame, &picture, &a));
    for (int i = 0; i < 24 * 24; i++)
        ck_assert_int_le(abs(pixels[i] - 127), 8);
    free(pixels);
    picture_free(&picture);
}
END_TEST

static double limit(double value) {
    return fmin(fmax(value, 0), 1);
}

/* Darknet's change of colours, step by step as it has them. */
static void darknet_colours(double rgb[3], double saturation, double exposure, double hue) {
    double r = rgb[0], g = rgb[1], b = rgb[2];
    double v = fmax(r, fmax(g, b)), delta = v - fmin(r, fmin(g, b)), s = v > 0 ? delta / v : 0;
    double h = 0;
    if (delta > 0)
        h = v == r ? (g - b) / delta : v == g ? 2 + (b - r) / delta : 4 + (r - g) / delta;
    h = (h < 0 ? h + 6 : h) / 6 + hue;
    h = 6 * (h < 0 ? h + 1 : h > 1 ? h - 1 : h);
    s *= saturation;
    v *= exposure;
    int sector = (int)floor(h) % 6;
    double f = h - floor(h), p = v * (1 - s), q = v * (1 - s * f), t = v * (1 - s * (1 - f));
    const double table[6][3] = {{v, t, p}, {q, v, p}, {p, v, t}, {p, q, v}, {t, p, v}, {v, p, q}};
    for (int c = 0; c < 3; c++)
        rgb[c] = limit(table[sector][c]);
}

static void check_colours(double saturation, double exposure, double hue) {
    struct picture picture = make_picture(24, 24, 3);
    memset(picture.pixels, 77, 3); /* grey, black, white, and the primaries */
    memset(picture.pixels + 3, 0, 3);
    memset(picture.pixels + 6, 255, 3);
    memcpy(picture.pixels + 9, "\xff\0\0\0\xff\0\0\0\xff", 9);
    uint8_t *pixels = new_frame(input);
    struct augmentation a = unchanged();
    a.saturation = saturation, a.exposure = exposure, a.hue = hue;
    ck_succeeds(augment_apply(pixels, input, &picture, &a));
    for (size_t i = 0; i < (size_t)24 * 24; i++) {
        double want[3];
        for (size_t c = 0; c < 3; c++)
            want[c] = picture.pixels[3 * i + c] / 255.0;
        darknet_colours(want, saturation, exposure, hue);
        for (size_t c = 0; c < 3; c++)
            ck_assert_msg(fabs(pixels[3 * i + c] - 255 * want[c]) < 0.51, "pixel %zu: %d, not %g",
                          i, pixels[3 * i + c], 255 * want[c]);
    }
    free(pixels);
    picture_free(&picture);
}

START_TEST(colours_change_as_darknets_formula_says) {
    check_colours(1, 1, 0);
    check_colours(1.5, 1, 0);
    check_colours(1 / 1.5, 1.3, 0);
    check_colours(1, 0.7, 0);
    check_colours(1, 1, 0.1);
    check_colours(1, 1, -0.1);
    check_colours(3, 2, 0.5);
    check_colours(0.3, 0.9, -0.47);
}
END_TEST

START_TEST(of_a_grey_frame_only_the_exposure_changes) {
    const struct shape frame = {1, 24, 24};
    struct picture picture = make_picture(24, 24, 1);
    uint8_t *pixels = new_frame(frame);
    struct augmentation a = unchanged();
    a.saturation = 2, a.hue = 0.3, a.exposure = 1.5;
    ck_succeeds(augment_apply(pixels, frame, &picture, &a));
    for (int i = 0; i < 24 * 24; i++)
        ck_assert_int_eq(pixels[i], (int)fmin(255, floor(picture.pixels[i] * 1.5 + 0.5)));
    free(pixels);
    picture_free(&picture);
}
END_TEST

static struct augment_options defaults(void) {
    struct augment_options options;
    options_defaults(&options, augment_option_table);
    return options;
}

static const struct colour_components colours = {
    .axes = {{0.6, -0.7, 0.4}, {0.6, 0.1, -0.8}, {0.5, 0.7, 0.4}}, .deviations = {70, 20, 8}};

/* Everything switched on. */
static struct augment_options all_options(void) {
    return (struct augment_options){.resize = 32,
                                    .flip = 1,
                                    .min_crop = 28,
                                    .max_crop = 48,
                                    .angle = 10,
                                    .aspect = 1.5,
                                    .saturation = 2,
                                    .exposure = 3,
                                    .hue = 0.1,
                                    .pca_noise = 0.1};
}

static struct augmentation draw(const struct augment_options *options, uint32_t seed, int64_t epoch,
                                int64_t number) {
    struct shape frame;
    struct augmentation drawn;
    ck_succeeds(augment_frame(&frame, options, input));
    augment_draw(&drawn, options, frame, input, &colours, seed, epoch, number);
    return drawn;
}

START_TEST(by_default_nothing_is_changed) {
    struct augment_options options = defaults();
    struct augmentation want = unchanged();
    for (int i = 0; i < 20; i++) {
        struct augmentation got = draw(&options, 1, 0, i);
        ck_assert_mem_eq(&got, &want, sizeof got);
    }
}
END_TEST

START_TEST(a_draw_depends_on_seed_epoch_and_sample_alone) {
    struct augment_options options = all_options();
    struct augmentation first = draw(&options, 7, 3, 11), again = draw(&options, 7, 3, 11);
    ck_assert_mem_eq(&first, &again, sizeof first);
    const struct augmentation others[] = {draw(&options, 8, 3, 11), draw(&options, 7, 4, 11),
                                          draw(&options, 7, 3, 12)};
    for (size_t i = 0; i < 3; i++) {
        ck_assert_double_ne(others[i].zoom, first.zoom);
        ck_assert_double_ne(others[i].angle, first.angle);
        ck_assert_double_ne(others[i].hue, first.hue);
    }
}
END_TEST

START_TEST(switching_one_option_leaves_the_other_draws_alone) {
    struct augment_options options = all_options();
    struct augmentation first = draw(&options, 7, 3, 11);
    options.angle = 0;
    options.flip = 0;
    options.saturation = 1;
    struct augmentation other = draw(&options, 7, 3, 11);
    ck_assert_double_eq(other.angle, 0);
    ck_assert_double_eq(other.zoom, first.zoom);
    ck_assert_double_eq(other.aspect, first.aspect);
    ck_assert_double_eq(other.exposure, first.exposure);
    ck_assert_int_eq(other.view.x, first.view.x);
    ck_assert_mem_eq(other.view.add, first.view.add, sizeof first.view.add);
}
END_TEST

static void check_between(double value, double least, double most) {
    ck_assert_double_ge(value, least);
    ck_assert_double_le(value, most);
}

START_TEST(draws_stay_within_their_ranges_and_use_them) {
    enum { DRAWS = 4000 };
    struct augment_options options = all_options();
    int mirrored = 0, wide = 0, brighter = 0, seen_x[9] = {0}, seen_y[9] = {0};
    double squares = 0, least_zoom = 9, most_zoom = 0, most_shift = 0;
    for (int i = 0; i < DRAWS; i++) {
        struct augmentation a = draw(&options, 5, 2, i);
        check_between(a.zoom, 28 / 32.0, 48 / 32.0);
        check_between(a.angle, -10 * turn / 90, 10 * turn / 90);
        check_between(a.aspect, 1 / 1.5, 1.5);
        check_between(a.saturation, 0.5, 2);
        check_between(a.exposure, 1 / 3.0, 3);
        check_between(a.hue, -0.1, 0.1);
        double room = fmax(0, a.zoom - 1) / 2 * 32;
        check_between(a.shift_x, -room, room);
        check_between(a.shift_y, -room, room);
        ck_assert_int_le(a.view.x, 8);
        ck_assert_int_le(a.view.y, 8);
        seen_x[a.view.x]++;
        seen_y[a.view.y]++;
        mirrored += a.view.mirror;
        wide += a.aspect > 1;
        brighter += a.exposure > 1;
        least_zoom = fmin(least_zoom, a.zoom), most_zoom = fmax(most_zoom, a.zoom);
        most_shift = fmax(most_shift, a.shift_x);
        squares += (double)a.view.add[0] * a.view.add[0];
        ck_assert_float_eq(a.view.add[3], 0);
    }
    check_between(mirrored, 0.45 * DRAWS, 0.55 * DRAWS);
    check_between(wide, 0.45 * DRAWS, 0.55 * DRAWS);
    check_between(brighter, 0.45 * DRAWS, 0.55 * DRAWS);
    ck_assert_double_lt(least_zoom, 0.88);
    ck_assert_double_gt(most_zoom, 1.49);
    ck_assert_double_gt(most_shift, 6);
    for (int i = 0; i < 9; i++) {
        check_between(seen_x[i], 0.7 * DRAWS / 9, 1.3 * DRAWS / 9);
        check_between(seen_y[i], 0.7 * DRAWS / 9, 1.3 * DRAWS / 9);
    }
    double want = 0.01 * (pow(0.6 * 70, 2) + pow(0.7 * 20, 2) + pow(0.4 * 8, 2));
    check_between(squares / DRAWS, 0.9 * want, 1.1 * want);
}
END_TEST

START_TEST(a_grey_input_gets_no_colour_noise) {
    struct augment_options options = all_options();
    struct augmentation a;
    const struct shape grey = {1, 24, 24}, frame = {1, 32, 32};
    augment_draw(&a, &options, frame, grey, &colours, 1, 1, 1);
    for (int c = 0; c < 4; c++)
        ck_assert_float_eq(a.view.add[c], 0);
}
END_TEST

START_TEST(the_frame_has_the_inputs_shape_at_the_size_asked_for) {
    struct augment_options options = defaults();
    struct shape frame;
    ck_succeeds(augment_frame(&frame, &options, (struct shape){3, 227, 300}));
    ck_assert(shape_equal(frame, (struct shape){3, 227, 300}));
    options.resize = 256;
    ck_succeeds(augment_frame(&frame, &options, (struct shape){1, 227, 227}));
    ck_assert(shape_equal(frame, (struct shape){1, 256, 256}));
    ck_succeeds(augment_frame(&frame, &options, (struct shape){3, 200, 100}));
    ck_assert(shape_equal(frame, (struct shape){3, 512, 256}));
    options.resize = 99;
    ck_fails(augment_frame(&frame, &options, (struct shape){3, 200, 100}), ERROR_INPUT,
             "resize: 99 is less than the short side of the network's input, 100");
}
END_TEST

START_TEST(crops_that_contradict_each_other_are_refused) {
    struct augment_options options = defaults();
    struct shape frame;
    options.min_crop = 48, options.max_crop = 32;
    ck_fails(augment_frame(&frame, &options, input), ERROR_INPUT,
             "min_crop: 48 is more than max_crop, 32");
    options.max_crop = 0; /* which is the frame's 24 then */
    ck_fails(augment_frame(&frame, &options, input), ERROR_INPUT, "more than max_crop, 24");
    options.min_crop = 20;
    ck_succeeds(augment_frame(&frame, &options, input));
}
END_TEST

START_TEST(the_ten_views_are_the_corners_and_the_centre_twice) {
    const struct shape frame = {3, 30, 34};
    static const int places[5][2] = {{0, 0}, {10, 0}, {0, 6}, {10, 6}, {5, 3}};
    for (int i = 0; i < TEN_CROPS; i++) {
        struct view view = augment_ten_crop(frame, input, i);
        ck_assert_int_eq(view.x, places[i % 5][0]);
        ck_assert_int_eq(view.y, places[i % 5][1]);
        ck_assert_int_eq(view.mirror, i >= 5);
        ck_assert_float_eq(view.add[0], 0);
    }
    struct augmentation centre;
    augment_centre(&centre, frame, input);
    ck_assert_int_eq(centre.view.x, 5);
    ck_assert_int_eq(centre.view.y, 3);
    ck_assert_uint_eq(sizeof(struct view), 32);
}
END_TEST

START_TEST(a_decoded_picture_is_never_smaller_than_what_is_made_of_it) {
    struct augmentation a = unchanged();
    ck_assert_int_eq(augment_least_side((struct shape){3, 256, 256}, &a), 256);
    ck_assert_int_eq(augment_least_side((struct shape){3, 100, 256}, &a), 256);
    a.zoom = 1.5;
    ck_assert_int_eq(augment_least_side((struct shape){3, 256, 256}, &a), 384);
    a.aspect = 0.5;
    ck_assert_int_eq(augment_least_side((struct shape){3, 256, 256}, &a), 768);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("augment");
    tcase_add_test(tests, shrinking_averages_over_each_pixels_area);
    tcase_add_test(tests, enlarging_interpolates_linearly_and_repeats_the_edge);
    tcase_add_test(tests, a_picture_of_the_frames_size_is_copied);
    tcase_add_test(tests, a_longer_picture_keeps_its_middle);
    tcase_add_test(tests, rotations_by_right_angles_move_every_pixel);
    tcase_add_test(tests, zoom_aspect_shift_and_angle_move_points_as_they_say);
    tcase_add_test(tests, a_slight_rotation_of_a_shrunk_picture_still_averages);
    tcase_add_test(tests, colours_change_as_darknets_formula_says);
    tcase_add_test(tests, of_a_grey_frame_only_the_exposure_changes);
    tcase_add_test(tests, by_default_nothing_is_changed);
    tcase_add_test(tests, a_draw_depends_on_seed_epoch_and_sample_alone);
    tcase_add_test(tests, switching_one_option_leaves_the_other_draws_alone);
    tcase_add_test(tests, draws_stay_within_their_ranges_and_use_them);
    tcase_add_test(tests, a_grey_input_gets_no_colour_noise);
    tcase_add_test(tests, the_frame_has_the_inputs_shape_at_the_size_asked_for);
    tcase_add_test(tests, crops_that_contradict_each_other_are_refused);
    tcase_add_test(tests, the_ten_views_are_the_corners_and_the_centre_twice);
    tcase_add_test(tests, a_decoded_picture_is_never_smaller_than_what_is_made_of_it);
    return suite_run("data/augment", tests);
}
