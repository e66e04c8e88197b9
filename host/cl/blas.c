#include "cl/blas.h"

#include "cl/internal.h"

#include <clblast_c.h>
#include <pthread.h>

/* CLBlast before 1.6.1 is not safe to call from several threads at once. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int users; /* devices that are open */

static int mark(struct device *device, cl_event *event) {
    CL_TRY(device, clEnqueueMarkerWithWaitList(device->queue, 0, NULL, event));
    return 0;
}

static CLBlastStatusCode multiply(struct device *device, int transpose_a, int transpose_b, size_t m,
                                  size_t n, size_t k, const struct buffer *a, size_t a_offset,
                                  const struct buffer *b, size_t b_offset, float beta,
                                  struct buffer *c, size_t c_offset) {
    (void)pthread_mutex_lock(&lock);
    CLBlastStatusCode code =
        CLBlastSgemm(CLBlastLayoutRowMajor, transpose_a ? CLBlastTransposeYes : CLBlastTransposeNo,
                     transpose_b ? CLBlastTransposeYes : CLBlastTransposeNo, m, n, k, 1.0F,
                     a->memory, a_offset, transpose_a ? m : k, b->memory, b_offset,
                     transpose_b ? k : n, beta, c->memory, c_offset, n, &device->queue, NULL);
    (void)pthread_mutex_unlock(&lock);
    return code;
}

int blas_gemm(struct kernel *kernel, int transpose_a, int transpose_b, size_t m, size_t n, size_t k,
              const struct buffer *a, size_t a_offset, const struct buffer *b, size_t b_offset,
              float beta, struct buffer *c, size_t c_offset) {
    struct device *device = kernel_device(kernel);
    cl_event before = NULL, after = NULL;
    if (kernel_is_mute(kernel))
        return 0;
    CL_TRY(device, trial_command(device, device->queue));
    device_note_begins(device);
    if (device->is_profiling) /* it is several kernels, whose time is from marker to marker */
        TRY(mark(device, &before));
    CLBlastStatusCode code = multiply(device, transpose_a, transpose_b, m, n, k, a, a_offset, b,
                                      b_offset, beta, c, c_offset);
    int rc = device->is_profiling || pulse_is_wanted(device) ? mark(device, &after) : 0;
    device_note_several(device, QUEUE_KERNELS, before, after, kernel_label(kernel), kernel);
    if (code != CLBlastSuccess)
        return error_set(ERROR_DEVICE, "device %d (%s): CLBlastSgemm of %zu x %zu x %zu: %s (%d)",
                         device->info.index, device->info.name, m, n, k,
                         cl_error_name((cl_int)code), (int)code);
    return rc;
}

void blas_use(void) {
    (void)pthread_mutex_lock(&lock);
    users++;
    (void)pthread_mutex_unlock(&lock);
}

void blas_leave(void) {
    (void)pthread_mutex_lock(&lock);
    if (--users == 0)
        (void)CLBlastClearCache();
    (void)pthread_mutex_unlock(&lock);
}
