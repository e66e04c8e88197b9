/* Shapes, and how a batch is cut into tiles. */
#include "base/shape.h"

#include "support/suite.h"

#include <string.h>

enum { BATCH_MAX = 300 };

static int is_power_of_two(int n) {
    return n > 0 && (n & (n - 1)) == 0;
}

static int padded_to(int batch, int tile) {
    return (batch + tile - 1) / tile * tile;
}

START_TEST(shape_counts_elements_beyond_32_bits) {
    ck_assert_int_eq(shape_elements((struct shape){3, 227, 227}), 154587);
    ck_assert(shape_elements((struct shape){4096, 4096, 4096}) == (int64_t)1 << 36);
}
END_TEST

START_TEST(shape_equal_looks_at_every_extent) {
    struct shape s = {1, 2, 3};
    ck_assert(shape_equal(s, (struct shape){1, 2, 3}));
    ck_assert(!shape_equal(s, (struct shape){9, 2, 3}));
    ck_assert(!shape_equal(s, (struct shape){1, 9, 3}));
    ck_assert(!shape_equal(s, (struct shape){1, 2, 9}));
}
END_TEST

START_TEST(tiling_holds_every_batch_in_as_few_tiles_of_a_power_of_two_as_it_takes) {
    for (int batch = 1; batch <= BATCH_MAX; batch++) {
        struct tiling t = tiling_for_batch(batch);
        ck_assert_int_eq(t.batch, batch);
        ck_assert_msg(is_power_of_two(t.tile) && t.tile <= TILE_MAX, "batch %d: tile %d", batch,
                      t.tile);
        ck_assert_int_ge(t.tiles * t.tile, batch);
        ck_assert_int_lt((t.tiles - 1) * t.tile, batch);
    }
}
END_TEST

START_TEST(tiling_pads_by_at_most_an_eighth_unless_the_tile_is_below_16) {
    for (int batch = 1; batch <= BATCH_MAX; batch++) {
        struct tiling t = tiling_for_batch(batch);
        int padded = t.tiles * t.tile;
        ck_assert_int_lt(t.tile, 2 * batch);
        ck_assert_msg(t.tile < 16 || (padded - batch) * 8 <= padded, "batch %d: tile %d", batch,
                      t.tile);
    }
}
END_TEST

START_TEST(tiling_halves_no_more_than_the_rule_asks) {
    for (int batch = 1; batch <= BATCH_MAX; batch++) {
        struct tiling t = tiling_for_batch(batch);
        int twice = 2 * t.tile;
        if (twice > TILE_MAX)
            continue;
        int padded = padded_to(batch, twice);
        ck_assert_msg(twice >= 2 * batch || (twice >= 16 && (padded - batch) * 8 > padded),
                      "batch %d: tile %d would have done", batch, twice);
    }
}
END_TEST

START_TEST(tiling_of_known_batches) {
    static const int known[][2] = {{1, 1},   {2, 2},   {3, 4},   {4, 4},    {5, 8},    {8, 8},
                                   {16, 16}, {17, 8},  {28, 32}, {29, 32},  {32, 32},  {33, 8},
                                   {48, 16}, {64, 32}, {96, 32}, {100, 16}, {128, 32}, {256, 32}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        ck_assert_msg(tiling_for_batch(known[i][0]).tile == known[i][1], "batch %d: tile %d",
                      known[i][0], tiling_for_batch(known[i][0]).tile);
}
END_TEST

START_TEST(tiling_offsets_are_unique_and_within_the_elements) {
    static const struct shape shapes[] = {{1, 1, 1}, {3, 5, 7}};
    static unsigned char taken[(BATCH_MAX + TILE_MAX) * 3 * 5 * 7];
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        for (int batch = 1; batch <= BATCH_MAX; batch++) {
            struct tiling t = tiling_for_batch(batch);
            int64_t elements = tiling_elements(t, shapes[k]);
            ck_assert_int_le(elements, (int64_t)sizeof taken);
            memset(taken, 0, sizeof taken);
            for (int n = 0; n < batch; n++) {
                for (int64_t e = 0; e < shape_elements(shapes[k]); e++) {
                    int64_t offset = tiling_offset(t, shapes[k], n, e);
                    /* One comparison for the three conditions: this is the inner loop. */
                    if (offset < 0 || offset >= elements || taken[offset]++)
                        ck_abort_msg("batch %d: image %d, element %d", batch, n, (int)e);
                }
            }
        }
    }
}
END_TEST

START_TEST(tiling_puts_the_images_of_a_tile_side_by_side) {
    struct tiling t = tiling_for_batch(64);
    struct shape s = {2, 3, 5};
    ck_assert_int_eq(tiling_offset(t, s, 0, 0), 0);
    ck_assert_int_eq(tiling_offset(t, s, 1, 0), 1);
    ck_assert_int_eq(tiling_offset(t, s, 0, 1), t.tile);
    ck_assert_int_eq(tiling_offset(t, s, t.tile, 0), 30 * t.tile);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("shape");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, shape_counts_elements_beyond_32_bits);
    tcase_add_test(tests, shape_equal_looks_at_every_extent);
    tcase_add_test(tests, tiling_holds_every_batch_in_as_few_tiles_of_a_power_of_two_as_it_takes);
    tcase_add_test(tests, tiling_pads_by_at_most_an_eighth_unless_the_tile_is_below_16);
    tcase_add_test(tests, tiling_halves_no_more_than_the_rule_asks);
    tcase_add_test(tests, tiling_of_known_batches);
    tcase_add_test(tests, tiling_offsets_are_unique_and_within_the_elements);
    tcase_add_test(tests, tiling_puts_the_images_of_a_tile_side_by_side);
    return suite_run("base/shape", tests);
}
