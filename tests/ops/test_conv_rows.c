/* Convolution along rows of pixels: the same for any length, and taken for few images. */
#include "support/conv_case.h"
#include "support/device.h"
#include "support/suite.h"

static const struct register_tile row_tiles[] = {
    {2, "VECTORS=1 BLOCK=1 BLOCKS=1 DEPTH=1", "FILTERS=1 CHANNELS=1 ROWS=1 FILTER_BLOCKS=1"},
    {4, "VECTORS=3 BLOCK=3 BLOCKS=2 DEPTH=2", "FILTERS=2 CHANNELS=3 ROWS=2 FILTER_BLOCKS=3"},
    {8, "VECTORS=2 BLOCK=5 BLOCKS=1 DEPTH=4", "FILTERS=4 CHANNELS=2 ROWS=3 FILTER_BLOCKS=1"},
    /* more of everything than there is */
    {16, "VECTORS=1 BLOCK=20 BLOCKS=2 DEPTH=9", "FILTERS=8 CHANNELS=3 ROWS=9 FILTER_BLOCKS=2"},
};

/* One image and several, rows that vectors end within and beyond, and strides that leave columns
 * unseen. */
static const struct conv_case row_cases[] = {
    {.in = {10, 5, 7},
     .batch = 3,
     .tile = 2,
     .filters = 14,
     .size = 3,
     .stride = 1,
     .padding = 1,
     .groups = 2,
     .activation = ACTIVATION_TANH},
    {.in = {3, 12, 11},
     .batch = 1,
     .tile = 1,
     .filters = 5,
     .size = 5,
     .stride = 3,
     .padding = 2,
     .groups = 1,
     .activation = ACTIVATION_RELU},
    {.in = {2, 4, 3},
     .batch = 5,
     .tile = 4,
     .filters = 3,
     .size = 2,
     .stride = 1,
     .groups = 1,
     .activation = ACTIVATION_LINEAR},
    {.in = {4, 6, 9},
     .batch = 2,
     .tile = 2,
     .filters = 6,
     .size = 1,
     .stride = 2,
     .groups = 2,
     .activation = ACTIVATION_LEAKY},
};

enum { ROW_CASES = sizeof row_cases / sizeof *row_cases };

START_TEST(conv_gives_the_same_by_rows) {
    const struct register_tile *tile = &row_tiles[_i];
    if (_i > 0 && !test_takes_large_tiles())
        SKIP_TEST(TEST_SLOW_TO_COMPILE);
    for (int i = 0; i < ROW_CASES; i++)
        conv_case_check_way(&row_cases[i], TECHNIQUE_VECTOR, tile->vector, "conv_rows.cl",
                            tile->result, tile->filter);
}
END_TEST

START_TEST(conv_is_by_rows_where_images_do_not_fill_vectors) {
    struct target target = {.tiling = tiling_for_batch(8),
                            .device = {.is_cpu = 1, .vector_width = 16, .compute_units = 2}};
    const struct conv conv = {
        .in = {3, 19, 19}, .out = {96, 3, 3}, .size = 11, .stride = 4, .groups = 1};
    struct conv_specs specs = conv_specs(&conv, &target, 0);
    ck_assert_str_eq(specs.specs[CONV_FORWARD].file, "conv_rows.cl");
    ck_assert_str_eq(specs.specs[CONV_BACKWARD_FILTER].file, "conv_rows.cl");
    target.tiling = tiling_for_batch(16);
    specs = conv_specs(&conv, &target, 0);
    ck_assert_str_eq(specs.specs[CONV_FORWARD].file, "conv_winograd.cl");
    const struct conv other = {
        .in = {3, 16, 16}, .out = {96, 3, 3}, .size = 8, .stride = 4, .groups = 1};
    specs = conv_specs(&other, &target, 0);
    ck_assert_str_eq(specs.specs[CONV_FORWARD].file, "conv_vector.cl");
    target.device.is_cpu = 0;
    target.tiling = tiling_for_batch(8);
    specs = conv_specs(&conv, &target, 0);
    for (int i = 0; i < specs.choice_count; i++)
        ck_assert_str_ne(specs.choices[i].space->file, "conv_rows.cl");
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("conv_rows");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_loop_test(tests, conv_gives_the_same_by_rows, 0,
                        (int)(sizeof row_tiles / sizeof *row_tiles));
    tcase_add_test(tests, conv_is_by_rows_where_images_do_not_fill_vectors);
    return suite_run("ops/conv_rows", tests);
}
