#include "base/barrier.h"

void barrier_init(struct barrier *barrier, int count) {
    *barrier = (struct barrier){.count = count};
    pthread_mutex_init(&barrier->lock, NULL);
    pthread_cond_init(&barrier->all_came, NULL);
}

void barrier_destroy(struct barrier *barrier) {
    pthread_cond_destroy(&barrier->all_came);
    pthread_mutex_destroy(&barrier->lock);
}

int barrier_wait(struct barrier *barrier) {
    pthread_mutex_lock(&barrier->lock);
    unsigned generation = barrier->generation;
    if (!barrier->is_broken && ++barrier->waiting == barrier->count) {
        barrier->waiting = 0;
        barrier->generation++;
        pthread_cond_broadcast(&barrier->all_came);
    }
    while (!barrier->is_broken && generation == barrier->generation)
        pthread_cond_wait(&barrier->all_came, &barrier->lock);
    /* Those who had all come before it broke have met. */
    int have_met = generation != barrier->generation;
    pthread_mutex_unlock(&barrier->lock);
    return have_met;
}

void barrier_break(struct barrier *barrier) {
    pthread_mutex_lock(&barrier->lock);
    barrier->is_broken = 1;
    pthread_cond_broadcast(&barrier->all_came);
    pthread_mutex_unlock(&barrier->lock);
}
