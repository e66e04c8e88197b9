#include "cl/kernel.h"

#include "cl/internal.h"
#include "cl/source.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 4096 };

struct program {
    struct program *next;
    const char *file;
    char *options;
    cl_program program;
};

struct kernel {
    struct device *device;
    cl_kernel kernel;
    char name[64];
    char label[128]; /* for traces */
    size_t global[3], local[3];
    double seconds; /* of its launches, when profiling */
};

struct kernel_spec kernel_spec(const char *file, const char *function, size_t global0,
                               size_t global1, size_t global2) {
    return (struct kernel_spec){
        .file = file, .function = function, .global = {global0, global1, global2}};
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

const char *kernel_text(const char *file) {
    for (const struct kernel_source *source = kernel_sources; source->name; source++) {
        if (strcmp(source->name, file) == 0)
            return source->text;
    }
    return NULL;
}

static void write_options(char options[OPTIONS_MAX], const struct device *device,
                          const struct kernel_spec *spec) {
    int used = 0;
    /* A device that knows only OpenCL C 1.0 or 1.1 rejects the option, and may still cope. */
    if (strncmp(device->info.version, "OpenCL 1.0", 10) != 0 &&
        strncmp(device->info.version, "OpenCL 1.1", 10) != 0)
        used = snprintf(options, OPTIONS_MAX, "-cl-std=CL1.2");
    used += snprintf(options + used, (size_t)(OPTIONS_MAX - used), " -DHAVE_FMA=%d",
                     device->info.has_fma);
    for (int i = 0; i < spec->define_count; i++) {
        used += snprintf(options + used, (size_t)(OPTIONS_MAX - used), " -D%s=%s",
                         spec->defines[i].name, spec->defines[i].value);
        assert(used < OPTIONS_MAX);
    }
}

static int build_failed(struct device *device, cl_program program, const char *file,
                        const char *options, cl_int code) {
    size_t length = 0;
    char *log = NULL;
    if (clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &length) ==
            CL_SUCCESS &&
        (log = calloc(1, length + 1)) != NULL)
        (void)clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, length, log, NULL);
    int rc =
        error_set(ERROR_DEVICE,
                  "device %d (%s): cannot build %s: %s\nwith the macros %s\nthe compiler said:\n%s",
                  device->info.index, device->info.name, file, cl_error_name(code), options,
                  log && log[0] ? log : "nothing");
    free(log);
    return rc;
}

/* Compiles a file with options, or finds it compiled. */
static int get_program(cl_program *out, struct device *device, const char *file,
                       const char *options) {
    for (struct program *known = device->programs; known; known = known->next) {
        if (known->file == file && strcmp(known->options, options) == 0) {
            *out = known->program;
            return 0;
        }
    }
    const char *texts[] = {kernel_text("common.clh"), kernel_text("philox.clh"), kernel_text(file)};
    assert(texts[0] && texts[1] && texts[2]);

    struct program *entry = calloc(1, sizeof *entry);
    char *copy = strdup(options);
    if (!entry || !copy) {
        free(entry);
        free(copy);
        return error_no_memory("a program", sizeof *entry);
    }
    cl_int code;
    const char *call = "clCreateProgramWithSource";
    cl_program program = clCreateProgramWithSource(device->context, 3, texts, NULL, &code);
    if (code == CL_SUCCESS) {
        call = NULL;
        code = clBuildProgram(program, 1, &device->id, options, NULL, NULL);
    }
    if (code != CL_SUCCESS) {
        int rc = call ? cl_error(device, code, call)
                      : build_failed(device, program, file, options, code);
        if (program)
            (void)clReleaseProgram(program);
        free(entry);
        free(copy);
        return rc;
    }
    *entry = (struct program){
        .next = device->programs, .file = file, .options = copy, .program = program};
    device->programs = entry;
    *out = program;
    return 0;
}

void programs_free(struct device *device) {
    while (device->programs) {
        struct program *entry = device->programs;
        device->programs = entry->next;
        (void)clReleaseProgram(entry->program);
        free(entry->options);
        free(entry);
    }
}

int kernel_create(struct kernel **out, struct device *device, const struct kernel_spec *spec) {
    char options[OPTIONS_MAX];
    cl_program program = NULL;
    write_options(options, device, spec);
    TRY(get_program(&program, device, spec->file, options));

    struct kernel *kernel = calloc(1, sizeof *kernel);
    if (!kernel)
        return error_no_memory("a kernel", sizeof *kernel);
    kernel->device = device;
    (void)snprintf(kernel->name, sizeof kernel->name, "%s", spec->function);
    kernel_set_label(kernel, "");
    memcpy(kernel->global, spec->global, sizeof kernel->global);
    memcpy(kernel->local, spec->local, sizeof kernel->local);
    cl_int code;
    kernel->kernel = clCreateKernel(program, spec->function, &code);
    if (code != CL_SUCCESS) {
        free(kernel);
        (void)cl_error(device, code, "clCreateKernel");
        return error_prefix(ERROR_DEVICE, "%s of %s: ", spec->function, spec->file);
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
    (void)clReleaseKernel(kernel->kernel);
    free(kernel);
}

double kernel_seconds(const struct kernel *kernel) {
    return kernel->seconds;
}

void kernel_reset_time(struct kernel *kernel) {
    kernel->seconds = 0;
}

void kernel_add_time(struct kernel *kernel, double seconds) {
    kernel->seconds += seconds;
}

const char *kernel_name(const struct kernel *kernel) {
    return kernel->name;
}

/* Whether CLNET_DEVICE_LIMITS has the device fail by now. */
static int fails_now(struct device *device) {
    return device->launches++ >= device->info.fails_after && device->info.fails_after > 0;
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
    return fails_now(kernel->device) ? CL_OUT_OF_RESOURCES : code;
}

static int launch_failed(const struct kernel *kernel, cl_int code) {
    (void)cl_error(kernel->device, code, "launch");
    return error_prefix(ERROR_DEVICE, "kernel %s: ", kernel->name);
}

int kernel_launch(struct kernel *kernel, const struct kernel_argument *arguments, size_t count) {
    cl_int code = set_arguments(kernel, arguments, count);
    cl_event event = NULL;
    if (code == CL_SUCCESS)
        code = clEnqueueNDRangeKernel(kernel->device->queue, kernel->kernel, 3, NULL,
                                      kernel->global, kernel->local[0] ? kernel->local : NULL, 0,
                                      NULL, device_event(kernel->device, &event));
    device_note(kernel->device, QUEUE_KERNELS, event, kernel->label, kernel);
    return code == CL_SUCCESS ? 0 : launch_failed(kernel, code);
}

int kernel_launch_beside(struct kernel *kernel, const struct mark *after, struct mark *done,
                         const struct kernel_argument *arguments, size_t count) {
    struct device *device = kernel->device;
    cl_event event = NULL, earlier = after->event;
    cl_int code = set_arguments(kernel, arguments, count);
    if (code == CL_SUCCESS)
        code = clEnqueueNDRangeKernel(device->transfers, kernel->kernel, 3, NULL, kernel->global,
                                      kernel->local[0] ? kernel->local : NULL, earlier ? 1 : 0,
                                      earlier ? &earlier : NULL, &event);
    if (code != CL_SUCCESS)
        return launch_failed(kernel, code);
    if (device->is_profiling && clRetainEvent(event) == CL_SUCCESS)
        device_note(device, QUEUE_TRANSFERS, event, kernel->label, kernel);
    mark_free(done);
    done->event = event;
    CL_TRY(device, clFlush(device->transfers));
    return 0;
}
