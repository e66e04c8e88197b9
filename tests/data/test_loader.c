#include "data/loader.h"

#include "support/suite.h"

#include <stdlib.h>
#include <string.h>
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
#ifndef SANITIZED
    tcase_add_test(tests, loader_hands_over_the_error_of_its_thread);
#endif
    return suite_run("loader", tests);
}
