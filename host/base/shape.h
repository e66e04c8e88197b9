/* The shape of one image's activation: C channels of H x W.
 * The batch is not part of it: see struct tiling for how N images are laid out. */
#ifndef BASE_SHAPE_H
#define BASE_SHAPE_H

#include <stdint.h>

struct shape {
    int c, h, w;
};

/* Elements of one image. */
static inline int64_t shape_elements(struct shape s) {
    return (int64_t)s.c * s.h * s.w;
}

static inline int shape_equal(struct shape a, struct shape b) {
    return a.c == b.c && a.h == b.h && a.w == b.w;
}

/* How a batch of N images lies in memory: tiles of T images, [N/T][C][H][W][T], the images of a
 * tile side by side. N is padded up to whole tiles; the lanes of the padding hold zeros. */
struct tiling {
    int batch; /* N, images that count */
    int tile;  /* T, a power of two */
    int tiles; /* ceil(N / T) */
};

/* The greatest tile, 128 bytes of floats: two cache lines of a CPU, one access of 32 GPU threads.
 */
enum { TILE_MAX = 32 };

/* The tiling for a batch: T is TILE_MAX, halved while it is twice the batch, or while more than an
 * eighth of the padded batch would be padding and T is still at least 16. */
struct tiling tiling_for_batch(int batch);

/* Floats that an activation of this shape takes, padding included. */
static inline int64_t tiling_elements(struct tiling t, struct shape s) {
    return (int64_t)t.tiles * t.tile * shape_elements(s);
}

/* Where element (n, c, h, w) lies. */
static inline int64_t tiling_offset(struct tiling t, struct shape s, int n, int64_t element) {
    return ((int64_t)(n / t.tile) * shape_elements(s) + element) * t.tile + n % t.tile;
}

#endif
