#include "data/statistics.h"

#include "base/file.h"
#include "base/rng.h"
#include "data/files.h"
#include "data/safetensors.h"

#include <math.h>

enum { COUNT = 37, HEIGHT = 5, WIDTH = 7, AREA = HEIGHT * WIDTH, ELEMENTS = 3 * AREA };

static const struct shape FRAME = {3, HEIGHT, WIDTH};

/* What leads through floats is as exact as those, and no more. */
static const double ROUNDING = 1.0 / (1 << 22);

/* Colours of noise that go along with one another, as those of real pictures do. */
static uint8_t bytes[COUNT * ELEMENTS];

static struct dataset pictures(void) {
    return (struct dataset){.input = FRAME, .count = COUNT, .bytes = bytes, .fingerprint = 1};
}

static void fill_bytes(void) {
    struct rng rng = rng_start(3, RNG_AUGMENT, 0, 0);
    for (int i = 0; i < COUNT * ELEMENTS; i += 3) {
        float light = 128 * rng_uniform(&rng);
        bytes[i] = (uint8_t)(light + 120 * rng_uniform(&rng));
        bytes[i + 1] = (uint8_t)(light + 60 * rng_uniform(&rng));
        bytes[i + 2] = (uint8_t)(100 - .5F * light + 30 * rng_uniform(&rng));
    }
}

static char cache[96]; /* where the statistics go in the folder of the test */

static void setup(void) {
    files_setup();
    (void)snprintf(cache, sizeof cache, "%s/clnet/statistics", folder);
    ck_assert_int_eq(setenv("XDG_CACHE_HOME", folder, 1), 0);
}

/* The file that keeps the statistics; NULL when there is none. Fails if there are several. */
static const char *cached_file(void) {
    static char path[384];
    DIR *directory = opendir(cache);
    int count = 0;
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", cache, entry->d_name);
        count++;
    }
    if (directory)
        (void)closedir(directory);
    ck_assert_int_le(count, 1);
    return count ? path : NULL;
}

static void teardown(void) {
    const char *path = cached_file();
    if (path)
        (void)unlink(path);
    (void)rmdir(cache);
    (void)rmdir(file_path("clnet"));
    files_teardown();
}

static void assert_near(double value, double expected, double scale) {
    ck_assert_double_le(fabs(value - expected), ROUNDING * scale);
}

/* Holds statistics to those of `count` frames [H][W][C], by the definitions, in double. */
static void assert_statistics(const struct statistics *s, const uint8_t *const *frames, int count) {
    int channels = s->frame.c, area = s->frame.h * s->frame.w;
    ck_assert_int_eq(s->pictures, count);
    double mean[3] = {0};
    for (int p = 0; p < area; p++) {
        for (int c = 0; c < channels; c++) {
            double sum = 0;
            for (int i = 0; i < count; i++)
                sum += frames[i][p * channels + c];
            assert_near(s->pixel_mean[c * area + p], sum / count, 255);
            mean[c] += sum / count / area;
        }
    }
    for (int c = 0; c < 3; c++)
        assert_near(s->channel_mean[c], mean[c], 255);
    for (int a = 0; a < 3; a++) {
        for (int b = 0; b < 3; b++) {
            double covariance = 0, product = 0, from_axes = 0;
            for (int i = 0; channels == 3 && i < count * area; i++) {
                const uint8_t *pixel = frames[i / area] + (ptrdiff_t)(i % area) * 3;
                covariance += (pixel[a] - mean[a]) * (pixel[b] - mean[b]) / (count * area);
            }
            for (int k = 0; k < 3; k++) {
                double variance = s->colours.deviations[k] * s->colours.deviations[k];
                from_axes += variance * s->colours.axes[a][k] * s->colours.axes[b][k];
                product += s->colours.axes[k][a] * s->colours.axes[k][b];
            }
            assert_near(from_axes, covariance, 3 * 255 * 255);
            assert_near(product, channels == 3 && a == b, 3);
        }
    }
}

static void assert_equal(const struct statistics *a, const struct statistics *b) {
    ck_assert_int_eq(a->pictures, b->pictures);
    ck_assert_mem_eq(a->pixel_mean, b->pixel_mean,
                     (size_t)shape_elements(a->frame) * sizeof *a->pixel_mean);
    ck_assert_mem_eq(a->channel_mean, b->channel_mean, sizeof a->channel_mean);
    ck_assert_mem_eq(&a->colours, &b->colours, sizeof a->colours);
}

START_TEST(statistics_are_those_of_all_pixels) {
    struct dataset set = pictures();
    const uint8_t *frames[COUNT];
    for (int i = 0; i < COUNT; i++)
        frames[i] = bytes + (ptrdiff_t)i * ELEMENTS;
    struct statistics statistics;
    ck_succeeds(statistics_get(&statistics, &set, FRAME, 0, 1));
    assert_statistics(&statistics, frames, COUNT);
    /* The components are sorted, and each axis has one of two signs. */
    for (int k = 0; k < 3; k++) {
        double least = 0, greatest = 0;
        for (int c = 0; c < 3; c++) {
            least = fmin(least, statistics.colours.axes[c][k]);
            greatest = fmax(greatest, statistics.colours.axes[c][k]);
        }
        ck_assert_double_gt(greatest, -least);
        ck_assert_double_gt(statistics.colours.deviations[k],
                            k < 2 ? statistics.colours.deviations[k + 1] : 0);
    }
    statistics_free(&statistics);
    statistics_free(&statistics);
}
END_TEST

START_TEST(statistics_do_not_depend_on_the_number_of_threads) {
    struct dataset set = pictures();
    set.fingerprint = 0;
    struct statistics one, other;
    ck_succeeds(statistics_get(&one, &set, (struct shape){3, 9, 9}, 0, 1));
    ck_succeeds(statistics_get(&other, &set, (struct shape){3, 9, 9}, 0, 3));
    assert_equal(&one, &other);
    statistics_free(&one);
    statistics_free(&other);
}
END_TEST

START_TEST(statistics_take_no_more_pictures_than_asked_for_evenly_spaced) {
    enum { MOST = 10 };
    struct dataset set = pictures();
    const uint8_t *frames[MOST];
    for (int i = 0; i < MOST; i++)
        frames[i] = bytes + (ptrdiff_t)(i * COUNT / MOST) * ELEMENTS;
    struct statistics statistics;
    ck_succeeds(statistics_get(&statistics, &set, FRAME, MOST, 2));
    assert_statistics(&statistics, frames, MOST);
    statistics_free(&statistics);
}
END_TEST

START_TEST(statistics_of_a_single_colour_deviate_by_nothing) {
    struct dataset set = pictures();
    for (int i = 0; i < COUNT * ELEMENTS; i++)
        bytes[i] = 200;
    struct statistics statistics;
    ck_succeeds(statistics_get(&statistics, &set, FRAME, 0, 1));
    for (int k = 0; k < 3; k++) {
        ck_assert_double_eq(statistics.channel_mean[k], 200);
        ck_assert_double_eq(statistics.colours.deviations[k], 0);
    }
    statistics_free(&statistics);
    fill_bytes();
}
END_TEST

START_TEST(statistics_of_grey_pictures_have_one_channel) {
    struct dataset set = pictures();
    set.input = (struct shape){1, 3 * HEIGHT, WIDTH};
    const uint8_t *frames[COUNT];
    for (int i = 0; i < COUNT; i++)
        frames[i] = bytes + (ptrdiff_t)i * ELEMENTS;
    struct statistics statistics;
    ck_succeeds(statistics_get(&statistics, &set, set.input, 0, 1));
    assert_statistics(&statistics, frames, COUNT);
    statistics_free(&statistics);
}
END_TEST

START_TEST(statistics_of_files_are_those_of_their_frames_without_the_broken_ones) {
    enum { FILES = 6, BROKEN = 2 };
    static const struct shape frame = {3, 8, 10};
    static uint8_t kept[FILES][3 * 8 * 10];
    const uint8_t *frames[FILES];
    struct augmentation centre;
    augment_centre(&centre, frame, frame);
    struct dataset set = {.input = {3, 6, 6}, .frame = frame, .count = FILES, .broken_share = .2};
    ck_succeeds(picture_files_create(&set.files));
    int count = 0;
    for (int i = 0; i < FILES; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%d.png", i);
        struct picture picture = {5 + i, 10 - i, 3, bytes + (ptrdiff_t)(50 * i)};
        ck_succeeds(picture_write_png(file_path(name), &picture));
        if (i == BROKEN) {
            file_shorten(path_text, 20);
        } else {
            ck_succeeds(augment_apply(kept[count], frame, &picture, &centre));
            frames[count] = kept[count];
            count++;
        }
        ck_succeeds(picture_files_add(set.files, path_text, -1, 0, 0));
    }
    struct statistics statistics;
    ck_succeeds(statistics_get(&statistics, &set, frame, 0, 2));
    assert_statistics(&statistics, frames, FILES - 1);
    statistics_free(&statistics);
    set.broken_share = .1;
    ck_fails(statistics_get(&statistics, &set, frame, 0, 2), ERROR_INPUT, "1 of 6 pictures");
    ck_assert_ptr_null(statistics.pixel_mean);
    picture_files_free(set.files);
}
END_TEST

START_TEST(statistics_of_nothing_but_broken_pictures_are_refused) {
    struct dataset set = {.input = FRAME, .frame = FRAME, .count = 1, .broken_share = 1};
    ck_succeeds(picture_files_create(&set.files));
    ck_succeeds(picture_files_add(set.files, file_write_text("x.png", "nothing"), -1, 0, 0));
    struct statistics statistics;
    ck_fails(statistics_get(&statistics, &set, FRAME, 0, 1), ERROR_INPUT,
             "data.mean: not one picture");
    picture_files_free(set.files);
}
END_TEST

START_TEST(statistics_of_numbers_are_refused) {
    float floats[2] = {1, 2};
    struct dataset set = {.input = {1, 1, 1}, .count = 2, .floats = floats};
    struct statistics statistics;
    ck_fails(statistics_get(&statistics, &set, set.input, 0, 1), ERROR_INPUT, "data.mean: ");
    statistics_free(&statistics);
}
END_TEST

/* Writes a file of statistics in place of the one that is there. */
static void replace_cached(const char *path, float pixel, int height, int tensors) {
    float values[2 * ELEMENTS];
    for (int i = 0; i < 2 * ELEMENTS; i++)
        values[i] = pixel;
    float pictures_seen = 5;
    const struct safetensor list[] = {
        {"mean_pixel", 3, {3, height, WIDTH}, values},
        {"mean_channel", 1, {3}, values},
        {"axes", 2, {3, 3}, values},
        {"deviations", 1, {3}, values},
        {"pictures", 1, {1}, &pictures_seen},
    };
    ck_succeeds(safetensors_write(path, list, tensors, NULL, 0));
}

START_TEST(statistics_are_kept_and_found_again) {
    struct dataset set = pictures();
    struct statistics computed, found;
    ck_succeeds(statistics_get(&computed, &set, FRAME, 0, 1));
    ck_assert_ptr_nonnull(cached_file());
    ck_succeeds(statistics_get(&found, &set, FRAME, 0, 1));
    assert_equal(&computed, &found);
    statistics_free(&found);

    /* It is the file that is looked at. */
    replace_cached(cached_file(), 42, HEIGHT, 5);
    ck_succeeds(statistics_get(&found, &set, FRAME, 0, 1));
    ck_assert_int_eq(found.pictures, 5);
    ck_assert_float_eq(found.pixel_mean[ELEMENTS - 1], 42);
    ck_assert_double_eq(found.channel_mean[2], 42);
    ck_assert_double_eq(found.colours.axes[2][1], 42);
    ck_assert_double_eq(found.colours.deviations[1], 42);
    statistics_free(&found);

    statistics_free(&computed);
}
END_TEST

START_TEST(statistics_are_kept_for_the_same_data_looked_at_in_the_same_way) {
    struct dataset set = pictures();
    struct dataset others = pictures();
    others.fingerprint++;
    const struct {
        const struct dataset *set;
        struct shape frame;
        int64_t most;
    } cases[] = {
        {&set, FRAME, 0}, {&others, FRAME, 0}, {&set, {3, WIDTH, HEIGHT}, 0}, {&set, FRAME, 8}};
    char kept[4][384];
    for (int i = 0; i < 4; i++) {
        struct statistics statistics;
        ck_succeeds(statistics_get(&statistics, cases[i].set, cases[i].frame, cases[i].most, 1));
        statistics_free(&statistics);
        (void)snprintf(kept[i], sizeof kept[i], "%s", cached_file());
        ck_assert_int_eq(unlink(kept[i]), 0);
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(kept[i], kept[j]);
    }
}
END_TEST

START_TEST(statistics_are_computed_again_when_what_was_kept_is_broken) {
    struct dataset set = pictures();
    struct statistics computed, found;
    ck_succeeds(statistics_get(&computed, &set, FRAME, 0, 1));
    const char *path = cached_file();
    for (int damage = 0; damage < 5; damage++) {
        if (damage == 0)
            file_shorten(path, 1);
        else if (damage == 1)
            replace_cached(path, 42, HEIGHT + 1, 5);
        else if (damage == 2)
            replace_cached(path, 42, HEIGHT, 4);
        else if (damage == 3)
            replace_cached(path, NAN, HEIGHT, 5);
        else
            ck_assert_int_eq(truncate(path, 0), 0);
        for (int time = 0; time < 2; time++) { /* the second one is found again */
            ck_succeeds(statistics_get(&found, &set, FRAME, 0, 1));
            assert_equal(&computed, &found);
            statistics_free(&found);
        }
    }
    statistics_free(&computed);
}
END_TEST

START_TEST(statistics_that_cannot_be_kept_are_computed_all_the_same) {
    struct dataset set = pictures();
    ck_assert_int_eq(setenv("XDG_CACHE_HOME", file_write_text("file", "no directory"), 1), 0);
    struct statistics statistics;
    ck_succeeds(statistics_get(&statistics, &set, FRAME, 0, 1));
    ck_assert_int_eq(statistics.pictures, COUNT);
    statistics_free(&statistics);
}
END_TEST

START_TEST(statistics_of_data_without_a_fingerprint_are_not_kept) {
    struct dataset set = pictures();
    set.fingerprint = 0;
    struct statistics statistics;
    ck_succeeds(statistics_get(&statistics, &set, FRAME, 0, 1));
    ck_assert_ptr_null(cached_file());
    statistics_free(&statistics);
}
END_TEST

START_TEST(mean_parse_takes_numbers_and_two_words) {
    enum mean_kind kind;
    double numbers[3];
    ck_succeeds(mean_parse("channel", 3, &kind, numbers));
    ck_assert_int_eq(kind, MEAN_CHANNEL);
    ck_succeeds(mean_parse("pixel", 3, &kind, numbers));
    ck_assert_int_eq(kind, MEAN_PIXEL);
    ck_succeeds(mean_parse("73", 3, &kind, numbers));
    ck_assert_int_eq(kind, MEAN_NUMBERS);
    for (int c = 0; c < 3; c++)
        ck_assert_double_eq(numbers[c], 73);
    ck_succeeds(mean_parse("123.5,-4,.25", 3, &kind, numbers));
    ck_assert_int_eq(kind, MEAN_NUMBERS);
    ck_assert_double_eq(numbers[0], 123.5);
    ck_assert_double_eq(numbers[1], -4);
    ck_assert_double_eq(numbers[2], .25);
}
END_TEST

START_TEST(mean_parse_says_what_it_expected) {
    enum mean_kind kind;
    double numbers[3];
    ck_fails(mean_parse("1,2", 3, &kind, numbers), ERROR_INPUT,
             "data.mean: 2 numbers; expected 1, or one for each channel of the network's input, "
             "which has 3");
    ck_fails(mean_parse("1,2,3,4", 4, &kind, numbers), ERROR_INPUT, "data.mean: 4 numbers");
    ck_fails(mean_parse("", 3, &kind, numbers), ERROR_INPUT, "data.mean: 0 numbers");
    ck_fails(mean_parse("pixels", 3, &kind, numbers), ERROR_INPUT,
             "data.mean: neither `channel` nor `pixel`, so numbers: 'pixels' is not a number");
    ck_fails(mean_parse("1,,2", 3, &kind, numbers), ERROR_INPUT, "data.mean: ");
}
END_TEST

START_TEST(mean_create_gives_values_by_channel_or_by_pixel) {
    struct mean mean;
    ck_succeeds(mean_create(&mean, "5", (struct shape){7, 1, 1}, NULL));
    ck_assert_int_eq(mean.by_pixel, 0);
    ck_assert_int_eq(mean.count, 7);
    for (int i = 0; i < 7; i++)
        ck_assert_float_eq(mean.values[i], 5);
    mean_free(&mean);
    ck_succeeds(mean_create(&mean, "1,2,3", FRAME, NULL));
    ck_assert_int_eq(mean.count, 3);
    for (int i = 0; i < 3; i++)
        ck_assert_float_eq(mean.values[i], (float)(i + 1));
    mean_free(&mean);
    mean_free(&mean);
    ck_fails(mean_create(&mean, "1,x,3", FRAME, NULL), ERROR_INPUT, "data.mean");
    ck_assert_ptr_null(mean.values);

    struct dataset set = pictures();
    struct statistics statistics;
    ck_succeeds(statistics_get(&statistics, &set, FRAME, 0, 1));
    ck_succeeds(mean_create(&mean, "channel", FRAME, &statistics));
    ck_assert_int_eq(mean.by_pixel, 0);
    ck_assert_int_eq(mean.count, 3);
    for (int i = 0; i < 3; i++)
        ck_assert_float_eq(mean.values[i], (float)statistics.channel_mean[i]);
    mean_free(&mean);
    ck_succeeds(mean_create(&mean, "pixel", FRAME, &statistics));
    ck_assert_int_eq(mean.by_pixel, 1);
    ck_assert_int_eq(mean.count, ELEMENTS);
    ck_assert_mem_eq(mean.values, statistics.pixel_mean, ELEMENTS * sizeof *mean.values);
    mean_free(&mean);
    statistics_free(&statistics);
}
END_TEST

START_TEST(mean_create_refuses_the_mean_by_channel_of_what_has_too_many) {
    struct dataset set = pictures();
    set.input = (struct shape){ELEMENTS, 1, 1};
    struct statistics statistics;
    struct mean mean;
    ck_succeeds(statistics_get(&statistics, &set, set.input, 0, 1));
    ck_fails(mean_create(&mean, "channel", set.input, &statistics), ERROR_INPUT,
             "data.mean: `channel` is for pictures of 1 to 3 channels");
    ck_succeeds(mean_create(&mean, "pixel", set.input, &statistics));
    mean_free(&mean);
    statistics_free(&statistics);
}
END_TEST

int main(void) {
    fill_bytes();
    TCase *tests = tcase_create("statistics");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, statistics_are_those_of_all_pixels);
    tcase_add_test(tests, statistics_do_not_depend_on_the_number_of_threads);
    tcase_add_test(tests, statistics_take_no_more_pictures_than_asked_for_evenly_spaced);
    tcase_add_test(tests, statistics_of_a_single_colour_deviate_by_nothing);
    tcase_add_test(tests, statistics_of_grey_pictures_have_one_channel);
    tcase_add_test(tests, statistics_of_files_are_those_of_their_frames_without_the_broken_ones);
    tcase_add_test(tests, statistics_of_nothing_but_broken_pictures_are_refused);
    tcase_add_test(tests, statistics_of_numbers_are_refused);
    tcase_add_test(tests, statistics_are_kept_and_found_again);
    tcase_add_test(tests, statistics_are_kept_for_the_same_data_looked_at_in_the_same_way);
    tcase_add_test(tests, statistics_are_computed_again_when_what_was_kept_is_broken);
    tcase_add_test(tests, statistics_that_cannot_be_kept_are_computed_all_the_same);
    tcase_add_test(tests, statistics_of_data_without_a_fingerprint_are_not_kept);
    tcase_add_test(tests, mean_parse_takes_numbers_and_two_words);
    tcase_add_test(tests, mean_parse_says_what_it_expected);
    tcase_add_test(tests, mean_create_gives_values_by_channel_or_by_pixel);
    tcase_add_test(tests, mean_create_refuses_the_mean_by_channel_of_what_has_too_many);
    return suite_run("data/statistics", tests);
}
