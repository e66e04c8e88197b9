/* Files: what stands in a directory of the test's own after each call. */
#include "base/file.h"

#include "support/suite.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/clnet-test-file-XXXXXX";
static char *target; /* the file that most tests write */

static void write_bytes(const char *path, const void *bytes, size_t length) {
    FILE *stream = fopen(path, "wb");
    ck_assert_ptr_nonnull(stream);
    ck_assert_uint_eq(fwrite(bytes, 1, length, stream), length);
    ck_assert_int_eq(fclose(stream), 0);
}

static void assert_content(const char *path, const char *expected) {
    char *data;
    size_t length;
    ck_succeeds(file_read(path, 1 << 20, &data, &length));
    ck_assert_uint_eq(length, strlen(expected));
    ck_assert_str_eq(data, expected);
    free(data);
}

static int directory_entries(void) {
    int count = 0;
    DIR *stream = opendir(directory);
    ck_assert_ptr_nonnull(stream);
    while (readdir(stream))
        count++;
    closedir(stream);
    return count - 2; /* without . and .. */
}

/* Removes what a test left in the directory, so that the next one counts from none. */
static void remove_entries(void) {
    DIR *stream = opendir(directory);
    for (struct dirent *entry; stream && (entry = readdir(stream));) {
        char *path = path_join(directory, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            (void)remove(path);
        free(path);
    }
    if (stream)
        closedir(stream);
}

START_TEST(file_read_gives_every_byte_and_a_zero_behind) {
    static const size_t lengths[] = {0, 1, 65534, 65535, 65536, 65537, 200000};
    static char bytes[200000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7 + i / 256);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char *data;
        size_t length;
        write_bytes(target, bytes, lengths[i]);
        ck_succeeds(file_read(target, lengths[i], &data, &length));
        ck_assert_uint_eq(length, lengths[i]);
        ck_assert(memcmp(data, bytes, length) == 0);
        ck_assert_int_eq(data[length], 0);
        free(data);
    }
}
END_TEST

START_TEST(file_read_refuses_a_file_above_the_limit) {
    char *data;
    size_t length;
    write_bytes(target, "12345678", 8);
    ck_fails(file_read(target, 7, &data, &length), ERROR_INPUT, target);
}
END_TEST

START_TEST(file_read_names_a_missing_file_and_a_directory) {
    char *data;
    size_t length;
    ck_fails(file_read(target, 100, &data, &length), ERROR_SYSTEM, target);
    ck_assert_ptr_nonnull(strstr(error_message(), strerror(ENOENT)));
    ck_fails(file_read(directory, 100, &data, &length), ERROR_SYSTEM, strerror(EISDIR));
}
END_TEST

START_TEST(file_commit_replaces_the_old_file_at_once) {
    struct file_writer writer;
    write_bytes(target, "old", 3);
    ck_succeeds(file_create(&writer, target));
    ck_assert_int_gt(fputs("new and longer", writer.stream), 0);
    ck_assert_int_eq(fflush(writer.stream), 0);
    assert_content(target, "old");
    ck_succeeds(file_commit(&writer));
    assert_content(target, "new and longer");
    ck_assert_int_eq(directory_entries(), 1);
    file_discard(&writer);
    assert_content(target, "new and longer");
}
END_TEST

START_TEST(file_discard_leaves_nothing) {
    struct file_writer writer;
    ck_succeeds(file_create(&writer, target));
    ck_assert_int_gt(fputs("half of", writer.stream), 0);
    file_discard(&writer);
    ck_assert_int_eq(directory_entries(), 0);
    file_discard(&writer);
    file_discard(&(struct file_writer){0});
}
END_TEST

START_TEST(file_discard_leaves_the_old_file) {
    struct file_writer writer;
    write_bytes(target, "old", 3);
    ck_succeeds(file_create(&writer, target));
    ck_assert_int_gt(fputs("half of", writer.stream), 0);
    file_discard(&writer);
    assert_content(target, "old");
    ck_assert_int_eq(directory_entries(), 1);
}
END_TEST

START_TEST(file_create_twice_for_one_path_gives_the_last_commit) {
    struct file_writer first, second;
    ck_succeeds(file_create(&first, target));
    ck_succeeds(file_create(&second, target));
    ck_assert_int_gt(fputs("first", first.stream), 0);
    ck_assert_int_gt(fputs("second", second.stream), 0);
    ck_succeeds(file_commit(&second));
    assert_content(target, "second");
    ck_succeeds(file_commit(&first));
    assert_content(target, "first");
    ck_assert_int_eq(directory_entries(), 1);
}
END_TEST

START_TEST(file_create_gives_the_permissions_that_the_umask_leaves) {
    static const mode_t masks[] = {0, 022, 027, 077};
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        struct file_writer writer;
        struct stat status;
        mode_t mask = umask(masks[i]);
        int rc = file_create(&writer, target);
        mode_t after = umask(mask);
        ck_succeeds(rc);
        ck_assert_uint_eq(after, masks[i]);
        ck_succeeds(file_commit(&writer));
        ck_assert_int_eq(stat(target, &status), 0);
        ck_assert_uint_eq(status.st_mode & 07777, 0666 & ~masks[i]);
    }
}
END_TEST

START_TEST(file_create_names_the_path_where_it_cannot_write) {
    struct file_writer writer;
    char *inside = path_join(target, "below");
    ck_fails(file_create(&writer, inside), ERROR_SYSTEM, inside);
    ck_assert_ptr_nonnull(strstr(error_message(), strerror(ENOENT)));
    write_bytes(target, "", 0);
    ck_fails(file_create(&writer, inside), ERROR_SYSTEM, inside);
    ck_assert_ptr_nonnull(strstr(error_message(), strerror(ENOTDIR)));
    free(inside);
    file_discard(&writer);
}
END_TEST

START_TEST(file_create_names_a_directory_without_write_permission) {
    if (geteuid() == 0)
        SKIP_TEST("root may write anywhere");
    struct file_writer writer;
    ck_assert_int_eq(chmod(directory, 0500), 0);
    int rc = file_create(&writer, target);
    ck_assert_int_eq(chmod(directory, 0700), 0);
    ck_fails(rc, ERROR_SYSTEM, target);
    ck_assert_ptr_nonnull(strstr(error_message(), strerror(EACCES)));
}
END_TEST

START_TEST(file_create_does_not_replace_what_is_no_file) {
    struct file_writer writer;
    ck_fails(file_create(&writer, "/dev/null"), ERROR_SYSTEM, "/dev/null: cannot write here");
    ck_fails(file_create(&writer, directory), ERROR_SYSTEM, "not a regular file");
}
END_TEST

/* A limit on a file's size fails a write just where a full disk would. */
static int commit_beyond_limit(size_t length) {
    static char bytes[65536];
    struct file_writer writer;
    struct rlimit old, small;
    int rc = file_create(&writer, target);
    if (rc < 0)
        return rc;
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){.rlim_cur = 1000, .rlim_max = old.rlim_max};
    (void)setrlimit(RLIMIT_FSIZE, &small);
    (void)fwrite(bytes, 1, length, writer.stream);
    errno = 0; /* what a caller does between writing and committing */
    rc = file_commit(&writer);
    (void)setrlimit(RLIMIT_FSIZE, &old);
    (void)signal(SIGXFSZ, SIG_DFL);
    return rc;
}

START_TEST(file_commit_reports_a_full_disk_and_leaves_the_old_file) {
    /* Within stdio's buffer, so that only fflush fails; and beyond it, so that fwrite does. */
    static const size_t lengths[] = {2000, 65536};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        write_bytes(target, "old", 3);
        int rc = commit_beyond_limit(lengths[i]);
        ck_fails(rc, ERROR_SYSTEM, target);
        ck_assert_msg(!strstr(error_message(), strerror(0)), "message is: %s", error_message());
        assert_content(target, "old");
        ck_assert_int_eq(directory_entries(), 1);
    }
}
END_TEST

START_TEST(file_commit_reports_a_directory_that_went_away) {
    struct file_writer writer;
    char *nested = path_join(directory, "nested");
    char *path = path_join(nested, "file");
    ck_succeeds(directory_create(nested));
    ck_succeeds(file_create(&writer, path));
    ck_assert_int_eq(unlink(writer.temporary), 0);
    ck_assert_int_eq(rmdir(nested), 0);
    ck_fails(file_commit(&writer), ERROR_SYSTEM, path);
    free(path);
    free(nested);
}
END_TEST

START_TEST(directory_create_makes_every_missing_level) {
    char *top = path_join(directory, "a");
    char *middle = path_join(directory, "a/b");
    char *deep = path_join(directory, "a//b/c/");
    struct stat status;
    ck_succeeds(directory_create(deep));
    ck_succeeds(directory_create(deep));
    ck_succeeds(directory_create("/"));
    ck_succeeds(directory_create("."));
    ck_assert_int_eq(stat(deep, &status), 0);
    ck_assert(S_ISDIR(status.st_mode));
    (void)rmdir(deep);
    (void)rmdir(middle);
    (void)rmdir(top);
    free(deep);
    free(middle);
    free(top);
}
END_TEST

START_TEST(directory_create_names_what_is_in_the_way) {
    char *below = path_join(target, "below/it");
    write_bytes(target, "", 0);
    ck_fails(directory_create(target), ERROR_SYSTEM, target);
    ck_fails(directory_create(below), ERROR_SYSTEM, target);
    ck_fails(directory_create(""), ERROR_SYSTEM, "empty");
    free(below);
}
END_TEST

static void assert_path(char *path, const char *expected) {
    ck_assert_str_eq(path, expected);
    free(path);
}

START_TEST(path_join_puts_one_slash_between) {
    assert_path(path_join("a", "b"), "a/b");
    assert_path(path_join("a/", "b"), "a/b");
    assert_path(path_join("/", "b"), "/b");
}
END_TEST

START_TEST(path_beside_follows_the_other_file_unless_absolute) {
    assert_path(path_beside("configs/a.cfg", "data/x.csv"), "configs/data/x.csv");
    assert_path(path_beside("/etc/a.cfg", "x"), "/etc/x");
    assert_path(path_beside("/a.cfg", "x"), "/x");
    assert_path(path_beside("a.cfg", "data/x.csv"), "data/x.csv");
    assert_path(path_beside("configs/a.cfg", "/data/x.csv"), "/data/x.csv");
}
END_TEST

START_TEST(path_has_ending_in_upper_or_lower_case) {
    ck_assert(path_has_ending("a/b.PNG", ".png"));
    ck_assert(path_has_ending(".png", ".png"));
    ck_assert(!path_has_ending("b.png.txt", ".png"));
    ck_assert(!path_has_ending("png", ".png"));
}
END_TEST

START_TEST(file_cache_path_makes_the_directory_where_the_environment_says) {
    char *path;
    for (int is_home = 0; is_home < 2; is_home++) {
        char *expected = path_join(directory, is_home ? ".cache/clnet/a/b" : "clnet/a/b");
        ck_assert_int_eq(setenv("HOME", is_home ? directory : "/nowhere", 1), 0);
        ck_assert_int_eq(setenv("XDG_CACHE_HOME", is_home ? "relative" : directory, 1), 0);
        for (int time = 0; time < 2; time++) { /* what is there is fine */
            ck_succeeds(file_cache_path(&path, "a/b"));
            ck_assert_str_eq(path, expected);
            free(path);
        }
        for (*strrchr(expected, '/') = '\0'; strcmp(expected, directory) != 0;
             *strrchr(expected, '/') = '\0')
            ck_assert_int_eq(rmdir(expected), 0); /* it was there, and nothing in it */
        free(expected);
    }
}
END_TEST

START_TEST(file_cache_path_says_why_there_is_none) {
    char *path;
    write_bytes(target, "", 0);
    ck_assert_int_eq(setenv("XDG_CACHE_HOME", target, 1), 0);
    ck_fails(file_cache_path(&path, "a"), ERROR_SYSTEM, target);
    ck_assert_ptr_null(path);
    ck_assert_int_eq(unsetenv("XDG_CACHE_HOME"), 0);
    ck_assert_int_eq(setenv("HOME", "", 1), 0);
    ck_fails(file_cache_path(&path, "a"), ERROR_SYSTEM, "set HOME or XDG_CACHE_HOME");
    ck_assert_ptr_null(path);
}
END_TEST

int main(void) {
    if (!mkdtemp(directory) || !(target = path_join(directory, "target")))
        return EXIT_FAILURE;
    TCase *tests = tcase_create("file");
    tcase_add_checked_fixture(tests, NULL, remove_entries);
    tcase_add_test(tests, file_read_gives_every_byte_and_a_zero_behind);
    tcase_add_test(tests, file_read_refuses_a_file_above_the_limit);
    tcase_add_test(tests, file_read_names_a_missing_file_and_a_directory);
    tcase_add_test(tests, file_commit_replaces_the_old_file_at_once);
    tcase_add_test(tests, file_discard_leaves_nothing);
    tcase_add_test(tests, file_discard_leaves_the_old_file);
    tcase_add_test(tests, file_create_twice_for_one_path_gives_the_last_commit);
    tcase_add_test(tests, file_create_gives_the_permissions_that_the_umask_leaves);
    tcase_add_test(tests, file_create_names_the_path_where_it_cannot_write);
    tcase_add_test(tests, file_create_names_a_directory_without_write_permission);
    tcase_add_test(tests, file_create_does_not_replace_what_is_no_file);
    tcase_add_test(tests, file_commit_reports_a_full_disk_and_leaves_the_old_file);
    tcase_add_test(tests, file_commit_reports_a_directory_that_went_away);
    tcase_add_test(tests, directory_create_makes_every_missing_level);
    tcase_add_test(tests, directory_create_names_what_is_in_the_way);
    tcase_add_test(tests, file_cache_path_makes_the_directory_where_the_environment_says);
    tcase_add_test(tests, file_cache_path_says_why_there_is_none);
    tcase_add_test(tests, path_join_puts_one_slash_between);
    tcase_add_test(tests, path_beside_follows_the_other_file_unless_absolute);
    tcase_add_test(tests, path_has_ending_in_upper_or_lower_case);
    int status = suite_run("base/file", tests);
    remove_entries();
    (void)rmdir(directory);
    free(target);
    return status;
}
