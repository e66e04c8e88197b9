/* Convolution by register tiles: the same with every one. */
#include "support/conv_case.h"
#include "support/device.h"
#include "support/suite.h"

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

START_TEST(conv_gives_the_same_with_every_register_tile) {
    const struct register_tile *tile = &register_tiles[_i];
    if (_i > 0 && !test_takes_large_tiles())
        SKIP_TEST(TEST_SLOW_TO_COMPILE);
    conv_case_check_way(&tuned_case, TECHNIQUE_VECTOR, tile->vector, "conv_vector.cl", tile->result,
                        tile->filter);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("conv_vector");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_loop_test(tests, conv_gives_the_same_with_every_register_tile, 0,
                        (int)(sizeof register_tiles / sizeof *register_tiles));
    return suite_run("ops/conv_vector", tests);
}
