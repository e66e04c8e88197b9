/* Devices that share a context: what one copies from and to another, and in which order. */
#include "support/device.h"
#include "support/suite.h"

#include "cl/kernel.h"

#include <stdlib.h>

enum { COUNT = 5000, TURNS = 200 };

/* One of two devices: what the other works on, and room for a copy of what the other has. */
struct peer {
    struct device *device;
    struct buffer *numbers, *copy;
    struct kernel *add;
    struct mark written, added, sent;
};

static void open_peer(struct peer *peer) {
    struct kernel_spec spec = kernel_spec("add.cl", "add", COUNT, 1, 1);
    kernel_define(&spec, "T", 32);
    kernel_define(&spec, "TUNE_VECTOR", 1);
    ck_succeeds(kernel_create(&peer->add, peer->device, &spec));
    ck_succeeds(buffer_create(&peer->numbers, peer->device, COUNT * sizeof(float), "numbers"));
    ck_succeeds(buffer_create(&peer->copy, peer->device, COUNT * sizeof(float), "a copy"));
}

static void close_peer(struct peer *peer) {
    ck_succeeds(device_finish(peer->device));
    mark_free(&peer->written);
    mark_free(&peer->added);
    mark_free(&peer->sent);
    kernel_free(peer->add);
    buffer_free(peer->numbers);
    buffer_free(peer->copy);
    device_close(peer->device);
}

/* a's numbers become their sum with b's in b's numbers too, by way of copies on a's queues, while b
 * does nothing but wait for the mark. */
static void add_up(struct peer *a, struct peer *b) {
    size_t half = COUNT / 2 * sizeof(float), rest = COUNT * sizeof(float) - half;
    ck_succeeds(device_mark(a->device, &a->written));
    ck_succeeds(device_mark(b->device, &b->written));
    ck_succeeds(device_flush(a->device));
    ck_succeeds(device_flush(b->device));
    ck_succeeds(buffer_fetch(a->copy, 0, b->numbers, half, rest, &b->written));
    ck_succeeds(buffer_fetch(a->copy, rest, b->numbers, 0, half, &b->written));
    const struct kernel_argument arguments[] = {BUFFER(a->copy), BUFFER(a->numbers)};
    ck_succeeds(kernel_launch_beside(a->add, &a->written, &a->added, arguments, 2));
    ck_succeeds(buffer_send(a->numbers, b->numbers, 0, half, &a->added, NULL));
    ck_succeeds(buffer_send(a->numbers, b->numbers, half, rest, &a->added, &a->sent));
    ck_succeeds(device_wait_for(a->device, &a->sent));
    ck_succeeds(device_wait_for(b->device, &a->sent));
}

static void check_all(struct buffer *buffer, float want) {
    static float numbers[COUNT];
    ck_succeeds(buffer_read(buffer, 0, sizeof numbers, numbers));
    for (int i = 0; i < COUNT; i++)
        ck_assert_msg(numbers[i] == want, "number %d is %g, not %g", i, (double)numbers[i],
                      (double)want);
}

/* Nothing waits on the host until all is enqueued but every tenth turn. */
static void check_turns(const struct device_choice *pair) {
    struct device *devices[2];
    struct peer a = {0}, b = {0};
    ck_succeeds(devices_open(devices, pair, 2, DEVICES_SHARE_CONTEXT));
    a.device = devices[0];
    b.device = devices[1];
    open_peer(&a);
    open_peer(&b);
    for (int turn = 0; turn < TURNS; turn++) {
        float x = (float)turn, y = 1000;
        ck_succeeds(buffer_fill(a.numbers, x));
        ck_succeeds(buffer_fill(b.numbers, y));
        add_up(&a, &b);
        add_up(&b, &a);
        if (turn % 10)
            continue;
        check_all(a.numbers, 2 * (x + y));
        check_all(b.numbers, 2 * (x + y));
    }
    close_peer(&a);
    close_peer(&b);
}

START_TEST(context_that_a_device_is_in_twice_takes_copies_in_order) {
    check_turns((struct device_choice[]){WHOLE_DEVICE(test_device_index()),
                                         WHOLE_DEVICE(test_device_index())});
}
END_TEST

START_TEST(context_of_two_halves_of_a_device_takes_copies_in_order) {
    struct device_info *devices;
    int count, index = test_device_index();
    ck_succeeds(devices_list(&devices, &count));
    int parts = devices[index].sub_devices;
    free(devices);
    if (parts < 2)
        SKIP_TEST(TEST_NO_PARTS);
    check_turns((struct device_choice[]){{.index = index, .part = 0, .parts = 2},
                                         {.index = index, .part = 1, .parts = 2}});
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("context");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, context_that_a_device_is_in_twice_takes_copies_in_order);
    tcase_add_test(tests, context_of_two_halves_of_a_device_takes_copies_in_order);
    return suite_run("cl/context", tests);
}
