#include "cl/kernel.h"

#include "cl/internal.h"
#include "cl/quirks.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kernel {
    struct device *device;
    cl_kernel kernel; /* NULL: it is CLBlast's */
    char name[64];
    char label[128]; /* for traces */
    size_t global[3], local[3];
    double seconds; /* of its launches, when profiling */
    int is_mute;
};

struct kernel_spec kernel_spec(const char *file, const char *function, size_t global0,
                               size_t global1, size_t global2) {
    return (struct kernel_spec){
        .file = file, .function = function, .global = {global0, global1, global2}};
}

struct kernel_spec kernel_spec_of_blas(void) {
    return kernel_spec(KERNEL_FILE_BLAS, "CLBlastSgemm", 1, 1, 1);
}

int kernel_is_ours(const struct kernel_spec *spec) {
    return spec->file && strcmp(spec->file, KERNEL_FILE_BLAS) != 0;
}

static struct kernel_define *new_define(struct kernel_spec *spec, const char *name) {
    assert(spec->define_count < KERNEL_DEFINES_MAX);
    struct kernel_define *define = &spec->defines[spec->define_count++];
    define->name = name;
    return define;
}

void kernel_define(struct kernel_spec *spec, const char *name, long value) {
    struct kernel_define *define = new_define(spec, name);
    (void)snprintf(define->value, sizeof define->value, "%ld", value);
}

void kernel_define_float(struct kernel_spec *spec, const char *name, double value) {
    struct kernel_define *define = new_define(spec, name);
    /* %e always writes a point, so that the text is a float constant and never an integer. */
    (void)snprintf(define->value, sizeof define->value, "%.9ef", value);
}

void kernel_work(struct kernel_spec *spec, const char *pass, double flops, double bytes) {
    spec->pass = pass;
    spec->flops = flops;
    spec->bytes = bytes;
}

/* What the device takes of a kernel's work-groups, which drivers say at the launch, if at all. Not
 * CL_KERNEL_WORK_GROUP_SIZE: Mesa 22.3 tells less there than it runs. */
static int check_limits(const struct kernel *kernel, const struct kernel_spec *spec) {
    const struct device *device = kernel->device;
    const struct device_info *info = &device->info;
    size_t items = spec->local[0] * spec->local[1] * spec->local[2];
    cl_ulong local_memory = 0;
    CL_TRY(device, clGetKernelWorkGroupInfo(kernel->kernel, device->id, CL_KERNEL_LOCAL_MEM_SIZE,
                                            sizeof local_memory, &local_memory, NULL));
    if (items > info->work_group_max)
        return error_set(ERROR_DEVICE,
                         "device %d (%s): %s of %s has %zu work-items in a work-group; the device "
                         "takes at most %zu",
                         info->index, info->name, spec->function, spec->file, items,
                         info->work_group_max);
    if (info->quirks & QUIRK_COUNTS_TWICE)
        local_memory /= 2;
    if (local_memory > info->local_memory)
        return error_set(ERROR_DEVICE,
                         "device %d (%s): %s of %s needs %llu bytes of local memory; the device "
                         "has %llu",
                         info->index, info->name, spec->function, spec->file,
                         (unsigned long long)local_memory, (unsigned long long)info->local_memory);
    return 0;
}

/* Compiles what is ours. */
static int create_function(struct kernel *kernel, const struct kernel_spec *spec) {
    cl_program program = NULL;
    cl_int code;
    TRY(program_get(&program, kernel->device, spec));
    kernel->kernel = clCreateKernel(program, spec->function, &code);
    if (code == CL_SUCCESS)
        return check_limits(kernel, spec);
    kernel->kernel = NULL;
    (void)cl_error(kernel->device, code, "clCreateKernel");
    return error_prefix(ERROR_DEVICE, "%s of %s: ", spec->function, spec->file);
}

int kernel_create(struct kernel **out, struct device *device, const struct kernel_spec *spec) {
    struct kernel *kernel = calloc(1, sizeof *kernel);
    if (!kernel)
        return error_no_memory("a kernel", sizeof *kernel);
    kernel->device = device;
    (void)snprintf(kernel->name, sizeof kernel->name, "%s", spec->function);
    kernel_set_label(kernel, "");
    memcpy(kernel->global, spec->global, sizeof kernel->global);
    memcpy(kernel->local, spec->local, sizeof kernel->local);
    int rc = kernel_is_ours(spec) ? create_function(kernel, spec) : 0;
    if (rc < 0) {
        kernel_free(kernel);
        return rc;
    }
    *out = kernel;
    return 0;
}

void kernel_set_label(struct kernel *kernel, const char *who) {
    (void)snprintf(kernel->label, sizeof kernel->label, "%s%s%s", who, who[0] ? ": " : "",
                   kernel->name);
}

void kernel_free(struct kernel *kernel) {
    if (!kernel)
        return;
    error_hold();
    if (kernel->device->is_profiling) /* its launches' times go to it */
        (void)device_collect_times(kernel->device);
    error_release();
    if (kernel->kernel)
        (void)clReleaseKernel(kernel->kernel);
    free(kernel);
}

struct device *kernel_device(const struct kernel *kernel) {
    return kernel->device;
}

int kernel_is_mute(const struct kernel *kernel) {
    return kernel->is_mute;
}

int kernel_is_blas(const struct kernel *kernel) {
    return !kernel->kernel;
}

const char *kernel_label(const struct kernel *kernel) {
    return kernel->label;
}

double kernel_seconds(const struct kernel *kernel) {
    return kernel->seconds;
}

void kernel_reset_time(struct kernel *kernel) {
    kernel->seconds = 0;
}

void kernel_mute(struct kernel *kernel, int is_mute) {
    kernel->is_mute = is_mute;
}

void kernel_add_time(struct kernel *kernel, double seconds) {
    kernel->seconds += seconds;
}

const char *kernel_name(const struct kernel *kernel) {
    return kernel->name;
}

static cl_int set_arguments(struct kernel *kernel, const struct kernel_argument *arguments,
                            size_t count) {
    cl_int code = CL_SUCCESS;
    for (size_t i = 0; code == CL_SUCCESS && i < count; i++) {
        const struct kernel_argument *a = &arguments[i];
        if (a->value)
            code = clSetKernelArg(kernel->kernel, (cl_uint)i, a->size, a->value);
        else
            code = clSetKernelArg(kernel->kernel, (cl_uint)i, sizeof(cl_mem), &a->buffer->memory);
    }
    return code;
}

static int launch_failed(const struct kernel *kernel, cl_int code) {
    (void)cl_error(kernel->device, code, "launch");
    return error_prefix(ERROR_DEVICE, "kernel %s: ", kernel->name);
}

int kernel_launch(struct kernel *kernel, const struct kernel_argument *arguments, size_t count) {
    if (kernel->is_mute)
        return 0;
    cl_int code = set_arguments(kernel, arguments, count);
    struct device *device = kernel->device;
    cl_event event = NULL;
    if (code == CL_SUCCESS)
        code = trial_launch(device, device->queue);
    device_note_begins(device);
    if (code == CL_SUCCESS)
        code =
            clEnqueueNDRangeKernel(device->queue, kernel->kernel, 3, NULL, kernel->global,
                                   kernel->local[0] ? kernel->local : NULL, 0, NULL,
                                   pulse_is_wanted(device) ? &event : device_event(device, &event));
    device_note(device, QUEUE_KERNELS, event, kernel->label, kernel);
    return code == CL_SUCCESS ? 0 : launch_failed(kernel, code);
}

int kernel_launch_beside(struct kernel *kernel, const struct mark *after, struct mark *done,
                         const struct kernel_argument *arguments, size_t count) {
    struct device *device = kernel->device;
    cl_event event = NULL, earlier = after->event;
    cl_int code = set_arguments(kernel, arguments, count);
    if (code == CL_SUCCESS)
        code = trial_launch(device, device->transfers);
    if (code == CL_SUCCESS)
        code = clEnqueueNDRangeKernel(device->transfers, kernel->kernel, 3, NULL, kernel->global,
                                      kernel->local[0] ? kernel->local : NULL, earlier ? 1 : 0,
                                      earlier ? &earlier : NULL, &event);
    if (code != CL_SUCCESS)
        return launch_failed(kernel, code);
    if ((device->is_profiling || pulse_is_wanted(device)) && clRetainEvent(event) == CL_SUCCESS)
        device_note(device, QUEUE_TRANSFERS, event, kernel->label, kernel);
    mark_free(done);
    done->event = event;
    CL_TRY(device, clFlush(device->transfers));
    return 0;
}
