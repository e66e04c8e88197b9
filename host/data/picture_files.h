/* Pictures that stay in their files until they are needed: one after another in folders, or inside
 * tar archives, which are never unpacked. Only places are held in memory.
 */
#ifndef DATA_PICTURE_FILES_H
#define DATA_PICTURE_FILES_H

#include <stddef.h>
#include <stdint.h>

struct picture_files;

/* Whether a file's name is that of a picture: .jpg, .jpeg or .png, in upper or lower case. */
int is_picture_name(const char *name);

int picture_files_create(struct picture_files **out);
void picture_files_free(struct picture_files *files);

/* Adds an archive, opened for reading; *index is for picture_files_add. */
int picture_files_add_archive(struct picture_files *files, const char *path, int *index);

/* Adds a picture: a file of its own (archive -1; path), or `size` bytes from `offset` on of an
 * archive (path is the member's name, for messages). */
int picture_files_add(struct picture_files *files, const char *path, int archive, int64_t offset,
                      int64_t size);

int64_t picture_files_count(const struct picture_files *files);

/* The name of a picture, for messages: its path, or archive:member. Valid as long as files. */
const char *picture_files_name(const struct picture_files *files, int64_t index);

/* Reads a picture's encoded bytes into *bytes, memory of *room bytes that is grown as needed and
 * that the caller frees at the end. Safe to call from several threads, each with its own memory.
 * A file that cannot be read is ERROR_SYSTEM. */
int picture_files_read(const struct picture_files *files, int64_t index, uint8_t **bytes,
                       size_t *room, size_t *length);

#endif
