#include "cl/window.h"

#include "cl/internal.h"

#include <assert.h>
#include <stdlib.h>

struct window {
    struct buffer *buffer;
    cl_mem pinned;   /* NULL: the buffer itself is mapped */
    void *content;   /* of the pinned memory always, of a mapped buffer while it is open */
    cl_event ready;  /* the content is there, once this is over */
    cl_event closed; /* it was given back, the last time */
    int is_open;
};

static int pin(struct window *window) {
    struct device *device = window->buffer->device;
    size_t bytes = window->buffer->bytes ? window->buffer->bytes : 1;
    cl_int code;
    window->pinned = clCreateBuffer(device->context, CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR,
                                    bytes, NULL, &code);
    if (code != CL_SUCCESS)
        return cl_error(device, code, "clCreateBuffer of pinned memory");
    CL_TRY(device, trial_command(device, device->windows));
    pulse_wait_begins(device);
    window->content =
        clEnqueueMapBuffer(device->windows, window->pinned, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0,
                           bytes, 0, NULL, NULL, &code);
    pulse_wait_ends(device);
    if (code != CL_SUCCESS)
        return cl_error(device, code, "clEnqueueMapBuffer of pinned memory");
    return 0;
}

int window_create(struct window **out, struct buffer *buffer, int copies) {
    struct window *window = calloc(1, sizeof *window);
    if (!window)
        return error_no_memory("a window", sizeof *window);
    window->buffer = buffer;
    /* A buffer of no bytes cannot be mapped, nor need it be. */
    if (copies || !buffer->device->info.is_unified || buffer->bytes == 0) {
        int rc = pin(window);
        if (rc < 0) {
            window_free(window);
            return rc;
        }
    }
    *out = window;
    return 0;
}

void window_free(struct window *window) {
    if (!window)
        return;
    struct device *device = window->buffer->device;
    struct mark closed = {0};
    error_hold();
    if (window->is_open) {
        (void)clFlush(device->queue); /* the opening may wait for it */
        (void)pulse_wait(device, window->ready);
        (void)window_close(window, &closed);
    }
    error_release();
    mark_free(&closed);
    (void)queue_finish(device, device->windows);
    (void)queue_finish(device, device->transfers);
    if (window->pinned && window->content)
        (void)clEnqueueUnmapMemObject(device->transfers, window->pinned, window->content, 0, NULL,
                                      NULL);
    if (window->pinned) {
        (void)queue_finish(device, device->transfers);
        (void)clReleaseMemObject(window->pinned);
    }
    if (window->closed)
        (void)clReleaseEvent(window->closed);
    free(window);
}

/* The event stays the window's. */
static void note(struct window *window, enum queue_kind queue, cl_event event, const char *name) {
    struct device *device = window->buffer->device;
    if (device->is_profiling && clRetainEvent(event) == CL_SUCCESS)
        device_note(device, queue, event, name, NULL);
}

int window_open(struct window *window, const struct mark *after) {
    struct buffer *buffer = window->buffer;
    struct device *device = buffer->device;
    cl_event earlier = after ? after->event : NULL, waits[2];
    cl_uint count = 0;
    if (earlier)
        waits[count++] = earlier;
    if (window->closed)
        waits[count++] = window->closed;
    const cl_event *list = count ? waits : NULL;
    cl_int code = CL_SUCCESS;
    assert(!window->is_open);
    /* A driver may keep commands to itself until they are flushed: nothing would ever reach the
     * mark that the other queue waits for. */
    if (earlier)
        CL_TRY(device, clFlush(device->queue));
    CL_TRY(device, trial_command(device, device->windows));
    if (buffer->bytes == 0)
        CL_TRY(device, clEnqueueMarkerWithWaitList(device->windows, count, list, &window->ready));
    else if (window->pinned)
        CL_TRY(device,
               clEnqueueReadBuffer(device->windows, buffer->memory, CL_FALSE, 0, buffer->bytes,
                                   window->content, count, list, &window->ready));
    else
        window->content = clEnqueueMapBuffer(device->windows, buffer->memory, CL_FALSE,
                                             CL_MAP_READ | CL_MAP_WRITE, 0, buffer->bytes, count,
                                             list, &window->ready, &code);
    if (code != CL_SUCCESS)
        return cl_error(device, code, "clEnqueueMapBuffer");
    window->is_open = 1;
    note(window, QUEUE_WINDOWS, window->ready, window->pinned ? "gradients" : "map");
    CL_TRY(device, clFlush(device->windows));
    return 0;
}

int window_wait(struct window *window, void **content) {
    assert(window->is_open);
    CL_TRY(window->buffer->device, pulse_wait(window->buffer->device, window->ready));
    *content = window->content;
    return 0;
}

int window_close(struct window *window, struct mark *closed) {
    struct buffer *buffer = window->buffer;
    struct device *device = buffer->device;
    cl_event event = NULL;
    assert(window->is_open);
    window->is_open = 0;
    (void)clReleaseEvent(window->ready);
    window->ready = NULL;
    CL_TRY(device, trial_command(device, device->transfers));
    if (buffer->bytes == 0)
        CL_TRY(device, clEnqueueMarkerWithWaitList(device->transfers, 0, NULL, &event));
    else if (window->pinned)
        CL_TRY(device, clEnqueueWriteBuffer(device->transfers, buffer->memory, CL_FALSE, 0,
                                            buffer->bytes, window->content, 0, NULL, &event));
    else
        CL_TRY(device, clEnqueueUnmapMemObject(device->transfers, buffer->memory, window->content,
                                               0, NULL, &event));
    note(window, QUEUE_TRANSFERS, event, window->pinned ? "gradients" : "unmap");
    if (window->closed)
        (void)clReleaseEvent(window->closed);
    window->closed = clRetainEvent(event) == CL_SUCCESS ? event : NULL;
    mark_free(closed);
    closed->event = event;
    CL_TRY(device, clFlush(device->transfers));
    return 0;
}

void window_leave(struct window *window) {
    assert(window->is_open && window->pinned);
    window->is_open = 0;
    (void)clReleaseEvent(window->ready);
    window->ready = NULL;
}
