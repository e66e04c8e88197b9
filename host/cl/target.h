/* What a kernel is specialised for: how the batch is tiled, and what the device can do.
 * A plain value, which can also describe a device that is not here. */
#ifndef CL_TARGET_H
#define CL_TARGET_H

#include "base/shape.h"
#include "cl/device.h"

/* Which of an operation's kernels to use. */
enum technique {
    TECHNIQUE_AUTO,      /* the fastest that is known for this kind of device */
    TECHNIQUE_REFERENCE, /* the plain ones */
    TECHNIQUE_VECTOR,    /* our register-tiled ones, on any device */
    TECHNIQUE_TILED,     /* those for GPUs, by tiles in local memory; vector where there are none */
};

struct tunings;

struct target {
    struct tiling tiling; /* of a micro-batch */
    enum technique technique;
    struct device_info device;
    const struct tunings *tunings; /* what was found to be best (cl/tuning.h); NULL: nothing yet */
};

/* Whether a work-item has vector registers to itself, as on a CPU. Otherwise the device, or its
 * compiler, runs work-items side by side in the lanes of its registers: a GPU, and llvmpipe. */
int target_has_vectors(const struct target *target);

/* Whether products are to run by tiles in local memory, if the device has room for them: asked for,
 * or on what is no CPU. */
int target_prefers_tiles(const struct target *target);

/* Lanes that a work-item of an elementwise kernel should take at once: a power of two up to the
 * tile; 1 for the reference. */
int target_vector(const struct target *target);

/* The same for what lies in no tiles: parameters, matrices. */
int target_flat_vector(const struct target *target);

/* Lanes of a vector as a work-item of a register-tiled kernel has it; 1 where images run along the
 * work-items. */
int target_lanes(const struct target *target);

/* Registers that hold a vector of floats: how large a register tile may be. */
int target_registers(const struct target *target);

/* As many of them for sums as leave a few for what is multiplied. */
int target_accumulators(const struct target *target);

/* Bytes of a core's own cache of a level, 1 or 2: small ones where the device does not say. */
size_t target_cache(const struct target *target, int level);

/* Bytes of scratch memory that a pass may take: `most`, or a quarter of the largest allocation. */
size_t target_scratch(const struct target *target, size_t most);

/* Work-items that reduce so many vectors to one together, a power of two: 1 on a CPU. */
int target_reduction(const struct target *target, int64_t vectors);

#endif
