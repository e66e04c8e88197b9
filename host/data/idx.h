/* IDX, the format of MNIST and Fashion-MNIST: a big-endian header (0, 0, type, dimensions, then
 * each size), then the elements. Only unsigned bytes (type 8). Plain or gzipped.
 * http://yann.lecun.com/exdb/mnist/ */
#ifndef DATA_IDX_H
#define DATA_IDX_H

#include <stddef.h>
#include <stdint.h>

enum { IDX_DIMENSIONS_MAX = 4 };

struct idx {
    int dimensions;
    int32_t sizes[IDX_DIMENSIONS_MAX];
    uint8_t *elements; /* product of sizes */
};

/* Parses bytes that are already decompressed. `path` is for messages. The elements are copied: free
 * with idx_free. */
int idx_parse(struct idx *idx, const char *path, const uint8_t *bytes, size_t length);

/* Reads a file, through zlib when it is gzipped. */
int idx_read(struct idx *idx, const char *path);

void idx_free(struct idx *idx);

#endif
