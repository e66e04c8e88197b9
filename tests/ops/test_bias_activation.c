/* Bias and activation, and backwards. */
#include "reference/reference.h"
#include "support/device.h"
#include "support/guarded.h"
#include "support/numbers.h"
#include "support/suite.h"

#include "ops/bias_activation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Two tiles without padding, so that the tile is the last index alone. */
enum { TILE = 8, TILES = 2, BATCH = TILE * TILES };

static const struct shape shape = {5, 3, 7};

struct case_data {
    struct target target;
    enum activation activation;
    int64_t count;
    float *y, *dy; /* tiled */
    float b[5], db[5];
};

static void case_open(struct case_data *data, enum activation activation,
                      const struct target *target) {
    *data = (struct case_data){.target = *target, .activation = activation};
    data->target.tiling = (struct tiling){.batch = BATCH, .tile = TILE, .tiles = TILES};
    data->count = tiling_elements(data->target.tiling, shape);
    data->y = new_floats(data->count);
    data->dy = new_floats(data->count);
    fill_uniform(data->y, data->count, -3, 3, 1);
    fill_uniform(data->dy, data->count, -1, 1, 2);
    fill_uniform(data->b, shape.c, -1, 1, 3);
    fill_uniform(data->db, shape.c, -1, 1, 4);
}

static void case_close(struct case_data *data) {
    free(data->y);
    free(data->dy);
}

/* The channel of an element of [TILES][C][H][W][T]. */
static int channel_of(int64_t i) {
    return (int)(i / (shape.h * shape.w * TILE) % shape.c);
}

static void check_forward(struct case_data *data) {
    struct kernel *kernel;
    struct guarded y, b;
    struct kernel_spec spec = bias_activation_forward_spec(&data->target, shape, data->activation);
    double *want = new_doubles(data->count);
    for (int64_t i = 0; i < data->count; i++)
        want[i] = reference_activate(data->activation,
                                     (double)data->y[i] + (double)data->b[channel_of(i)]);
    guarded_create(&y, (size_t)data->count * sizeof(float), "y");
    guarded_create(&b, sizeof data->b, "b");
    guarded_write(&y, data->y);
    guarded_write(&b, data->b);
    ck_succeeds(kernel_create(&kernel, test_device(), &spec));
    ck_succeeds(LAUNCH(kernel, BUFFER(b.view), BUFFER(y.view)));
    guarded_read(&y, data->y);
    guarded_check(&y, "y");
    check_close("y", data->y, want, data->count, sum_tolerance(2));
    kernel_free(kernel);
    guarded_free(&y);
    guarded_free(&b);
    free(want);
}

/* dy, and db on top of what it holds; y is what forward made of it. */
static void expect_backward(const struct case_data *data, double *dz, double *db) {
    reference_activation_backward(dz, data->y, data->dy, data->count, data->activation);
    for (int c = 0; c < shape.c; c++)
        db[c] = (double)data->db[c];
    for (int64_t i = 0; i < data->count; i++)
        db[channel_of(i)] += dz[i];
}

static void check_backward(struct case_data *data) {
    struct kernel *kernel;
    struct guarded y, dy, db;
    struct kernel_spec spec = bias_activation_backward_spec(&data->target, shape, data->activation);
    size_t bytes = (size_t)data->count * sizeof(float);
    double *want = new_doubles(data->count), want_db[5];
    expect_backward(data, want, want_db);
    guarded_create(&y, bytes, "y");
    guarded_create(&dy, bytes, "dy");
    guarded_create(&db, sizeof data->db, "db");
    if (data->activation != ACTIVATION_LINEAR) /* which does not read it */
        guarded_write(&y, data->y);
    guarded_write(&dy, data->dy);
    guarded_write(&db, data->db);
    ck_succeeds(kernel_create(&kernel, test_device(), &spec));
    ck_succeeds(LAUNCH(kernel, BUFFER(y.view), BUFFER(dy.view), BUFFER(db.view)));
    guarded_read(&dy, data->dy);
    guarded_read(&db, data->db);
    guarded_check(&dy, "dy");
    guarded_check(&db, "db");
    check_close("dy", data->dy, want, data->count, sum_tolerance(1));
    check_close("db", data->db, want_db, shape.c, sum_tolerance(data->count / shape.c));
    kernel_free(kernel);
    guarded_free(&y);
    guarded_free(&dy);
    guarded_free(&db);
    free(want);
}

static void check_activation(enum activation activation, const struct target *target) {
    struct case_data data;
    case_open(&data, activation, target);
    check_forward(&data);
    check_backward(&data);
    case_close(&data);
}

START_TEST(bias_activation_matches_reference_with_every_activation) {
    struct target target = {.technique = TECHNIQUE_REFERENCE,
                            .device = *device_info(test_device())};
    check_activation((enum activation)_i, &target);
    target.technique = TECHNIQUE_VECTOR;
    check_activation((enum activation)_i, &target);
}
END_TEST

/* Many work-items sum a channel's gradient, as on a GPU: all of them, or fewer than 64. */
START_TEST(bias_activation_matches_reference_when_work_items_sum_together) {
    static const size_t work_groups[] = {256, 24, 1};
    for (size_t i = 0; i < sizeof work_groups / sizeof *work_groups; i++) {
        struct target target = {.technique = TECHNIQUE_VECTOR,
                                .device = *device_info(test_device())};
        target.device.is_cpu = 0;
        target.device.work_group_max = work_groups[i];
        check_activation(ACTIVATION_TANH, &target);
    }
}
END_TEST

/* A NaN must come through, so that a training that went wrong is noticed. */
START_TEST(bias_activation_passes_nan_on_through_every_activation) {
    struct target target = {.technique = TECHNIQUE_VECTOR, .device = *device_info(test_device())};
    struct case_data data;
    struct kernel *kernel;
    struct guarded y, b;
    case_open(&data, (enum activation)_i, &target);
    struct kernel_spec spec = bias_activation_forward_spec(&data.target, shape, data.activation);
    data.y[17] = NAN;
    memset(data.b, 0, sizeof data.b);
    guarded_create(&y, (size_t)data.count * sizeof(float), "y");
    guarded_create(&b, sizeof data.b, "b");
    guarded_write(&y, data.y);
    guarded_write(&b, data.b);
    ck_succeeds(kernel_create(&kernel, test_device(), &spec));
    ck_succeeds(LAUNCH(kernel, BUFFER(b.view), BUFFER(y.view)));
    guarded_read(&y, data.y);
    for (int64_t i = 0; i < data.count; i++)
        ck_assert_int_eq(isnan(data.y[i]) != 0, i == 17);
    kernel_free(kernel);
    guarded_free(&y);
    guarded_free(&b);
    case_close(&data);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("bias_activation");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_loop_test(tests, bias_activation_matches_reference_with_every_activation, 0,
                        ACTIVATION_LEAKY + 1);
    tcase_add_test(tests, bias_activation_matches_reference_when_work_items_sum_together);
    tcase_add_loop_test(tests, bias_activation_passes_nan_on_through_every_activation, 0,
                        ACTIVATION_LEAKY + 1);
    return suite_run("ops/bias_activation", tests);
}
