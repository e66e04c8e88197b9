#include "data/picture_files.h"

#include "data/files.h"

static void check_bytes(const struct picture_files *files, int64_t index, const char *text) {
    uint8_t *bytes = NULL;
    size_t room = 0, length;
    ck_succeeds(picture_files_read(files, index, &bytes, &room, &length));
    ck_assert_uint_eq(length, strlen(text));
    ck_assert_mem_eq(bytes, text, length);
    free(bytes);
}

START_TEST(picture_files_read_files_and_parts_of_archives) {
    struct picture_files *files;
    int archive;
    ck_succeeds(picture_files_create(&files));
    (void)file_write_text("empty", "");
    (void)file_write_text("a", "0123456789");
    ck_succeeds(picture_files_add(files, path_text, -1, 0, 0));
    ck_succeeds(picture_files_add_archive(files, path_text, &archive));
    ck_succeeds(picture_files_add(files, "member", archive, 3, 4));
    ck_succeeds(picture_files_add(files, file_path("empty"), -1, 0, 0));
    ck_assert_int_eq(picture_files_count(files), 3);
    check_bytes(files, 0, "0123456789");
    check_bytes(files, 1, "3456");
    check_bytes(files, 2, "");
    char expected[400];
    (void)snprintf(expected, sizeof expected, "%s:member", file_path("a"));
    ck_assert_str_eq(picture_files_name(files, 1), expected);
    picture_files_free(files);
    picture_files_free(NULL);
}
END_TEST

START_TEST(picture_files_use_the_memory_that_is_there) {
    struct picture_files *files;
    ck_succeeds(picture_files_create(&files));
    ck_succeeds(picture_files_add(files, file_write_text("long", "0123456789"), -1, 0, 0));
    ck_succeeds(picture_files_add(files, file_write_text("short", "01"), -1, 0, 0));
    uint8_t *bytes = NULL;
    size_t room = 0, length;
    ck_succeeds(picture_files_read(files, 0, &bytes, &room, &length));
    size_t first_room = room;
    ck_succeeds(picture_files_read(files, 1, &bytes, &room, &length));
    ck_assert_uint_eq(length, 2);
    ck_assert_uint_eq(room, first_room);
    free(bytes);
    picture_files_free(files);
}
END_TEST

START_TEST(picture_files_name_the_picture_that_cannot_be_read) {
    struct picture_files *files;
    int archive;
    ck_succeeds(picture_files_create(&files));
    ck_fails(picture_files_add_archive(files, file_path("gone"), &archive), ERROR_SYSTEM,
             "/gone: No such file");
    ck_succeeds(picture_files_add_archive(files, file_write_text("a", "0123"), &archive));
    ck_succeeds(picture_files_add(files, "member", archive, 2, 5));
    ck_succeeds(picture_files_add(files, folder, -1, 0, 0));
    ck_succeeds(picture_files_add(files, file_path("gone"), -1, 0, 0));
    uint8_t *bytes = NULL;
    size_t room = 0, length;
    ck_fails(picture_files_read(files, 0, &bytes, &room, &length), ERROR_SYSTEM,
             "/a:member: it ends after 2 of 5 bytes");
    ck_fails(picture_files_read(files, 1, &bytes, &room, &length), ERROR_SYSTEM,
             "not a regular file");
    ck_fails(picture_files_read(files, 2, &bytes, &room, &length), ERROR_SYSTEM,
             "/gone: No such file");
    free(bytes);
    picture_files_free(files);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("picture_files");
    tcase_add_checked_fixture(tests, files_setup, files_teardown);
    tcase_add_test(tests, picture_files_read_files_and_parts_of_archives);
    tcase_add_test(tests, picture_files_use_the_memory_that_is_there);
    tcase_add_test(tests, picture_files_name_the_picture_that_cannot_be_read);
    return suite_run("data/picture_files", tests);
}
