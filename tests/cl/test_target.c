/* What a target says of vectors, registers and reductions. No device is needed. */
#include "support/suite.h"

#include "cl/target.h"

static struct target make(int is_cpu, int vector_width, int tile, enum technique technique) {
    return (struct target){
        .tiling = {.batch = tile, .tile = tile, .tiles = 1},
        .technique = technique,
        .device = {.is_cpu = is_cpu, .vector_width = vector_width, .work_group_max = 1024}};
}

START_TEST(target_vector_is_the_cpus_own_up_to_16) {
    static const int widths[][2] = {{4, 4}, {8, 8}, {16, 16}, {32, 16}, {1, 1}, {3, 2}};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        struct target target = make(1, widths[i][0], 32, TECHNIQUE_AUTO);
        ck_assert_int_eq(target_vector(&target), widths[i][1]);
    }
}
END_TEST

START_TEST(target_vector_is_four_on_a_gpu_whatever_it_says) {
    static const int widths[] = {0, 1, 4, 16};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        struct target target = make(0, widths[i], 32, TECHNIQUE_VECTOR);
        ck_assert_int_eq(target_vector(&target), 4);
    }
}
END_TEST

START_TEST(target_flat_vector_is_that_of_the_greatest_tile) {
    for (int tile = 1; tile <= TILE_MAX; tile *= 2) {
        struct target cpu = make(1, 16, tile, TECHNIQUE_AUTO), gpu = make(0, 1, tile, 0);
        struct target plain = make(1, 16, tile, TECHNIQUE_REFERENCE);
        ck_assert_int_eq(target_flat_vector(&cpu), 16);
        ck_assert_int_eq(target_flat_vector(&gpu), 4);
        ck_assert_int_eq(target_flat_vector(&plain), 1);
    }
}
END_TEST

START_TEST(target_cache_is_small_where_it_is_unknown) {
    struct target target = make(1, 16, 32, TECHNIQUE_AUTO);
    ck_assert_uint_eq(target_cache(&target, 1), 32768);
    ck_assert_uint_eq(target_cache(&target, 2), 262144);
    target.device.cache[1] = 2097152;
    ck_assert_uint_eq(target_cache(&target, 1), 32768);
    ck_assert_uint_eq(target_cache(&target, 2), 2097152);
}
END_TEST

START_TEST(target_vector_is_at_most_the_tile) {
    for (int tile = 1; tile <= TILE_MAX; tile *= 2) {
        struct target cpu = make(1, 16, tile, TECHNIQUE_AUTO), gpu = make(0, 1, tile, 0);
        ck_assert_int_eq(target_vector(&cpu), tile < 16 ? tile : 16);
        ck_assert_int_eq(target_vector(&gpu), tile < 4 ? tile : 4);
    }
}
END_TEST

/* Some devices say that they have no vectors at all. */
START_TEST(target_vector_is_at_least_one) {
    struct target target = make(1, 0, 32, TECHNIQUE_AUTO);
    ck_assert_int_eq(target_vector(&target), 1);
}
END_TEST

START_TEST(target_vector_of_the_reference_is_one) {
    struct target target = make(1, 16, 32, TECHNIQUE_REFERENCE);
    ck_assert_int_eq(target_vector(&target), 1);
}
END_TEST

START_TEST(target_registers_are_few_on_a_cpu_without_avx512) {
    struct target narrow = make(1, 8, 32, 0), wide = make(1, 16, 32, 0), gpu = make(0, 1, 32, 0);
    ck_assert_int_eq(target_registers(&narrow), 16);
    ck_assert_int_eq(target_registers(&wide), 32);
    ck_assert_int_eq(target_registers(&gpu), 32);
}
END_TEST

START_TEST(target_reduction_is_a_power_of_two_that_fits_the_work_group_and_the_work) {
    struct target gpu = make(0, 1, 32, TECHNIQUE_AUTO), cpu = make(1, 8, 32, TECHNIQUE_AUTO);
    struct target lanes = make(1, 1, 32, TECHNIQUE_AUTO);
    static const int sizes[][3] = {{1024, 24200, 1024}, {256, 24200, 256}, {63, 24200, 32},
                                   {1, 24200, 1},       {0, 24200, 1},     {1024, 1352, 256},
                                   {1024, 8, 64},       {1024, 300, 64}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        gpu.device.work_group_max = (size_t)sizes[i][0];
        ck_assert_int_eq(target_reduction(&gpu, sizes[i][1]), sizes[i][2]);
    }
    lanes.device.work_group_max = 1024;
    ck_assert_int_eq(target_reduction(&lanes, 24200), 64);
    ck_assert_int_eq(target_reduction(&cpu, 24200), 1);
    gpu.technique = TECHNIQUE_REFERENCE;
    ck_assert_int_eq(target_reduction(&gpu, 24200), 1);
}
END_TEST

START_TEST(target_prefers_tiles_where_there_is_no_cpu_or_they_are_asked_for) {
    struct target gpu = make(0, 1, 32, TECHNIQUE_AUTO), cpu = make(1, 1, 32, TECHNIQUE_AUTO);
    ck_assert(target_prefers_tiles(&gpu));
    ck_assert(!target_prefers_tiles(&cpu)); /* llvmpipe, too */
    cpu.technique = TECHNIQUE_TILED;
    ck_assert(target_prefers_tiles(&cpu));
    gpu.technique = TECHNIQUE_VECTOR;
    ck_assert(!target_prefers_tiles(&gpu));
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("target");
    tcase_add_test(tests, target_vector_is_the_cpus_own_up_to_16);
    tcase_add_test(tests, target_vector_is_four_on_a_gpu_whatever_it_says);
    tcase_add_test(tests, target_flat_vector_is_that_of_the_greatest_tile);
    tcase_add_test(tests, target_cache_is_small_where_it_is_unknown);
    tcase_add_test(tests, target_vector_is_at_most_the_tile);
    tcase_add_test(tests, target_vector_is_at_least_one);
    tcase_add_test(tests, target_vector_of_the_reference_is_one);
    tcase_add_test(tests, target_registers_are_few_on_a_cpu_without_avx512);
    tcase_add_test(tests, target_reduction_is_a_power_of_two_that_fits_the_work_group_and_the_work);
    tcase_add_test(tests, target_prefers_tiles_where_there_is_no_cpu_or_they_are_asked_for);
    return suite_run("cl/target", tests);
}
