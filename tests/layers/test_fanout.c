/* What a fan-out hands on, and what it asks of the other devices. */
#include "support/device.h"
#include "support/guarded.h"
#include "support/suite.h"

#include "layers/part.h"

#include <string.h>

enum { BATCH = 5, FLOATS = 3 * 8 }; /* 3 channels of a tile of 8 */

/* Stands for a second device that has the same gradients. */
static int twice(void *context, struct buffer *buffer, size_t floats) {
    float values[FLOATS];
    (void)context;
    ck_assert_uint_eq(floats, FLOATS);
    ck_succeeds(buffer_read(buffer, 0, sizeof values, values));
    for (int i = 0; i < FLOATS; i++)
        values[i] *= 2;
    return buffer_write(buffer, 0, sizeof values, values);
}

START_TEST(fanout_hands_on_its_input_and_sums_its_gradient) {
    struct layer layer = {.type = &layer_fanout, .inputs = {{.c = 3, .h = 1, .w = 1}}};
    struct target target = {.tiling = tiling_for_batch(BATCH),
                            .device = *device_info(test_device())};
    struct layer_others others = {.sum = twice};
    struct guarded x, y;
    float values[FLOATS], found[FLOATS];
    ck_succeeds(layer_fanout.infer(&layer));
    ck_assert(shape_equal(layer.plan.output, layer.inputs[0]));
    ck_assert_int_eq(tiling_elements(target.tiling, layer.inputs[0]), FLOATS);
    guarded_create(&x, sizeof values, "x");
    guarded_create(&y, sizeof values, "y");
    struct layer_run run = {.layer = &layer,
                            .target = &target,
                            .device = test_device(),
                            .x = {x.view},
                            .y = y.view,
                            .others = &others};
    for (int i = 0; i < FLOATS; i++)
        values[i] = (float)i;
    guarded_write(&x, values);
    ck_succeeds(layer_fanout.forward(&run));
    guarded_read(&y, found);
    ck_assert_int_eq(memcmp(found, values, sizeof values), 0);

    guarded_poison(&x);
    run.dx[0] = x.view;
    run.dy = y.view;
    ck_succeeds(layer_fanout.backward(&run));
    guarded_read(&x, found);
    for (int i = 0; i < FLOATS; i++)
        ck_assert_float_eq(found[i], 2 * values[i]);
    guarded_check(&x, "dx");
    guarded_check(&y, "y");
    guarded_free(&x);
    guarded_free(&y);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("fanout");
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_test(tests, fanout_hands_on_its_input_and_sums_its_gradient);
    return suite_run("layers/fanout", tests);
}
