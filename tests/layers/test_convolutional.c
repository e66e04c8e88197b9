/* Convolution: against plain C over nasty shapes, and by hand. */
#include "support/conv_case.h"
#include "support/device.h"
#include "support/suite.h"

#include <string.h>

static void check_case(const struct conv_case *c) {
    char text[256];
    conv_case_text(text, c);
    for (int technique = TECHNIQUE_REFERENCE; technique <= TECHNIQUE_TILED; technique++) {
        struct layer_bench bench;
        struct layer_bench_options options = conv_case_options(c, (enum technique)technique);
        layer_bench_open(&bench, text, &options);
        conv_case_check_forward(&bench, c);
        conv_case_check_backward(&bench, c);
        layer_bench_close(&bench);
    }
}

START_TEST(conv_of_size_1_matches_reference) {
    check_case(&(struct conv_case){.in = {3, 4, 5},
                                   .batch = 7,
                                   .filters = 5,
                                   .size = 1,
                                   .stride = 1,
                                   .groups = 1,
                                   .activation = ACTIVATION_LINEAR});
}
END_TEST

/* Seven filters and three channels a group: neither fills a register tile. */
START_TEST(conv_with_groups_matches_reference) {
    check_case(&(struct conv_case){.in = {6, 5, 4},
                                   .batch = 12,
                                   .filters = 14,
                                   .size = 3,
                                   .stride = 1,
                                   .padding = 1,
                                   .groups = 2,
                                   .activation = ACTIVATION_RELU});
}
END_TEST

/* AlexNet's first: the last two rows are seen by no window. */
START_TEST(conv_of_11_by_11_with_stride_4_matches_reference) {
    if (test_is_small())
        SKIP_TEST(TEST_TOO_LARGE);
    check_case(&(struct conv_case){.in = {3, 25, 19},
                                   .batch = 33,
                                   .filters = 7,
                                   .size = 11,
                                   .stride = 4,
                                   .groups = 1,
                                   .activation = ACTIVATION_LOGISTIC});
}
END_TEST

/* Some pixels are seen by no window, and some windows see padding and one pixel only. */
START_TEST(conv_with_stride_above_size_matches_reference) {
    check_case(&(struct conv_case){.in = {4, 9, 7},
                                   .batch = 2,
                                   .filters = 3,
                                   .size = 2,
                                   .stride = 3,
                                   .padding = 1,
                                   .groups = 1,
                                   .activation = ACTIVATION_TANH});
}
END_TEST

START_TEST(conv_with_the_greatest_padding_and_stride_2_matches_reference) {
    if (test_is_small())
        SKIP_TEST(TEST_TOO_LARGE);
    check_case(&(struct conv_case){.in = {2, 5, 6},
                                   .batch = 64,
                                   .filters = 3,
                                   .size = 4,
                                   .stride = 2,
                                   .padding = 3,
                                   .groups = 1,
                                   .activation = ACTIVATION_TANH});
}
END_TEST

/* A window higher and wider than the picture, and one channel a group. */
START_TEST(conv_of_each_channel_alone_matches_reference) {
    check_case(&(struct conv_case){.in = {5, 3, 2},
                                   .batch = 1,
                                   .filters = 10,
                                   .size = 5,
                                   .stride = 1,
                                   .padding = 2,
                                   .groups = 5,
                                   .activation = ACTIVATION_LEAKY});
}
END_TEST

/* A second tile with one image, and more filters than one block of any device. */
START_TEST(conv_of_a_tile_that_is_nearly_all_padding_matches_reference) {
    if (test_is_small())
        SKIP_TEST(TEST_TOO_LARGE);
    check_case(&(struct conv_case){.in = {5, 6, 5},
                                   .batch = 33,
                                   .tile = 32,
                                   .filters = 26,
                                   .size = 3,
                                   .stride = 1,
                                   .padding = 1,
                                   .groups = 1,
                                   .activation = ACTIVATION_RELU});
}
END_TEST

START_TEST(conv_without_the_gradient_of_its_input_matches_reference) {
    const struct conv_case c = {.in = {3, 4, 5},
                                .batch = 7,
                                .filters = 5,
                                .size = 1,
                                .stride = 1,
                                .groups = 1,
                                .activation = ACTIVATION_LINEAR};
    char text[256];
    conv_case_text(text, &c);
    for (int technique = TECHNIQUE_REFERENCE; technique <= TECHNIQUE_TILED; technique++) {
        struct layer_bench bench;
        struct layer_bench_options options = conv_case_options(&c, (enum technique)technique);
        options.no_dx = 1;
        layer_bench_open(&bench, text, &options);
        conv_case_check_forward(&bench, &c);
        conv_case_check_backward(&bench, &c);
        layer_bench_close(&bench);
    }
}
END_TEST

/* ---- by hand, as the course does it ---- */

static void check_by_hand(const char *text, const float picture[25], const float filter[9],
                          const double *want, int count) {
    for (int technique = TECHNIQUE_REFERENCE; technique <= TECHNIQUE_TILED; technique++) {
        struct layer_bench bench;
        struct layer_bench_options options = {
            .input = {1, 5, 5}, .batch = 1, .technique = (enum technique)technique};
        layer_bench_open(&bench, text, &options);
        memcpy(bench.x[0], picture, 25 * sizeof *picture);
        memcpy(bench.parameters[0], filter, 9 * sizeof *filter);
        bench.parameters[1][0] = 0;
        layer_bench_forward(&bench);
        ck_assert_int_eq(layer_bench_outputs(&bench), count);
        layer_bench_check(&bench, "y", bench.y, want, count, 0); /* whole numbers: exact */
        layer_bench_close(&bench);
    }
}

static const float padded_picture[25] = {1, 2, 3,  4, 8,  7,  0, 9, 18, 12, 5, 4, 6,
                                         0, 9, 10, 5, 22, 33, 6, 8, 80, 66, 6, 55};
static const float padded_filter[9] = {-1, 2, -1, 2, -1, 2, -1, 2, -1};

START_TEST(conv_agrees_with_the_hand_calculation) {
    static const float picture[25] = {1,  9,  5,  12, 8,  18, 19, 14, 16, 7,  0, 20, 12,
                                      11, 15, 10, 22, 46, 39, 37, 25, 14, 21, 2, 5};
    static const float filter[9] = {1, 0, -1, 2, 1, 0, -4, 3, 5};
    static const double want[9] = {171, 60, 101, 280, 300, 160, 77, 116, 75};
    check_by_hand("[convolutional]\nsize=3\nactivation=linear\n", picture, filter, want, 9);
}
END_TEST

START_TEST(conv_with_padding_agrees_with_the_hand_calculation) {
    static const double want[25] = {17, -10, 9,   33,  6,   -1,   29,  35,  6,  54,  32,  -20, 8,
                                    83, -24, -58, 142, 108, -101, 182, 167, 46, 112, 274, -64};
    check_by_hand("[convolutional]\nsize=3\npad=1\nactivation=linear\n", padded_picture,
                  padded_filter, want, 25);
}
END_TEST

/* Every second row and column of the result with stride 1. */
START_TEST(conv_with_padding_and_stride_2_agrees_with_the_hand_calculation) {
    static const double want[9] = {17, 9, 6, 32, 8, -24, 167, 112, -64};
    check_by_hand("[convolutional]\nsize=3\npad=1\nstride=2\nactivation=linear\n", padded_picture,
                  padded_filter, want, 9);
}
END_TEST

/* ---- what does not fit ---- */

START_TEST(conv_that_does_not_fit_says_why) {
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"[convolutional]\nsize=3\npadding=3\n", "padding: 3 is not below size 3"},
        {"[convolutional]\nfilters=3\ngroups=2\n", "groups: 2 does not divide the 3 filters"},
        {"[convolutional]\nfilters=4\ngroups=4\n",
         "groups: 4 does not divide the 6 channels that come in"},
        {"[convolutional]\nsize=9\npadding=1\n", "size: a 9 x 9 window does not fit the 5 x 8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct layer_bench bench;
        struct layer_bench_options options = {.input = {6, 8, 5}, .batch = 1};
        ck_fails(layer_bench_infer(&bench, rows[i].text, &options), ERROR_INPUT, rows[i].message);
        layer_bench_close(&bench);
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("convolutional");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_test(tests, conv_of_size_1_matches_reference);
    tcase_add_test(tests, conv_with_groups_matches_reference);
    tcase_add_test(tests, conv_of_11_by_11_with_stride_4_matches_reference);
    tcase_add_test(tests, conv_with_stride_above_size_matches_reference);
    tcase_add_test(tests, conv_with_the_greatest_padding_and_stride_2_matches_reference);
    tcase_add_test(tests, conv_of_each_channel_alone_matches_reference);
    tcase_add_test(tests, conv_of_a_tile_that_is_nearly_all_padding_matches_reference);
    tcase_add_test(tests, conv_without_the_gradient_of_its_input_matches_reference);
    tcase_add_test(tests, conv_agrees_with_the_hand_calculation);
    tcase_add_test(tests, conv_with_padding_agrees_with_the_hand_calculation);
    tcase_add_test(tests, conv_with_padding_and_stride_2_agrees_with_the_hand_calculation);
    tcase_add_test(tests, conv_that_does_not_fit_says_why);
    return suite_run("layers/convolutional", tests);
}
