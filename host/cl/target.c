#include "cl/target.h"

#include "base/numbers.h"

static int power_of_two_below(int limit) {
    int power = 1;
    while (power * 2 <= limit)
        power *= 2;
    return power;
}

int target_has_vectors(const struct target *target) {
    return target->device.is_cpu && target->device.vector_width > 1;
}

int target_prefers_tiles(const struct target *target) {
    return target->technique == TECHNIQUE_TILED ||
           (target->technique == TECHNIQUE_AUTO && !target->device.is_cpu);
}

int target_flat_vector(const struct target *target) {
    if (target->technique == TECHNIQUE_REFERENCE)
        return 1;
    /* A GPU's lanes are its work-items; four floats are one of its widest accesses. */
    return power_of_two_below(target->device.is_cpu ? least(target->device.vector_width, 16) : 4);
}

int target_vector(const struct target *target) {
    return power_of_two_below(least(target_flat_vector(target), target->tiling.tile));
}

int target_lanes(const struct target *target) {
    return target_has_vectors(target) ? target_vector(target) : 1;
}

int target_registers(const struct target *target) {
    /* AVX-512 has 32 vector registers, AVX and SSE have 16; a GPU's work-item can have 64 and more.
     */
    return target_has_vectors(target) && target->device.vector_width < 16 ? 16 : 32;
}

int target_accumulators(const struct target *target) {
    return target_registers(target) >= 32 ? 24 : 12;
}

size_t target_cache(const struct target *target, int level) {
    static const size_t small[] = {32768, 262144};
    size_t bytes = target->device.cache[level - 1];
    return bytes ? bytes : small[level - 1];
}

size_t target_scratch(const struct target *target, size_t most) {
    size_t quarter = (size_t)(target->device.allocation_max / 4);
    return quarter && quarter < most ? quarter : most;
}

int target_reduction(const struct target *target, int64_t vectors) {
    /* A GPU hides the latency of memory by many work-items. What only describes itself as one may
     * run them one after another. Of fewer than the least Intel's runtime for CPUs (2026.2) sums
     * wrongly, and a GPU would run the rest idle. */
    enum { ITEMS_LEAST = 64, ITEMS_OF_GPU = 1024, VECTORS_EACH = 4 };
    if (target_has_vectors(target) || target->technique == TECHNIQUE_REFERENCE)
        return 1;
    int64_t wanted = target->device.is_cpu ? 0 : least64(vectors / VECTORS_EACH, ITEMS_OF_GPU);
    int64_t most = (int64_t)target->device.work_group_max;
    return power_of_two_below((int)least64(wanted > ITEMS_LEAST ? wanted : ITEMS_LEAST, most));
}
