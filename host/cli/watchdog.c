#include "cli/watchdog.h"

#include "base/error.h"
#include "cl/quirks.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Looks are counted, not seconds: those in which the whole process was stopped are nobody's fault.
 */
enum { LOOKS_LEAST = 10, ADVICE_LENGTH = 1024 };

/* What was seen of a device. */
struct sight {
    struct device *device;
    unsigned signs;
    int looks; /* without a new one */
};

struct watchdog {
    struct sight *sights;
    int count, seconds;
    int milliseconds, looks; /* from one to the next; that are too many */
    const char *command;
    pthread_t threads[2];
    int thread_count;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    int is_over;
    char advice[ADVICE_LENGTH];
};

/* Until the next look. Returns 0 when there is to be none. */
static int pause_watching(struct watchdog *watchdog) {
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += watchdog->milliseconds * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int rc = 0;
    pthread_mutex_lock(&watchdog->lock);
    while (!watchdog->is_over && rc == 0)
        rc = pthread_cond_timedwait(&watchdog->changed, &watchdog->lock, &until);
    int is_over = watchdog->is_over;
    pthread_mutex_unlock(&watchdog->lock);
    return !is_over;
}

/* Nothing is freed and nobody is told: they may all wait for the device. */
static void end_process(struct watchdog *watchdog, const struct device *device) {
    const struct device_info *info = device_info(device);
    pthread_mutex_lock(&watchdog->lock);
    (void)fprintf(stderr,
                  "%sclnet %s: device %d (%s): has not answered for %d s; --timeout SECONDS waits "
                  "longer, 0 without end%s%s\n",
                  isatty(STDERR_FILENO) ? "\n" : "", watchdog->command, info->index, info->name,
                  watchdog->seconds, watchdog->advice[0] ? "\n" : "", watchdog->advice);
    _exit(EXIT_FAILURE);
}

static void look_at(struct watchdog *watchdog, struct sight *sight) {
    unsigned signs = device_signs(sight->device);
    if (!device_is_awaited(sight->device) || signs != sight->signs)
        sight->looks = 0;
    else if (++sight->looks >= watchdog->looks)
        end_process(watchdog, sight->device);
    sight->signs = signs;
}

static void *watch(void *context) {
    struct watchdog *watchdog = context;
    while (pause_watching(watchdog)) {
        for (int i = 0; i < watchdog->count; i++)
            look_at(watchdog, &watchdog->sights[i]);
    }
    return NULL;
}

/* A thread of its own, since a driver that hangs may never let it go. */
static void *listen(void *context) {
    struct watchdog *watchdog = context;
    while (pause_watching(watchdog)) {
        for (int i = 0; i < watchdog->count; i++)
            device_listen(watchdog->sights[i].device);
    }
    return NULL;
}

static void init_lock(struct watchdog *watchdog) {
    pthread_condattr_t attributes;
    pthread_mutex_init(&watchdog->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&watchdog->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static int start_thread(struct watchdog *watchdog, void *(*body)(void *)) {
    if (pthread_create(&watchdog->threads[watchdog->thread_count], NULL, body, watchdog) != 0)
        return error_set(ERROR_SYSTEM, "cannot start a thread that watches the devices");
    watchdog->thread_count++;
    return 0;
}

int watchdog_start(struct watchdog **out, struct device *const *devices, int count, int seconds,
                   const char *command) {
    *out = NULL;
    if (seconds == 0)
        return 0;
    struct watchdog *watchdog = calloc(1, sizeof *watchdog);
    if (!watchdog)
        return error_no_memory("a watchdog", sizeof *watchdog);
    init_lock(watchdog);
    watchdog->seconds = seconds;
    watchdog->looks = seconds > LOOKS_LEAST ? seconds : LOOKS_LEAST;
    watchdog->milliseconds = (int)(1000LL * seconds / watchdog->looks);
    watchdog->command = command;
    watchdog->sights = calloc((size_t)count, sizeof *watchdog->sights);
    for (int i = 0; watchdog->sights && i < count; i++) {
        if (!(device_info(devices[i])->quirks & QUIRK_SERIAL))
            watchdog->sights[watchdog->count++].device = devices[i];
    }
    int rc = watchdog->sights ? start_thread(watchdog, watch)
                              : error_no_memory("a watchdog", (size_t)count * sizeof(struct sight));
    if (rc == 0)
        rc = start_thread(watchdog, listen);
    if (rc < 0)
        watchdog_stop(watchdog);
    else
        *out = watchdog;
    return rc;
}

void watchdog_advise(struct watchdog *watchdog, const char *advice) {
    if (!watchdog)
        return;
    pthread_mutex_lock(&watchdog->lock);
    (void)snprintf(watchdog->advice, sizeof watchdog->advice, "%s", advice);
    pthread_mutex_unlock(&watchdog->lock);
}

void watchdog_stop(struct watchdog *watchdog) {
    if (!watchdog)
        return;
    pthread_mutex_lock(&watchdog->lock);
    watchdog->is_over = 1;
    pthread_cond_broadcast(&watchdog->changed);
    pthread_mutex_unlock(&watchdog->lock);
    for (int i = 0; i < watchdog->thread_count; i++)
        (void)pthread_join(watchdog->threads[i], NULL);
    pthread_cond_destroy(&watchdog->changed);
    pthread_mutex_destroy(&watchdog->lock);
    free(watchdog->sights);
    free(watchdog);
}
