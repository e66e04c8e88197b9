#include "support/suite.h"

#include "base/barrier.h"

#include <string.h>

enum { THREADS = 4, ROUNDS = 200 };

struct runners {
    struct barrier barrier;
    int counts[THREADS]; /* rounds that each has begun */
};

struct runner {
    struct runners *all;
    int index;
};

static void *run_rounds(void *context) {
    struct runner *self = context;
    struct runners *all = self->all;
    for (int round = 1; round <= ROUNDS; round++) {
        all->counts[self->index] = round;
        if (!barrier_wait(&all->barrier))
            return all;
        for (int i = 0; i < THREADS; i++) {
            if (all->counts[i] != round)
                return all;
        }
        if (!barrier_wait(&all->barrier))
            return all;
    }
    return NULL;
}

START_TEST(barrier_lets_nobody_pass_before_all_have_come) {
    struct runners all = {0};
    struct runner runners[THREADS];
    pthread_t threads[THREADS];
    barrier_init(&all.barrier, THREADS);
    for (int i = 0; i < THREADS; i++) {
        runners[i] = (struct runner){&all, i};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_rounds, &runners[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
        ck_assert_ptr_null(failed);
    }
    barrier_destroy(&all.barrier);
}
END_TEST

START_TEST(barrier_of_one_is_none) {
    struct barrier barrier;
    barrier_init(&barrier, 1);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(barrier_wait(&barrier), 1);
    barrier_destroy(&barrier);
}
END_TEST

static void *wait_once(void *context) {
    struct barrier *barrier = context;
    return barrier_wait(barrier) ? barrier : NULL;
}

START_TEST(barrier_that_breaks_lets_those_go_who_wait_and_who_come) {
    struct barrier barrier;
    pthread_t thread;
    void *met;
    barrier_init(&barrier, 3);
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_once, &barrier), 0);
    barrier_break(&barrier);
    ck_assert_int_eq(pthread_join(thread, &met), 0);
    ck_assert_ptr_null(met);
    ck_assert_int_eq(barrier_wait(&barrier), 0);
    barrier_destroy(&barrier);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("barrier");
    tcase_add_test(tests, barrier_lets_nobody_pass_before_all_have_come);
    tcase_add_test(tests, barrier_of_one_is_none);
    tcase_add_test(tests, barrier_that_breaks_lets_those_go_who_wait_and_who_come);
    return suite_run("base/barrier", tests);
}
