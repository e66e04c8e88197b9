/* The ranks' shares make up the sum. Host only. */
#include "support/suite.h"

#include "base/rng.h"
#include "train/sum.h"

#include <stdlib.h>
#include <string.h>

enum { RANKS_MAX = 5, FLOATS_MAX = 20000 };

START_TEST(sum_of_all_shares_is_that_in_the_order_of_the_arrays) {
    static const size_t sizes[] = {0, 1, 100, 4095, 4096, 4097, FLOATS_MAX};
    size_t floats = sizes[_i];
    for (int count = 1; count <= RANKS_MAX; count++) {
        float *values[RANKS_MAX], *expected = malloc((floats + 1) * sizeof *expected);
        ck_assert_ptr_nonnull(expected);
        for (int k = 0; k < count; k++) {
            struct rng rng = rng_start((uint32_t)k, RNG_SHUFFLE, (uint32_t)count, 0);
            values[k] = malloc((floats + 1) * sizeof *values[k]);
            ck_assert_ptr_nonnull(values[k]);
            for (size_t i = 0; i < floats; i++) {
                values[k][i] = rng_uniform(&rng) - 0.5F;
                expected[i] = k == 0 ? values[k][i] : expected[i] + values[k][i];
            }
            values[k][floats] = (float)k; /* beyond what is summed */
        }
        for (int rank = count - 1; rank >= 0; rank--)
            sum_share(values, count, rank, floats);
        for (int k = 0; k < count; k++) {
            ck_assert_int_eq(memcmp(values[k], expected, floats * sizeof *expected), 0);
            ck_assert_float_eq(values[k][floats], (float)k);
            free(values[k]);
        }
        free(expected);
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("sum");
    tcase_add_loop_test(tests, sum_of_all_shares_is_that_in_the_order_of_the_arrays, 0, 7);
    return suite_run("train/sum", tests);
}
