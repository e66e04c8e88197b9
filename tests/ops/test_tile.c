/* Tiles in local memory: what is chosen for a product. */
#include "support/suite.h"

#include "ops/tile.h"

static const struct device_info gpu = {
    .work_group_max = 1024, .local_memory = 49152, .compute_units = 132};

static int64_t groups_of(const struct tile *tile, int splits, const struct tile_product *product) {
    return (product->rows + tile->m - 1) / tile->m * ((product->columns + tile->n - 1) / tile->n) *
           product->count * splits;
}

/* AlexNet's products with the fewest rows and columns, on 132 compute units. */
START_TEST(tile_divides_the_terms_so_that_few_work_groups_fill_whole_rounds) {
    static const struct tile_product products[] = {{4096, 128, 9216, 1, 72},
                                                   {4096, 128, 4096, 1, 32},
                                                   {1000, 128, 4096, 1, 32},
                                                   {96, 363, 387200, 1, 480},
                                                   {128, 1200, 93312, 2, 54}};
    for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
        struct tile tile;
        int splits = 0;
        ck_assert(tile_choose(&tile, &splits, &products[i], 4, &gpu));
        ck_assert_int_le(splits, (int)products[i].most_splits);
        int64_t groups = groups_of(&tile, splits, &products[i]), at_once = 2 * 132;
        int64_t rounds = (groups + at_once - 1) / at_once;
        ck_assert_int_ge((int)(100 * groups), (int)(90 * rounds * at_once));
    }
}
END_TEST

START_TEST(tile_leaves_the_terms_whole_where_they_cannot_be_divided_or_need_not) {
    static const struct tile_product whole = {4096, 128, 9216, 1, 1},
                                     many = {4096, 9216, 128, 1, 32};
    struct tile tile;
    int splits = 0;
    ck_assert(tile_choose(&tile, &splits, &whole, 4, &gpu));
    ck_assert_int_eq(splits, 1);
    ck_assert(tile_choose(&tile, &splits, &many, 4, &gpu));
    ck_assert_int_eq(splits, 1);
}
END_TEST

START_TEST(tile_has_no_choice_where_the_device_has_no_room) {
    static const struct tile_product product = {64, 64, 64, 1, 8};
    struct device_info small = gpu;
    struct tile tile;
    int splits;
    small.local_memory = 1024;
    ck_assert(!tile_choose(&tile, &splits, &product, 4, &small));
    small = gpu;
    small.work_group_max = 32;
    ck_assert(!tile_choose(&tile, &splits, &product, 4, &small));
    small.work_group_max = 64;
    small.compute_units = 0; /* as some devices say */
    ck_assert(tile_choose(&tile, &splits, &product, 4, &small));
    ck_assert_int_le(tile_items(&tile), 64);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("tile");
    tcase_add_test(tests, tile_divides_the_terms_so_that_few_work_groups_fill_whole_rounds);
    tcase_add_test(tests, tile_leaves_the_terms_whole_where_they_cannot_be_divided_or_need_not);
    tcase_add_test(tests, tile_has_no_choice_where_the_device_has_no_room);
    return suite_run("ops/tile", tests);
}
