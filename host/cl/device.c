#include "cl/device.h"

#include "cl/blas.h"
#include "cl/internal.h"
#include "cl/limits_override.h"
#include "cl/quirks.h"
#include "cl/source.h"
#include "cl/store.h"
#include "cl/tuning_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PLATFORMS_MAX = 64, DEVICES_MAX = 256 };

/* Every device id, in the order of the platforms and of the devices in them. */
struct device_ids {
    cl_device_id ids[DEVICES_MAX];
    int count;
};

static int find_ids(struct device_ids *found) {
    cl_platform_id platforms[PLATFORMS_MAX];
    cl_uint platform_count = 0;
    found->count = 0;
    cl_int code = clGetPlatformIDs(PLATFORMS_MAX, platforms, &platform_count);
    if (code != CL_SUCCESS || platform_count == 0)
        return error_set(ERROR_DEVICE,
                         "no OpenCL platform is installed; install your GPU's OpenCL driver, or "
                         "PoCL for the CPU (Debian: pocl-opencl-icd), as ./setup does");
    if (platform_count > PLATFORMS_MAX)
        platform_count = PLATFORMS_MAX;
    for (cl_uint p = 0; p < platform_count && found->count < DEVICES_MAX; p++) {
        cl_uint count = 0;
        cl_uint room = (cl_uint)(DEVICES_MAX - found->count);
        code = clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, room, found->ids + found->count,
                              &count);
        if (code == CL_SUCCESS)
            found->count += (int)(count < room ? count : room);
    }
    if (found->count == 0)
        return error_set(ERROR_DEVICE,
                         "OpenCL is installed (%u platforms) but offers no device; install your "
                         "GPU's OpenCL driver, or PoCL for the CPU (Debian: pocl-opencl-icd)",
                         platform_count);
    return 0;
}

static void query_text(cl_device_id id, cl_device_info what, char text[DEVICE_TEXT]) {
    char whole[1024] = "";
    if (clGetDeviceInfo(id, what, sizeof whole, whole, NULL) != CL_SUCCESS)
        whole[0] = '\0';
    (void)snprintf(text, DEVICE_TEXT, "%.*s", DEVICE_TEXT - 1, whole + strspn(whole, " "));
    for (size_t end = strlen(text); end && text[end - 1] == ' '; end--)
        text[end - 1] = '\0';
}

static uint64_t query_number(cl_device_id id, cl_device_info what, size_t size) {
    union {
        cl_uint u32;
        cl_ulong u64;
        unsigned char bytes[64];
    } value = {.u64 = 0};
    if (size > sizeof value || clGetDeviceInfo(id, what, size, &value, NULL) != CL_SUCCESS)
        return 0;
    return size == sizeof(cl_uint) ? value.u32 : value.u64;
}

#define QUERY(id, what, type) query_number(id, what, sizeof(type))

static void query_platform(cl_device_id id, char text[DEVICE_TEXT]) {
    cl_platform_id platform;
    char name[DEVICE_TEXT] = "";
    if (clGetDeviceInfo(id, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL) == CL_SUCCESS)
        (void)clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof name - 1, name, NULL);
    memcpy(text, name, sizeof name);
}

static int query_sub_devices(cl_device_id id) {
    cl_device_partition_property properties[16] = {0};
    size_t size = 0;
    if (clGetDeviceInfo(id, CL_DEVICE_PARTITION_PROPERTIES, sizeof properties, properties, &size) !=
            CL_SUCCESS ||
        size > sizeof properties)
        return 0;
    /* Asked, as cl/quirks.h says. */
    for (size_t i = 0; i < size / sizeof properties[0]; i++) {
        if (properties[i] == CL_DEVICE_PARTITION_EQUALLY)
            return (int)QUERY(id, CL_DEVICE_PARTITION_MAX_SUB_DEVICES, cl_uint);
    }
    return 0;
}

/* OpenCL tells the size of one cache, and not which. A CPU that is a device is the host's. */
static void query_caches(struct device_info *info) {
#if defined(_SC_LEVEL1_DCACHE_SIZE) && defined(_SC_LEVEL2_CACHE_SIZE)
    static const int names[] = {_SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL2_CACHE_SIZE};
    for (int i = 0; info->is_cpu && i < 2; i++) {
        long bytes = sysconf(names[i]);
        info->cache[i] = bytes > 0 ? (size_t)bytes : 0;
    }
#else
    (void)info;
#endif
}

#ifndef CL_DEVICE_SUB_GROUP_SIZES_INTEL
#define CL_DEVICE_SUB_GROUP_SIZES_INTEL 0x4108 /* cl_intel_required_subgroup_size */
#endif

static int query_sub_group(cl_device_id id) {
    size_t sizes[16], bytes = 0, least = 0;
    if (clGetDeviceInfo(id, CL_DEVICE_SUB_GROUP_SIZES_INTEL, sizeof sizes, sizes, &bytes) !=
        CL_SUCCESS)
        return 0;
    for (size_t i = 0; i < bytes / sizeof *sizes; i++)
        least = least == 0 || sizes[i] < least ? sizes[i] : least;
    return (int)least;
}

/* What the list of extensions tells. */
static void query_extensions(struct device_info *info, cl_device_id id) {
    size_t length = 0;
    if (clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, 0, NULL, &length) != CL_SUCCESS || length == 0)
        return;
    char *extensions = calloc(1, length + 1);
    if (extensions &&
        clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, length, extensions, NULL) == CL_SUCCESS) {
        info->has_fp16 = strstr(extensions, "cl_khr_fp16") != NULL;
        if (strstr(extensions, "cl_intel_subgroups") &&
            strstr(extensions, "cl_intel_required_subgroup_size"))
            info->sub_group = query_sub_group(id);
    }
    free(extensions);
}

/* Of work-groups along the first dimension, as all of ours are: some devices take fewer there than
 * in all. */
static size_t query_work_group_max(cl_device_id id) {
    size_t sizes[16] = {0}, most = (size_t)QUERY(id, CL_DEVICE_MAX_WORK_GROUP_SIZE, size_t);
    if (clGetDeviceInfo(id, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof sizes, sizes, NULL) !=
            CL_SUCCESS ||
        sizes[0] == 0)
        return most;
    return sizes[0] < most ? sizes[0] : most;
}

static int query(struct device_info *out, cl_device_id id, int index) {
    struct device_info info = {.index = index, .kind = "other"};
    query_text(id, CL_DEVICE_NAME, info.name);
    query_text(id, CL_DEVICE_VENDOR, info.vendor);
    query_text(id, CL_DRIVER_VERSION, info.driver);
    query_text(id, CL_DEVICE_VERSION, info.version);
    query_platform(id, info.platform);

    cl_device_type type = QUERY(id, CL_DEVICE_TYPE, cl_device_type);
    if (type & CL_DEVICE_TYPE_CPU)
        info.kind = "CPU";
    else if (type & CL_DEVICE_TYPE_GPU)
        info.kind = "GPU";
    else if (type & CL_DEVICE_TYPE_ACCELERATOR)
        info.kind = "accelerator";
    info.is_cpu = (type & CL_DEVICE_TYPE_CPU) != 0;
    info.is_unified = QUERY(id, CL_DEVICE_HOST_UNIFIED_MEMORY, cl_bool) != 0;
    info.compute_units = (int)QUERY(id, CL_DEVICE_MAX_COMPUTE_UNITS, cl_uint);
    info.clock_mhz = (int)QUERY(id, CL_DEVICE_MAX_CLOCK_FREQUENCY, cl_uint);
    info.vector_width = (int)QUERY(id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, cl_uint);
    info.has_fma = (QUERY(id, CL_DEVICE_SINGLE_FP_CONFIG, cl_device_fp_config) & CL_FP_FMA) != 0;
    info.has_fp64 = QUERY(id, CL_DEVICE_DOUBLE_FP_CONFIG, cl_device_fp_config) != 0;
    info.sub_devices = query_sub_devices(id);
    info.work_group_max = query_work_group_max(id);
    info.global_memory = QUERY(id, CL_DEVICE_GLOBAL_MEM_SIZE, cl_ulong);
    info.local_memory = QUERY(id, CL_DEVICE_LOCAL_MEM_SIZE, cl_ulong);
    info.allocation_max = QUERY(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, cl_ulong);
    info.alignment = (size_t)QUERY(id, CL_DEVICE_MEM_BASE_ADDR_ALIGN, cl_uint) / 8;

    query_caches(&info);
    query_extensions(&info, id);
    TRY(limits_override(&info, getenv("CLNET_DEVICE_LIMITS")));
    if (info.is_cpu) /* its work-items are no lanes of a register */
        info.sub_group = 0;
    info.quirks = quirks_find(&info);
    *out = info;
    return 0;
}

int devices_list(struct device_info **out, int *count) {
    struct device_ids found;
    TRY(find_ids(&found));
    struct device_info *devices = calloc((size_t)found.count, sizeof *devices);
    if (!devices)
        return error_no_memory("the list of devices", sizeof *devices);
    for (int i = 0; i < found.count; i++) {
        int rc = query(&devices[i], found.ids[i], i);
        if (rc < 0) {
            free(devices);
            return rc;
        }
    }
    *out = devices;
    *count = found.count;
    return 0;
}

int devices_best(const struct device_info *devices, int count) {
    int best = 0;
    double most = -1;
    for (int i = 0; i < count; i++) {
        double score = (double)devices[i].compute_units * (devices[i].clock_mhz + 1);
        if (!devices[i].is_cpu)
            score += 1e12;
        if (score > most) {
            most = score;
            best = i;
        }
    }
    return best;
}

/* Splits the device and has the part in its place, for as long as the process lives (quirks.h). */
static int take_part(struct device *device, const struct device_choice *choice) {
    struct device_info *info = &device->info;
    TRY(choice_check_parts(choice, info));
    cl_device_partition_property units = info->compute_units / choice->parts;
    const cl_device_partition_property equally[] = {CL_DEVICE_PARTITION_EQUALLY, units, 0};
    cl_device_id parts[DEVICES_MAX];
    cl_uint count = 0;
    CL_TRY(device, clCreateSubDevices(device->id, equally, 0, NULL, &count));
    if (count < (cl_uint)choice->parts || count > DEVICES_MAX)
        return error_set(ERROR_DEVICE, "device %d (%s): %u parts came of splitting it into %d",
                         info->index, info->name, count, choice->parts);
    CL_TRY(device, clCreateSubDevices(device->id, equally, count, parts, NULL));
    for (cl_uint i = 0; i < count; i++) {
        if (i != (cl_uint)choice->part)
            (void)clReleaseDevice(parts[i]);
    }
    device->id = parts[choice->part];
    char name[DEVICE_TEXT];
    memcpy(name, info->name, sizeof name);
    TRY(query(info, device->id, info->index));
    (void)snprintf(info->name, sizeof info->name, "%.90s (part %d of %d)", name, choice->part + 1,
                   choice->parts);
    return 0;
}

static int create_queues(struct device *device, int is_profiling) {
    cl_int code;
    blas_use();
    device->is_counted = 1;
    device->is_profiling = is_profiling;
    cl_command_queue *queues[] = {&device->queue, &device->transfers, &device->windows};
    for (int i = 0; i < QUEUES; i++) {
        *queues[i] = clCreateCommandQueue(device->context, device->id,
                                          is_profiling ? CL_QUEUE_PROFILING_ENABLE : 0, &code);
        if (code != CL_SUCCESS)
            return cl_error(device, code, "clCreateCommandQueue");
    }
    return 0;
}

static int load_tunings(struct tunings **out, const struct device_info *info, struct store *store) {
    char key[DEVICE_KEY];
    *out = tunings_create();
    if (!*out)
        return error_no_memory("tunings", 0);
    TRY(tuning_file_add_shipped(*out, info, shipped_tunings));
    device_key(key, info);
    return store_find_tunings(store, key, *out);
}

int device_find_tunings(struct tunings **out, const struct device_info *info) {
    struct store *store = store_open(NULL);
    int rc = load_tunings(out, info, store);
    store_close(store);
    if (rc < 0) {
        tunings_free(*out);
        *out = NULL;
    }
    return rc;
}

/* The device, as yet without a context. */
static int take_device(struct device **out, const struct device_ids *found,
                       struct device_choice choice) {
    TRY(choice_check_index(choice.index, found->count));
    struct device *device = calloc(1, sizeof *device);
    if (!device)
        return error_no_memory("a device", sizeof *device);
    pthread_mutex_init(&device->lock, NULL);
    pthread_mutex_init(&device->pulse_lock, NULL);
    device->store = store_open(NULL);
    device->id = found->ids[choice.index];
    *out = device;
    TRY(query(&device->info, device->id, choice.index));
    if (choice.parts > 1)
        TRY(take_part(device, &choice));
    return load_tunings(&device->tunings, &device->info, device->store);
}

static int open_all(struct device **devices, const struct device_choice *choices, int count,
                    int flags) {
    struct device_ids found;
    TRY(find_ids(&found));
    for (int i = 0; i < count; i++)
        TRY(take_device(&devices[i], &found, choices[i]));
    TRY(contexts_create(devices, count, flags & DEVICES_SHARE_CONTEXT));
    for (int i = 0; i < count; i++)
        TRY(create_queues(devices[i], flags & DEVICES_PROFILING));
    return 0;
}

int devices_open(struct device **out, const struct device_choice *choices, int count, int flags) {
    for (int i = 0; i < count; i++)
        out[i] = NULL;
    int rc = open_all(out, choices, count, flags);
    for (int i = 0; rc < 0 && i < count; i++) {
        device_close(out[i]);
        out[i] = NULL;
    }
    return rc;
}

int device_open(struct device **out, struct device_choice choice) {
    return devices_open(out, &choice, 1, 0);
}

int device_open_profiling(struct device **out, struct device_choice choice) {
    return devices_open(out, &choice, 1, DEVICES_PROFILING);
}

void device_close(struct device *device) {
    if (!device)
        return;
    cl_command_queue queues[] = {device->windows, device->transfers, device->queue};
    trial_end(device);
    timeline_free(device);
    pulse_free(device);
    /* A driver's threads that still compile while the process exits crash it. */
    for (int i = 0; i < QUEUES; i++) {
        if (queues[i])
            (void)queue_finish(device, queues[i]);
    }
    programs_free(device);
    tunings_free(device->tunings);
    store_close(device->store);
    if (device->is_counted)
        blas_leave();
    for (int i = 0; i < QUEUES; i++) {
        if (queues[i])
            (void)clReleaseCommandQueue(queues[i]);
    }
    if (device->context)
        (void)clReleaseContext(device->context);
    pthread_mutex_destroy(&device->lock);
    pthread_mutex_destroy(&device->pulse_lock);
    free(device);
}

const struct device_info *device_info(const struct device *device) {
    return &device->info;
}

void device_key(char key[DEVICE_KEY], const struct device_info *info) {
    (void)snprintf(key, DEVICE_KEY, "%s\n%s\n%s\n%s", info->platform, info->name, info->driver,
                   info->version);
}

struct tunings *device_tunings(const struct device *device) {
    return device->tunings;
}

int device_keep_tuning(struct device *device, const struct tuning *tuning) {
    char key[DEVICE_KEY];
    device_key(key, &device->info);
    (void)store_keep_tuning(device->store, key, tuning);
    return tunings_set(device->tunings, tuning);
}

uint64_t device_allocated(const struct device *device) {
    return device->allocated;
}

int device_flush(struct device *device) {
    CL_TRY(device, clFlush(device->queue));
    return 0;
}

cl_int queue_finish(struct device *device, cl_command_queue queue) {
    cl_event event;
    cl_int code = clEnqueueMarkerWithWaitList(queue, 0, NULL, &event);
    if (code != CL_SUCCESS)
        return code;
    code = pulse_wait(device, event);
    (void)clReleaseEvent(event);
    return code;
}

/* All of them, also when one fails: memory that they work on may go away after it. */
int device_finish(struct device *device) {
    const cl_command_queue queues[] = {device->transfers, device->windows, device->queue};
    cl_int code = clFlush(device->queue); /* transfers may wait for it */
    for (int i = 0; i < QUEUES; i++) {
        cl_int finished = queue_finish(device, queues[i]);
        code = code == CL_SUCCESS ? finished : code;
    }
    CL_TRY(device, code);
    return 0;
}

int device_mark(struct device *device, struct mark *mark) {
    cl_event event;
    CL_TRY(device, clEnqueueMarkerWithWaitList(device->queue, 0, NULL, &event));
    mark_free(mark);
    mark->event = event;
    return 0;
}

int device_wait_for(struct device *device, const struct mark *mark) {
    cl_event event = mark->event;
    if (event)
        CL_TRY(device, clEnqueueBarrierWithWaitList(device->queue, 1, &event, NULL));
    return 0;
}

int mark_wait(struct device *device, const struct mark *mark) {
    cl_event event = mark->event;
    if (event)
        CL_TRY(device, pulse_wait(device, event));
    return 0;
}

void mark_free(struct mark *mark) {
    if (mark->event)
        (void)clReleaseEvent(mark->event);
    mark->event = NULL;
}
