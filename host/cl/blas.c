#include "cl/blas.h"

#include "cl/internal.h"

#include <clblast_c.h>
#include <pthread.h>

/* CLBlast before 1.6.1 is not safe to call from several threads at once. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int users; /* devices that are open */

int blas_gemm(struct device *device, int transpose_a, int transpose_b, size_t m, size_t n, size_t k,
              const struct buffer *a, size_t a_offset, const struct buffer *b, size_t b_offset,
              float beta, struct buffer *c, size_t c_offset) {
    CL_TRY(device, trial_command(device, device->queue));
    (void)pthread_mutex_lock(&lock);
    CLBlastStatusCode code =
        CLBlastSgemm(CLBlastLayoutRowMajor, transpose_a ? CLBlastTransposeYes : CLBlastTransposeNo,
                     transpose_b ? CLBlastTransposeYes : CLBlastTransposeNo, m, n, k, 1.0F,
                     a->memory, a_offset, transpose_a ? m : k, b->memory, b_offset,
                     transpose_b ? k : n, beta, c->memory, c_offset, n, &device->queue, NULL);
    (void)pthread_mutex_unlock(&lock);
    if (code != CLBlastSuccess)
        return error_set(ERROR_DEVICE, "device %d (%s): CLBlastSgemm of %zu x %zu x %zu: %s (%d)",
                         device->info.index, device->info.name, m, n, k,
                         cl_error_name((cl_int)code), (int)code);
    return 0;
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
