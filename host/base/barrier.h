/* Where threads wait for each other, and which breaks when one of them will not come. */
#ifndef BASE_BARRIER_H
#define BASE_BARRIER_H

#include <pthread.h>

struct barrier {
    pthread_mutex_t lock;
    pthread_cond_t all_came;
    int count;   /* threads that meet */
    int waiting; /* that have come so far */
    unsigned generation;
    int is_broken;
};

/* For `count` threads, at least 1. Free with barrier_destroy. */
void barrier_init(struct barrier *barrier, int count);
void barrier_destroy(struct barrier *barrier);

/* Waits until all have come. Returns 1; 0 when the barrier is broken: some may not have come. What
 * each did before is seen by all afterwards. */
int barrier_wait(struct barrier *barrier);

/* Lets all pass who wait and who come, for good. */
void barrier_break(struct barrier *barrier);

#endif
