/* The parameters' flat buffers: how they are cut into buckets, and what an update computes. */
#include "support/net_bench.h"
#include "support/suite.h"

#include "base/rng.h"
#include "net/parameters.h"
#include "reference/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Tensors of 3, 1, 5, 1, 1 and 1 blocks, with multipliers of their own. */
static const char *const text =
    "[net]\ninputs=20\n[connected]\noutput=30\nweight_lr=3\nbias_decay=0.3\n"
    "[connected]\noutput=40\nbias_lr=0.7\nweight_decay=2\n[connected]\noutput=3\n[softmax]\n";
enum { BLOCKS = 12, LARGEST = 1200, TENSORS = 6 };

static struct net_bench bench;

static void open_bench(void) {
    net_bench_open(&bench, text, NULL);
    ck_assert_int_eq(bench.net->parameter_count, TENSORS);
}

static void close_bench(void) {
    net_bench_close(&bench);
}

static struct parameters *create(size_t segment_max, size_t bucket_bytes) {
    struct parameters *parameters;
    struct target target = {.tiling = tiling_for_batch(32), .device = *device_info(bench.device)};
    ck_succeeds(parameters_create(&parameters, bench.net, bench.device, &target, 1, segment_max,
                                  bucket_bytes));
    return parameters;
}

static int elements_of(int index) {
    return (int)parameter_elements(net_parameter(bench.net, index, NULL));
}

/* The layer of the parameter whose number this is, by write_numbers. */
static const struct layer *layer_of(float number) {
    const struct layer *layer = NULL;
    (void)net_parameter(bench.net, (int)number / 10000 - 1, &layer);
    return layer;
}

/* The gradients become numbers that tell tensor and element; what they are, padded, in order. */
static size_t write_numbers(struct parameters *parameters, float *padded) {
    size_t end = 0;
    memset(padded, 0, BLOCKS * PARAMETERS_BLOCK * sizeof *padded);
    for (int i = 0; i < TENSORS; i++) {
        struct buffer *gradient = parameters_gradient(parameters, i);
        for (int e = 0; e < elements_of(i); e++)
            padded[end + (size_t)e] = (float)((i + 1) * 10000 + e);
        ck_succeeds(buffer_write(gradient, 0, buffer_bytes(gradient), padded + end));
        end +=
            ((size_t)elements_of(i) + PARAMETERS_BLOCK - 1) / PARAMETERS_BLOCK * PARAMETERS_BLOCK;
    }
    return end;
}

static void check_cover(size_t segment_max, size_t bucket_bytes) {
    struct parameters *parameters = create(segment_max, bucket_bytes);
    float padded[BLOCKS * PARAMETERS_BLOCK], read[BLOCKS * PARAMETERS_BLOCK];
    ck_assert_uint_eq(write_numbers(parameters, padded), BLOCKS * PARAMETERS_BLOCK);
    size_t left = sizeof padded;
    for (int b = 0; b < parameters_bucket_count(parameters); b++) {
        struct buffer *bucket = parameters_bucket(parameters, b);
        size_t bytes = buffer_bytes(bucket);
        ck_assert_uint_gt(bytes, 0);
        ck_assert_uint_le(bytes, left);
        if (bucket_bytes)
            ck_assert_uint_lt(bytes, bucket_bytes + PARAMETERS_BLOCK * sizeof(float));
        left -= bytes;
        ck_succeeds(buffer_read(bucket, 0, bytes, read));
        ck_assert_mem_eq(read, padded + left / sizeof(float), bytes);
        ck_assert_ptr_eq(&bench.net->nodes[parameters_bucket_layer(parameters, b)].layer,
                         layer_of(read[0]));
    }
    ck_assert_uint_eq(left, 0);
    parameters_free(parameters);
}

START_TEST(parameters_buckets_cover_each_element_once_from_the_end) {
    static const size_t limits[] = {5120, 7000, 8192, 1 << 30};
    static const size_t buckets[] = {0, 1, 1024, 1500, 3000, 4096, 1 << 20};
    for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
        for (size_t b = 0; b < sizeof buckets / sizeof *buckets; b++)
            check_cover(limits[l], buckets[b]);
    }
}
END_TEST

START_TEST(parameters_buckets_of_a_segment_are_about_equal) {
    struct parameters *parameters = create(1 << 30, 5 * 1024); /* 12 blocks: not 5 + 5 + 2 */
    ck_assert_int_eq(parameters_bucket_count(parameters), 3);
    for (int b = 0; b < 3; b++)
        ck_assert_uint_eq(buffer_bytes(parameters_bucket(parameters, b)), 4096);
    parameters_free(parameters);
}
END_TEST

START_TEST(parameters_without_training_have_no_buckets) {
    struct parameters *parameters;
    struct target target = {.tiling = tiling_for_batch(32), .device = *device_info(bench.device)};
    ck_succeeds(parameters_create(&parameters, bench.net, bench.device, &target, 0, 1 << 30, 1024));
    ck_assert_int_eq(parameters_bucket_count(parameters), 0);
    parameters_free(parameters);
}
END_TEST

/* ---- the update ---- */

/* Of all magnitudes: zeros of both signs, denormals, what is near the bound, what overflows. */
static float any_number(struct rng *rng) {
    static const float special[] = {0,         -0.0F,     0x1p-149F,       -0x1p-130F,
                                    0x1p-126F, 0x1p-125F, 0x1.8p-126F,     3e38F,
                                    -3e38F,    INFINITY,  0x1.fffffep-126F};
    enum { SPECIALS = sizeof special / sizeof *special };
    float pick = rng_uniform(rng), mantissa = rng_uniform(rng) - 0.5F;
    if (pick < 0.1F)
        return special[(int)(rng_uniform(rng) * SPECIALS) % SPECIALS];
    if (pick < 0.4F)
        return ldexpf(mantissa, (int)(rng_uniform(rng) * 40) - 140);
    return ldexpf(mantissa, (int)(rng_uniform(rng) * 16) - 8);
}

struct numbers {
    float w[TENSORS][LARGEST], v[TENSORS][LARGEST], dw[TENSORS][LARGEST];
};

static void fill(struct numbers *numbers, struct rng *rng) {
    for (int i = 0; i < TENSORS; i++) {
        for (int e = 0; e < elements_of(i); e++) {
            numbers->w[i][e] = any_number(rng);
            numbers->v[i][e] = any_number(rng);
            numbers->dw[i][e] = any_number(rng);
        }
    }
}

static void expect_update(struct numbers *numbers, float rate, float momentum, float decay) {
    for (int i = 0; i < TENSORS; i++) {
        const struct parameter *parameter = net_parameter(bench.net, i, NULL);
        const struct reference_update update = {rate, momentum, decay, (float)parameter->lr,
                                                (float)parameter->decay};
        for (int e = 0; e < elements_of(i); e++) {
            reference_update(&numbers->w[i][e], &numbers->v[i][e], numbers->dw[i][e], &update);
            numbers->dw[i][e] = 0;
        }
    }
}

typedef struct buffer *tensor(const struct parameters *parameters, int index);
static tensor *const tensors[] = {parameters_value, parameters_velocity, parameters_gradient};

static void write_all(struct parameters *parameters, const struct numbers *numbers) {
    const float(*from[])[LARGEST] = {numbers->w, numbers->v, numbers->dw};
    for (int t = 0; t < 3; t++) {
        for (int i = 0; i < TENSORS; i++) {
            struct buffer *buffer = tensors[t](parameters, i);
            ck_succeeds(buffer_write(buffer, 0, buffer_bytes(buffer), from[t][i]));
        }
    }
}

static int same(float a, float b) {
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static void check_all(struct parameters *parameters, const struct numbers *expected) {
    static const char *const names[] = {"w", "v", "dw"};
    const float(*from[])[LARGEST] = {expected->w, expected->v, expected->dw};
    float read[LARGEST];
    for (int t = 0; t < 3; t++) {
        for (int i = 0; i < TENSORS; i++) {
            struct buffer *buffer = tensors[t](parameters, i);
            ck_succeeds(buffer_read(buffer, 0, buffer_bytes(buffer), read));
            for (int e = 0; e < elements_of(i); e++)
                ck_assert_msg(same(read[e], from[t][i][e]), "%s of tensor %d, %d: %a, expected %a",
                              names[t], i, e, (double)read[e], (double)from[t][i][e]);
        }
    }
}

static void update_all(struct parameters *parameters, float rate, float momentum, float decay) {
    for (int b = 0; b < parameters_bucket_count(parameters); b++)
        ck_succeeds(parameters_update(parameters, b, rate, momentum, decay));
}

/* Whatever the buckets: 0 is the update of the whole at once. */
START_TEST(parameters_update_equals_plain_arithmetic_to_the_bit) {
    static const size_t buckets[] = {0, 1, 3000};
    struct numbers *numbers = calloc(1, sizeof *numbers);
    struct numbers *expected = calloc(1, sizeof *expected);
    ck_assert_ptr_nonnull(numbers);
    ck_assert_ptr_nonnull(expected);
    for (size_t b = 0; b < sizeof buckets / sizeof *buckets; b++) {
        struct parameters *parameters = create(7000, buckets[b]);
        struct rng rng = rng_start(7, RNG_SHUFFLE, 0, 0);
        fill(numbers, &rng);
        write_all(parameters, numbers);
        *expected = *numbers;
        for (int step = 0; step < 3; step++) {
            expect_update(expected, 0.01F, 0.9F, 0.0005F);
            update_all(parameters, 0.01F, 0.9F, 0.0005F);
            check_all(parameters, expected);
        }
        parameters_free(parameters);
    }
    free(numbers);
    free(expected);
}
END_TEST

/* A bucket's update leaves the others as they are. */
START_TEST(parameters_update_of_a_bucket_leaves_the_others) {
    struct parameters *parameters = create(1 << 30, 3000);
    float padded[BLOCKS * PARAMETERS_BLOCK], read[BLOCKS * PARAMETERS_BLOCK];
    static const float zeros[BLOCKS * PARAMETERS_BLOCK];
    size_t left = sizeof padded;
    (void)write_numbers(parameters, padded);
    ck_succeeds(parameters_update(parameters, 1, 0.01F, 0.9F, 0));
    for (int b = 0; b < parameters_bucket_count(parameters); b++) {
        struct buffer *bucket = parameters_bucket(parameters, b);
        size_t bytes = buffer_bytes(bucket);
        left -= bytes;
        ck_succeeds(buffer_read(bucket, 0, bytes, read));
        ck_assert_mem_eq(read, b == 1 ? zeros : padded + left / sizeof(float), bytes);
    }
    parameters_free(parameters);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("parameters");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, open_bench, close_bench);
    tcase_add_test(tests, parameters_buckets_cover_each_element_once_from_the_end);
    tcase_add_test(tests, parameters_buckets_of_a_segment_are_about_equal);
    tcase_add_test(tests, parameters_without_training_have_no_buckets);
    tcase_add_test(tests, parameters_update_equals_plain_arithmetic_to_the_bit);
    tcase_add_test(tests, parameters_update_of_a_bucket_leaves_the_others);
    return suite_run("net/parameters", tests);
}
