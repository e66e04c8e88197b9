/* When the commands of a device ran: the times of its kernels, and a trace. */
#include "base/progress.h"
#include "cl/internal.h"
#include "cl/quirks.h"

#include <stdlib.h>

static const char *const row_names[] = {"kernels", "to the device", "from the device"};

cl_event *device_event(const struct device *device, cl_event *event) {
    return device->is_profiling ? event : NULL;
}

/* Makes room for another command. */
static int grow(struct device *device) {
    if (device->command_count < device->command_room)
        return 1;
    int room = device->command_room ? 2 * device->command_room : 64;
    struct command *commands = realloc(device->commands, (size_t)room * sizeof *commands);
    if (!commands)
        return 0;
    device->commands = commands;
    device->command_room = room;
    return 1;
}

static void release(const struct command *command) {
    if (command->before)
        (void)clReleaseEvent(command->before);
    if (command->event)
        (void)clReleaseEvent(command->event);
}

static int has_no_clock(const struct device *device) {
    return device->is_profiling && device->info.quirks & QUIRK_NO_CLOCK;
}

void device_note_begins(struct device *device) {
    if (has_no_clock(device))
        device->kernel_began = clock_seconds();
}

/* Of a kernel that is on its way, by the host's clock. */
static void take_host_time(struct device *device, const struct command *command) {
    if (pulse_wait(device, command->event) != CL_SUCCESS)
        return; /* whoever waits for it next is told */
    const double end = clock_seconds();
    kernel_add_time(command->kernel, end - device->kernel_began);
    if (device->trace)
        trace_span(device->trace, device->rows[command->queue], command->name, device->kernel_began,
                   end);
}

void device_note(struct device *device, enum queue_kind queue, cl_event event, const char *name,
                 struct kernel *kernel) {
    device_note_several(device, queue, NULL, event, name, kernel);
}

void device_note_several(struct device *device, enum queue_kind queue, cl_event before,
                         cl_event event, const char *name, struct kernel *kernel) {
    const struct command command = {
        .before = before, .event = event, .kernel = kernel, .name = name, .queue = queue};
    int is_kept = 0;
    if (event)
        pulse_note(device, event);
    if (event && kernel && queue == QUEUE_KERNELS && has_no_clock(device)) {
        take_host_time(device, &command);
    } else if (event && device->is_profiling) {
        pthread_mutex_lock(&device->lock);
        is_kept = grow(device);
        if (is_kept)
            device->commands[device->command_count++] = command;
        pthread_mutex_unlock(&device->lock);
    }
    if (!is_kept)
        release(&command);
}

static cl_int is_done(cl_event event, int *done) {
    cl_int status = CL_QUEUED;
    cl_int code =
        clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL);
    *done = status == CL_COMPLETE;
    return code == CL_SUCCESS && status < 0 ? status : code;
}

static cl_int get_times(cl_event event, double *start, double *end) {
    cl_ulong from = 0, to = 0;
    cl_int code =
        clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof from, &from, NULL);
    if (code == CL_SUCCESS)
        code = clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof to, &to, NULL);
    *start = (double)from * 1e-9;
    *end = (double)to * 1e-9;
    return code;
}

static cl_int take_times(struct device *device, const struct command *command) {
    double start, end, before;
    cl_int code = get_times(command->event, &start, &end);
    if (code == CL_SUCCESS && command->before)
        code = get_times(command->before, &before, &start);
    if (code != CL_SUCCESS)
        return code;
    if (command->kernel)
        kernel_add_time(command->kernel, end - start);
    if (device->trace)
        trace_span(device->trace, device->rows[command->queue], command->name,
                   start + device->clock_offset, end + device->clock_offset);
    return CL_SUCCESS;
}

/* Takes the times of those that are done, and keeps the others. */
static cl_int collect(struct device *device) {
    cl_int code = CL_SUCCESS;
    int kept = 0;
    for (int i = 0; i < device->command_count; i++) {
        struct command *command = &device->commands[i];
        int done = 0;
        if (code == CL_SUCCESS)
            code = is_done(command->event, &done);
        if (!done) {
            device->commands[kept++] = *command;
            continue;
        }
        code = take_times(device, command);
        release(command);
    }
    device->command_count = kept;
    return code;
}

int device_collect(struct device *device) {
    pthread_mutex_lock(&device->lock);
    cl_int code = collect(device);
    pthread_mutex_unlock(&device->lock);
    CL_TRY(device, code);
    return 0;
}

int device_collect_times(struct device *device) {
    TRY(device_finish(device));
    return device_collect(device);
}

/* The two clocks are compared at the end of a command that takes no time. */
static int compare_clocks(struct device *device) {
    cl_event event;
    double start = 0, end = 0;
    TRY(device_finish(device));
    CL_TRY(device, clEnqueueMarkerWithWaitList(device->queue, 0, NULL, &event));
    cl_int code = pulse_wait(device, event);
    double now = clock_seconds();
    if (code == CL_SUCCESS)
        code = get_times(event, &start, &end);
    (void)clReleaseEvent(event);
    CL_TRY(device, code);
    device->clock_offset = now - end;
    return 0;
}

int device_trace(struct device *device, struct trace *trace, const char *group) {
    TRY(compare_clocks(device));
    for (int i = 0; i < QUEUES; i++) {
        device->rows[i] = trace_row(trace, group, row_names[i]);
        TRY(device->rows[i]);
    }
    TRY(device_collect(device)); /* what ran before */
    device->trace = trace;
    return 0;
}

void timeline_free(struct device *device) {
    for (int i = 0; i < device->command_count; i++)
        release(&device->commands[i]);
    free(device->commands);
}
