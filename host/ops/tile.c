#include "ops/tile.h"

#include "base/numbers.h"

/* From the largest, which reads least, to one for 64 work-items. */
static const struct tile tiles[] = {
    {128, 128, 8, 8, 8, 2, 4, 1}, {96, 128, 8, 8, 8, 2, 4, 1},
    {64, 128, 8, 8, 8, 2, 4, 1},  {128, 64, 8, 8, 8, 2, 4, 1},
    {64, 64, 8, 8, 8, 2, 4, 1},   {32, 64, 8, 4, 8, 2, 4, 1},
    {32, 32, 8, 4, 4, 2, 4, 1},   {0},
};

/* The same for work-items with 128 registers: for more sums, or more numbers fetched at a time,
 * Intel's compiler does not have enough (bench/vendor). */
static const struct tile tiles_of_128[] = {
    {96, 128, 4, 6, 8, 2, 4, 1}, {64, 128, 8, 4, 8, 2, 4, 1},
    {48, 128, 4, 6, 8, 2, 4, 1}, {96, 64, 4, 6, 8, 2, 4, 1},
    {48, 64, 4, 6, 8, 2, 4, 1},  {32, 64, 8, 4, 8, 2, 4, 1},
    {32, 32, 8, 4, 4, 2, 4, 1},  {0},
};

int tile_items(const struct tile *tile) {
    return tile->m / tile->rm * (tile->n / tile->rn);
}

static int divides(int divisor, int number) {
    return number % divisor == 0;
}

/* tiled.clh says why. */
static int has_legal_form(const struct tile *t) {
    return divides(t->rm, t->m) && divides(t->rn, t->n) && divides(t->vector, t->rn) &&
           divides(t->vector, t->m) && divides(t->vector, t->k) && t->vector <= 4 &&
           divides(t->n / t->vector, tile_items(t));
}

/* Of quickstart.cfg's first convolution, for tgllp and acm-g10, Intel's compiler makes as many
 * instructions and messages either way; but of A, shared reads take a quarter of the bytes from
 * local memory, and of the registers. So they are the default. */
int tile_most_share(const struct tile *tile, const struct device_info *device) {
    const int lanes = device->sub_group;
    return lanes && divides(lanes, tile->n / tile->rn) ? lanes : 1;
}

int tile_is_legal(const struct tile *tile, const struct device_info *device) {
    size_t floats = (size_t)tile->buffers * (size_t)tile->k * (size_t)(tile->m + 4 + tile->n + 4);
    return has_legal_form(tile) && (size_t)tile_items(tile) <= device->work_group_max &&
           floats * sizeof(float) <= device->local_memory;
}

void tile_write(int values[], const struct tile *tile) {
    values[TILE_M] = tile->m;
    values[TILE_N] = tile->n;
    values[TILE_K] = tile->k;
    values[TILE_RM] = tile->rm;
    values[TILE_RN] = tile->rn;
    values[TILE_BUFFERS] = tile->buffers;
    values[TILE_VECTOR] = tile->vector;
    values[TILE_SHARE] = tile->share;
}

struct tile tile_read(const int values[]) {
    return (struct tile){.m = values[TILE_M],
                         .n = values[TILE_N],
                         .k = values[TILE_K],
                         .rm = values[TILE_RM],
                         .rn = values[TILE_RN],
                         .buffers = values[TILE_BUFFERS],
                         .vector = values[TILE_VECTOR],
                         .share = values[TILE_SHARE]};
}

int tile_form_is_legal(const struct candidate *candidate) {
    struct tile tile = tile_read(candidate->values);
    return has_legal_form(&tile);
}

int tile_fits_device(const struct candidate *candidate) {
    struct tile tile = tile_read(candidate->values);
    return tile_is_legal(&tile, &candidate->target->device);
}

int tile_is_shared_by_sub_groups(const struct candidate *candidate) {
    struct tile tile = tile_read(candidate->values);
    return tile.share == 1 || tile.share == tile_most_share(&tile, &candidate->target->device);
}

static int64_t blocks_of(const struct tile_product *product, const struct tile *tile) {
    return blocks64(product->rows, tile->m) * blocks64(product->columns, tile->n) * product->count;
}

/* How long a product takes, in multiply-adds of a work-group's: all of them take as long as each
 * other, so what counts is in how many rounds they run. A number that is fetched and kept costs as
 * much as so many multiply-adds; writing and adding a part as much as so many terms. */
static double cost(const struct tile *tile, int64_t splits, const struct tile_product *product,
                   const struct device_info *device) {
    enum { FETCH = 16, PART = 64, GROUPS_A_UNIT = 2 /* which hide each other's waiting */ };
    int64_t at_once = GROUPS_A_UNIT * (int64_t)(device->compute_units ? device->compute_units : 1);
    int64_t rounds = blocks64(blocks_of(product, tile) * splits, at_once);
    int64_t terms = blocks64(product->terms, splits) + (splits > 1 ? PART : 0);
    double term = (double)tile->m * tile->n + FETCH * (double)(tile->m + tile->n);
    return (double)rounds * (double)terms * term;
}

int tile_choose(struct tile *tile, int *splits, const struct tile_product *product, int vector,
                const struct device_info *device) {
    double least = 0;
    for (const struct tile *t = device->sub_group ? tiles_of_128 : tiles; t->m; t++) {
        struct tile candidate = *t;
        if (vector < candidate.vector)
            candidate.vector = vector;
        candidate.share = tile_most_share(t, device);
        if (!tile_is_legal(&candidate, device))
            continue;
        for (int64_t parts = 1; parts == 1 || parts <= product->most_splits; parts++) {
            double time = cost(&candidate, parts, product, device);
            if (least != 0 && time >= least)
                continue;
            *tile = candidate;
            *splits = (int)parts;
            least = time;
        }
    }
    return least > 0;
}

struct kernel_spec tile_spec(const char *file, const char *function, const struct tile *tile,
                             const struct tile_product *product, int splits) {
    size_t items = (size_t)tile_items(tile);
    struct kernel_spec spec =
        kernel_spec(file, function, items * (size_t)blocks64(product->rows, tile->m),
                    (size_t)blocks64(product->columns, tile->n), (size_t)(product->count * splits));
    spec.local[0] = items;
    spec.local[1] = spec.local[2] = 1;
    return spec;
}
