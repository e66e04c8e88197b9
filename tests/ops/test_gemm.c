/* Matrix products: every form that a layer asks for, by every provider, in odd sizes. */
#include "reference/reference.h"
#include "support/device.h"
#include "support/guarded.h"
#include "support/numbers.h"
#include "support/suite.h"
#include "support/tuning.h"

#include "ops/gemm.h"
#include "ops/gemm_tiled.h"

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
                         .stride_c = (long)s->outputs * s->lanes};
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

/* What C shall be, from what it holds. */
static double *expected(const struct gemm *gemm, const float *a, const float *b,
                        const struct operand *c) {
    int size = gemm->m * gemm->n;
    double *want = new_doubles(c->count), *product = new_doubles(size);
    for (int64_t i = 0; i < c->count && gemm->accumulate; i++)
        want[i] = (double)c->values[i];
    for (int t = 0; t < gemm->batch; t++) {
        reference_gemm(product, a + t * gemm->stride_a, b + t * gemm->stride_b, gemm->m, gemm->n,
                       gemm->k, gemm->transpose_a, gemm->transpose_b);
        for (int i = 0; i < size; i++)
            want[t * gemm->stride_c + i] += product[i];
    }
    free(product);
    return want;
}

static void check_product(const char *what, const struct gemm *gemm,
                          const struct gemm_specs *specs) {
    struct operand a, b, c;
    struct guarded scratch;
    struct kernel *product = NULL, *transpose = NULL;
    operand_create(&a, span_of(gemm, gemm->stride_a, gemm->m * gemm->k), 1);
    operand_create(&b, span_of(gemm, gemm->stride_b, gemm->k * gemm->n), 2);
    operand_create(&c, span_of(gemm, gemm->stride_c, gemm->m * gemm->n), 3);
    double *want = expected(gemm, a.values, b.values, &c);
    guarded_write(&a.buffer, a.values);
    guarded_write(&b.buffer, b.values);
    if (gemm->accumulate)
        guarded_write(&c.buffer, c.values);
    if (specs->product.file)
        ck_succeeds(kernel_create(&product, test_device(), &specs->product));
    if (specs->transpose.file)
        ck_succeeds(kernel_create(&transpose, test_device(), &specs->transpose));
    guarded_create(&scratch, specs->scratch_bytes, "scratch");

    ck_succeeds(gemm_run(gemm, test_device(), product, transpose, a.buffer.view, b.buffer.view,
                         c.buffer.view, scratch.view));
    guarded_read(&c.buffer, c.values);
    guarded_check(&c.buffer, what);
    guarded_check(&scratch, what);
    int64_t terms = (int64_t)gemm->k * (gemm->stride_c ? 1 : gemm->batch);
    check_close(what, c.values, want, c.count, sum_tolerance(terms));
    free(want);
    kernel_free(product);
    kernel_free(transpose);
    guarded_free(&scratch);
    operand_free(&a);
    operand_free(&b);
    operand_free(&c);
}

static void check_with(const struct gemm *gemm, const struct target *target,
                       enum gemm_provider provider) {
    static const char *const names[] = {"reference", "vector", "tiled", "CLBlast"};
    char what[128];
    struct gemm_specs specs = gemm_specs(gemm, target, provider);
    (void)snprintf(what, sizeof what, "%s %s%s: %d x %d x %d, %d times: C", names[provider],
                   gemm->transpose_a ? "A'" : "A", gemm->transpose_b ? "B'" : "B", gemm->m, gemm->n,
                   gemm->k, gemm->batch);
    check_product(what, gemm, &specs);
}

/* ---- providers ---- */

static void check_forms(const struct gemm_size *size, enum technique technique) {
    struct target target = target_of(technique, size->lanes);
    struct gemm products[] = {forward_product(size), data_product(size), weight_product(size)};
    for (int i = 0; i < 3; i++)
        check_with(&products[i], &target, gemm_provider(&products[i], &target));
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
        for (int p = 0; p < 3; p++)
            check_with(&products[p], &target, GEMM_CLBLAST);
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
            check_with(&gemm, &target, gemm_provider(&gemm, &target));
        }
    }
}
END_TEST

START_TEST(gemm_provider_is_the_reference_where_no_form_fits) {
    struct target target = target_of(TECHNIQUE_VECTOR, 8);
    target.device.is_cpu = 1;
    target.device.vector_width = 8;
    struct gemm gemm = {.m = 4, .n = 7, .k = 8, .batch = 3, .stride_b = 56, .stride_c = 28};
    ck_assert_int_eq(gemm_provider(&gemm, &target), GEMM_VECTOR);
    gemm.transpose_b = 1; /* such products are of one C */
    ck_assert_int_eq(gemm_provider(&gemm, &target), GEMM_REFERENCE);
    gemm.stride_c = 0;
    ck_assert_int_eq(gemm_provider(&gemm, &target), GEMM_VECTOR);
    gemm.transpose_a = 1; /* not both */
    ck_assert_int_eq(gemm_provider(&gemm, &target), GEMM_REFERENCE);
    gemm.transpose_b = 0;
    ck_assert_int_eq(gemm_provider(&gemm, &target), GEMM_VECTOR);
    gemm.stride_b = 60; /* members that do not follow each other make no one sum */
    ck_assert_int_eq(gemm_provider(&gemm, &target), GEMM_REFERENCE);
}
END_TEST

START_TEST(gemm_provider_follows_technique_and_device) {
    struct target target = target_of(TECHNIQUE_REFERENCE, 8);
    struct gemm gemm = {.m = 4, .n = 16, .k = 8, .batch = 1};
    ck_assert_int_eq(gemm_provider(&gemm, &target), GEMM_REFERENCE);
    target.technique = TECHNIQUE_AUTO;
    target.device.is_cpu = 0;
    ck_assert_int_eq(gemm_provider(&gemm, &target), GEMM_CLBLAST);
    target.device.is_cpu = 1;
    target.device.vector_width = 8;
    ck_assert_int_eq(gemm_provider(&gemm, &target), GEMM_VECTOR);
    ck_assert_ptr_null(gemm_specs(&gemm, &target, GEMM_CLBLAST).product.file);
}
END_TEST

START_TEST(gemm_provider_is_tiled_where_the_device_and_the_batch_allow_it) {
    struct target target = target_of(TECHNIQUE_TILED, 8);
    target.device.work_group_max = 64;
    target.device.local_memory = 16384;
    struct gemm gemm = {.m = 4, .n = 16, .k = 8, .batch = 2, .stride_b = 128, .stride_c = 64};
    ck_assert_int_eq(gemm_provider(&gemm, &target), GEMM_TILED);
    target.device.local_memory = 1024; /* less than any tile takes */
    ck_assert_int_ne(gemm_provider(&gemm, &target), GEMM_TILED);
    target.device.local_memory = 16384;
    target.device.work_group_max = 63;
    ck_assert_int_ne(gemm_provider(&gemm, &target), GEMM_TILED);
    target.device.work_group_max = 64;
    gemm.stride_a = 32; /* columns that have no A in common */
    ck_assert_int_ne(gemm_provider(&gemm, &target), GEMM_TILED);
}
END_TEST

/* ---- every tile gives the same ---- */

/* The least, columns in vectors or not, rows that are no power of two, and those for large devices.
 */
static const struct tile tiles[] = {
    {4, 4, 4, 2, 2, 1, 2},     {8, 16, 4, 4, 8, 2, 4},   {12, 8, 3, 3, 2, 2, 1},
    {32, 32, 8, 4, 4, 2, 4},   {64, 64, 16, 8, 8, 1, 4}, {96, 128, 4, 6, 8, 2, 4},
    {128, 128, 8, 8, 8, 2, 4},
};

enum { TILES = sizeof tiles / sizeof *tiles, SMALL_TILES = 4 };

static int vector_is_side_by_side(const struct tile *tile, const struct gemm *gemm) {
    return gemm_tiled_vector(gemm) % tile->vector == 0;
}

START_TEST(gemm_gives_the_same_with_every_tile) {
    /* Rows, columns and terms that end within a tile, and within a step. */
    static const struct gemm_size tuned[] = {{13, 12, 4, 3, 0}, {70, 20, 32, 5, 1}};
    struct target target = target_of(TECHNIQUE_TILED, 4);
    const struct tile *tile = &tiles[_i];
    if (!tile_is_legal(tile, &target.device))
        SKIP_TEST(TEST_NO_ROOM_FOR_TILE);
    if (_i >= SMALL_TILES && !test_takes_large_tiles())
        SKIP_TEST(TEST_SLOW_TO_COMPILE);
    for (int size = 0; size < 2; size++) {
        if (tuned[size].is_large && test_is_small())
            continue;
        struct gemm products[] = {forward_product(&tuned[size]), data_product(&tuned[size]),
                                  weight_product(&tuned[size])};
        for (int i = 0; i < 3; i++) {
            struct gemm_specs specs = gemm_specs(&products[i], &target, GEMM_TILED);
            struct kernel_spec other = gemm_tiled_spec(&products[i], tile);
            ck_assert(vector_is_side_by_side(tile, &products[i]));
            retune_as(&specs.product, &other);
            check_product("C", &products[i], &specs);
        }
    }
}
END_TEST

/* ---- every register tile gives the same ---- */

struct register_tile {
    int vector, rows, vectors, depth, columns, panel; /* of gemm_lanes_n */
    int sum_columns;                                  /* of gemm_lanes_sum */
};

/* Replaces a specification's register tile, and its geometry. */
static void retune(struct gemm_specs *specs, const struct gemm *gemm,
                   const struct register_tile *tile) {
    struct kernel_spec *spec = &specs->product, *transpose = &specs->transpose;
    int width = tile->vector * tile->vectors;
    redefine(spec, "TUNE_VECTOR", tile->vector);
    redefine(spec, "TUNE_ROWS", tile->rows);
    if (strcmp(spec->function, "gemm_lanes_sum") == 0) {
        redefine(spec, "TUNE_COLUMNS", tile->sum_columns);
        spec->global[0] = blocks(gemm->n, tile->sum_columns);
        spec->global[1] = blocks(gemm->m, tile->rows);
        return;
    }
    redefine(spec, "TUNE_VECTORS", tile->vectors);
    redefine(spec, "TUNE_DEPTH", tile->depth);
    redefine(spec, "TUNE_COLUMNS", tile->columns);
    redefine(spec, "TUNE_PANEL", tile->panel);
    spec->global[0] = blocks(gemm->n / width, tile->columns);
    spec->global[1] = blocks(gemm->m, tile->panel);
    if (!transpose->file)
        return;
    redefine(transpose, "TUNE_VECTOR", tile->vector);
    redefine(transpose, "TUNE_VECTORS", tile->vectors);
    transpose->global[0] = (size_t)(gemm->n / width);
}

static const struct register_tile register_tiles[] = {
    {1, 1, 1, 1, 1, 1, 1},
    {2, 5, 2, 7, 3, 9, 3},     /* the last block of a panel is cut off, and the last strips */
    {4, 3, 1, 64, 3, 12, 2},   /* more terms than there are */
    {8, 13, 2, 16, 1, 26, 11}, /* just as many rows, and more, than there are */
    {16, 24, 1, 33, 1, 24, 4},
};

START_TEST(gemm_gives_the_same_with_every_register_tile) {
    /* The second size has whole vectors of inputs, so that B is turned around. */
    static const struct gemm_size tuned[] = {{13, 19, 16, 2, 0}, {13, 32, 16, 2, 0}};
    for (int size = 0; size < 2; size++) {
        struct target target = target_of(TECHNIQUE_VECTOR, tuned[size].lanes);
        target.device.is_cpu = 1; /* so that the form does not depend on the device */
        target.device.vector_width = 8;
        struct gemm products[] = {forward_product(&tuned[size]), data_product(&tuned[size]),
                                  weight_product(&tuned[size])};
        for (int i = size ? 2 : 0; i < 3; i++) {
            struct gemm_specs specs = gemm_specs(&products[i], &target, GEMM_VECTOR);
            retune(&specs, &products[i], &register_tiles[_i]);
            check_product("C", &products[i], &specs);
        }
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("gemm");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_loop_test(tests, gemm_matches_reference_in_every_form_of_a_connected_layer, 0, SIZES);
    tcase_add_test(tests, gemm_of_clblast_matches_reference_in_every_form_of_a_connected_layer);
    tcase_add_test(tests, gemm_sums_the_batch_into_one_product_in_every_form);
    tcase_add_test(tests, gemm_provider_is_the_reference_where_no_form_fits);
    tcase_add_test(tests, gemm_provider_follows_technique_and_device);
    tcase_add_test(tests, gemm_provider_is_tiled_where_the_device_and_the_batch_allow_it);
    tcase_add_loop_test(tests, gemm_gives_the_same_with_every_tile, 0, TILES);
    tcase_add_loop_test(tests, gemm_gives_the_same_with_every_register_tile, 0,
                        (int)(sizeof register_tiles / sizeof *register_tiles));
    return suite_run("ops/gemm", tests);
}
