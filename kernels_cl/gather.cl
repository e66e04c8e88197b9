/* One device's rows of an activation, to and from the whole of it.
 *
 * Memory: the whole is [TILES][WHOLE][T], the rows [TILES][ROWS][T]; they are rows FIRST.. of the
 * whole. Global size: TILE_VECTORS, 1, TILES * ROWS.
 *
 *   WHOLE, ROWS   rows of the one and the other
 *   FIRST         where in the whole the rows begin
 */
#ifndef WHOLE
#define WHOLE 8
#define ROWS 3
#define FIRST 2
#endif

/* Where this work-item's vector lies in the rows, and in the whole. */
size_t in_rows(void) {
    return get_global_id(2) * TILE_VECTORS + get_global_id(0);
}

size_t in_whole(void) {
    size_t tile = get_global_id(2) / ROWS, row = get_global_id(2) % ROWS;
    return (tile * WHOLE + FIRST + row) * TILE_VECTORS + get_global_id(0);
}

kernel void gather_put(global const floatv *rows, global floatv *whole) {
    whole[in_whole()] = rows[in_rows()];
}

kernel void gather_take(global const floatv *whole, global floatv *rows) {
    rows[in_rows()] = whole[in_whole()];
}
