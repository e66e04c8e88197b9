/* safetensors files: an 8-byte little-endian header length, a JSON header, then the tensors' bytes.
 * https://github.com/huggingface/safetensors#format
 *
 * Only dtype F32 is read and written. Python's `safetensors` reads what is written here.
 */
#ifndef DATA_SAFETENSORS_H
#define DATA_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

enum { SAFETENSORS_DIMENSIONS_MAX = 8 };

struct safetensor {
    const char *name;
    int dimensions;
    int64_t sizes[SAFETENSORS_DIMENSIONS_MAX];
    const float *values; /* product of sizes; 4-byte aligned when read */
};

struct safetensors {
    int count;
    struct safetensor *tensors; /* in the order of their data in the file */
    /* Private: what the views above point into. */
    void *storage;
    void *header;
};

/* Parses a file's bytes; checks everything before it gives anything: header length against the
 * file, well-formed JSON without duplicates, known dtype, sizes that multiply to exactly the byte
 * range, ranges that tile the data without gap or overlap, as the format demands. Messages name
 * `path` and the tensor. The bytes must outlive the result. Free with safetensors_free. */
int safetensors_parse(struct safetensors *out, const char *path, const void *bytes, size_t length);

/* Reads a whole file. */
int safetensors_read(struct safetensors *out, const char *path);

/* The tensor of that name, or NULL. */
const struct safetensor *safetensors_find(const struct safetensors *file, const char *name);

/* The metadata's value for a key, or NULL. Valid until safetensors_free. */
const char *safetensors_metadata(const struct safetensors *file, const char *key);

void safetensors_free(struct safetensors *file);

/* Writes a file by way of base/file, so that a reader sees the old one or the new one. `metadata`
 * is `metadata_count` pairs of key and value. */
int safetensors_write(const char *path, const struct safetensor *tensors, int count,
                      const char *const metadata[][2], int metadata_count);

#endif
