/* Windows: what the host sees of a buffer, and what the device has after they are closed. Each test
 * runs twice: as the device has it, and with copies. */
#include "support/device.h"
#include "support/suite.h"

#include "cl/window.h"

#include <stdlib.h>
#include <string.h>

enum { COUNT = 3000 };

static struct buffer *new_filled(struct device *device, float value) {
    struct buffer *buffer;
    ck_succeeds(buffer_create(&buffer, device, COUNT * sizeof(float), "numbers"));
    ck_succeeds(buffer_fill(buffer, value));
    return buffer;
}

/* Opens it after what was enqueued, sees `count` times `want`, and adds one to each. */
static void add_one(struct device *device, struct window *window, size_t count, float want) {
    struct mark written = {0}, closed = {0};
    void *content;
    ck_succeeds(device_mark(device, &written));
    ck_succeeds(window_open(window, &written));
    ck_succeeds(window_wait(window, &content));
    float *numbers = content;
    for (size_t i = 0; i < count; i++) {
        ck_assert(numbers[i] == want);
        numbers[i] += 1;
    }
    ck_succeeds(window_close(window, &closed));
    ck_succeeds(device_wait_for(device, &closed));
    mark_free(&written);
    mark_free(&closed);
}

static void check_all(struct buffer *buffer, float want) {
    static float numbers[COUNT];
    ck_succeeds(buffer_read(buffer, 0, sizeof numbers, numbers));
    for (int i = 0; i < COUNT; i++)
        ck_assert(numbers[i] == want);
}

START_TEST(window_shows_what_was_written_and_gives_back_what_the_host_wrote) {
    struct buffer *buffer = new_filled(test_device(), 1);
    struct window *window;
    ck_succeeds(window_create(&window, buffer, _i));
    for (int turn = 0; turn < 100; turn++) {
        ck_succeeds(buffer_fill(buffer, (float)turn));
        add_one(test_device(), window, COUNT, (float)turn);
        if (turn % 10 == 0)
            check_all(buffer, (float)turn + 1);
    }
    check_all(buffer, 100);
    window_free(window);
    buffer_free(buffer);
}
END_TEST

START_TEST(window_of_a_view_leaves_what_lies_beside_it) {
    size_t n = device_info(test_device())->alignment / sizeof(float);
    ck_assert_uint_gt(n, 0);
    struct buffer *parent, *view;
    struct window *window;
    float *numbers = calloc(3 * n, sizeof *numbers);
    ck_assert_ptr_nonnull(numbers);
    ck_succeeds(buffer_create(&parent, test_device(), 3 * n * sizeof(float), "numbers"));
    ck_succeeds(buffer_view(&view, parent, n * sizeof(float), n * sizeof(float)));
    ck_succeeds(window_create(&window, view, _i));
    ck_succeeds(buffer_fill(parent, 5));
    ck_succeeds(buffer_fill(view, 7));
    add_one(test_device(), window, n, 7);
    ck_succeeds(buffer_read(parent, 0, 3 * n * sizeof(float), numbers));
    for (size_t i = 0; i < 3 * n; i++)
        ck_assert(numbers[i] == (i / n == 1 ? 8 : 5));
    window_free(window);
    buffer_free(view);
    buffer_free(parent);
    free(numbers);
}
END_TEST

START_TEST(window_free_closes_one_that_is_open) {
    struct buffer *buffer = new_filled(test_device(), 3);
    struct window *window;
    struct mark written = {0};
    void *content;
    ck_succeeds(window_create(&window, buffer, _i));
    ck_succeeds(device_mark(test_device(), &written));
    ck_succeeds(window_open(window, &written));
    ck_succeeds(window_wait(window, &content));
    for (int i = 0; i < COUNT; i++)
        ((float *)content)[i] = 4;
    window_free(window);
    check_all(buffer, 4);
    mark_free(&written);
    buffer_free(buffer);
    window_free(NULL);
}
END_TEST

START_TEST(window_that_is_left_keeps_what_it_showed_and_changes_nothing) {
    struct buffer *buffer = new_filled(test_device(), 3);
    struct window *window;
    struct mark written = {0};
    void *content;
    ck_succeeds(window_create(&window, buffer, 1));
    for (int turn = 3; turn < 5; turn++) {
        ck_succeeds(device_mark(test_device(), &written));
        ck_succeeds(window_open(window, &written));
        ck_succeeds(window_wait(window, &content));
        window_leave(window);
        ck_succeeds(buffer_fill(buffer, (float)turn + 1));
        check_all(buffer, (float)turn + 1);
        for (int i = 0; i < COUNT; i++)
            ck_assert_float_eq(((float *)content)[i], (float)turn);
    }
    window_free(window);
    check_all(buffer, 5);
    mark_free(&written);
    buffer_free(buffer);
}
END_TEST

START_TEST(window_of_no_bytes_opens_and_closes) {
    struct buffer *buffer;
    struct window *window;
    ck_succeeds(buffer_create(&buffer, test_device(), 0, "nothing"));
    ck_succeeds(window_create(&window, buffer, _i));
    add_one(test_device(), window, 0, 0);
    window_free(window);
    buffer_free(buffer);
}
END_TEST

START_TEST(windows_of_two_devices_are_open_together) {
    struct device *devices[2];
    struct buffer *buffers[2];
    struct window *windows[2];
    struct mark written[2] = {{0}}, closed[2] = {{0}};
    float *contents[2];
    for (int i = 0; i < 2; i++) {
        ck_succeeds(device_open(&devices[i], WHOLE_DEVICE(test_device_index())));
        buffers[i] = new_filled(devices[i], (float)i + 1);
        ck_succeeds(window_create(&windows[i], buffers[i], _i));
        ck_succeeds(device_mark(devices[i], &written[i]));
        ck_succeeds(window_open(windows[i], &written[i]));
    }
    for (int i = 0; i < 2; i++) {
        void *content;
        ck_succeeds(window_wait(windows[i], &content));
        contents[i] = content;
    }
    for (int i = 0; i < COUNT; i++)
        contents[0][i] = contents[1][i] = contents[0][i] + contents[1][i];
    for (int i = 0; i < 2; i++) {
        ck_succeeds(window_close(windows[i], &closed[i]));
        ck_succeeds(device_wait_for(devices[i], &closed[i]));
        check_all(buffers[i], 3);
        mark_free(&written[i]);
        mark_free(&closed[i]);
        window_free(windows[i]);
        buffer_free(buffers[i]);
        device_close(devices[i]);
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("window");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_loop_test(tests, window_shows_what_was_written_and_gives_back_what_the_host_wrote, 0,
                        2);
    tcase_add_loop_test(tests, window_of_a_view_leaves_what_lies_beside_it, 0, 2);
    tcase_add_loop_test(tests, window_free_closes_one_that_is_open, 0, 2);
    tcase_add_test(tests, window_that_is_left_keeps_what_it_showed_and_changes_nothing);
    tcase_add_loop_test(tests, window_of_no_bytes_opens_and_closes, 0, 2);
    tcase_add_loop_test(tests, windows_of_two_devices_are_open_together, 0, 2);
    return suite_run("cl/window", tests);
}
