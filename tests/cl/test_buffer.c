/* Memory on a device: transfers, views, and more than there is. */
#include "support/device.h"
#include "support/suite.h"

#include "cl/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A buffer of that many alignments, numbered by its floats. */
static struct buffer *new_numbered(size_t alignments, float **numbers) {
    size_t bytes = alignments * device_info(test_device())->alignment;
    struct buffer *buffer;
    *numbers = malloc(bytes);
    ck_assert_ptr_nonnull(*numbers);
    for (size_t i = 0; i < bytes / sizeof(float); i++)
        (*numbers)[i] = (float)i;
    ck_succeeds(buffer_create(&buffer, test_device(), bytes, "numbers"));
    ck_assert_uint_eq(buffer_bytes(buffer), bytes);
    ck_succeeds(buffer_write(buffer, 0, bytes, *numbers));
    return buffer;
}

START_TEST(buffer_gives_back_what_was_written) {
    float *numbers, part[3];
    struct buffer *buffer = new_numbered(4, &numbers);
    ck_succeeds(buffer_read(buffer, 5 * sizeof(float), sizeof part, part));
    ck_assert_mem_eq(part, numbers + 5, sizeof part);
    part[1] = -1;
    ck_succeeds(buffer_write(buffer, 9 * sizeof(float), sizeof part, part));
    ck_succeeds(buffer_read(buffer, 8 * sizeof(float), sizeof part, part));
    ck_assert(part[0] == 8 && part[1] == 5 && part[2] == -1);
    buffer_free(buffer);
    free(numbers);
}
END_TEST

START_TEST(buffer_copy_and_fill_take_the_whole_buffer) {
    float *numbers, *others;
    struct buffer *from = new_numbered(3, &numbers), *to = new_numbered(3, &others);
    size_t bytes = buffer_bytes(to);
    ck_succeeds(buffer_fill(from, 2.5F));
    ck_succeeds(buffer_copy(to, from));
    ck_succeeds(buffer_read(to, 0, bytes, others));
    for (size_t i = 0; i < bytes / sizeof(float); i++)
        ck_assert(others[i] == 2.5F);
    buffer_free(from);
    buffer_free(to);
    free(numbers);
    free(others);
}
END_TEST

START_TEST(buffer_view_shares_its_parents_memory) {
    float *numbers, first[2] = {-1, -2}, read[2];
    struct buffer *parent = new_numbered(4, &numbers), *view;
    size_t alignment = device_info(test_device())->alignment;
    ck_succeeds(buffer_view(&view, parent, 2 * alignment, alignment));
    ck_assert_uint_eq(buffer_bytes(view), alignment);
    ck_succeeds(buffer_read(view, 0, sizeof(float), read));
    ck_assert(read[0] == numbers[2 * alignment / sizeof(float)]);
    ck_succeeds(buffer_write(view, 0, sizeof(float), first));
    ck_succeeds(buffer_read(parent, 2 * alignment, sizeof(float), read));
    ck_assert(read[0] == -1);
    buffer_free(view);
    buffer_free(parent);
    free(numbers);
}
END_TEST

START_TEST(buffer_fill_of_a_view_leaves_what_lies_beside_it) {
    float *numbers;
    struct buffer *parent = new_numbered(3, &numbers), *view;
    size_t alignment = device_info(test_device())->alignment;
    size_t n = alignment / sizeof(float);
    ck_succeeds(buffer_view(&view, parent, alignment, alignment));
    ck_succeeds(buffer_fill(view, -7));
    ck_succeeds(buffer_read(parent, 0, 3 * alignment, numbers));
    for (size_t i = 0; i < 3 * n; i++)
        ck_assert(numbers[i] == (i / n == 1 ? -7 : (float)i));
    buffer_free(view);
    buffer_free(parent);
    free(numbers);
}
END_TEST

START_TEST(buffer_view_that_the_device_cannot_have_there_is_refused) {
    float *numbers;
    struct buffer *parent = new_numbered(2, &numbers), *view;
    size_t half = device_info(test_device())->alignment / 2;
    ck_fails(buffer_view(&view, parent, half, half), ERROR_DEVICE, "MISALIGNED_SUB_BUFFER_OFFSET");
    buffer_free(parent);
    free(numbers);
}
END_TEST

START_TEST(buffer_view_outlives_the_handle_of_its_parent) {
    float *numbers, read;
    struct buffer *parent = new_numbered(2, &numbers), *view;
    size_t alignment = device_info(test_device())->alignment;
    ck_succeeds(buffer_view(&view, parent, alignment, alignment));
    buffer_free(parent);
    ck_succeeds(buffer_read(view, 0, sizeof read, &read));
    ck_assert(read == numbers[alignment / sizeof read]);
    buffer_free(view);
    free(numbers);
}
END_TEST

/* NVIDIA's driver crashed when the first ones went before the others. */
START_TEST(buffer_views_that_overlap_can_be_freed_in_any_order) {
    static const int orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 0, 3, 2}, {2, 3, 0, 1}};
    size_t alignment = device_info(test_device())->alignment;
    float *numbers;
    struct buffer *handles[4]; /* the parent, and its views: all of it, each half */
    handles[0] = new_numbered(2, &numbers);
    for (size_t i = 0; i < 3; i++) {
        ck_succeeds(buffer_view(&handles[i + 1], handles[0], i == 2 ? alignment : 0,
                                i == 0 ? 2 * alignment : alignment));
        ck_succeeds(buffer_fill(handles[i + 1], (float)i));
    }
    ck_succeeds(device_finish(test_device()));
    for (int i = 0; i < 4; i++)
        buffer_free(handles[orders[_i][i]]);
    free(numbers);
}
END_TEST

START_TEST(buffer_view_beyond_its_parent_fails) {
    float *numbers;
    struct buffer *parent = new_numbered(2, &numbers), *view;
    size_t alignment = device_info(test_device())->alignment;
    ck_fails(buffer_view(&view, parent, alignment, 2 * alignment), ERROR_DEVICE,
             "clCreateSubBuffer: CL_INVALID_VALUE");
    buffer_free(parent);
    free(numbers);
}
END_TEST

/* In order: what is enqueued after the read does not show in it. */
START_TEST(buffer_read_later_gives_what_was_there_when_it_was_enqueued) {
    enum { COUNT = 1 << 16 };
    struct buffer *buffer;
    struct mark done = {0};
    float *values = calloc(COUNT, sizeof *values);
    ck_assert_ptr_nonnull(values);
    values[COUNT - 1] = -1;
    ck_succeeds(buffer_create(&buffer, test_device(), COUNT * sizeof *values, "numbers"));
    ck_succeeds(buffer_fill(buffer, 3));
    ck_succeeds(buffer_read_later(buffer, (COUNT - 1) * sizeof *values, values, &done));
    ck_succeeds(buffer_fill(buffer, 4));
    ck_succeeds(mark_wait(test_device(), &done));
    for (int i = 0; i < COUNT - 1; i++)
        ck_assert_float_eq(values[i], 3);
    ck_assert_float_eq(values[COUNT - 1], -1);
    /* The mark is replaced, and of nothing it marks what came before. */
    ck_succeeds(buffer_read_later(buffer, sizeof *values, values, &done));
    ck_succeeds(buffer_read_later(buffer, 0, NULL, &done));
    ck_succeeds(mark_wait(test_device(), &done));
    ck_assert_float_eq(values[0], 4);
    mark_free(&done);
    buffer_free(buffer);
    free(values);
}
END_TEST

/* What was flushed is no longer the queue's own, and yet it may not have ended: clFinish of
 * Mesa 22.3 does not wait for it. So large that it cannot have ended by chance. */
START_TEST(buffer_read_later_is_over_once_the_device_has_finished) {
    enum { COUNT = 1 << 23 };
    struct buffer *buffer;
    struct mark done = {0};
    float *values = calloc(COUNT, sizeof *values);
    ck_assert_ptr_nonnull(values);
    ck_succeeds(buffer_create(&buffer, test_device(), COUNT * sizeof *values, "numbers"));
    ck_succeeds(buffer_fill(buffer, 3));
    ck_succeeds(buffer_read_later(buffer, COUNT * sizeof *values, values, &done));
    ck_succeeds(device_finish(test_device()));
    for (int i = COUNT - 1; i >= 0; i--) {
        if (values[i] != 3)
            ck_abort_msg("value %d was not there yet", i);
    }
    mark_free(&done);
    buffer_free(buffer);
    free(values);
}
END_TEST

START_TEST(buffer_read_beyond_its_end_fails) {
    float *numbers;
    struct buffer *buffer = new_numbered(1, &numbers);
    ck_fails(buffer_read(buffer, 4, buffer_bytes(buffer), numbers), ERROR_DEVICE,
             "clEnqueueReadBuffer: CL_INVALID_VALUE");
    buffer_free(buffer);
    free(numbers);
}
END_TEST

START_TEST(buffer_too_large_says_how_much_was_needed_and_what_would_do) {
    const struct device_info *info = device_info(test_device());
    struct buffer *buffer;
    size_t bytes = (size_t)info->allocation_max + (1 << 20);
    char needed[64];
    (void)snprintf(needed, sizeof needed, "not enough memory for activations: %.1f MiB are needed",
                   (double)bytes / (1 << 20));
    ck_fails(buffer_create(&buffer, test_device(), bytes, "activations"), ERROR_DEVICE, needed);
    ck_assert_ptr_nonnull(strstr(error_message(), info->name));
    ck_assert_ptr_nonnull(strstr(error_message(), "--batch"));
    ck_assert_ptr_nonnull(strstr(error_message(), "subdivisions"));
}
END_TEST

/* What is in use counts until it is freed; a view adds nothing. */
START_TEST(buffer_memory_in_use_is_told) {
    const struct device_info *info = device_info(test_device());
    struct buffer *used, *view, *buffer;
    size_t half = info->alignment > (1 << 19) ? info->alignment : 1 << 19;
    ck_succeeds(buffer_create(&used, test_device(), 2 * half, "what is there"));
    ck_succeeds(buffer_view(&view, used, half, half));
    char in_use[32];
    (void)snprintf(in_use, sizeof in_use, " %.1f MiB are in use", (double)(2 * half) / (1 << 20));
    ck_fails(buffer_create(&buffer, test_device(), SIZE_MAX / 2, "more"), ERROR_DEVICE, in_use);
    buffer_free(view);
    buffer_free(used);
    ck_fails(buffer_create(&buffer, test_device(), SIZE_MAX / 2, "more"), ERROR_DEVICE,
             " 0.0 MiB are in use");
}
END_TEST

START_TEST(buffer_of_no_bytes_can_be_read_written_and_filled) {
    struct buffer *buffer;
    ck_succeeds(buffer_create(&buffer, test_device(), 0, "nothing"));
    ck_assert_uint_eq(buffer_bytes(buffer), 0);
    ck_succeeds(buffer_write(buffer, 0, 0, NULL));
    ck_succeeds(buffer_read(buffer, 0, 0, NULL));
    ck_succeeds(buffer_fill(buffer, 1));
    buffer_free(buffer);
    buffer_free(NULL);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("buffer");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_test(tests, buffer_gives_back_what_was_written);
    tcase_add_test(tests, buffer_copy_and_fill_take_the_whole_buffer);
    tcase_add_test(tests, buffer_view_shares_its_parents_memory);
    tcase_add_test(tests, buffer_fill_of_a_view_leaves_what_lies_beside_it);
    tcase_add_test(tests, buffer_view_that_the_device_cannot_have_there_is_refused);
    tcase_add_test(tests, buffer_view_outlives_the_handle_of_its_parent);
    tcase_add_loop_test(tests, buffer_views_that_overlap_can_be_freed_in_any_order, 0, 4);
    tcase_add_test(tests, buffer_view_beyond_its_parent_fails);
    tcase_add_test(tests, buffer_read_later_gives_what_was_there_when_it_was_enqueued);
    tcase_add_test(tests, buffer_read_later_is_over_once_the_device_has_finished);
    tcase_add_test(tests, buffer_read_beyond_its_end_fails);
    tcase_add_test(tests, buffer_too_large_says_how_much_was_needed_and_what_would_do);
    tcase_add_test(tests, buffer_memory_in_use_is_told);
    tcase_add_test(tests, buffer_of_no_bytes_can_be_read_written_and_filled);
    return suite_run("cl/buffer", tests);
}
