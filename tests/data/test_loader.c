#include "data/loader.h"

#include "base/file.h"
#include "base/rng.h"
#include "data/files.h"

#include <sys/resource.h>
#include <time.h>

/* The sanitizers map more memory than any limit would leave them. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) /* gcc */
#define SANITIZED
#elif defined(__has_feature) /* clang */
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

enum { COUNT = 23, BATCH = 5, PER_EPOCH = 5, ELEMENTS = 6, OUTPUTS = 2 };

/* Sample i has bytes 6 i, 6 i + 1, ..., label i; or floats 6 i, ..., targets i and -i. */
static uint8_t bytes[COUNT * ELEMENTS];
static int32_t labels[COUNT];
static float floats[COUNT * ELEMENTS];
static float targets[COUNT * OUTPUTS];

static void fill_samples(void) {
    for (int i = 0; i < COUNT * ELEMENTS; i++) {
        bytes[i] = (uint8_t)i;
        floats[i] = (float)i;
    }
    for (int i = 0; i < COUNT; i++) {
        labels[i] = i;
        targets[OUTPUTS * i] = (float)i;
        targets[OUTPUTS * i + 1] = (float)-i;
    }
}

static const struct dataset PICTURES = {
    .input = {1, 2, 3}, .count = COUNT, .outputs = COUNT, .bytes = bytes, .labels = labels};
static const struct dataset NUMBERS = {
    .input = {6, 1, 1}, .count = COUNT, .outputs = OUTPUTS, .floats = floats, .targets = targets};

static const struct loader_options OPTIONS = {
    .batch = BATCH, .seed = 7, .shuffle = 1, .first = 0, .limit = -1};

/* Writes the labels of the next `batches` batches one after the other; returns their number. */
static int read_order(int32_t *order, const struct loader_options *options, int batches) {
    struct loader *loader;
    ck_succeeds(loader_create(&loader, &PICTURES, options));
    int count = 0;
    for (int i = 0; i < batches; i++) {
        const struct batch *batch;
        ck_assert_int_eq(loader_next(loader, &batch), 1);
        memcpy(order + count, batch->labels, (size_t)batch->count * sizeof *order);
        count += batch->count;
    }
    loader_free(loader);
    return count;
}

START_TEST(loader_delivers_batches_and_a_smaller_last_one) {
    struct loader *loader;
    ck_assert_int_eq(loader_batches_per_epoch(&PICTURES, BATCH), PER_EPOCH);
    ck_succeeds(loader_create(&loader, &PICTURES, &OPTIONS));
    for (int i = 0; i < 3 * PER_EPOCH; i++) {
        const struct batch *batch;
        ck_assert_int_eq(loader_next(loader, &batch), 1);
        ck_assert_int_eq(batch->index, i);
        ck_assert_int_eq(batch->epoch, i / PER_EPOCH);
        ck_assert_int_eq(batch->count, i % PER_EPOCH == PER_EPOCH - 1 ? COUNT % BATCH : BATCH);
    }
    loader_free(loader);
}
END_TEST

START_TEST(loader_copies_inputs_together_with_what_belongs_to_them) {
    struct loader *loader;
    const struct batch *batch;
    ck_succeeds(loader_create(&loader, &PICTURES, &OPTIONS));
    for (int i = 0; i < PER_EPOCH; i++) {
        ck_assert_int_eq(loader_next(loader, &batch), 1);
        ck_assert_ptr_null(batch->floats);
        ck_assert_ptr_null(batch->targets);
        for (int n = 0; n < batch->count; n++)
            ck_assert_mem_eq(batch->bytes + n * ELEMENTS, bytes + batch->labels[n] * ELEMENTS,
                             ELEMENTS);
    }
    loader_free(loader);

    ck_succeeds(loader_create(&loader, &NUMBERS, &OPTIONS));
    for (int i = 0; i < PER_EPOCH; i++) {
        ck_assert_int_eq(loader_next(loader, &batch), 1);
        ck_assert_ptr_null(batch->bytes);
        ck_assert_ptr_null(batch->labels);
        for (int n = 0; n < batch->count; n++) {
            int sample = (int)batch->targets[OUTPUTS * n];
            ck_assert_float_eq(batch->targets[OUTPUTS * n + 1], (float)-sample);
            ck_assert_mem_eq(batch->floats + n * ELEMENTS, floats + sample * ELEMENTS,
                             ELEMENTS * sizeof *floats);
        }
    }
    loader_free(loader);
}
END_TEST

START_TEST(loader_epochs_partition_the_data_set_in_different_orders) {
    int32_t order[3 * COUNT];
    ck_assert_int_eq(read_order(order, &OPTIONS, 3 * PER_EPOCH), 3 * COUNT);
    for (int epoch = 0; epoch < 3; epoch++) {
        int seen[COUNT] = {0};
        for (int i = 0; i < COUNT; i++)
            seen[order[epoch * COUNT + i]]++;
        for (int i = 0; i < COUNT; i++)
            ck_assert_int_eq(seen[i], 1);
    }
    ck_assert_mem_ne(order, labels, sizeof labels);
    ck_assert_mem_ne(order, order + COUNT, sizeof labels);
    ck_assert_mem_ne(order + COUNT, order + 2 * COUNT, sizeof labels);
}
END_TEST

START_TEST(loader_order_depends_on_the_seed_alone) {
    int32_t one[2 * COUNT], two[2 * COUNT];
    struct loader_options options = OPTIONS;
    (void)read_order(one, &options, 2 * PER_EPOCH);
    (void)read_order(two, &options, 2 * PER_EPOCH);
    ck_assert_mem_eq(one, two, sizeof one);
    options.batch = COUNT; /* nor on the size of the batch */
    (void)read_order(two, &options, 2);
    ck_assert_mem_eq(one, two, sizeof one);
    options.seed++;
    (void)read_order(two, &options, 2);
    ck_assert_mem_ne(one, two, sizeof one);
}
END_TEST

START_TEST(loader_keeps_the_order_of_the_data_set_without_shuffling) {
    int32_t order[2 * COUNT];
    struct loader_options options = OPTIONS;
    options.shuffle = 0;
    (void)read_order(order, &options, 2 * PER_EPOCH);
    ck_assert_mem_eq(order, labels, sizeof labels);
    ck_assert_mem_eq(order + COUNT, labels, sizeof labels);
}
END_TEST

START_TEST(loader_resumes_at_any_batch_with_what_a_whole_run_gives_there) {
    enum { BATCHES = 3 * PER_EPOCH };
    int32_t whole[3 * COUNT], rest[3 * COUNT];
    (void)read_order(whole, &OPTIONS, BATCHES);
    for (int first = 0; first < BATCHES; first++) {
        struct loader_options options = OPTIONS;
        options.first = first;
        int count = read_order(rest, &options, BATCHES - first);
        ck_assert_mem_eq(rest, whole + 3 * COUNT - count, (size_t)count * sizeof *rest);
    }
}
END_TEST

START_TEST(loader_counts_batches_from_the_start_of_training) {
    struct loader_options options = OPTIONS;
    options.first = 12;
    struct loader *loader;
    const struct batch *batch;
    ck_succeeds(loader_create(&loader, &PICTURES, &options));
    ck_assert_int_eq(loader_next(loader, &batch), 1);
    ck_assert_int_eq(batch->index, 12);
    ck_assert_int_eq(batch->epoch, 2);
    loader_free(loader);
}
END_TEST

START_TEST(loader_ends_at_the_limit_and_stays_there) {
    for (int limit = 0; limit < 8; limit++) {
        struct loader_options options = OPTIONS;
        options.limit = limit;
        options.first = 3;
        struct loader *loader;
        const struct batch *batch;
        ck_succeeds(loader_create(&loader, &PICTURES, &options));
        for (int i = 0; i < limit; i++)
            ck_assert_int_eq(loader_next(loader, &batch), 1);
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(loader_next(loader, &batch), 0);
            ck_assert_ptr_null(batch);
        }
        loader_free(loader);
    }
}
END_TEST

START_TEST(loader_leaves_a_batch_alone_until_the_next_call) {
    struct loader *loader;
    const struct batch *batch;
    ck_succeeds(loader_create(&loader, &PICTURES, &OPTIONS));
    for (int i = 0; i < 12; i++) {
        ck_assert_int_eq(loader_next(loader, &batch), 1);
        int32_t kept[BATCH];
        size_t size = (size_t)batch->count * sizeof *kept;
        memcpy(kept, batch->labels, size);
        /* Time for the thread to run as far ahead as it can. */
        (void)nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        ck_assert_mem_eq(batch->labels, kept, size);
        ck_assert_int_eq(batch->index, i);
    }
    loader_free(loader);
}
END_TEST

START_TEST(loader_stops_at_any_moment) {
    loader_free(NULL);
    for (int taken = 0; taken < 40; taken++) {
        struct loader *loader;
        ck_succeeds(loader_create(&loader, &PICTURES, &OPTIONS));
        for (int i = 0; i < taken % 8; i++) {
            const struct batch *batch;
            ck_assert_int_eq(loader_next(loader, &batch), 1);
        }
        loader_free(loader);
    }
}
END_TEST

START_TEST(loader_takes_batches_larger_than_the_data_set) {
    struct loader_options options = OPTIONS;
    options.batch = 1000000000;
    int32_t order[2 * COUNT];
    ck_assert_int_eq(read_order(order, &options, 2), 2 * COUNT);
}
END_TEST

START_TEST(loader_rejects_data_sets_beyond_32_bits) {
    struct dataset set = PICTURES;
    set.count = (int64_t)1 << 32;
    struct loader *loader;
    ck_fails(loader_create(&loader, &set, &OPTIONS), ERROR_INPUT, "4294967296 samples");
    ck_assert_ptr_null(loader);
}
END_TEST

/* Pictures in files: of many sizes, grey and coloured, of noise. */
enum { FILES = 20, FRAME_BYTES = 3 * 20 * 24 };

static struct dataset files_set;

static const struct loader_options TRAINING = {
    .batch = 6,
    .seed = 7,
    .shuffle = 1,
    .limit = -1,
    .is_training = 1,
    .augment = {.resize = 20,
                .flip = 1,
                .min_crop = 18,
                .max_crop = 30,
                .angle = 20,
                .aspect = 1.3,
                .saturation = 1.5,
                .exposure = 1.5,
                .hue = .1,
                .pca_noise = .1},
    .colours = &(struct colour_components){.axes = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
                                           .deviations = {50, 40, 30}},
};

static const char *picture_name(int i) {
    static char name[16];
    (void)snprintf(name, sizeof name, "%02d.png", i);
    return name;
}

static void write_picture(int i) {
    struct picture picture;
    ck_succeeds(picture_create(&picture, 9 + 7 * i % 40, 11 + 5 * i % 40, i % 4 ? 3 : 1));
    struct rng rng = rng_start(1, RNG_AUGMENT, (uint32_t)i, 0);
    for (int p = 0; p < picture.width * picture.height * picture.channels; p++)
        picture.pixels[p] = (uint8_t)rng_next(&rng);
    ck_succeeds(picture_write_png(file_path(picture_name(i)), &picture));
    picture_free(&picture);
}

static void pictures_setup(void) {
    files_setup();
    files_set = (struct dataset){.input = {3, 16, 16},
                                 .frame = {3, 20, 24},
                                 .count = FILES,
                                 .outputs = FILES,
                                 .labels = labels};
    ck_succeeds(picture_files_create(&files_set.files));
    for (int i = 0; i < FILES; i++) {
        write_picture(i);
        ck_succeeds(picture_files_add(files_set.files, file_path(picture_name(i)), -1, 0, 0));
    }
}

static void pictures_teardown(void) {
    picture_files_free(files_set.files);
    files_teardown();
}

static void break_picture(int i) {
    (void)file_write_text(picture_name(i), "\x89PNG\r\n\x1a\nbut nothing like one");
}

/* Everything of `epochs` epochs, one sample after the other. */
struct recording {
    int count;
    int64_t samples[2 * COUNT];
    int32_t labels[2 * COUNT];
    struct view views[2 * COUNT];
    uint8_t frames[2 * COUNT][FRAME_BYTES];
};

static void record(struct recording *out, const struct dataset *set,
                   const struct loader_options *options) {
    memset(out, 0, sizeof *out);
    struct loader *loader;
    ck_succeeds(loader_create(&loader, set, options));
    int64_t batches = 2 * loader_batches_per_epoch(set, options->batch);
    for (int64_t i = 0; i < batches; i++) {
        const struct batch *batch;
        int rc = loader_next(loader, &batch);
        ck_succeeds(rc);
        ck_assert_int_eq(rc, 1);
        ck_assert_int_eq(batch->index, i);
        for (int n = 0; n < batch->count; n++, out->count++) {
            out->samples[out->count] = batch->samples[n];
            out->labels[out->count] = batch->labels[n];
            out->views[out->count] = batch->views[n];
            memcpy(out->frames[out->count], batch->bytes + (ptrdiff_t)n * FRAME_BYTES, FRAME_BYTES);
        }
    }
    loader_free(loader);
}

static void assert_same_with_any_threads(const struct dataset *set) {
    static struct recording one, other;
    struct loader_options options = TRAINING;
    options.threads = 1;
    record(&one, set, &options);
    ck_assert_int_eq(one.count, 2 * set->count);
    for (options.threads = 2; options.threads <= 4; options.threads += 2) {
        record(&other, set, &options);
        ck_assert_mem_eq(&one, &other, sizeof one);
    }
    /* Something was drawn, and anew in each epoch. */
    int i = 0;
    while (one.samples[set->count + i] != one.samples[0])
        i++;
    ck_assert_mem_ne(one.frames[set->count + i], one.frames[0], FRAME_BYTES);
}

START_TEST(loader_makes_the_same_of_files_with_any_number_of_threads) {
    assert_same_with_any_threads(&files_set);
}
END_TEST

START_TEST(loader_makes_the_same_of_bytes_with_any_number_of_threads) {
    enum { SIDE = 13 };
    static uint8_t stored[COUNT][SIDE * SIDE * 3];
    for (int i = 0; i < COUNT; i++) {
        struct rng rng = rng_start(2, RNG_AUGMENT, (uint32_t)i, 0);
        for (int p = 0; p < SIDE * SIDE * 3; p++)
            stored[i][p] = (uint8_t)rng_next(&rng);
    }
    struct dataset set = files_set;
    set.files = NULL;
    set.count = COUNT;
    set.bytes = &stored[0][0];
    set.stored = (struct shape){3, SIDE, SIDE};
    assert_same_with_any_threads(&set);
}
END_TEST

START_TEST(loader_makes_frames_by_augment_apply_of_what_was_drawn_for_the_sample) {
    static struct recording got;
    struct loader_options options = TRAINING;
    for (options.is_training = 0; options.is_training < 2; options.is_training++) {
        record(&got, &files_set, &options);
        for (int i = 0; i < got.count; i++) {
            struct augmentation drawn;
            if (options.is_training)
                augment_draw(&drawn, &options.augment, files_set.frame, files_set.input,
                             options.colours, options.seed, i / FILES, got.samples[i]);
            else
                augment_centre(&drawn, files_set.frame, files_set.input);
            char *bytes_read;
            size_t length;
            const char *path = file_path(picture_name((int)got.samples[i]));
            ck_succeeds(file_read(path, 1 << 20, &bytes_read, &length));
            struct picture picture;
            ck_succeeds(picture_decode(&picture, path, (uint8_t *)bytes_read, length, 3, 0));
            uint8_t frame[FRAME_BYTES];
            ck_succeeds(augment_apply(frame, files_set.frame, &picture, &drawn));
            picture_free(&picture);
            free(bytes_read);
            ck_assert_mem_eq(got.frames[i], frame, FRAME_BYTES);
            ck_assert_mem_eq(&got.views[i], &drawn.view, sizeof drawn.view);
            ck_assert_int_eq(got.labels[i], got.samples[i]);
        }
    }
}
END_TEST

START_TEST(loader_leaves_bytes_that_are_no_pictures_as_they_are) {
    static const struct shape shapes[] = {{6, 1, 1}, {2, 1, 3}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        struct dataset set = PICTURES;
        set.input = shapes[s];
        struct loader_options options = TRAINING;
        struct loader *loader;
        const struct batch *batch;
        ck_succeeds(loader_create(&loader, &set, &options));
        ck_assert_int_eq(loader_next(loader, &batch), 1);
        for (int n = 0; n < batch->count; n++) {
            ck_assert_mem_eq(batch->bytes + n * ELEMENTS, bytes + batch->samples[n] * ELEMENTS,
                             ELEMENTS);
            ck_assert_mem_eq(&batch->views[n], &(struct view){0}, sizeof(struct view));
        }
        loader_free(loader);
    }
}
END_TEST

START_TEST(loader_takes_no_more_samples_than_asked_for_evenly_spaced) {
    struct loader_options options = OPTIONS;
    options.shuffle = 0;
    options.most = 7;
    int32_t order[14];
    ck_assert_int_eq(read_order(order, &options, 4), 14);
    for (int i = 0; i < 14; i++)
        ck_assert_int_eq(order[i], i % 7 * COUNT / 7);
    options.most = COUNT + 1;
    int32_t all[COUNT];
    ck_assert_int_eq(read_order(all, &options, PER_EPOCH), COUNT);
    ck_assert_mem_eq(all, labels, sizeof labels);
}
END_TEST

START_TEST(loader_leaves_a_broken_picture_out_and_counts_it_once) {
    break_picture(13);
    files_set.broken_share = .05;
    static struct recording whole, got;
    struct loader_options options = TRAINING;
    for (options.threads = 1; options.threads <= 4; options.threads++) {
        record(&got, &files_set, &options);
        ck_assert_int_eq(got.count, 2 * (FILES - 1));
        int seen[FILES] = {0};
        for (int i = 0; i < got.count; i++) {
            seen[got.samples[i]]++;
            ck_assert_int_eq(got.labels[i], got.samples[i]);
        }
        for (int i = 0; i < FILES; i++)
            ck_assert_int_eq(seen[i], i == 13 ? 0 : 2);
    }
    /* The others are what they are when there is none. */
    write_picture(13);
    record(&whole, &files_set, &options);
    for (int i = 0, j = 0; j < whole.count; j++) {
        if (whole.samples[j] == 13)
            continue;
        ck_assert_int_eq(got.samples[i], whole.samples[j]);
        ck_assert_mem_eq(&got.views[i], &whole.views[j], sizeof *got.views);
        ck_assert_mem_eq(got.frames[i++], whole.frames[j], FRAME_BYTES);
    }

    break_picture(13);
    struct loader *loader;
    const struct batch *batch;
    ck_succeeds(loader_create(&loader, &files_set, &options));
    ck_assert_int_eq(loader_broken(loader), 0);
    for (int i = 0; i < 3 * 4; i++)
        ck_assert_int_eq(loader_next(loader, &batch), 1);
    ck_assert_int_eq(loader_broken(loader), 1);
    loader_free(loader);
}
END_TEST

START_TEST(loader_ends_when_too_many_pictures_are_broken) {
    files_set.broken_share = .1;
    break_picture(2);
    break_picture(9);
    break_picture(17);
    struct loader_options options = TRAINING;
    options.shuffle = 0;
    for (options.threads = 1; options.threads <= 4; options.threads++) {
        struct loader *loader;
        const struct batch *batch;
        ck_succeeds(loader_create(&loader, &files_set, &options));
        for (int i = 0; i < 2; i++) {
            int rc = loader_next(loader, &batch);
            ck_succeeds(rc);
            ck_assert_int_eq(batch->count, 5);
        }
        for (int i = 0; i < 3; i++) {
            ck_fails(loader_next(loader, &batch), ERROR_INPUT, "3 of 20 pictures");
            ck_fails(loader_next(loader, &batch), ERROR_INPUT, "data.broken_share=0.1");
            ck_fails(loader_next(loader, &batch), ERROR_INPUT, "17.png");
            ck_assert_ptr_null(batch);
            (void)error_set(ERROR_SYSTEM, "something else");
        }
        ck_assert_int_eq(loader_broken(loader), 3);
        loader_free(loader);
    }
}
END_TEST

START_TEST(loader_delivers_an_empty_batch_when_all_its_pictures_are_broken) {
    files_set.broken_share = .25;
    for (int i = 5; i < 10; i++)
        break_picture(i);
    struct loader_options options = TRAINING;
    options.batch = 5;
    options.shuffle = 0;
    options.limit = 4;
    struct loader *loader;
    const struct batch *batch;
    ck_succeeds(loader_create(&loader, &files_set, &options));
    for (int i = 0; i < 4; i++) {
        int rc = loader_next(loader, &batch);
        ck_succeeds(rc);
        ck_assert_int_eq(batch->index, i);
        ck_assert_int_eq(batch->count, i == 1 ? 0 : 5);
        for (int n = 0; n < batch->count; n++)
            ck_assert_int_eq(batch->samples[n], 5 * i + n);
    }
    ck_assert_int_eq(loader_next(loader, &batch), 0);
    ck_assert_int_eq(loader_broken(loader), 5);
    loader_free(loader);
}
END_TEST

START_TEST(loader_names_a_file_that_vanished) {
    files_set.broken_share = 1; /* which is no excuse */
    ck_assert_int_eq(unlink(file_path(picture_name(11))), 0);
    struct loader_options options = TRAINING;
    for (options.threads = 1; options.threads <= 4; options.threads++) {
        struct loader *loader;
        const struct batch *batch;
        ck_succeeds(loader_create(&loader, &files_set, &options));
        int rc;
        do
            rc = loader_next(loader, &batch);
        while (rc > 0);
        ck_assert_ptr_null(batch);
        (void)error_set(ERROR_INPUT, "something else");
        ck_fails(loader_next(loader, &batch), ERROR_SYSTEM, "11.png");
        loader_free(loader);
    }
}
END_TEST

START_TEST(loader_of_pictures_stops_at_any_moment) {
    struct loader_options options = TRAINING;
    files_set.broken_share = 1;
    break_picture(3);
    for (int taken = 0; taken < 12; taken++) {
        options.threads = taken % 4 + 1;
        struct loader *loader;
        const struct batch *batch;
        ck_succeeds(loader_create(&loader, &files_set, &options));
        for (int i = 0; i < taken % 5; i++)
            ck_assert_int_eq(loader_next(loader, &batch), 1);
        loader_free(loader);
    }
}
END_TEST

#ifndef SANITIZED
START_TEST(loader_hands_over_the_error_of_its_thread) {
    struct rlimit kept, tight;
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &kept), 0);
    tight = kept;
    tight.rlim_cur = (rlim_t)1 << 30;
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &tight), 0);
    /* The order of so many samples takes 4 GB; none of them is ever touched. */
    struct dataset set = PICTURES;
    set.count = 1000000000;
    struct loader *loader;
    const struct batch *batch;
    ck_succeeds(loader_create(&loader, &set, &OPTIONS));
    for (int i = 0; i < 2; i++) {
        ck_fails(loader_next(loader, &batch), ERROR_MEMORY, "the order of the samples");
        ck_assert_ptr_null(batch);
        (void)error_set(ERROR_INPUT, "something else");
    }
    loader_free(loader);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &kept), 0);
}
END_TEST
#endif

int main(void) {
    fill_samples();
    TCase *tests = tcase_create("loader");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, pictures_setup, pictures_teardown);
    tcase_add_test(tests, loader_delivers_batches_and_a_smaller_last_one);
    tcase_add_test(tests, loader_copies_inputs_together_with_what_belongs_to_them);
    tcase_add_test(tests, loader_epochs_partition_the_data_set_in_different_orders);
    tcase_add_test(tests, loader_order_depends_on_the_seed_alone);
    tcase_add_test(tests, loader_keeps_the_order_of_the_data_set_without_shuffling);
    tcase_add_test(tests, loader_resumes_at_any_batch_with_what_a_whole_run_gives_there);
    tcase_add_test(tests, loader_counts_batches_from_the_start_of_training);
    tcase_add_test(tests, loader_ends_at_the_limit_and_stays_there);
    tcase_add_test(tests, loader_leaves_a_batch_alone_until_the_next_call);
    tcase_add_test(tests, loader_stops_at_any_moment);
    tcase_add_test(tests, loader_takes_batches_larger_than_the_data_set);
    tcase_add_test(tests, loader_rejects_data_sets_beyond_32_bits);
    tcase_add_test(tests, loader_makes_the_same_of_files_with_any_number_of_threads);
    tcase_add_test(tests, loader_makes_the_same_of_bytes_with_any_number_of_threads);
    tcase_add_test(tests, loader_makes_frames_by_augment_apply_of_what_was_drawn_for_the_sample);
    tcase_add_test(tests, loader_leaves_bytes_that_are_no_pictures_as_they_are);
    tcase_add_test(tests, loader_takes_no_more_samples_than_asked_for_evenly_spaced);
    tcase_add_test(tests, loader_leaves_a_broken_picture_out_and_counts_it_once);
    tcase_add_test(tests, loader_ends_when_too_many_pictures_are_broken);
    tcase_add_test(tests, loader_delivers_an_empty_batch_when_all_its_pictures_are_broken);
    tcase_add_test(tests, loader_names_a_file_that_vanished);
    tcase_add_test(tests, loader_of_pictures_stops_at_any_moment);
#ifndef SANITIZED
    tcase_add_test(tests, loader_hands_over_the_error_of_its_thread);
#endif
    return suite_run("data/loader", tests);
}
