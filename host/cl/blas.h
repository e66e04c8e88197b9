/* Matrix products by CLBlast. */
#ifndef CL_BLAS_H
#define CL_BLAS_H

#include "cl/kernel.h"

/* Enqueues C = op(A) op(B) + beta C, row by row: op(A) is M x K, op(B) K x N, C M x N; offsets in
 * floats; op transposes when the flag says so, and rows are contiguous. The kernel is one of
 * kernel_spec_of_blas, which gets the time and may be mute. */
int blas_gemm(struct kernel *kernel, int transpose_a, int transpose_b, size_t m, size_t n, size_t k,
              const struct buffer *a, size_t a_offset, const struct buffer *b, size_t b_offset,
              float beta, struct buffer *c, size_t c_offset);

/* Called once for each device that is opened, and once before its context goes. The last one has
 * CLBlast forget its compiled kernels, of all devices: what a static object of CLBlast held until
 * the end of the process would outlive the OpenCL implementation. */
void blas_use(void);
void blas_leave(void);

#endif
