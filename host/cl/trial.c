/* A device that fails, or hangs, because CLNET_DEVICE_LIMITS says so. */
#include "cl/internal.h"

/* What the queue holds from here on waits for an event that nobody ever sets. */
static cl_int hang(struct device *device, cl_command_queue queue) {
    cl_int code;
    device->hang = clCreateUserEvent(device->context, &code);
    return code == CL_SUCCESS ? clEnqueueBarrierWithWaitList(queue, 1, &device->hang, NULL) : code;
}

cl_int trial_command(struct device *device, cl_command_queue queue) {
    uint64_t before = atomic_fetch_add(&device->enqueued, 1);
    if (device->info.fails_after && before >= device->info.fails_after)
        return CL_OUT_OF_RESOURCES;
    if (device->info.hangs_after && before == device->info.hangs_after)
        return hang(device, queue);
    return CL_SUCCESS;
}

cl_int trial_launch(struct device *device, cl_command_queue queue) {
    uint64_t before = atomic_fetch_add(&device->launches, 1);
    if (device->info.launches_fail_after && before >= device->info.launches_fail_after)
        return CL_OUT_OF_RESOURCES;
    return trial_command(device, queue);
}

void trial_end(struct device *device) {
    if (!device->hang)
        return;
    (void)clSetUserEventStatus(device->hang, CL_COMPLETE);
    (void)clReleaseEvent(device->hang);
    device->hang = NULL;
}
