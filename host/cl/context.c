/* Contexts: one for each device, or one for those of a platform. */
#include "cl/internal.h"

#include <stdlib.h>

static cl_platform_id platform_of(const struct device *device) {
    cl_platform_id platform;
    return clGetDeviceInfo(device->id, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL) ==
                   CL_SUCCESS
               ? platform
               : NULL;
}

/* The different ids among the devices of the first one's platform: a device may be there twice. */
static cl_uint list_ids(cl_device_id *ids, struct device *const *devices, int count) {
    cl_platform_id platform = platform_of(devices[0]);
    cl_uint used = 0;
    for (int i = 0; i < count; i++) {
        cl_uint at = 0;
        if (platform_of(devices[i]) != platform)
            continue;
        while (at < used && ids[at] != devices[i]->id)
            at++;
        if (at == used)
            ids[used++] = devices[i]->id;
    }
    return used;
}

/* One for the first device and for those of the others that are of its platform. Where the platform
 * grants none there is none, and that is no failure. */
static int share(struct device *const *devices, int count) {
    cl_platform_id platform = platform_of(devices[0]);
    cl_device_id *ids = calloc((size_t)count, sizeof(cl_device_id));
    cl_int code;
    if (!ids)
        return error_no_memory("a context", (size_t)count * sizeof(cl_device_id));
    cl_context context =
        clCreateContext(NULL, list_ids(ids, devices, count), ids, NULL, NULL, &code);
    free(ids);
    for (int i = 0; code == CL_SUCCESS && i < count; i++) {
        if (platform_of(devices[i]) == platform && clRetainContext(context) == CL_SUCCESS)
            devices[i]->context = context;
    }
    if (code == CL_SUCCESS)
        (void)clReleaseContext(context);
    return 0;
}

static int create(struct device *device) {
    cl_int code;
    device->context = clCreateContext(NULL, 1, &device->id, NULL, NULL, &code);
    return code == CL_SUCCESS ? 0 : cl_error(device, code, "clCreateContext");
}

int contexts_create(struct device **devices, int count, int is_shared) {
    for (int i = 0; i < count; i++) {
        if (is_shared && !devices[i]->context)
            TRY(share(devices + i, count - i));
        if (!devices[i]->context)
            TRY(create(devices[i]));
    }
    return 0;
}

int device_shares_context(const struct device *a, const struct device *b) {
    return a->context == b->context;
}
