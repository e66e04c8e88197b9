/* Tiles of the products in local memory: kernels_cl/tiled.clh says how they work. */
#ifndef OPS_TILE_H
#define OPS_TILE_H

#include "cl/kernel.h"
#include "cl/target.h"

/* The TUNE_* of tiled.clh, by their names there. */
struct tile {
    int m, n, k;
    int rm, rn;
    int buffers;
    int vector;
    int sub_group;
};

/* Work-items of a work-group. */
int tile_items(const struct tile *tile);

/* Whether the kernels can be had with a tile on a device: by its form, work-group and local memory.
 */
int tile_is_legal(const struct tile *tile, const struct device_info *device);

/* The tile for a product of rows x columns, `count` of them, with accesses of up to `vector` floats
 * at a time: the one that is done first, if all is balanced; with as few work-items to a register
 * as can be had, since each needs many. Returns 0 where the device has too little for any. */
int tile_choose(struct tile *tile, int64_t rows, int64_t columns, int64_t count, int vector,
                const struct device_info *device);

/* A specification with a work-group for each block of rows x columns, `count` times, and the tile's
 * macros. */
struct kernel_spec tile_spec(const char *file, const char *function, const struct tile *tile,
                             int64_t rows, int64_t columns, int64_t count);

#endif
