/* What threads do together with buffers of which each has its own. */
#include "support/device.h"
#include "support/suite.h"

#include "base/error.h"
#include "layers/part.h"
#include "train/collective.h"

#include <pthread.h>
#include <stdlib.h>

/* A gather of 7 rows in 3 tiles of 4 lanes; floats that no one sums or sends lie behind. */
enum { RANKS = 3, TILES = 3, ROWS = 7, TILE = 4, FLOATS = TILES * ROWS * TILE, BEHIND = 44 };

/* Bytes that take a while to fill. */
enum { BURDEN = 16 << 20 };

struct rank {
    int index, rc;
    int (*work)(struct rank *self);
    struct device *device;
    struct buffer *buffer, *burden;
    float values[FLOATS + BEHIND];
};

static struct rank ranks[RANKS];
static struct collective *collective;

/* 1000 for the rank, and the place. */
static void open_ranks(int copies) {
    struct device *devices[RANKS];
    for (int r = 0; r < RANKS; r++) {
        ranks[r] = (struct rank){.index = r};
        ck_succeeds(device_open(&ranks[r].device, WHOLE_DEVICE(test_device_index())));
        ck_succeeds(buffer_create(&ranks[r].buffer, ranks[r].device, sizeof ranks[r].values, "a"));
        ck_succeeds(buffer_create(&ranks[r].burden, ranks[r].device, BURDEN, "a burden"));
        for (int i = 0; i < FLOATS + BEHIND; i++)
            ranks[r].values[i] = (float)(1000 * (r + 1) + i);
        devices[r] = ranks[r].device;
    }
    ck_succeeds(collective_create(&collective, devices, RANKS, copies));
}

static void close_ranks(void) {
    collective_free(collective);
    for (int r = 0; r < RANKS; r++) {
        buffer_free(ranks[r].buffer);
        buffer_free(ranks[r].burden);
        device_close(ranks[r].device);
    }
}

static int work(struct rank *self) {
    TRY(buffer_write(self->buffer, 0, sizeof self->values, self->values));
    TRY(self->work(self));
    return buffer_read(self->buffer, 0, sizeof self->values, self->values);
}

static void *thread_main(void *context) {
    struct rank *self = context;
    self->rc = work(self);
    return NULL;
}

static void run(int (*function)(struct rank *self)) {
    pthread_t threads[RANKS];
    for (int r = 0; r < RANKS; r++) {
        ranks[r].work = function;
        ck_assert_int_eq(pthread_create(&threads[r], NULL, thread_main, &ranks[r]), 0);
    }
    for (int r = 0; r < RANKS; r++) {
        ck_assert_int_eq(pthread_join(threads[r], NULL), 0);
        ck_assert_int_eq(ranks[r].rc, 0);
    }
}

static int sum(struct rank *self) {
    return collective_sum(collective, self->index, self->buffer, FLOATS);
}

START_TEST(collective_sum_is_over_all_ranks) {
    open_ranks(_i);
    run(sum);
    for (int r = 0; r < RANKS; r++) {
        for (int i = 0; i < FLOATS; i++)
            ck_assert_float_eq(ranks[r].values[i], (float)(6000 + 3 * i));
    }
    close_ranks();
}
END_TEST

/* Twice, each from the next one, which the second time shows what it has fetched; what is shown
 * stays, whatever becomes of the buffer, and is fetched after that, though the device is busy. */
static int show_and_fetch(struct rank *self) {
    for (int i = 0; i < 2; i++) {
        TRY(collective_show(collective, self->index, self->buffer));
        TRY(buffer_fill(self->burden, 0));
        TRY(buffer_fill(self->buffer, 0));
        TRY(collective_fetch(collective, self->index, self->buffer, (self->index + 1) % RANKS));
        TRY(collective_await(collective, self->index));
    }
    return 0;
}

START_TEST(collective_fetch_brings_what_another_has_shown) {
    open_ranks(_i);
    run(show_and_fetch);
    for (int r = 0; r < RANKS; r++) {
        for (int i = 0; i < FLOATS + BEHIND; i++)
            ck_assert_float_eq(ranks[r].values[i], (float)(1000 * ((r + 2) % RANKS + 1) + i));
    }
    close_ranks();
}
END_TEST

/* The first one shows, the others fetch. */
static int show_one(struct rank *self) {
    TRY(collective_show(collective, self->index, self->index == 0 ? self->buffer : NULL));
    if (self->index != 0)
        TRY(collective_fetch(collective, self->index, self->buffer, 0));
    return collective_await(collective, self->index);
}

START_TEST(collective_fetch_is_for_whom_it_concerns) {
    open_ranks(_i);
    run(show_one);
    for (int r = 0; r < RANKS; r++) {
        for (int i = 0; i < FLOATS + BEHIND; i++)
            ck_assert_float_eq(ranks[r].values[i], (float)(1000 + i));
    }
    close_ranks();
}
END_TEST

static int gather(struct rank *self) {
    return collective_gather(collective, self->index, self->buffer, TILES, ROWS, TILE);
}

START_TEST(collective_gather_gives_all_the_rows_of_each) {
    open_ranks(_i);
    run(gather);
    for (int i = 0; i < FLOATS; i++) {
        int row = i / TILE % ROWS, owner = 0;
        while (part_first(ROWS, owner + 1, RANKS) <= row)
            owner++;
        for (int r = 0; r < RANKS; r++)
            ck_assert_float_eq(ranks[r].values[i], (float)(1000 * (owner + 1) + i));
    }
    close_ranks();
}
END_TEST

/* The last rank does not come. */
static int give_up(struct rank *self) {
    if (self->index == RANKS - 1) {
        collective_abort(collective);
        return 0;
    }
    TRY(sum(self));
    TRY(show_and_fetch(self));
    return gather(self);
}

START_TEST(collective_lets_all_go_when_one_gives_up) {
    open_ranks(_i);
    for (int r = 0; r < RANKS; r++)
        ranks[r].work = give_up;
    pthread_t threads[RANKS];
    for (int r = 0; r < RANKS; r++)
        ck_assert_int_eq(pthread_create(&threads[r], NULL, thread_main, &ranks[r]), 0);
    for (int r = 0; r < RANKS; r++)
        ck_assert_int_eq(pthread_join(threads[r], NULL), 0);
    close_ranks();
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("collective");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, collective_sum_is_over_all_ranks, 0, 2);
    tcase_add_loop_test(tests, collective_fetch_brings_what_another_has_shown, 0, 2);
    tcase_add_loop_test(tests, collective_fetch_is_for_whom_it_concerns, 0, 2);
    tcase_add_loop_test(tests, collective_gather_gives_all_the_rows_of_each, 0, 2);
    tcase_add_loop_test(tests, collective_lets_all_go_when_one_gives_up, 0, 2);
    return suite_run("train/collective", tests);
}
