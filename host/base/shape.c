#include "base/shape.h"

struct tiling tiling_for_batch(int batch) {
    int tile = TILE_MAX;
    while (tile > 1 && tile >= 2 * batch)
        tile /= 2;
    while (tile >= 16) {
        int padded = (batch + tile - 1) / tile * tile;
        if ((padded - batch) * 8 <= padded)
            break;
        tile /= 2;
    }
    return (struct tiling){.batch = batch, .tile = tile, .tiles = (batch + tile - 1) / tile};
}
