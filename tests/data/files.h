/* Small files for the tests of data, written into a folder of their own. */
#ifndef DATA_FILES_H
#define DATA_FILES_H

#include "support/suite.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* The folder of the test that runs, and room for one path in it. */
static char folder[64];
static char path_text[384];

static inline void files_setup(void) {
    (void)snprintf(folder, sizeof folder, "/tmp/clnet-data-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static inline const char *file_path(const char *name) {
    (void)snprintf(path_text, sizeof path_text, "%s/%s", folder, name);
    return path_text;
}

static inline void files_teardown(void) {
    DIR *directory = opendir(folder);
    ck_assert_ptr_nonnull(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] != '.')
            (void)unlink(file_path(entry->d_name));
    }
    (void)closedir(directory);
    (void)rmdir(folder);
}

/* Writes a file and returns its path, which is valid until the next call. */
static inline const char *file_write(const char *name, const void *bytes, size_t length) {
    FILE *stream = fopen(file_path(name), "wb");
    ck_assert_ptr_nonnull(stream);
    ck_assert_uint_eq(fwrite(bytes, 1, length, stream), length);
    ck_assert_int_eq(fclose(stream), 0);
    return path_text;
}

static inline const char *file_write_text(const char *name, const char *text) {
    return file_write(name, text, strlen(text));
}

static inline const char *file_write_gzip(const char *name, const void *bytes, size_t length) {
    gzFile file = gzopen(file_path(name), "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(gzwrite(file, bytes, (unsigned)length), (int)length);
    ck_assert_int_eq(gzclose(file), Z_OK);
    return path_text;
}

/* Takes the last bytes of a file away. */
static inline void file_shorten(const char *path, long by) {
    FILE *stream = fopen(path, "rb");
    ck_assert_ptr_nonnull(stream);
    ck_assert_int_eq(fseek(stream, 0, SEEK_END), 0);
    long size = ftell(stream);
    ck_assert_int_eq(fclose(stream), 0);
    ck_assert_int_gt(size, by);
    ck_assert_int_eq(truncate(path, size - by), 0);
}

/* Changes a byte of a file, counted from its end. */
static inline void file_damage(const char *path, long from_end) {
    FILE *stream = fopen(path, "r+b");
    ck_assert_ptr_nonnull(stream);
    ck_assert_int_eq(fseek(stream, -from_end, SEEK_END), 0);
    int byte = fgetc(stream);
    ck_assert_int_eq(fseek(stream, -from_end, SEEK_END), 0);
    ck_assert_int_ne(fputc(byte ^ 0x55, stream), EOF);
    ck_assert_int_eq(fclose(stream), 0);
}

enum { IDX_FILE_MAX = 4096 };

/* The bytes of an IDX file whose element i is first + i * step (mod 256). Returns their number. */
static inline size_t idx_bytes(uint8_t bytes[IDX_FILE_MAX], int dimensions, const int *sizes,
                               int first, int step) {
    size_t length = 4, count = 1;
    memcpy(bytes, (uint8_t[]){0, 0, 8, (uint8_t)dimensions}, 4);
    for (int i = 0; i < dimensions; i++) {
        for (int shift = 24; shift >= 0; shift -= 8)
            bytes[length++] = (uint8_t)(sizes[i] >> shift);
        count *= (size_t)sizes[i];
    }
    ck_assert_uint_le(length + count, IDX_FILE_MAX);
    for (size_t i = 0; i < count; i++)
        bytes[length++] = (uint8_t)(first + (int)i * step);
    return length;
}

#endif
