/* The kernels move one device's rows to and from the whole, and touch nothing else. */
#include "support/device.h"
#include "support/guarded.h"
#include "support/suite.h"

#include "layers/part.h"

#include <math.h>
#include <stdlib.h>

struct shapes {
    int batch, whole, rank, ranks;
};

static const struct shapes all_shapes[] = {
    {32, 8, 0, 2}, {33, 8, 1, 2}, {1, 3, 2, 3}, {70, 7, 1, 3}, {5, 7, 2, 3}, {40, 5, 0, 1},
};

/* What a gather asks of the other devices. */
struct request {
    const struct buffer *buffer;
    int tiles, rows, tile;
};

static int note(void *context, struct buffer *buffer, int tiles, int rows, int tile) {
    *(struct request *)context =
        (struct request){.buffer = buffer, .tiles = tiles, .rows = rows, .tile = tile};
    return 0;
}

struct fixture {
    struct gather gather;
    struct layer layer;
    struct target target;
    struct layer_kernels specs;
    struct kernel *kernels[LAYER_KERNELS_MAX];
    struct guarded rows, whole;
    struct request request;
    struct layer_others others;
    struct layer_run run;
    int first, count; /* rows */
};

static void open_fixture(struct fixture *f, struct shapes shapes, enum technique technique) {
    *f = (struct fixture){
        .gather = {.whole = shapes.whole, .rank = shapes.rank, .ranks = shapes.ranks}};
    f->target = (struct target){.tiling = tiling_for_batch(shapes.batch),
                                .technique = technique,
                                .device = *device_info(test_device())};
    f->first = part_first(shapes.whole, shapes.rank, shapes.ranks);
    f->count = part_first(shapes.whole, shapes.rank + 1, shapes.ranks) - f->first;
    f->layer = (struct layer){.type = &layer_gather,
                              .description = &f->gather,
                              .inputs = {{.c = f->count, .h = 1, .w = 1}}};
    ck_succeeds(layer_gather.infer(&f->layer));
    ck_assert_int_eq(f->layer.plan.output.c, shapes.whole);
    layer_gather.kernels(&f->layer, &f->target, 1, TRUTH_LABELS, &f->specs);
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        if (f->specs.specs[k].file)
            ck_succeeds(kernel_create(&f->kernels[k], test_device(), &f->specs.specs[k]));
    }
    guarded_create(&f->rows, (size_t)layer_bytes(&f->target, f->layer.inputs[0]), "rows");
    guarded_create(&f->whole, (size_t)layer_bytes(&f->target, f->layer.plan.output), "whole");
    f->others = (struct layer_others){.context = &f->request, .gather = note};
    f->run = (struct layer_run){.layer = &f->layer,
                                .target = &f->target,
                                .device = test_device(),
                                .kernels = f->kernels,
                                .x = {f->rows.view},
                                .dx = {f->rows.view},
                                .y = f->whole.view,
                                .dy = f->whole.view,
                                .others = &f->others};
}

static void close_fixture(struct fixture *f) {
    for (int k = 0; k < LAYER_KERNELS_MAX; k++)
        kernel_free(f->kernels[k]);
    guarded_free(&f->rows);
    guarded_free(&f->whole);
}

/* Whether the device's rows have element e of the whole, and where. */
static int is_own(const struct fixture *f, int e, int *at) {
    int tile = f->target.tiling.tile, row = e / tile % f->gather.whole;
    int in_tile = (row - f->first) * tile + e % tile;
    *at = e / tile / f->gather.whole * f->count * tile + in_tile;
    return row >= f->first && row < f->first + f->count;
}

/* Numbers in the one, NaN in the other. */
static void fill(struct guarded *from, struct guarded *to, float *values) {
    size_t count = from->bytes / sizeof(float);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)i + 0.5F;
    guarded_write(from, values);
    guarded_poison(to);
}

static const enum technique techniques[] = {TECHNIQUE_AUTO, TECHNIQUE_REFERENCE};

START_TEST(gather_puts_its_rows_in_place_and_asks_for_the_others) {
    struct fixture f;
    open_fixture(&f, all_shapes[_i / 2], techniques[_i % 2]);
    float *rows = calloc(1, f.rows.bytes), *whole = calloc(1, f.whole.bytes);
    ck_assert(rows && whole);
    fill(&f.rows, &f.whole, rows);
    ck_succeeds(layer_gather.forward(&f.run));
    guarded_read(&f.whole, whole);
    for (int e = 0; e < (int)(f.whole.bytes / sizeof(float)); e++) {
        int at;
        if (is_own(&f, e, &at))
            ck_assert_float_eq(whole[e], rows[at]);
        else
            ck_assert(isnan(whole[e]));
    }
    ck_assert_ptr_eq(f.request.buffer, f.whole.view);
    ck_assert_int_eq(f.request.tiles, f.target.tiling.tiles);
    ck_assert_int_eq(f.request.rows, f.gather.whole);
    ck_assert_int_eq(f.request.tile, f.target.tiling.tile);
    guarded_check(&f.whole, "the whole");
    free(rows);
    free(whole);
    close_fixture(&f);
}
END_TEST

START_TEST(gather_takes_the_gradient_of_its_rows) {
    struct fixture f;
    open_fixture(&f, all_shapes[_i / 2], techniques[_i % 2]);
    float *rows = calloc(1, f.rows.bytes), *whole = calloc(1, f.whole.bytes);
    ck_assert(rows && whole);
    fill(&f.whole, &f.rows, whole);
    ck_succeeds(layer_gather.backward(&f.run));
    guarded_read(&f.rows, rows);
    int own = 0;
    for (int e = 0; e < (int)(f.whole.bytes / sizeof(float)); e++) {
        int at;
        if (is_own(&f, e, &at)) {
            ck_assert_float_eq(rows[at], whole[e]);
            own++;
        }
    }
    ck_assert_int_eq(own, f.rows.bytes / sizeof(float));
    guarded_check(&f.rows, "the rows");
    free(rows);
    free(whole);
    close_fixture(&f);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("gather");
    int cases = 2 * (int)(sizeof all_shapes / sizeof *all_shapes);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_loop_test(tests, gather_puts_its_rows_in_place_and_asks_for_the_others, 0, cases);
    tcase_add_loop_test(tests, gather_takes_the_gradient_of_its_rows, 0, cases);
    return suite_run("layers/gather", tests);
}
