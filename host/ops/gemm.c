#include "ops/gemm.h"

#include "base/error.h"
#include "cl/blas.h"

/* Whether the vector kernels can run a product: one index must be made of whole vectors. */
static int fits_vectors(const struct gemm *gemm, int vector) {
    if (gemm->transpose_b)
        return gemm->k % vector == 0 && !gemm->transpose_a && gemm->stride_c == 0;
    return gemm->n % vector == 0;
}

enum gemm_provider gemm_provider(const struct gemm *gemm, const struct target *target) {
    if (target->technique == TECHNIQUE_REFERENCE)
        return GEMM_REFERENCE;
    if (target->technique == TECHNIQUE_AUTO && !target->device.is_cpu)
        return GEMM_CLBLAST;
    return fits_vectors(gemm, target_vector(target)) ? GEMM_VECTOR : GEMM_REFERENCE;
}

static size_t blocks(int size, int block) {
    return (size_t)((size + block - 1) / block);
}

static struct kernel_spec vector_spec(const struct gemm *gemm, const struct target *target) {
    int vector = target_vector(target);
    int rows, vectors = 1, columns = 1;
    struct kernel_spec spec;
    if (gemm->transpose_b) {
        rows = target_registers(target) >= 32 ? 6 : 4;
        columns = target_registers(target) >= 32 ? 4 : 3;
        spec = kernel_spec("gemm_vector.cl", "gemm_lanes_sum", blocks(gemm->n, columns),
                           blocks(gemm->m, rows), 1);
    } else {
        vectors = gemm->n % (2 * vector) == 0 ? 2 : 1;
        rows = target_registers(target) >= 32 ? 12 : 6;
        spec = kernel_spec("gemm_vector.cl", "gemm_lanes_n", (size_t)(gemm->n / (vector * vectors)),
                           blocks(gemm->m, rows), 1);
    }
    if (target->device.is_cpu)
        spec.local[0] = spec.local[1] = spec.local[2] = 1;
    kernel_define(&spec, "TUNE_VECTOR", vector);
    kernel_define(&spec, "TUNE_VECTORS", vectors);
    kernel_define(&spec, "TUNE_ROWS", rows);
    kernel_define(&spec, "TUNE_COLUMNS", columns);
    kernel_define(&spec, "TUNE_DEPTH", 512);
    return spec;
}

struct kernel_spec gemm_spec(const struct gemm *gemm, const struct target *target,
                             enum gemm_provider provider) {
    struct kernel_spec spec = {0};
    if (provider == GEMM_CLBLAST)
        return spec;
    if (provider == GEMM_VECTOR)
        spec = vector_spec(gemm, target);
    else
        spec = kernel_spec("gemm_reference.cl", "gemm", (size_t)gemm->n, (size_t)gemm->m,
                           gemm->stride_c ? (size_t)gemm->batch : 1);
    kernel_define(&spec, "M", gemm->m);
    kernel_define(&spec, "N", gemm->n);
    kernel_define(&spec, "N_SUM", gemm->k);
    kernel_define(&spec, "TRANSPOSE_A", gemm->transpose_a);
    kernel_define(&spec, "TRANSPOSE_B", gemm->transpose_b);
    kernel_define(&spec, "BATCH", gemm->batch);
    kernel_define(&spec, "STRIDE_A", gemm->stride_a);
    kernel_define(&spec, "STRIDE_B", gemm->stride_b);
    kernel_define(&spec, "STRIDE_C", gemm->stride_c);
    kernel_define(&spec, "ACCUMULATE", gemm->accumulate);
    return spec;
}

int gemm_run(const struct gemm *gemm, struct device *device, struct kernel *kernel,
             const struct buffer *a, const struct buffer *b, struct buffer *c) {
    if (kernel)
        return LAUNCH(kernel, BUFFER(a), BUFFER(b), BUFFER(c));
    for (int t = 0; t < gemm->batch; t++) {
        int add = gemm->accumulate || (gemm->stride_c == 0 && t > 0);
        TRY(blas_gemm(device, gemm->transpose_a, gemm->transpose_b, (size_t)gemm->m,
                      (size_t)gemm->n, (size_t)gemm->k, a, (size_t)(t * gemm->stride_a), b,
                      (size_t)(t * gemm->stride_b), add ? 1.0F : 0.0F, c,
                      (size_t)(t * gemm->stride_c)));
    }
    return 0;
}
