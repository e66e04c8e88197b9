/* Matrix products: every form that a layer asks for, by every provider, in odd sizes. */
#include "reference/reference.h"
#include "support/device.h"
#include "support/guarded.h"
#include "support/numbers.h"
#include "support/suite.h"

#include "ops/gemm.h"
#include "ops/tile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The products of a connected layer: panels of `lanes` images, one for each of `tiles`. */
struct gemm_size {
    int outputs, inputs, lanes, tiles;
    int is_large;
};

static const struct gemm_size sizes[] = {
    {1, 1, 1, 1, 0},
    {7, 3, 2, 3, 0},
    {13, 9, 8, 2, 0},
    /* one image: its vectors are of outputs or inputs */
    {19, 34, 1, 1, 0},
    {64, 272, 1, 1, 0},
    /* more terms than are summed at a time */
    {5, 530, 32, 2, 1},
};

enum { SIZES = sizeof sizes / sizeof *sizes };

static struct gemm forward_product(const struct gemm_size *s) {
    return (struct gemm){.m = s->outputs,
                         .n = s->lanes,
                         .k = s->inputs,
                         .batch = s->tiles,
                         .stride_b = (long)s->inputs * s->lanes,
                         .stride_c = (long)s->outputs * s->lanes,
                         .bias = GEMM_BIAS_OF_ROWS,
                         .activation = s->outputs % 2 ? ACTIVATION_RELU : ACTIVATION_TANH};
}

static struct gemm data_product(const struct gemm_size *s) {
    return (struct gemm){.m = s->inputs,
                         .n = s->lanes,
                         .k = s->outputs,
                         .transpose_a = 1,
                         .batch = s->tiles,
                         .stride_b = (long)s->outputs * s->lanes,
                         .stride_c = (long)s->inputs * s->lanes};
}

static struct gemm weight_product(const struct gemm_size *s) {
    return (struct gemm){.m = s->outputs,
                         .n = s->inputs,
                         .k = s->lanes,
                         .transpose_b = 1,
                         .batch = s->tiles,
                         .stride_a = (long)s->outputs * s->lanes,
                         .stride_b = (long)s->inputs * s->lanes,
                         .accumulate = 1};
}

static struct target target_of(enum technique technique, int lanes) {
    return (struct target){.tiling = {.batch = lanes, .tile = lanes, .tiles = 1},
                           .technique = technique,
                           .device = *device_info(test_device())};
}

/* ---- one product, on guarded buffers ---- */

struct operand {
    struct guarded buffer;
    float *values;
    int64_t count;
};

static void operand_create(struct operand *operand, int64_t count, uint32_t salt) {
    operand->count = count;
    operand->values = new_floats(count);
    fill_uniform(operand->values, count, -1, 1, salt);
    guarded_create(&operand->buffer, (size_t)count * sizeof(float), "matrix");
}

static void operand_free(struct operand *operand) {
    guarded_free(&operand->buffer);
    free(operand->values);
}

/* Elements of a matrix of size elements, repeated at a stride. */
static int64_t span_of(const struct gemm *gemm, long stride, int size) {
    return (int64_t)(gemm->batch - 1) * stride + size;
}

/* The operands of a product, c before it. */
struct operands {
    struct operand a, b, bias, c;
};

/* What C shall be, from what it holds. */
static double *expected(const struct gemm *gemm, const struct operands *o) {
    const struct operand *c = &o->c;
    int size = gemm->m * gemm->n;
    double *want = new_doubles(c->count), *product = new_doubles(size);
    for (int64_t i = 0; i < c->count && gemm->accumulate; i++)
        want[i] = (double)c->values[i];
    for (int t = 0; t < gemm->batch; t++) {
        reference_gemm(product, o->a.values + t * gemm->stride_a, o->b.values + t * gemm->stride_b,
                       gemm->m, gemm->n, gemm->k, gemm->transpose_a, gemm->transpose_b);
        for (int i = 0; i < size; i++)
            want[t * gemm->stride_c + i] += product[i];
    }
    for (int64_t i = 0; i < c->count && gemm->bias; i++) { /* members of C follow one another */
        const int64_t at = gemm->bias == GEMM_BIAS_OF_ROWS ? i / gemm->n % gemm->m : i % gemm->n;
        want[i] = reference_activate(gemm->activation, want[i] + (double)o->bias.values[at]);
    }
    free(product);
    return want;
}

static void operands_create(struct operands *o, const struct gemm *gemm) {
    operand_create(&o->a, span_of(gemm, gemm->stride_a, gemm->m * gemm->k), 1);
    operand_create(&o->b, span_of(gemm, gemm->stride_b, gemm->k * gemm->n), 2);
    operand_create(&o->c, span_of(gemm, gemm->stride_c, gemm->m * gemm->n), 3);
    operand_create(&o->bias, gemm->bias == GEMM_BIAS_OF_COLUMNS ? gemm->n : gemm->m, 4);
    guarded_write(&o->a.buffer, o->a.values);
    guarded_write(&o->b.buffer, o->b.values);
    guarded_write(&o->bias.buffer, o->bias.values);
    if (gemm->accumulate)
        guarded_write(&o->c.buffer, o->c.values);
}

static void operands_free(struct operands *o) {
    operand_free(&o->a);
    operand_free(&o->b);
    operand_free(&o->bias);
    operand_free(&o->c);
}

static void check_product(const char *what, const struct gemm *gemm,
                          const struct gemm_specs *specs) {
    struct operands o;
    struct guarded scratch;
    struct gemm_kernels kernels = {0};
    operands_create(&o, gemm);
    double *want = expected(gemm, &o);
    ck_succeeds(kernel_create(&kernels.product, test_device(), &specs->product));
    if (specs->transpose.file)
        ck_succeeds(kernel_create(&kernels.transpose, test_device(), &specs->transpose));
    if (specs->finish.file)
        ck_succeeds(kernel_create(&kernels.finish, test_device(), &specs->finish));
    guarded_create(&scratch, specs->scratch_bytes, "scratch");

    ck_succeeds(gemm_run(gemm, &kernels, o.a.buffer.view, o.b.buffer.view, o.bias.buffer.view,
                         o.c.buffer.view, scratch.view));
    guarded_read(&o.c.buffer, o.c.values);
    guarded_check(&o.c.buffer, what);
    guarded_check(&scratch, what);
    int64_t terms = (int64_t)gemm->k * (gemm->stride_c ? 1 : gemm->batch);
    check_close(what, o.c.values, want, o.c.count, sum_tolerance(terms));
    free(want);
    kernel_free(kernels.product);
    kernel_free(kernels.transpose);
    kernel_free(kernels.finish);
    guarded_free(&scratch);
    operands_free(&o);
}

static void check_specs(const struct gemm *gemm, const struct gemm_specs *specs) {
    char what[128];
    (void)snprintf(what, sizeof what, "%s %s%s: %d x %d x %d, %d times: C", specs->product.function,
                   gemm->transpose_a ? "A'" : "A", gemm->transpose_b ? "B'" : "B", gemm->m, gemm->n,
                   gemm->k, gemm->batch);
    check_product(what, gemm, specs);
}

static void check_chosen(const struct gemm *gemm, const struct target *target) {
    struct gemm_specs specs = gemm_specs(gemm, target, "forward");
    check_specs(gemm, &specs);
}

/* What a technique has by default for a product. Returns 0 where it is none of its kind. */
static int open_technique(struct choice *choice, const struct gemm_technique *technique,
                          const struct gemm *gemm, const struct target *target) {
    struct gemm turned = gemm_turned(gemm);
    *choice = (struct choice){0};
    return technique->open(choice, &turned, target);
}

/* ---- techniques ---- */

static void check_forms(const struct gemm_size *size, enum technique technique) {
    struct target target = target_of(technique, size->lanes);
    struct gemm products[] = {forward_product(size), data_product(size), weight_product(size)};
    for (int i = 0; i < 3; i++)
        check_chosen(&products[i], &target);
}

START_TEST(gemm_matches_reference_in_every_form_of_a_connected_layer) {
    if (sizes[_i].is_large && test_is_small())
        SKIP_TEST(TEST_TOO_LARGE);
    check_forms(&sizes[_i], TECHNIQUE_REFERENCE);
    check_forms(&sizes[_i], TECHNIQUE_VECTOR);
    check_forms(&sizes[_i], TECHNIQUE_TILED);
}
END_TEST

START_TEST(gemm_of_clblast_matches_reference_in_every_form_of_a_connected_layer) {
    if (test_is_small())
        SKIP_TEST(TEST_TOO_LARGE);
    for (int i = 0; i < SIZES; i++) {
        struct target target = target_of(TECHNIQUE_AUTO, sizes[i].lanes);
        struct gemm products[] = {forward_product(&sizes[i]), data_product(&sizes[i]),
                                  weight_product(&sizes[i])};
        for (int p = 0; p < 3; p++) {
            struct gemm_specs specs = gemm_specs_by(&gemm_blas, &products[p], &target, NULL);
            ck_assert_int_eq(specs.leaves_bias, 1);
            products[p].bias = GEMM_NO_BIAS;
            check_specs(&products[p], &specs);
        }
    }
}
END_TEST

/* What gemm.h promises beyond what a layer asks for. */
START_TEST(gemm_sums_the_batch_into_one_product_in_every_form) {
    for (int form = 0; form < 4; form++) {
        struct gemm gemm = {.m = 5,
                            .n = 8,
                            .k = 8,
                            .transpose_a = form & 1,
                            .transpose_b = form >> 1,
                            .batch = 3,
                            .stride_a = 40,
                            .stride_b = 64,
                            .accumulate = form == 1};
        for (int technique = TECHNIQUE_REFERENCE; technique <= TECHNIQUE_TILED; technique++) {
            struct target target = target_of((enum technique)technique, 8);
            check_chosen(&gemm, &target);
        }
    }
}
END_TEST

/* The function of the product by default. */
static const char *chosen(const struct gemm *gemm, const struct target *target) {
    return gemm_specs(gemm, target, "forward").product.function;
}

START_TEST(gemm_is_the_reference_where_no_technique_fits) {
    struct target target = target_of(TECHNIQUE_VECTOR, 8);
    target.device.is_cpu = 1;
    target.device.vector_width = 8;
    struct gemm gemm = {.m = 4, .n = 7, .k = 8, .batch = 3, .stride_b = 56, .stride_c = 28};
    ck_assert_str_eq(chosen(&gemm, &target), "gemm_vector");
    gemm.transpose_b = 1; /* such products are of one C */
    ck_assert_str_eq(chosen(&gemm, &target), "gemm");
    gemm.stride_c = 0;
    ck_assert_str_eq(chosen(&gemm, &target), "gemm_dot");
    gemm.transpose_a = 1; /* not both */
    ck_assert_str_eq(chosen(&gemm, &target), "gemm");
    gemm.transpose_b = 0;
    ck_assert_str_eq(chosen(&gemm, &target), "gemm_vector");
    gemm.stride_b = 60; /* members that do not follow each other make no one sum */
    ck_assert_str_eq(chosen(&gemm, &target), "gemm");
}
END_TEST

START_TEST(gemm_by_default_follows_technique_and_device) {
    struct target target = target_of(TECHNIQUE_REFERENCE, 8);
    struct gemm gemm = {.m = 4, .n = 16, .k = 8, .batch = 1};
    ck_assert_str_eq(chosen(&gemm, &target), "gemm");
    target.technique = TECHNIQUE_AUTO;
    target.device.is_cpu = 0;
    target.device.work_group_max = 256;
    target.device.local_memory = 49152;
    ck_assert_str_eq(chosen(&gemm, &target), "gemm_tiled");
    target.device.local_memory = 1024; /* no tile fits */
    ck_assert_str_eq(chosen(&gemm, &target), "CLBlastSgemm");
    target.device.is_cpu = 1;
    target.device.vector_width = 8;
    ck_assert_str_eq(chosen(&gemm, &target), "gemm_vector");
}
END_TEST

START_TEST(gemm_is_tiled_where_the_device_and_the_batch_allow_it) {
    struct target target = target_of(TECHNIQUE_TILED, 8);
    target.device.work_group_max = 64;
    target.device.local_memory = 16384;
    struct gemm gemm = {.m = 4, .n = 16, .k = 8, .batch = 2, .stride_b = 128, .stride_c = 64};
    ck_assert_str_eq(chosen(&gemm, &target), "gemm_tiled");
    target.device.local_memory = 1024; /* less than any tile takes */
    ck_assert_str_ne(chosen(&gemm, &target), "gemm_tiled");
    target.device.local_memory = 16384;
    target.device.work_group_max = 63;
    ck_assert_str_ne(chosen(&gemm, &target), "gemm_tiled");
    target.device.work_group_max = 64;
    gemm.stride_a = 32; /* columns that have no A in common */
    ck_assert_str_ne(chosen(&gemm, &target), "gemm_tiled");
}
END_TEST

/* A row of a table of tunings for a product as it is chosen by default. */
static struct tuning tuning_about(const struct gemm *gemm, const struct target *target,
                                  const char *file, const char *values) {
    struct gemm_specs specs = gemm_specs(gemm, target, "forward");
    struct tuning tuning = {.kernel = "gemm forward", .origin = ORIGIN_FULL};
    ck_assert_int_gt(specs.choice_count, 0);
    memcpy(tuning.problem, specs.choices[0].problem, sizeof tuning.problem);
    (void)snprintf(tuning.values, sizeof tuning.values, "%s%s", file, values);
    return tuning;
}

START_TEST(gemm_is_what_a_tuning_says) {
    struct target target = target_of(TECHNIQUE_AUTO, 8);
    target.device.is_cpu = 1;
    target.device.vector_width = 8;
    struct gemm gemm = {.m = 16, .n = 16, .k = 32, .transpose_b = 1, .batch = 1};
    struct tunings *tunings = tunings_create();
    ck_assert_ptr_nonnull(tunings);
    struct tuning tuning = tuning_about(&gemm, &target, "gemm_dot.cl", " ROWS=2 COLUMNS=3");
    ck_assert_str_eq(chosen(&gemm, &target), "gemm_vector");
    ck_succeeds(tunings_set(tunings, &tuning));
    target.tunings = tunings;
    ck_assert_str_eq(chosen(&gemm, &target), "gemm_dot");
    check_chosen(&gemm, &target);

    target.device.is_cpu = 0; /* where CLBlast is tried, it can be what was found */
    target.tunings = NULL;
    tuning = tuning_about(&gemm, &target, "gemm_tiled.cl",
                          " M=32 N=32 K=8 RM=4 RN=4 BUFFERS=2 VECTOR=4 SHARE=1 SPLITS=1");
    ck_succeeds(tunings_set(tunings, &tuning));
    target.tunings = tunings;
    ck_assert_str_eq(chosen(&gemm, &target), "gemm_tiled");
    tuning = tuning_about(&gemm, &target, "CLBlast", "");
    ck_succeeds(tunings_set(tunings, &tuning));
    ck_assert_str_eq(chosen(&gemm, &target), "CLBlastSgemm");
    struct gemm_specs specs = gemm_specs(&gemm, &target, "forward");
    ck_assert(specs.choices[1].is_taken && specs.choices[1].origin == ORIGIN_FULL);
    tunings_free(tunings);
}
END_TEST

/* The tuner, and bench's table, ask a kernel that CLBlast has for its time, too. */
START_TEST(gemm_of_clblast_has_a_time_and_can_be_mute) {
    if (test_is_small())
        SKIP_TEST(TEST_TOO_LARGE);
    struct device *device;
    ck_succeeds(device_open_profiling(&device, WHOLE_DEVICE(test_device_index())));
    struct gemm gemm = {.m = 64, .n = 64, .k = 64, .batch = 1};
    struct kernel_spec spec = kernel_spec_of_blas();
    struct gemm_kernels kernels = {0};
    struct buffer *matrix, *product;
    float values[64 * 64], mute[64 * 64];
    for (int i = 0; i < 64 * 64; i++)
        values[i] = 1;
    ck_succeeds(kernel_create(&kernels.product, device, &spec));
    ck_succeeds(buffer_create(&matrix, device, sizeof values, "a matrix"));
    ck_succeeds(buffer_create(&product, device, sizeof values, "a matrix"));
    ck_succeeds(buffer_write(matrix, 0, sizeof values, values));
    ck_succeeds(buffer_write(product, 0, sizeof values, values));
    kernel_mute(kernels.product, 1);
    ck_succeeds(gemm_run(&gemm, &kernels, matrix, matrix, NULL, product, NULL));
    ck_succeeds(device_collect_times(device));
    ck_assert_double_eq(kernel_seconds(kernels.product), 0);
    ck_succeeds(buffer_read(product, 0, sizeof mute, mute));
    ck_assert_float_eq(mute[0], 1);
    kernel_mute(kernels.product, 0);
    ck_succeeds(gemm_run(&gemm, &kernels, matrix, matrix, NULL, product, NULL));
    ck_succeeds(device_collect_times(device));
    ck_assert_double_gt(kernel_seconds(kernels.product), 0);
    ck_succeeds(buffer_read(product, 0, sizeof values, values));
    ck_assert_float_eq(values[0], 64);
    kernel_free(kernels.product);
    buffer_free(matrix);
    buffer_free(product);
    device_close(device);
}
END_TEST

/* ---- every tile gives the same ---- */

/* The least, columns in vectors or not, rows that are no power of two, and those for large devices.
 */
static const struct tile tiles[] = {
    {4, 4, 4, 2, 2, 1, 2, 1},     {8, 16, 4, 4, 8, 2, 4, 1},   {12, 8, 3, 3, 2, 2, 1, 1},
    {32, 32, 8, 4, 4, 2, 4, 1},   {64, 64, 16, 8, 8, 1, 4, 1}, {96, 128, 4, 6, 8, 2, 4, 1},
    {128, 128, 8, 8, 8, 2, 4, 1},
};

enum { TILES = sizeof tiles / sizeof *tiles, SMALL_TILES = 4 };

static void check_tile(const struct gemm *gemm, const struct target *target,
                       const struct tile *tile) {
    struct choice choice;
    int values[KNOBS_MAX] = {0};
    struct gemm turned = gemm_turned(gemm);
    struct candidate candidate = {.target = target, .problem = &turned, .values = values};
    ck_assert(open_technique(&choice, &gemm_tiled, gemm, target));
    tile_write(values, tile);
    /* The last of three parts has less to sum than the others, or nothing. */
    for (values[TILE_KNOBS] = 1; values[TILE_KNOBS] <= 3; values[TILE_KNOBS] += 2) {
        ck_assert_ptr_null(tuning_refuse(choice.space, &candidate));
        struct gemm_specs specs = gemm_specs_by(&gemm_tiled, gemm, target, values);
        check_specs(gemm, &specs);
    }
}

START_TEST(gemm_gives_the_same_with_every_tile) {
    /* Rows, columns and terms that end within a tile, and within a step. */
    static const struct gemm_size tuned[] = {{13, 12, 4, 3, 0}, {70, 20, 32, 5, 1}};
    struct target target = target_of(TECHNIQUE_TILED, 4);
    struct tile tile = tiles[_i];
    const int most_share = tile_most_share(&tile, &target.device);
    if (!tile_is_legal(&tile, &target.device))
        SKIP_TEST(TEST_NO_ROOM_FOR_TILE);
    if (_i >= SMALL_TILES && !test_takes_large_tiles())
        SKIP_TEST(TEST_SLOW_TO_COMPILE);
    for (int size = 0; size < 2; size++) {
        if (tuned[size].is_large && test_is_small())
            continue;
        struct gemm products[] = {forward_product(&tuned[size]), data_product(&tuned[size]),
                                  weight_product(&tuned[size])};
        for (int i = 0; i < 3; i++) {
            tile.share = 1;
            check_tile(&products[i], &target, &tile);
            tile.share = most_share;
            if (most_share > 1) /* by sub-groups, where the device has some that fit */
                check_tile(&products[i], &target, &tile);
        }
    }
}
END_TEST

/* ---- every register tile gives the same ---- */

/* Values of the knobs, and the lanes of a vector. */
struct register_tile {
    int lanes;
    int vector[5]; /* VECTORS, ROWS, DEPTH, BLOCKS, COLUMNS */
    int dot[2];    /* ROWS, COLUMNS */
};

static const struct register_tile register_tiles[] = {
    {1, {1, 1, 1, 1, 1}, {1, 1}},
    {2, {2, 5, 7, 2, 3}, {5, 3}},  /* the last block of a panel is cut off, and the last strips */
    {4, {1, 3, 64, 4, 3}, {3, 2}}, /* more terms than there are */
    {8, {2, 13, 16, 2, 1}, {13, 11}}, /* just as many rows, and more, than there are */
    {16, {1, 24, 33, 1, 1}, {24, 4}},
};

START_TEST(gemm_gives_the_same_with_every_register_tile) {
    static const struct gemm_size tuned = {13, 32, 16, 2, 0};
    const struct register_tile *tile = &register_tiles[_i];
    struct target target = target_of(TECHNIQUE_VECTOR, tuned.lanes);
    target.device.is_cpu = 1;
    target.device.vector_width = tile->lanes;
    struct gemm products[] = {forward_product(&tuned), data_product(&tuned),
                              weight_product(&tuned)};
    for (int i = 0; i < 3; i++) {
        struct gemm_specs specs = gemm_specs_by(&gemm_vector, &products[i], &target, tile->vector);
        check_specs(&products[i], &specs);
    }
    struct gemm_specs specs = gemm_specs_by(&gemm_dot, &products[2], &target, tile->dot);
    check_specs(&products[2], &specs);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("gemm");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_loop_test(tests, gemm_matches_reference_in_every_form_of_a_connected_layer, 0, SIZES);
    tcase_add_test(tests, gemm_of_clblast_matches_reference_in_every_form_of_a_connected_layer);
    tcase_add_test(tests, gemm_sums_the_batch_into_one_product_in_every_form);
    tcase_add_test(tests, gemm_is_the_reference_where_no_technique_fits);
    tcase_add_test(tests, gemm_by_default_follows_technique_and_device);
    tcase_add_test(tests, gemm_is_tiled_where_the_device_and_the_batch_allow_it);
    tcase_add_test(tests, gemm_is_what_a_tuning_says);
    tcase_add_test(tests, gemm_of_clblast_has_a_time_and_can_be_mute);
    tcase_add_loop_test(tests, gemm_gives_the_same_with_every_tile, 0, TILES);
    tcase_add_loop_test(tests, gemm_gives_the_same_with_every_register_tile, 0,
                        (int)(sizeof register_tiles / sizeof *register_tiles));
    return suite_run("ops/gemm", tests);
}
