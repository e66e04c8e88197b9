/* Files: reading whole ones, and writing so that a reader never sees half of one. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>
#include <stdio.h>

/* Reads a whole file of at most limit bytes into *data, which the caller frees; a zero byte follows
 * the last one. ERROR_SYSTEM or ERROR_INPUT name the path. */
int file_read(const char *path, size_t limit, char **data, size_t *length);

/* A file being written. It takes its name only when file_commit succeeds: until then everything
 * goes into a temporary file beside it. */
struct file_writer {
    FILE *stream; /* write here */
    char *path;
    char *temporary;
};

/* Refuses a path that exists and is not a regular file. On failure nothing needs closing. */
int file_create(struct file_writer *writer, const char *path);

/* Checks every write so far, syncs, renames, syncs the directory, and closes. On failure (a full
 * disk, say) the temporary file is removed and what the path held before is untouched. */
int file_commit(struct file_writer *writer);

/* Drops an uncommitted file. Accepts a zeroed or a committed writer. */
void file_discard(struct file_writer *writer);

/* Makes a directory and those above it; fine if it exists. */
int directory_create(const char *path);

/* The path of a file, or of a directory, in which to keep what can be made again:
 * $XDG_CACHE_HOME/clnet/name, or ~/.cache/clnet/name where that is unset. Makes the directory that
 * it is in. The caller frees *path. ERROR_SYSTEM, and *path is NULL, where there is no such place
 * or none can be made. */
int file_cache_path(char **path, const char *name);

/* directory/name in new memory that the caller frees; NULL when memory is used up. */
char *path_join(const char *directory, const char *name);

/* Whether a path or name ends so, in upper or lower case. */
int path_has_ending(const char *path, const char *ending);

/* The path as seen from the directory of the file `beside`, unless it is absolute. The caller frees
 * it; NULL when memory is used up. */
char *path_beside(const char *beside, const char *path);

#endif
