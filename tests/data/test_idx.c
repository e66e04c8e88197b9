#include "data/idx.h"

#include "data/files.h"

static uint8_t bytes[IDX_FILE_MAX];

static size_t pictures(void) {
    return idx_bytes(bytes, 3, (int[]){5, 3, 2}, 7, 3);
}

static void check_pictures(const struct idx *idx) {
    ck_assert_int_eq(idx->dimensions, 3);
    ck_assert_int_eq(idx->sizes[0], 5);
    ck_assert_int_eq(idx->sizes[1], 3);
    ck_assert_int_eq(idx->sizes[2], 2);
    for (int i = 0; i < 30; i++)
        ck_assert_int_eq(idx->elements[i], 7 + 3 * i);
}

START_TEST(idx_parses_sizes_and_elements) {
    struct idx idx;
    ck_succeeds(idx_parse(&idx, "f", bytes, pictures()));
    check_pictures(&idx);
    idx_free(&idx);
    idx_free(&idx);
}
END_TEST

START_TEST(idx_rejects_what_is_not_idx) {
    struct idx idx;
    ck_fails(idx_parse(&idx, "f", (const uint8_t *)"PNG!", 4), ERROR_INPUT, "f: not an IDX file");
    size_t length = pictures();
    bytes[2] = 0x0d;
    ck_fails(idx_parse(&idx, "f", bytes, length), ERROR_INPUT, "type 0x0d");
    bytes[2] = 8;
    bytes[3] = 0;
    ck_fails(idx_parse(&idx, "f", bytes, length), ERROR_INPUT, "0 dimensions");
    bytes[3] = 5;
    ck_fails(idx_parse(&idx, "f", bytes, length), ERROR_INPUT, "5 dimensions");
}
END_TEST

START_TEST(idx_rejects_every_truncation_of_the_header) {
    struct idx idx;
    (void)pictures();
    for (size_t length = 0; length < 16; length++)
        ck_fails(idx_parse(&idx, "f", bytes, length), ERROR_INPUT, "f: truncated");
}
END_TEST

START_TEST(idx_rejects_truncated_elements) {
    struct idx idx;
    size_t length = pictures();
    ck_fails(idx_parse(&idx, "f", bytes, length - 1), ERROR_INPUT,
             "announces 30 bytes, but at most 29 follow");
    ck_assert_ptr_null(idx.elements);
}
END_TEST

START_TEST(idx_rejects_trailing_bytes) {
    struct idx idx;
    size_t length = pictures();
    ck_fails(idx_parse(&idx, "f", bytes, length + 1), ERROR_INPUT, "f: trailing bytes");
}
END_TEST

START_TEST(idx_rejects_sizes_of_zero_and_beyond_31_bits) {
    struct idx idx;
    size_t length = pictures();
    memset(bytes + 8, 0, 4);
    ck_fails(idx_parse(&idx, "f", bytes, length), ERROR_INPUT, "size 2 of the IDX header is 0");
    bytes[8] = 0x80;
    ck_fails(idx_parse(&idx, "f", bytes, length), ERROR_INPUT, "is 2147483648");
}
END_TEST

START_TEST(idx_rejects_sizes_whose_product_overflows) {
    struct idx idx;
    size_t length = pictures();
    memset(bytes + 4, 0x7f, 12);
    ck_fails(idx_parse(&idx, "f", bytes, length), ERROR_INPUT, "absurdly large");
    (void)file_write("big", bytes, length);
    ck_fails(idx_read(&idx, path_text), ERROR_INPUT, "absurdly large");
}
END_TEST

START_TEST(idx_reads_plain_and_gzipped_files) {
    struct idx idx;
    size_t length = pictures();
    ck_succeeds(idx_read(&idx, file_write("plain", bytes, length)));
    check_pictures(&idx);
    idx_free(&idx);
    ck_succeeds(idx_read(&idx, file_write_gzip("zipped.gz", bytes, length)));
    check_pictures(&idx);
    idx_free(&idx);
}
END_TEST

START_TEST(idx_rejects_truncated_and_overlong_files) {
    struct idx idx;
    size_t length = pictures();
    ck_fails(idx_read(&idx, file_write("empty", bytes, 0)), ERROR_INPUT, "empty: truncated");
    ck_fails(idx_read(&idx, file_write("header", bytes, 9)), ERROR_INPUT, "header: truncated");
    ck_fails(idx_read(&idx, file_write("short", bytes, length - 1)), ERROR_INPUT,
             "short: truncated");
    ck_fails(idx_read(&idx, file_write("long", bytes, length + 1)), ERROR_INPUT,
             "long: trailing bytes");
    ck_fails(idx_read(&idx, file_write_gzip("short.gz", bytes, length - 1)), ERROR_INPUT,
             "short.gz: truncated");
    ck_fails(idx_read(&idx, file_write_gzip("long.gz", bytes, length + 1)), ERROR_INPUT,
             "long.gz: trailing bytes");
}
END_TEST

START_TEST(idx_rejects_gzip_cut_off_anywhere) {
    struct idx idx;
    size_t length = pictures();
    (void)file_write_gzip("cut.gz", bytes, length);
    for (;;) {
        FILE *stream = fopen(path_text, "rb");
        ck_assert_ptr_nonnull(stream);
        (void)fseek(stream, 0, SEEK_END);
        long size = ftell(stream);
        (void)fclose(stream);
        if (size <= 2)
            break;
        file_shorten(path_text, 1);
        ck_fails(idx_read(&idx, path_text), ERROR_INPUT, "cut.gz: ");
        ck_assert_ptr_null(idx.elements);
    }
}
END_TEST

START_TEST(idx_rejects_damaged_gzip) {
    struct idx idx;
    size_t length = pictures();
    (void)file_write_gzip("checksum.gz", bytes, length);
    file_damage(path_text, 8);
    ck_fails(idx_read(&idx, path_text), ERROR_INPUT, "gzip data is damaged");
}
END_TEST

START_TEST(idx_allocates_nothing_that_a_small_file_cannot_hold) {
    struct idx idx;
    size_t length = pictures();
    memcpy(bytes + 4, "\x7f\xff\xff\xff\0\0\4\0\0\0\4\0", 12);
    ck_fails(idx_read(&idx, file_write("plain", bytes, length)), ERROR_INPUT, "plain: truncated");
    ck_fails(idx_read(&idx, file_write_gzip("z.gz", bytes, length)), ERROR_INPUT,
             "z.gz: truncated");
}
END_TEST

START_TEST(idx_reports_what_the_system_refuses) {
    struct idx idx;
    ck_fails(idx_read(&idx, file_path("none")), ERROR_SYSTEM, "none: No such file");
    ck_fails(idx_read(&idx, folder), ERROR_INPUT, "not a regular file");
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("idx");
    tcase_add_checked_fixture(tests, files_setup, files_teardown);
    tcase_add_test(tests, idx_parses_sizes_and_elements);
    tcase_add_test(tests, idx_rejects_what_is_not_idx);
    tcase_add_test(tests, idx_rejects_every_truncation_of_the_header);
    tcase_add_test(tests, idx_rejects_truncated_elements);
    tcase_add_test(tests, idx_rejects_trailing_bytes);
    tcase_add_test(tests, idx_rejects_sizes_of_zero_and_beyond_31_bits);
    tcase_add_test(tests, idx_rejects_sizes_whose_product_overflows);
    tcase_add_test(tests, idx_reads_plain_and_gzipped_files);
    tcase_add_test(tests, idx_rejects_truncated_and_overlong_files);
    tcase_add_test(tests, idx_rejects_gzip_cut_off_anywhere);
    tcase_add_test(tests, idx_rejects_damaged_gzip);
    tcase_add_test(tests, idx_allocates_nothing_that_a_small_file_cannot_hold);
    tcase_add_test(tests, idx_reports_what_the_system_refuses);
    return suite_run("data/idx", tests);
}
