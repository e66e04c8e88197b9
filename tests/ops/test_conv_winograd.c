/* Convolution by Winograd's minimal filtering: the same with patches of any size, and taken where
 * it wins. */
#include "support/conv_case.h"
#include "support/device.h"
#include "support/suite.h"

#include <stdio.h>
#include <string.h>

static const struct {
    int vector;
    const char *values; /* but for the size of a patch */
} patches[] = {
    {1, "PATCHES=1 VECTORS=1 BLOCK=1 BLOCKS=1"},
    /* images run along the work-items, some at a time; the last works are not whole */
    {1, "PATCHES=3 VECTORS=2 BLOCK=3 BLOCKS=2"},
    {2, "PATCHES=1 VECTORS=4 BLOCK=2 BLOCKS=3"},
    {4, "PATCHES=2 VECTORS=2 BLOCK=5 BLOCKS=1"},
    /* more of everything than there is */
    {16, "PATCHES=9 VECTORS=1 BLOCK=20 BLOCKS=2"},
};

enum { PATCHES = sizeof patches / sizeof *patches };

/* Patches that end at the picture's edge and beyond it, and the second tile of images nearly empty.
 * Tolerances are those of any convolution, beside the largest result: host/ops/conv_winograd.c says
 * how coarse patches are. */
static const struct conv_case patched_cases[] = {
    {.in = {10, 5, 4},
     .batch = 17,
     .tile = 16,
     .filters = 14,
     .size = 3,
     .stride = 1,
     .padding = 1,
     .groups = 2,
     .activation = ACTIVATION_TANH},
    {.in = {1, 4, 7},
     .batch = 17,
     .tile = 16,
     .filters = 3,
     .size = 3,
     .stride = 1,
     .groups = 1,
     .activation = ACTIVATION_LOGISTIC},
    {.in = {64, 5, 3},
     .batch = 17,
     .tile = 16,
     .filters = 66,
     .size = 3,
     .stride = 1,
     .padding = 2,
     .groups = 2,
     .activation = ACTIVATION_LEAKY},
    {.in = {33, 6, 7},
     .batch = 3,
     .tile = 16,
     .filters = 32,
     .size = 3,
     .stride = 1,
     .groups = 1,
     .activation = ACTIVATION_LINEAR},
    {.in = {33, 7, 6},
     .batch = 17,
     .tile = 16,
     .filters = 35,
     .size = 5,
     .stride = 1,
     .padding = 1,
     .groups = 1,
     .activation = ACTIVATION_RELU},
    /* phases of 3 x 3, of which some have no last row or column; groups; a column that is not seen
     */
    {.in = {4, 9, 12},
     .batch = 17,
     .tile = 16,
     .filters = 6,
     .size = 5,
     .stride = 2,
     .padding = 1,
     .groups = 2,
     .activation = ACTIVATION_LEAKY},
    {.in = {3, 25, 31},
     .batch = 17,
     .tile = 16,
     .filters = 33,
     .size = 11,
     .stride = 4,
     .padding = 2,
     .groups = 1,
     .activation = ACTIVATION_RELU},
    /* and of 5 x 5 */
    {.in = {8, 13, 11},
     .batch = 3,
     .tile = 16,
     .filters = 33,
     .size = 9,
     .stride = 2,
     .padding = 3,
     .groups = 1,
     .activation = ACTIVATION_LINEAR},
};

enum { PATCHED_5_BY_5 = 4, PHASES = 5, ALEXNETS_PHASES = 6, PHASES_5_BY_5 = 7 };

static void check_patch(int i, int size, const struct conv_case *c) {
    char values[128];
    (void)snprintf(values, sizeof values, "PATCH=%d %s", size, patches[i].values);
    conv_case_check_way(c, TECHNIQUE_VECTOR, patches[i].vector, "conv_winograd.cl", values, NULL);
}

START_TEST(conv_gives_the_same_by_patches_of_2_by_2) {
    if (_i > 0 && !test_takes_large_tiles())
        SKIP_TEST(TEST_SLOW_TO_COMPILE);
    check_patch(_i, 2, &patched_cases[0]);
    check_patch(_i, 2, &patched_cases[1]);
    check_patch(_i, 2, &patched_cases[PHASES]);
    if (!test_is_small()) {
        check_patch(_i, 2, &patched_cases[PATCHED_5_BY_5]);
        check_patch(_i, 2, &patched_cases[PHASES_5_BY_5]);
    }
}
END_TEST

START_TEST(conv_gives_the_same_by_patches_of_4_by_4) {
    if (_i > 0 && !test_takes_large_tiles())
        SKIP_TEST(TEST_SLOW_TO_COMPILE);
    if (patches[_i].vector < 16 && test_is_small())
        SKIP_TEST(TEST_TOO_LARGE);
    if (!test_is_small()) {
        check_patch(_i, 4, &patched_cases[2]);
        check_patch(_i, 4, &patched_cases[ALEXNETS_PHASES]);
    }
    check_patch(_i, 4, &patched_cases[3]);
}
END_TEST

/* Blocks, panels, patches and slabs that are not whole; some of each, and more than there is. */
static const struct {
    int vector;
    const char *values; /* but for the size of a patch */
} filter_patches[] = {
    {16, "ROWS=1 PATCHES=4 VECTORS=2 BLOCK=12 BLOCKS=2"},
    {2, "ROWS=2 PATCHES=1 VECTORS=1 BLOCK=1 BLOCKS=1"},
    {4, "ROWS=2 PATCHES=3 VECTORS=2 BLOCK=5 BLOCKS=1"},
    {8, "ROWS=1 PATCHES=9 VECTORS=1 BLOCK=3 BLOCKS=9"},
};

enum { FILTER_PATCHES = sizeof filter_patches / sizeof *filter_patches };

static void check_filter_patch(int i, int size, const struct conv_case *c) {
    char values[128];
    (void)snprintf(values, sizeof values, "PATCH=%d %s", size, filter_patches[i].values);
    conv_case_check_way(c, TECHNIQUE_VECTOR, filter_patches[i].vector, "conv_winograd_filter.cl",
                        "", values);
}

START_TEST(conv_backward_filter_gives_the_same_by_patches) {
    if (!test_takes_large_tiles()) /* it is for CPUs alone */
        SKIP_TEST(TEST_SLOW_TO_COMPILE);
    check_filter_patch(_i, 2, &patched_cases[0]);
    if (test_is_small())
        return;
    check_filter_patch(_i, 4, &patched_cases[1 + _i % 3]);
    check_filter_patch(_i, 2, &patched_cases[PATCHED_5_BY_5]);
    check_filter_patch(_i, 2, &patched_cases[PHASES_5_BY_5]);
    check_filter_patch(_i, _i < 2 ? 4 : 2, &patched_cases[_i % 2 ? PHASES : ALEXNETS_PHASES]);
}
END_TEST

static struct conv conv_of(int c, int k, int size, int stride) {
    return (struct conv){.in = {c, 13, 13},
                         .out = {k, (13 + 2 - size) / stride + 1, (13 + 2 - size) / stride + 1},
                         .size = size,
                         .stride = stride,
                         .padding = 1,
                         .groups = 1};
}

START_TEST(conv_by_patches_is_for_windows_whose_phases_are_of_3_by_3_and_5_by_5) {
    const struct target target = {.tiling = tiling_for_batch(128),
                                  .device = {.is_cpu = 1, .vector_width = 16, .compute_units = 2}};
    const struct conv good[] = {conv_of(64, 64, 3, 1), conv_of(64, 64, 5, 1), conv_of(3, 64, 11, 4),
                                conv_of(8, 64, 9, 2)},
                      others[] = {conv_of(64, 64, 3, 2), conv_of(64, 64, 2, 1),
                                  conv_of(64, 64, 7, 2), conv_of(64, 64, 1, 1)};
    for (enum conv_pass pass = 0; pass < CONV_PASSES; pass++) {
        struct choice choice = {0};
        const struct conv_technique *winograd = conv_winograd_for(pass);
        for (int i = 0; i < 4; i++) {
            int is_possible = pass != CONV_PASS_DATA || good[i].stride == 1;
            ck_assert_int_eq(winograd->open(&choice, &good[i], &target, pass), is_possible);
            ck_assert(!winograd->open(&choice, &others[i], &target, pass));
        }
    }
}
END_TEST

/* A CPU's pass is computed by patches where channels are many. */
START_TEST(conv_by_patches_is_taken_where_it_wins) {
    struct target target = {.tiling = tiling_for_batch(128),
                            .device = {.is_cpu = 1, .vector_width = 16, .compute_units = 2}};
    const struct conv many = conv_of(256, 384, 3, 1), few = conv_of(3, 384, 3, 1);
    const struct conv phases = conv_of(3, 96, 11, 4);
    ck_assert_str_eq(conv_specs(&many, &target, 1).specs[CONV_FORWARD].file, "conv_winograd.cl");
    ck_assert_str_eq(conv_specs(&phases, &target, 1).specs[CONV_FORWARD].file, "conv_winograd.cl");
    ck_assert_str_eq(conv_specs(&phases, &target, 1).specs[CONV_BACKWARD_DATA].file,
                     "conv_vector.cl");
    ck_assert_str_eq(conv_specs(&many, &target, 1).specs[CONV_BACKWARD_DATA].file,
                     "conv_winograd.cl");
    ck_assert_str_eq(conv_specs(&many, &target, 1).specs[CONV_BACKWARD_FILTER].file,
                     "conv_winograd_filter.cl");
    ck_assert_str_eq(conv_specs(&few, &target, 1).specs[CONV_FORWARD].file, "conv_vector.cl");
    target.technique = TECHNIQUE_VECTOR;
    ck_assert_str_eq(conv_specs(&many, &target, 1).specs[CONV_FORWARD].file, "conv_vector.cl");
}
END_TEST

/* Of a corner's pixel a window of 3 x 3 with padding 1 sums 4 of 9 taps, with padding 2 one, and a
 * window of 5 x 5 with padding 1 16 of 25; the padding of backward data is what is missing to 2, or
 * 4. */
START_TEST(conv_by_patches_of_6_by_6_sources_has_slack_at_the_corners_of_pictures_alone) {
    const struct target target = {.tiling = tiling_for_batch(128),
                                  .device = {.is_cpu = 1, .vector_width = 16, .compute_units = 2}};
    static const struct {
        int size, padding;
        double forward, backward;
    } cases[] = {{3, 0, 0, 8}, {3, 1, 1.25, 1.25}, {3, 2, 8, 0}, {5, 1, 0.5625, 5.25}};
    for (int i = 0; i < 4; i++) {
        struct conv conv = conv_of(64, 64, cases[i].size, 1);
        conv.padding = cases[i].padding;
        conv.out.h = conv.out.w = 14 - cases[i].size + 2 * cases[i].padding;
        struct conv_specs specs = conv_specs(&conv, &target, 1);
        ck_assert_double_eq(specs.specs[CONV_FORWARD].slack, cases[i].forward);
        ck_assert_double_eq(specs.specs[CONV_BACKWARD_DATA].slack, cases[i].backward);
        ck_assert_double_eq(specs.specs[CONV_BACKWARD_FILTER].slack, 0);
    }
}
END_TEST

/* Neither where they would round too coarsely, nor where the device has no room. */
START_TEST(conv_by_patches_of_4_by_4_is_refused_for_few_channels_and_on_small_devices) {
    struct target target = {.tiling = tiling_for_batch(128),
                            .device = {.is_cpu = 1, .vector_width = 16, .compute_units = 2}};
    const struct conv few = conv_of(31, 64, 3, 1), many = conv_of(64, 64, 3, 1);
    const int values[KNOBS_MAX] = {4, 1, 2, 12, 8};
    struct choice choice = {0};
    struct candidate candidate = {.target = &target, .problem = &few, .values = values};
    ck_assert(conv_winograd.open(&choice, &few, &target, CONV_PASS_FORWARD));
    ck_assert_int_eq(choice.defaults[0], 2);
    ck_assert_ptr_nonnull(strstr(tuning_refuse(choice.space, &candidate), "too coarsely"));
    candidate.problem = &many;
    ck_assert_ptr_null(tuning_refuse(choice.space, &candidate));
    target.device.allocation_max = 1 << 20;
    ck_assert_ptr_nonnull(strstr(tuning_refuse(choice.space, &candidate), "too much memory"));
    ck_assert(!conv_winograd.open(&choice, &many, &target, CONV_PASS_FORWARD));
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("conv_winograd");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_loop_test(tests, conv_backward_filter_gives_the_same_by_patches, 0, FILTER_PATCHES);
    tcase_add_loop_test(tests, conv_gives_the_same_by_patches_of_2_by_2, 0, PATCHES);
    tcase_add_loop_test(tests, conv_gives_the_same_by_patches_of_4_by_4, 0, PATCHES);
    tcase_add_test(tests, conv_by_patches_is_for_windows_whose_phases_are_of_3_by_3_and_5_by_5);
    tcase_add_test(tests, conv_by_patches_is_taken_where_it_wins);
    tcase_add_test(tests,
                   conv_by_patches_of_6_by_6_sources_has_slack_at_the_corners_of_pictures_alone);
    tcase_add_test(tests,
                   conv_by_patches_of_4_by_4_is_refused_for_few_channels_and_on_small_devices);
    return suite_run("ops/conv_winograd", tests);
}
