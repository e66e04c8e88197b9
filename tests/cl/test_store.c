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
static int write_many(int writer) {
    struct store *store = store_open(path);
    char key[32];
    for (int i = 0; store && i < EACH; i++) {
        (void)snprintf(key, sizeof key, "%d of %d", i, writer);
        keep(store, key, key);
    }
    store_close(store);
    return store ? 0 : 1;
}

START_TEST(store_is_written_by_several_processes_at_once) {
    for (int w = 0; w < WRITERS; w++) {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0)
            _exit(write_many(w));
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

/* ---- tunings ---- */

static void keep_tuning(struct store *store, const char *device, int problem, const char *values) {
    struct tuning tuning = {.kernel = "conv forward",
                            .source = kernel_text_hash("conv_vector.cl"),
                            .seconds = 0.25,
                            .seconds_before = 0.5,
                            .origin = ORIGIN_FULL};
    (void)snprintf(tuning.problem, sizeof tuning.problem, "C=%d", problem);
    (void)snprintf(tuning.values, sizeof tuning.values, "%s", values);
    ck_assert(store_keep_tuning(store, device, &tuning));
}

static struct tunings *tunings_of(struct store *store, const char *device) {
    struct tunings *tunings = tunings_create();
    ck_assert_ptr_nonnull(tunings);
    ck_succeeds(store_find_tunings(store, device, tunings));
    return tunings;
}

START_TEST(store_finds_the_tunings_of_a_device) {
    struct store *store = opened();
    keep_tuning(store, "one", 3, "conv_vector.cl BLOCK=1");
    keep_tuning(store, "one", 3, "conv_vector.cl BLOCK=2");
    keep_tuning(store, "two", 3, "conv_vector.cl BLOCK=3");
    keep_tuning(store, "one", 4, "conv_tiled.cl M=1"); /* the text has changed since */
    store_close(store);
    store = opened();
    struct tunings *tunings = tunings_of(store, "one");
    ck_assert_int_eq(tunings_count(tunings), 1);
    const struct tuning *row = tunings_at(tunings, 0);
    ck_assert_str_eq(row->kernel, "conv forward");
    ck_assert_str_eq(row->problem, "C=3");
    ck_assert_str_eq(row->values, "conv_vector.cl BLOCK=2");
    ck_assert(row->source == kernel_text_hash("conv_vector.cl"));
    ck_assert(row->seconds == 0.25 && row->seconds_before == 0.5); /* NOLINT: exact */
    ck_assert_int_eq(row->origin, ORIGIN_FULL);
    tunings_free(tunings);
    store_close(store);
    tunings = tunings_create();
    ck_succeeds(store_find_tunings(NULL, "one", tunings));
    ck_assert_int_eq(tunings_count(tunings), 0);
    ck_assert(!store_keep_tuning(NULL, "one", &(struct tuning){.kernel = "a"}));
    tunings_free(tunings);
}
END_TEST

/* Each keeps its own and one that all fight for. */
START_TEST(store_keeps_the_tunings_of_several_processes_at_once) {
    enum { PROCESSES = 4 };
    pid_t children[PROCESSES];
    for (int p = 0; p < PROCESSES; p++) {
        children[p] = fork();
        ck_assert_int_ge(children[p], 0);
        if (children[p] == 0) {
            struct store *store = store_open(path);
            for (int i = 0; store && i < EACH; i++) {
                keep_tuning(store, "one", 1000 * (p + 1) + i, "conv_vector.cl BLOCK=1");
                keep_tuning(store, "one", 1, "conv_vector.cl BLOCK=1");
            }
            store_close(store);
            _exit(store ? 0 : 1);
        }
    }
    for (int p = 0; p < PROCESSES; p++) {
        int status;
        ck_assert_int_eq(waitpid(children[p], &status, 0), children[p]);
        ck_assert_int_eq(status, 0);
    }
    struct store *store = opened();
    struct tunings *tunings = tunings_of(store, "one");
    ck_assert_int_eq(tunings_count(tunings), PROCESSES * EACH + 1);
    tunings_free(tunings);
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
    tcase_add_test(tests, store_finds_the_tunings_of_a_device);
    tcase_add_test(tests, store_keeps_the_tunings_of_several_processes_at_once);
    return suite_run("cl/store", tests);
}
