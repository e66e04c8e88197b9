/* Tiles of the products in local memory: kernels_cl/tiled.clh says how they work. */
#ifndef OPS_TILE_H
#define OPS_TILE_H

#include "cl/tuning.h"

/* The TUNE_* of tiled.clh, by their names there. */
struct tile {
    int m, n, k;
    int rm, rn;
    int buffers;
    int vector;
    int share;
};

/* Work-items of a work-group. */
int tile_items(const struct tile *tile);

/* How many of them can read a row's numbers together: a sub-group, or 1. */
int tile_most_share(const struct tile *tile, const struct device_info *device);

/* What is open of a tile, for a space: its first knobs, and its rules. */
enum {
    TILE_M,
    TILE_N,
    TILE_K,
    TILE_RM,
    TILE_RN,
    TILE_BUFFERS,
    TILE_VECTOR,
    TILE_SHARE,
    TILE_KNOBS
};
#define TILE_KNOB_TABLE                                                    \
    {"TUNE_M", "rows of a block", {16, 32, 48, 64, 96, 128, 192, 256}},    \
        {"TUNE_N", "columns of a block", {16, 32, 64, 96, 128, 192, 256}}, \
        {"TUNE_K", "terms of a step", {4, 8, 16, 32}},                     \
        {"TUNE_RM", "rows that a work-item sums", {2, 4, 6, 8, 12, 16}},   \
        {"TUNE_RN", "columns that a work-item sums", {2, 4, 8, 12, 16}},   \
        {"TUNE_BUFFERS", "slices in local memory at a time", {1, 2}},      \
        {"TUNE_VECTOR", "floats of an access", {1, 2, 4}}, {               \
        "TUNE_SHARE", "work-items that read a row's numbers together", {   \
            1, 4, 8, 16, 32                                                \
        }                                                                  \
    }

int tile_form_is_legal(const struct candidate *candidate);
int tile_fits_device(const struct candidate *candidate);
int tile_is_shared_by_sub_groups(const struct candidate *candidate);
#define TILE_RULES                                                                                \
    {tile_form_is_legal, "the parts do not make up whole blocks, slices and vectors"},            \
        {tile_fits_device, "a block is more than the device's work-groups or local memory hold"}, \
    {                                                                                             \
        tile_is_shared_by_sub_groups,                                                             \
            "the device has no sub-groups of so many, or they do not divide a row"                \
    }

/* A tile as such values, and back. */
void tile_write(int values[], const struct tile *tile);
struct tile tile_read(const int values[]);

/* Whether the kernels can be had with a tile on a device: by its form, work-group and local memory.
 */
int tile_is_legal(const struct tile *tile, const struct device_info *device);

/* What is to be computed: `count` products of rows x columns, each the sum of so many terms, which
 * can be divided into up to most_splits parts. */
struct tile_product {
    int64_t rows, columns, terms, count;
    int64_t most_splits;
};

/* The tile for a product, with accesses of up to `vector` floats at a time, and into how many parts
 * to divide its terms, for where rows and columns are few most of a GPU would wait: what is done
 * first, if all is balanced. Returns 0 where the device has too little for any. */
int tile_choose(struct tile *tile, int *splits, const struct tile_product *product, int vector,
                const struct device_info *device);

/* A specification with a work-group for each block of each product and each of its splits, without
 * the tile's macros. */
struct kernel_spec tile_spec(const char *file, const char *function, const struct tile *tile,
                             const struct tile_product *product, int splits);

#endif
