#include "ops/limits.h"

#include "base/error.h"
#include "base/progress.h"
#include "cl/target.h"

#include <math.h>
#include <stdlib.h>

enum { ROUNDS = 1 << 16, REPETITIONS = 7, MIB = 1 << 20 };

/* Seconds of the fastest of several launches, each waited for. */
static int fastest(struct device *device, struct kernel *kernel,
                   const struct kernel_argument *arguments, size_t count, double *seconds) {
    *seconds = INFINITY;
    for (int i = 0; i < REPETITIONS; i++) {
        double start = clock_seconds();
        TRY(kernel_launch(kernel, arguments, count));
        TRY(device_finish(device));
        *seconds = fmin(*seconds, clock_seconds() - start);
    }
    return 0;
}

static struct target elementwise_target(const struct device_info *device) {
    return (struct target){.tiling = tiling_for_batch(TILE_MAX), .device = *device};
}

struct kernel_spec limits_multiply_add_spec(const struct device_info *device) {
    struct target target = elementwise_target(device);
    int vector = target_vector(&target), has_vectors = target_has_vectors(&target);
    /* On a GPU other work-items hide latency too, if their registers leave room for them. */
    int chains = !has_vectors ? 8 : target_registers(&target) >= 32 ? 24 : 12;
    int rounds = has_vectors ? ROUNDS : ROUNDS / 16;
    size_t items = (has_vectors ? 8 : 4096) * (size_t)device->compute_units;
    struct kernel_spec spec = kernel_spec("limits.cl", "limits_multiply_add", items, 1, 1);
    if (has_vectors)
        spec.local[0] = spec.local[1] = spec.local[2] = 1;
    kernel_define(&spec, "TUNE_VECTOR", vector);
    kernel_define(&spec, "TUNE_CHAINS", chains);
    kernel_define(&spec, "ROUNDS", rounds);
    kernel_work(&spec, "limits", 2.0 * vector * chains * rounds * (double)items, 0);
    return spec;
}

struct kernel_spec limits_copy_spec(const struct device_info *device, size_t floats) {
    struct target target = elementwise_target(device);
    int vector = target_vector(&target);
    struct kernel_spec spec =
        kernel_spec("limits.cl", "limits_copy", floats / (size_t)vector, 1, 1);
    kernel_define(&spec, "TUNE_VECTOR", vector);
    kernel_work(&spec, "limits", 0, 2 * sizeof(float) * (double)floats);
    return spec;
}

static int measure_flops(struct device_limits *limits, struct device *device,
                         struct buffer *buffer) {
    struct kernel_spec spec = limits_multiply_add_spec(device_info(device));
    struct kernel *kernel;
    float factor = 0.999F, term = 0.5F;
    double seconds;
    TRY(kernel_create(&kernel, device, &spec));
    const struct kernel_argument arguments[] = {BUFFER(buffer), SCALAR(factor), SCALAR(term)};
    int rc = fastest(device, kernel, arguments, 3, &seconds);
    kernel_free(kernel);
    limits->flops = spec.flops / seconds;
    return rc;
}

static int measure_copy(struct device *device, struct buffer *from, struct buffer *to,
                        size_t floats, double *seconds) {
    struct kernel_spec spec = limits_copy_spec(device_info(device), floats);
    struct kernel *kernel;
    TRY(kernel_create(&kernel, device, &spec));
    const struct kernel_argument arguments[] = {BUFFER(from), BUFFER(to)};
    int rc = fastest(device, kernel, arguments, 2, seconds);
    kernel_free(kernel);
    return rc;
}

static int measure_transfers(struct device_limits *limits, struct buffer *buffer, size_t bytes) {
    char *host = calloc(1, bytes);
    if (!host)
        return error_no_memory("a transfer", bytes);
    double to = INFINITY, from = INFINITY;
    int rc = 0;
    for (int i = 0; rc == 0 && i < REPETITIONS; i++) {
        double start = clock_seconds();
        rc = buffer_write(buffer, 0, bytes, host);
        double middle = clock_seconds();
        if (rc == 0)
            rc = buffer_read(buffer, 0, bytes, host);
        to = fmin(to, middle - start);
        from = fmin(from, clock_seconds() - middle);
    }
    free(host);
    limits->to_device = (double)bytes / to;
    limits->from_device = (double)bytes / from;
    return rc;
}

int device_limits_measure(struct device_limits *limits, struct device *device) {
    /* Far larger than any cache, and than a small device's memory it must not be. */
    size_t bytes = (size_t)256 * MIB;
    uint64_t memory = device_info(device)->global_memory;
    while (bytes > MIB && bytes * 8 > memory)
        bytes /= 2;
    struct buffer *from = NULL, *to = NULL;
    double seconds = 0;
    int rc;
    TRY_OR(done, buffer_create(&from, device, bytes, "a benchmark"));
    TRY_OR(done, buffer_create(&to, device, bytes, "a benchmark"));
    TRY_OR(done, buffer_fill(from, 1));
    TRY_OR(done, measure_flops(limits, device, to));
    TRY_OR(done, measure_copy(device, from, to, bytes / sizeof(float), &seconds));
    limits->bytes = 2 * (double)bytes / seconds;
    TRY_OR(done, measure_copy(device, from, to, TILE_MAX, &limits->launch_seconds));
    rc = measure_transfers(limits, to, bytes / 4);
done:
    buffer_free(from);
    buffer_free(to);
    return rc;
}
