#include "cl/buffer.h"

#include "cl/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

static double mebibytes(uint64_t bytes) {
    return (double)bytes / (1 << 20);
}

static int out_of_memory(const struct device *device, size_t bytes, const char *what) {
    const struct device_info *info = &device->info;
    return error_set(
        ERROR_DEVICE,
        "device %d (%s): not enough memory for %s: %.1f MiB are needed, %.1f MiB are in "
        "use, the device has %.1f MiB and gives at most %.1f MiB in one piece; a "
        "smaller batch (--batch) or more subdivisions (--set net.subdivisions=N) "
        "would do",
        info->index, info->name, what, mebibytes(bytes), mebibytes(device->allocated),
        mebibytes(info->global_memory), mebibytes(info->allocation_max));
}

/* A CPU's kernels that walk over channels touch a page for each: more than its tables of 4 KiB
 * pages hold. So large buffers of a device that works in the host's memory are allocated here, in
 * huge pages where the system has them. NULL: leave it to the driver. */
static void *huge_pages(const struct device *device, size_t bytes) {
    enum { HUGE_PAGE = 2 << 20 };
    void *memory = NULL;
#ifdef MADV_HUGEPAGE
    if (!device->info.is_cpu || !device->info.is_unified || bytes < 2 * (size_t)HUGE_PAGE)
        return NULL;
    size_t whole = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    if (posix_memalign(&memory, HUGE_PAGE, whole) != 0)
        return NULL;
    (void)madvise(memory, whole, MADV_HUGEPAGE); /* advice: without it pages are just small */
#endif
    return memory;
}

/* Commands may still use what was released: it is OpenCL that knows when the last one ends. */
static void CL_CALLBACK free_host_memory(cl_mem memory, void *host) {
    (void)memory;
    free(host);
}

int buffer_create(struct buffer **out, struct device *device, size_t bytes, const char *what) {
    const struct device_info *info = &device->info;
    /* Many drivers allocate at the first use and fail then, without a message: so ask beforehand.
     */
    if ((info->allocation_max && bytes > info->allocation_max) ||
        (info->global_memory && device->allocated + bytes > info->global_memory))
        return out_of_memory(device, bytes, what);
    struct buffer *buffer = calloc(1, sizeof *buffer);
    if (!buffer)
        return error_no_memory(what, sizeof *buffer);
    cl_int code;
    void *host = huge_pages(device, bytes);
    buffer->device = device;
    buffer->bytes = bytes;
    buffer->memory =
        clCreateBuffer(device->context, CL_MEM_READ_WRITE | (host ? CL_MEM_USE_HOST_PTR : 0),
                       bytes ? bytes : 1, host, &code);
    if (code == CL_SUCCESS && host)
        code = clSetMemObjectDestructorCallback(buffer->memory, free_host_memory, host);
    if (code != CL_SUCCESS) {
        if (buffer->memory)
            (void)clReleaseMemObject(buffer->memory);
        free(host);
        free(buffer);
        if (code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_RESOURCES ||
            code == CL_INVALID_BUFFER_SIZE)
            return out_of_memory(device, bytes, what);
        return cl_error(device, code, "clCreateBuffer");
    }
    buffer->handles = 1;
    device->allocated += bytes;
    *out = buffer;
    return 0;
}

int buffer_view(struct buffer **out, struct buffer *parent, size_t offset, size_t bytes) {
    size_t alignment = parent->device->info.alignment;
    assert(!parent->whole);
    if (alignment && offset % alignment != 0)
        return cl_error(parent->device, CL_MISALIGNED_SUB_BUFFER_OFFSET, "clCreateSubBuffer");
    if (offset > parent->bytes || bytes > parent->bytes - offset) /* NVIDIA's driver takes it */
        return cl_error(parent->device, CL_INVALID_VALUE, "clCreateSubBuffer");
    struct buffer *buffer = calloc(1, sizeof *buffer);
    if (!buffer)
        return error_no_memory("a view", sizeof *buffer);
    cl_int code;
    cl_buffer_region region = {.origin = offset, .size = bytes};
    buffer->device = parent->device;
    buffer->bytes = bytes;
    buffer->memory = clCreateSubBuffer(parent->memory, CL_MEM_READ_WRITE,
                                       CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
    if (code != CL_SUCCESS) {
        free(buffer);
        return cl_error(parent->device, code, "clCreateSubBuffer");
    }
    buffer->whole = parent;
    buffer->next = parent->views;
    parent->views = buffer;
    parent->handles++;
    *out = buffer;
    return 0;
}

static void release(struct buffer *buffer) {
    (void)clReleaseMemObject(buffer->memory);
    free(buffer);
}

/* A whole and its views go together, the last one made first: NVIDIA's driver (580) crashes where
 * views that overlap and were used are released in another order. */
void buffer_free(struct buffer *buffer) {
    if (!buffer)
        return;
    struct buffer *whole = buffer->whole ? buffer->whole : buffer;
    if (--whole->handles > 0)
        return;
    while (whole->views) {
        struct buffer *view = whole->views;
        whole->views = view->next;
        release(view);
    }
    whole->device->allocated -= whole->bytes;
    release(whole);
}

size_t buffer_bytes(const struct buffer *buffer) {
    return buffer->bytes;
}

int buffer_write(struct buffer *buffer, size_t offset, size_t bytes, const void *data) {
    struct device *device = buffer->device;
    if (bytes == 0)
        return 0;
    CL_TRY(device, trial_command(device, device->queue));
    pulse_wait_begins(device);
    cl_int code = clEnqueueWriteBuffer(device->queue, buffer->memory, CL_TRUE, offset, bytes, data,
                                       0, NULL, NULL);
    pulse_wait_ends(device);
    return code == CL_SUCCESS ? 0 : cl_error(device, code, "clEnqueueWriteBuffer");
}

int buffer_read(struct buffer *buffer, size_t offset, size_t bytes, void *data) {
    struct device *device = buffer->device;
    if (bytes == 0)
        return 0;
    CL_TRY(device, trial_command(device, device->queue));
    pulse_wait_begins(device);
    cl_int code = clEnqueueReadBuffer(device->queue, buffer->memory, CL_TRUE, offset, bytes, data,
                                      0, NULL, NULL);
    pulse_wait_ends(device);
    return code == CL_SUCCESS ? 0 : cl_error(device, code, "clEnqueueReadBuffer");
}

int buffer_transfer(struct buffer *buffer, size_t bytes, const void *data, const struct mark *after,
                    struct mark *sent) {
    struct device *device = buffer->device;
    cl_event event = NULL, earlier = after ? after->event : NULL;
    cl_event *wanted = sent ? &event : device_event(device, &event);
    /* A driver may keep commands to itself until they are flushed: nothing would ever reach the
     * mark that the other queue waits for. */
    if (earlier)
        CL_TRY(device, clFlush(device->queue));
    CL_TRY(device, trial_command(device, device->transfers));
    CL_TRY(device, clEnqueueWriteBuffer(device->transfers, buffer->memory, CL_FALSE, 0, bytes, data,
                                        earlier ? 1 : 0, earlier ? &earlier : NULL, wanted));
    if (device->is_profiling && (!sent || clRetainEvent(event) == CL_SUCCESS))
        device_note(device, QUEUE_TRANSFERS, event, "transfer", NULL);
    if (sent) {
        mark_free(sent);
        sent->event = event;
        CL_TRY(device, clFlush(device->transfers));
    }
    return 0;
}

int buffer_read_later(struct buffer *buffer, size_t bytes, void *data, struct mark *done) {
    struct device *device = buffer->device;
    cl_event event = NULL;
    if (bytes == 0)
        return device_mark(device, done);
    CL_TRY(device, trial_command(device, device->queue));
    CL_TRY(device, clEnqueueReadBuffer(device->queue, buffer->memory, CL_FALSE, 0, bytes, data, 0,
                                       NULL, &event));
    mark_free(done);
    done->event = event;
    /* Who asks for it does so to have it early: the driver is not to collect more first. */
    CL_TRY(device, clFlush(device->queue));
    return 0;
}

int buffer_copy(struct buffer *to, const struct buffer *from) {
    cl_event event = NULL;
    CL_TRY(to->device, trial_command(to->device, to->device->queue));
    CL_TRY(to->device, clEnqueueCopyBuffer(to->device->queue, from->memory, to->memory, 0, 0,
                                           to->bytes, 0, NULL, device_event(to->device, &event)));
    device_note(to->device, QUEUE_KERNELS, event, "copy", NULL);
    return 0;
}

int buffer_fetch(struct buffer *to, size_t to_offset, const struct buffer *from, size_t from_offset,
                 size_t bytes, const struct mark *after) {
    struct device *device = to->device;
    cl_event event = NULL, earlier = after->event;
    assert(device_shares_context(device, from->device));
    CL_TRY(device, trial_command(device, device->transfers));
    CL_TRY(device, clEnqueueCopyBuffer(device->transfers, from->memory, to->memory, from_offset,
                                       to_offset, bytes, earlier ? 1 : 0, earlier ? &earlier : NULL,
                                       device_event(device, &event)));
    device_note(device, QUEUE_TRANSFERS, event, "gradients", NULL);
    return 0;
}

int buffer_send(const struct buffer *from, struct buffer *to, size_t offset, size_t bytes,
                const struct mark *after, struct mark *sent) {
    struct device *device = from->device;
    cl_event event = NULL, earlier = after->event;
    cl_event *wanted = sent ? &event : device_event(device, &event);
    assert(device_shares_context(device, to->device));
    CL_TRY(device, trial_command(device, device->windows));
    CL_TRY(device, clEnqueueCopyBuffer(device->windows, from->memory, to->memory, offset, offset,
                                       bytes, earlier ? 1 : 0, earlier ? &earlier : NULL, wanted));
    if (device->is_profiling && (!sent || clRetainEvent(event) == CL_SUCCESS))
        device_note(device, QUEUE_WINDOWS, event, "gradients", NULL);
    if (sent) {
        mark_free(sent);
        sent->event = event;
        CL_TRY(device, clFlush(device->windows));
    }
    return 0;
}

int buffer_fill(struct buffer *buffer, float value) {
    if (buffer->bytes == 0)
        return 0;
    cl_event event = NULL;
    CL_TRY(buffer->device, trial_command(buffer->device, buffer->device->queue));
    CL_TRY(buffer->device,
           clEnqueueFillBuffer(buffer->device->queue, buffer->memory, &value, sizeof value, 0,
                               buffer->bytes, 0, NULL, device_event(buffer->device, &event)));
    device_note(buffer->device, QUEUE_KERNELS, event, "fill", NULL);
    return 0;
}
