/* Signs of life of a device, for one who watches it from a thread of its own: waits for it that
 * came to an end and, for waits that last long because much was enqueued, commands that are done.
 */
#include "cl/internal.h"

/* Kernels that are enqueued before the driver has to begin with them. */
enum { PULSES_FLUSHED = 8 };

unsigned device_signs(const struct device *device) {
    return atomic_load(&device->signs);
}

int device_is_awaited(const struct device *device) {
    return atomic_load(&device->awaited) > 0;
}

void pulse_wait_begins(struct device *device) {
    atomic_fetch_add(&device->awaited, 1);
}

void pulse_wait_ends(struct device *device) {
    atomic_fetch_add(&device->signs, 1);
    atomic_fetch_sub(&device->awaited, 1);
}

cl_int pulse_wait(struct device *device, cl_event event) {
    pulse_wait_begins(device);
    cl_int code = clWaitForEvents(1, &event);
    pulse_wait_ends(device);
    return code;
}

int pulse_is_wanted(const struct device *device) {
    return atomic_load(&device->is_listened_to) && atomic_load(&device->pulse_count) < PULSES;
}

/* Returns how many there are now. */
static int keep(struct device *device, cl_event event) {
    int count = atomic_load(&device->pulse_count);
    if (count < PULSES) {
        device->pulses[count++] = event;
        atomic_store(&device->pulse_count, count);
    } else {
        (void)clReleaseEvent(event);
    }
    return count;
}

void pulse_note(struct device *device, cl_event event) {
    if (!pulse_is_wanted(device) || clRetainEvent(event) != CL_SUCCESS)
        return;
    pthread_mutex_lock(&device->pulse_lock);
    int count = keep(device, event);
    pthread_mutex_unlock(&device->pulse_lock);
    /* Some drivers tell of all that was flushed as one. */
    if (count % PULSES_FLUSHED == 0)
        (void)clFlush(device->queue);
}

static int take_all(struct device *device, cl_event *events) {
    pthread_mutex_lock(&device->pulse_lock);
    int count = atomic_load(&device->pulse_count);
    for (int i = 0; i < count; i++)
        events[i] = device->pulses[i];
    atomic_store(&device->pulse_count, 0);
    pthread_mutex_unlock(&device->pulse_lock);
    return count;
}

/* Over, or failed: an answer too. */
static int has_ended(cl_event event) {
    cl_int status = CL_COMPLETE;
    (void)clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL);
    return status <= CL_COMPLETE;
}

/* The lock is not held while the driver is asked: one that hangs then stops nobody else. */
void device_listen(struct device *device) {
    cl_event events[PULSES], left[PULSES];
    int count = take_all(device, events), left_count = 0;
    for (int i = 0; i < count; i++) {
        if (!has_ended(events[i])) {
            left[left_count++] = events[i];
            continue;
        }
        (void)clReleaseEvent(events[i]);
        atomic_fetch_add(&device->signs, 1);
    }
    pthread_mutex_lock(&device->pulse_lock);
    for (int i = 0; i < left_count; i++)
        (void)keep(device, left[i]);
    pthread_mutex_unlock(&device->pulse_lock);
    atomic_store(&device->is_listened_to, 1);
}

void pulse_free(struct device *device) {
    for (int i = 0; i < atomic_load(&device->pulse_count); i++)
        (void)clReleaseEvent(device->pulses[i]);
}
