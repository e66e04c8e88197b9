/* The store: what one run keeps and another finds, and a store that is damaged, full or shared. */
#include "cl/store.h"

#include "support/suite.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[] = "/tmp/clnet-store-XXXXXX";

static void set_up(void) {
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    close(file);
    ck_assert_int_eq(remove(path), 0);
}

static void tear_down(void) {
    char name[sizeof path + 8];
    static const char *const endings[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, endings[i]);
        (void)remove(name);
    }
    memcpy(path + strlen(path) - 6, "XXXXXX", 6);
}

static struct store *opened(void) {
    struct store *store = store_open(path);
    ck_assert_ptr_nonnull(store);
    return store;
}

static void keep(struct store *store, const char *key, const char *text) {
    store_keep_program(store, key, (const unsigned char *)text, strlen(text));
}

/* And that the driver took it. */
static void assert_found(struct store *store, const char *key, const char *text) {
    size_t bytes = 0;
    unsigned char *program = store_find_program(store, key, &bytes);
    if (text) {
        ck_assert_ptr_nonnull(program);
        ck_assert_uint_eq(bytes, strlen(text));
        ck_assert_int_eq(memcmp(program, text, bytes), 0);
        store_prove_program(store, key);
    } else {
        ck_assert_ptr_null(program);
    }
    free(program);
}

START_TEST(store_finds_what_an_earlier_run_kept) {
    struct store *store = opened();
    assert_found(store, "one", NULL);
    keep(store, "one", "a program");
    keep(store, "two", "another");
    keep(store, "two", "a better one");
    store_close(store);
    store = opened();
    assert_found(store, "one", "a program");
    assert_found(store, "two", "a better one");
    store_drop_program(store, "one");
    assert_found(store, "one", NULL);
    assert_found(store, "two", "a better one");
    store_close(store);
}
END_TEST

START_TEST(store_that_is_no_database_is_begun_anew) {
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < 10000; i++)
        ck_assert_int_ge(fputs("not a database ", file), 0);
    ck_assert_int_eq(fclose(file), 0);
    struct store *store = opened();
    keep(store, "one", "a program");
    assert_found(store, "one", "a program");
    store_close(store);
}
END_TEST

/* As a disk would: the program's bytes change, and SQLite does not notice. */
START_TEST(store_never_hands_out_a_program_whose_bytes_changed) {
    struct store *store = opened();
    keep(store, "one", "a program that a disk will damage");
    store_close(store);
    FILE *file = fopen(path, "r+");
    ck_assert_ptr_nonnull(file);
    static char content[1 << 20];
    size_t length = fread(content, 1, sizeof content, file), at = 0;
    while (at + 9 < length && memcmp(content + at, "will dama", 9) != 0)
        at++;
    ck_assert_uint_lt(at + 9, length);
    ck_assert_int_eq(fseek(file, (long)at, SEEK_SET), 0);
    ck_assert_int_ge(fputs("did", file), 0);
    ck_assert_int_eq(fclose(file), 0);
    store = opened();
    assert_found(store, "one", NULL);
    keep(store, "one", "whole again");
    assert_found(store, "one", "whole again");
    store_close(store);
}
END_TEST

START_TEST(store_drops_a_program_that_may_have_ended_the_process) {
    size_t bytes;
    struct store *store = opened();
    keep(store, "one", "a program");
    unsigned char *program = store_find_program(store, "one", &bytes);
    ck_assert_ptr_nonnull(program);
    free(program);
    store_close(store); /* without a word whether the driver took it */
    store = opened();
    assert_found(store, "one", NULL);
    keep(store, "one", "a program");
    assert_found(store, "one", "a program");
    assert_found(store, "one", "a program");
    store_close(store);
}
END_TEST

START_TEST(store_drops_the_oldest_programs_when_it_is_full) {
    struct store *store = opened();
    store_set_limit(store, 25);
    keep(store, "one", "1234567890");
    keep(store, "two", "1234567890");
    keep(store, "three", "1234567890");
    assert_found(store, "one", NULL);
    assert_found(store, "two", "1234567890");
    assert_found(store, "three", "1234567890");
    store_close(store);
}
END_TEST

START_TEST(store_that_cannot_be_is_none_and_fails_nobody) {
    size_t bytes;
    ck_assert_ptr_null(store_open("/nonexistent/folder/store.sqlite"));
    ck_assert_ptr_null(store_open(""));
    ck_assert_ptr_null(store_find_program(NULL, "one", &bytes));
    store_keep_program(NULL, "one", (const unsigned char *)"x", 1);
    store_drop_program(NULL, "one");
    store_close(NULL);
}
END_TEST

enum { WRITERS = 4, EACH = 25 };

/* One process of several. */
static void write_many(int writer) {
    struct store *store = store_open(path);
    char key[32];
    for (int i = 0; store && i < EACH; i++) {
        (void)snprintf(key, sizeof key, "%d of %d", i, writer);
        keep(store, key, key);
    }
    store_close(store);
}

START_TEST(store_is_written_by_several_processes_at_once) {
    for (int w = 0; w < WRITERS; w++) {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            write_many(w);
            _exit(0);
        }
    }
    int status;
    while (wait(&status) > 0)
        ck_assert_int_eq(status, 0);
    struct store *store = opened();
    char key[32];
    for (int w = 0; w < WRITERS; w++) {
        for (int i = 0; i < EACH; i++) {
            (void)snprintf(key, sizeof key, "%d of %d", i, w);
            assert_found(store, key, key);
        }
    }
    store_close(store);
}
END_TEST

static void *use_shared(void *context) {
    char key[32];
    for (int i = 0; i < EACH; i++) {
        (void)snprintf(key, sizeof key, "%p %d", (void *)&key, i);
        keep(context, key, key);
        assert_found(context, key, key);
    }
    return NULL;
}

START_TEST(store_is_used_by_several_threads_at_once) {
    struct store *store = opened();
    pthread_t threads[WRITERS];
    for (int w = 0; w < WRITERS; w++)
        ck_assert_int_eq(pthread_create(&threads[w], NULL, use_shared, store), 0);
    for (int w = 0; w < WRITERS; w++)
        ck_assert_int_eq(pthread_join(threads[w], NULL), 0);
    store_close(store);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("store");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, store_finds_what_an_earlier_run_kept);
    tcase_add_test(tests, store_that_is_no_database_is_begun_anew);
    tcase_add_test(tests, store_never_hands_out_a_program_whose_bytes_changed);
    tcase_add_test(tests, store_drops_a_program_that_may_have_ended_the_process);
    tcase_add_test(tests, store_drops_the_oldest_programs_when_it_is_full);
    tcase_add_test(tests, store_that_cannot_be_is_none_and_fails_nobody);
    tcase_add_test(tests, store_is_written_by_several_processes_at_once);
    tcase_add_test(tests, store_is_used_by_several_threads_at_once);
    return suite_run("cl/store", tests);
}
