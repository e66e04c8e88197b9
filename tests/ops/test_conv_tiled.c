/* Convolution by tiles in local memory: the same with every tile, and legal ones for every device.
 */
#include "ops/tile.h"
#include "support/conv_case.h"
#include "support/device.h"
#include "support/suite.h"

#include <stdio.h>

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
    conv_case_check_way(c, TECHNIQUE_TILED, 0, "conv_tiled.cl", result, filter);
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

int main(void) {
    TCase *tests = tcase_create("conv_tiled");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_loop_test(tests, conv_gives_the_same_with_every_tile, 0, TILES);
    tcase_add_test(tests, conv_has_legal_tiles_on_every_device_that_has_room_for_any);
    return suite_run("ops/conv_tiled", tests);
}
