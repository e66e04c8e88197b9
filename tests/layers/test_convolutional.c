/* Convolution: against plain C over nasty shapes, by hand, and with every register tile. */
#include "reference/reference.h"
#include "support/device.h"
#include "support/layer_bench.h"
#include "support/numbers.h"
#include "support/suite.h"

#include "ops/conv.h"
#include "ops/tile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A layer's text is made from this, so that it and the reference cannot disagree. */
struct conv_case {
    struct shape in;
    int batch, tile; /* tile 0: as tiling_for_batch says */
    int filters, size, stride, padding, groups;
    enum activation activation;
};

static void write_text(char text[256], const struct conv_case *c) {
    (void)snprintf(text, 256,
                   "[convolutional]\nfilters=%d\nsize=%d\nstride=%d\npadding=%d\ngroups=%d\n"
                   "activation=%s\n",
                   c->filters, c->size, c->stride, c->padding, c->groups,
                   activation_names[c->activation]);
}

static struct layer_bench_options options_of(const struct conv_case *c, enum technique technique) {
    return (struct layer_bench_options){
        .input = c->in, .batch = c->batch, .tile = c->tile, .technique = technique};
}

static struct reference_conv reference_of(const struct layer_bench *bench,
                                          const struct conv_case *c) {
    return (struct reference_conv){.n = c->batch,
                                   .in = c->in,
                                   .out = bench->layer.plan.output,
                                   .size = c->size,
                                   .stride = c->stride,
                                   .padding = c->padding,
                                   .groups = c->groups};
}

static void check_forward(struct layer_bench *bench, const struct conv_case *c) {
    struct reference_conv conv = reference_of(bench, c);
    int64_t outputs = layer_bench_outputs(bench);
    double *want = new_doubles(outputs);
    reference_conv_forward(want, bench->x[0], bench->parameters[0], bench->parameters[1], &conv);
    for (int64_t i = 0; i < outputs; i++)
        want[i] = reference_activate(c->activation, want[i]);
    layer_bench_forward(bench);
    layer_bench_check(bench, "y", bench->y, want, outputs,
                      sum_tolerance((int64_t)c->in.c / c->groups * c->size * c->size));
    free(want);
}

static void check_backward(struct layer_bench *bench, const struct conv_case *c) {
    struct reference_conv conv = reference_of(bench, c);
    int64_t outputs = layer_bench_outputs(bench);
    double *dz = new_doubles(outputs), *dx = new_doubles(layer_bench_inputs(bench));
    double *dw = layer_bench_gradient(bench, 0), *db = layer_bench_gradient(bench, 1);
    reference_activation_backward(dz, bench->y, bench->dy, outputs, c->activation);
    reference_conv_backward_data(dx, dz, bench->parameters[0], &conv);
    reference_conv_backward_filter(dw, dz, bench->x[0], &conv);
    reference_bias_backward(db, dz, c->batch, conv.out);

    layer_bench_backward(bench);
    int64_t pixels = (int64_t)c->batch * conv.out.h * conv.out.w;
    if (!bench->options.no_dx)
        layer_bench_check(bench, "dx", bench->dx[0], dx, layer_bench_inputs(bench),
                          sum_tolerance((int64_t)c->filters / c->groups * c->size * c->size));
    layer_bench_check(bench, "dw", bench->gradients[0], dw, layer_bench_parameters(bench, 0),
                      sum_tolerance(pixels));
    layer_bench_check(bench, "db", bench->gradients[1], db, layer_bench_parameters(bench, 1),
                      sum_tolerance(pixels));
    free(dz);
    free(dx);
    free(dw);
    free(db);
}

static void check_case(const struct conv_case *c) {
    char text[256];
    write_text(text, c);
    for (int technique = TECHNIQUE_REFERENCE; technique <= TECHNIQUE_TILED; technique++) {
        struct layer_bench bench;
        struct layer_bench_options options = options_of(c, (enum technique)technique);
        layer_bench_open(&bench, text, &options);
        check_forward(&bench, c);
        check_backward(&bench, c);
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
    write_text(text, &c);
    for (int technique = TECHNIQUE_REFERENCE; technique <= TECHNIQUE_TILED; technique++) {
        struct layer_bench bench;
        struct layer_bench_options options = options_of(&c, (enum technique)technique);
        options.no_dx = 1;
        layer_bench_open(&bench, text, &options);
        check_forward(&bench, &c);
        check_backward(&bench, &c);
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

/* ---- every register tile gives the same ---- */

/* Not linear, so that what waits between two depths must wait as it is. */
static const struct conv_case tuned_case = {.in = {10, 5, 4},
                                            .batch = 19,
                                            .tile = 16,
                                            .filters = 14,
                                            .size = 3,
                                            .stride = 1,
                                            .padding = 1,
                                            .groups = 2,
                                            .activation = ACTIVATION_TANH};

struct register_tile {
    int vector;
    const char *result, *filter; /* of forward and backward data, and of backward weight */
};

static const struct register_tile register_tiles[] = {
    {1, "VECTORS=1 BLOCK=1 BLOCKS=1 SPAN=1 DEPTH=1",
     "FILTERS=1 CHANNELS=1 TAP_ROWS=1 TAP_COLUMNS=1 ROWS=1 RUN=1 FILTER_BLOCKS=1 CHANNEL_BLOCKS=1"},
    {2, "VECTORS=4 BLOCK=2 BLOCKS=1 SPAN=3 DEPTH=2",
     "FILTERS=2 CHANNELS=5 TAP_ROWS=3 TAP_COLUMNS=1 ROWS=2 RUN=2 FILTER_BLOCKS=1 CHANNEL_BLOCKS=1"},
    /* the last blocks are not whole */
    {4, "VECTORS=2 BLOCK=3 BLOCKS=2 SPAN=3 DEPTH=3",
     "FILTERS=2 CHANNELS=2 TAP_ROWS=2 TAP_COLUMNS=2 ROWS=3 RUN=3 FILTER_BLOCKS=3 CHANNEL_BLOCKS=2"},
    /* more of everything than there is, but for filters and channels held in registers */
    {16, "VECTORS=1 BLOCK=8 BLOCKS=3 SPAN=9 DEPTH=9",
     "FILTERS=3 CHANNELS=5 TAP_ROWS=4 TAP_COLUMNS=4 ROWS=9 RUN=9 FILTER_BLOCKS=2 CHANNEL_BLOCKS=2"},
};

/* Has the layer's passes computed by a file's kernels, tuned so; without `filter` backward weight
 * is left as it is. */
static void retune(struct layer_bench *bench, struct tunings *tunings, const char *file,
                   const char *result, const char *filter) {
    int ways = 0;
    layer_bench_plan_kernels(bench);
    for (int i = 0; i < bench->kernels.choice_count; i++) {
        const struct choice *choice = &bench->kernels.choices[i];
        int is_filter = strcmp(choice->pass, "backward weight") == 0;
        if ((is_filter && !filter) || strcmp(choice->space->file, file) != 0)
            continue;
        ways++;
        struct tuning tuning = tuning_of(choice, choice->defaults, ORIGIN_FULL);
        (void)snprintf(tuning.values, sizeof tuning.values, "%s %s", file,
                       is_filter ? filter : result);
        ck_succeeds(tunings_set(tunings, &tuning));
    }
    bench->target.tunings = tunings;
    layer_bench_plan_kernels(bench);
    int taken = 0;
    for (int i = 0; i < bench->kernels.choice_count; i++) {
        const struct choice *choice = &bench->kernels.choices[i];
        ck_assert_msg(!choice->refused, "%s", choice->refused);
        if (choice->is_taken && choice->origin == ORIGIN_FULL) {
            ck_assert_str_eq(choice->space->file, file);
            taken++;
        }
    }
    ck_assert_int_gt(ways, 0);
    ck_assert_int_eq(taken, ways);
}

/* As the passes of a case come out by a file's kernels. With `vector` it is for a device whose
 * vectors are so wide: a CPU, unless that is 1; with 0 for the test device. */
static void check_way(const struct conv_case *c, enum technique technique, int vector,
                      const char *file, const char *result, const char *filter) {
    char text[256];
    struct layer_bench bench;
    struct tunings *tunings = tunings_create();
    struct device_info device = *device_info(test_device());
    struct layer_bench_options options = options_of(c, technique);
    ck_assert_ptr_nonnull(tunings);
    write_text(text, c);
    if (vector) {
        device.is_cpu = vector > 1;
        device.vector_width = vector;
        options.device = &device;
    }
    ck_succeeds(layer_bench_infer(&bench, text, &options));
    retune(&bench, tunings, file, result, filter);
    layer_bench_build(&bench);
    check_forward(&bench, c);
    check_backward(&bench, c);
    layer_bench_close(&bench);
    tunings_free(tunings);
}

START_TEST(conv_gives_the_same_with_every_register_tile) {
    const struct register_tile *tile = &register_tiles[_i];
    if (_i > 0 && !test_takes_large_tiles())
        SKIP_TEST(TEST_SLOW_TO_COMPILE);
    check_way(&tuned_case, TECHNIQUE_VECTOR, tile->vector, "conv_vector.cl", tile->result,
              tile->filter);
}
END_TEST

/* ---- rows of any length give the same ---- */

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
        check_way(&row_cases[i], TECHNIQUE_VECTOR, tile->vector, "conv_rows.cl", tile->result,
                  tile->filter);
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

/* ---- Winograd's patches give the same ---- */

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
    check_way(c, TECHNIQUE_VECTOR, patches[i].vector, "conv_winograd.cl", values, NULL);
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
    check_way(c, TECHNIQUE_VECTOR, filter_patches[i].vector, "conv_winograd_filter.cl", "", values);
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

/* ---- every tile in local memory gives the same ---- */

/* The least, rows that are no power of two, more columns than there are, and those for large
 * devices. */
static const struct {
    const char *tile;
    int splits;
} tiles[] = {
    {"M=4 N=4 K=4 RM=2 RN=2 BUFFERS=1 VECTOR=2", 1},
    {"M=8 N=16 K=4 RM=4 RN=8 BUFFERS=2 VECTOR=4", 3},
    {"M=12 N=8 K=3 RM=3 RN=2 BUFFERS=2 VECTOR=1", 2},
    {"M=32 N=32 K=8 RM=4 RN=4 BUFFERS=2 VECTOR=4", 7},
    {"M=64 N=64 K=16 RM=8 RN=8 BUFFERS=1 VECTOR=4", 1},
    {"M=96 N=128 K=4 RM=6 RN=8 BUFFERS=2 VECTOR=4", 99},
    {"M=128 N=128 K=8 RM=8 RN=8 BUFFERS=2 VECTOR=4", 2},
};

enum { TILES = sizeof tiles / sizeof *tiles, SMALL_TILES = 4 };

/* Stride 2: phases of pixels, of which some end beyond the picture. */
static const struct conv_case tiled_cases[] = {
    {.in = {10, 5, 4},
     .batch = 19,
     .tile = 16,
     .filters = 14,
     .size = 3,
     .stride = 1,
     .padding = 1,
     .groups = 2,
     .activation = ACTIVATION_TANH},
    {.in = {3, 6, 5},
     .batch = 33,
     .tile = 4,
     .filters = 5,
     .size = 3,
     .stride = 2,
     .padding = 2,
     .groups = 1,
     .activation = ACTIVATION_RELU},
};

static void check_tile(int i, int share, const struct conv_case *c) {
    char result[128], filter[128];
    (void)snprintf(result, sizeof result, "%s SHARE=%d", tiles[i].tile, share);
    (void)snprintf(filter, sizeof filter, "%s SHARE=%d SPLITS=%d", tiles[i].tile, share,
                   tiles[i].splits);
    check_way(c, TECHNIQUE_TILED, 0, "conv_tiled.cl", result, filter);
}

static struct tile read_tile(const char *text) {
    struct tile t = {.share = 1};
    ck_assert_int_eq(sscanf(text, "M=%d N=%d K=%d RM=%d RN=%d BUFFERS=%d VECTOR=%d", &t.m, &t.n,
                            &t.k, &t.rm, &t.rn, &t.buffers, &t.vector),
                     7);
    return t;
}

/* Where the device has sub-groups that fit the tile, both by them and without. */
START_TEST(conv_gives_the_same_with_every_tile) {
    const struct tile tile = read_tile(tiles[_i].tile);
    const struct device_info *device = device_info(test_device());
    const int share = tile_most_share(&tile, device);
    if (!tile_is_legal(&tile, device))
        SKIP_TEST(TEST_NO_ROOM_FOR_TILE);
    if (_i >= SMALL_TILES && test_is_small())
        SKIP_TEST(TEST_TOO_LARGE);
    if (_i >= SMALL_TILES && !test_takes_large_tiles())
        SKIP_TEST(TEST_SLOW_TO_COMPILE);
    for (int i = 0; i < 2; i++) {
        check_tile(_i, 1, &tiled_cases[i]);
        if (share > 1)
            check_tile(_i, share, &tiled_cases[i]);
    }
}
END_TEST

/* AlexNet's second layer on devices of all sizes, from none. */
START_TEST(conv_has_legal_tiles_on_every_device_that_has_room_for_any) {
    const struct conv conv = {.in = {96, 27, 27},
                              .out = {256, 27, 27},
                              .groups = 2,
                              .size = 5,
                              .stride = 1,
                              .padding = 2};
    static const struct device_info devices[] = {
        {.work_group_max = 64, .local_memory = 16384, .compute_units = 1},
        {.work_group_max = 128, .local_memory = 32768, .compute_units = 8},
        {.work_group_max = 256, .local_memory = 32768, .compute_units = 40},
        {.work_group_max = 1024, .local_memory = 49152, .compute_units = 28},
        {.work_group_max = 512, .local_memory = 65536, .compute_units = 96, .sub_group = 8},
    };
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        struct target target = {.tiling = tiling_for_batch(128), .device = devices[i]};
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            struct choice choice = {0};
            struct candidate chosen = {
                .target = &target, .problem = &conv, .values = choice.defaults};
            target.device = devices[i];
            ck_assert(conv_tiled.open(&choice, &conv, &target, (enum conv_pass)pass));
            ck_assert_ptr_null(tuning_refuse(choice.space, &chosen));
            target.device.work_group_max = 32;
            ck_assert(!conv_tiled.open(&choice, &conv, &target, (enum conv_pass)pass));
            target.device = devices[i];
            target.device.local_memory = 2048;
            ck_assert(!conv_tiled.open(&choice, &conv, &target, (enum conv_pass)pass));
        }
    }
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
    tcase_add_loop_test(tests, conv_gives_the_same_with_every_register_tile, 0,
                        (int)(sizeof register_tiles / sizeof *register_tiles));
    tcase_add_loop_test(tests, conv_gives_the_same_by_rows, 0,
                        (int)(sizeof row_tiles / sizeof *row_tiles));
    tcase_add_test(tests, conv_is_by_rows_where_images_do_not_fill_vectors);
    tcase_add_loop_test(tests, conv_backward_filter_gives_the_same_by_patches, 0, FILTER_PATCHES);
    tcase_add_loop_test(tests, conv_gives_the_same_by_patches_of_2_by_2, 0, PATCHES);
    tcase_add_loop_test(tests, conv_gives_the_same_by_patches_of_4_by_4, 0, PATCHES);
    tcase_add_test(tests, conv_by_patches_is_for_windows_whose_phases_are_of_3_by_3_and_5_by_5);
    tcase_add_test(tests, conv_by_patches_is_taken_where_it_wins);
    tcase_add_test(tests,
                   conv_by_patches_of_6_by_6_sources_has_slack_at_the_corners_of_pictures_alone);
    tcase_add_test(tests,
                   conv_by_patches_of_4_by_4_is_refused_for_few_channels_and_on_small_devices);
    tcase_add_loop_test(tests, conv_gives_the_same_with_every_tile, 0, TILES);
    tcase_add_test(tests, conv_has_legal_tiles_on_every_device_that_has_room_for_any);
    tcase_add_test(tests, conv_that_does_not_fit_says_why);
    return suite_run("layers/convolutional", tests);
}
