#include "data/picture_files.h"

#include "base/error.h"
#include "base/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PICTURE_BYTES_MAX = 1 << 30 }; /* of an encoded picture: no larger file is one */

struct place {
    size_t name;    /* where it begins in names */
    int archive;    /* -1: a file of its own */
    int64_t offset; /* in the archive */
    int64_t size;
};

struct archive_file {
    char *path;
    int descriptor;
};

/* There may be millions of pictures: their names lie one behind another, each ended by a zero. */
struct picture_files {
    struct place *places;
    int64_t count, room;
    char *names;
    size_t names_used, names_room;
    struct archive_file *archives;
    int archive_count;
};

int is_picture_name(const char *name) {
    static const char *const endings[] = {".jpg", ".jpeg", ".png"};
    for (int i = 0; i < 3; i++) {
        if (path_has_ending(name, endings[i]))
            return 1;
    }
    return 0;
}

int picture_files_create(struct picture_files **out) {
    *out = calloc(1, sizeof **out);
    return *out ? 0 : error_no_memory("the list of pictures", sizeof **out);
}

void picture_files_free(struct picture_files *files) {
    if (!files)
        return;
    for (int i = 0; i < files->archive_count; i++) {
        if (files->archives[i].descriptor >= 0)
            (void)close(files->archives[i].descriptor);
        free(files->archives[i].path);
    }
    free(files->archives);
    free(files->names);
    free(files->places);
    free(files);
}

/* Every archive stays open, and there may be more of them than a process may open by default. */
static int open_archive(const char *path) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor >= 0 || errno != EMFILE)
        return descriptor;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return -1;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return -1;
    return open(path, O_RDONLY | O_CLOEXEC);
}

int picture_files_add_archive(struct picture_files *files, const char *path, int *index) {
    size_t bytes = ((size_t)files->archive_count + 1) * sizeof *files->archives;
    struct archive_file *archives = realloc(files->archives, bytes);
    if (!archives)
        return error_no_memory(path, bytes);
    files->archives = archives;
    struct archive_file *archive = &archives[files->archive_count];
    *archive = (struct archive_file){strdup(path), -1};
    if (!archive->path)
        return error_no_memory(path, strlen(path));
    *index = files->archive_count++;
    archive->descriptor = open_archive(path);
    if (archive->descriptor < 0)
        return error_set(ERROR_SYSTEM, "%s: %s", path, strerror(errno));
    return 0;
}

static int reserve_place(struct picture_files *files) {
    if (files->count < files->room)
        return 0;
    int64_t room = files->room ? 2 * files->room : 1024;
    size_t bytes = (size_t)room * sizeof *files->places;
    struct place *places = realloc(files->places, bytes);
    if (!places)
        return error_no_memory("the list of pictures", bytes);
    files->places = places;
    files->room = room;
    return 0;
}

static int reserve_name(struct picture_files *files, size_t length) {
    if (files->names_room - files->names_used >= length)
        return 0;
    size_t room = files->names_room ? files->names_room : 65536;
    while (room - files->names_used < length)
        room *= 2;
    char *names = realloc(files->names, room);
    if (!names)
        return error_no_memory("the names of the pictures", room);
    files->names = names;
    files->names_room = room;
    return 0;
}

int picture_files_add(struct picture_files *files, const char *path, int archive, int64_t offset,
                      int64_t size) {
    assert(archive >= -1 && archive < files->archive_count);
    const char *before = archive < 0 ? "" : files->archives[archive].path;
    const char *between = archive < 0 ? "" : ":";
    size_t length = strlen(before) + strlen(between) + strlen(path) + 1;
    TRY(reserve_place(files));
    TRY(reserve_name(files, length));
    (void)snprintf(files->names + files->names_used, length, "%s%s%s", before, between, path);
    files->places[files->count++] = (struct place){files->names_used, archive, offset, size};
    files->names_used += length;
    return 0;
}

int64_t picture_files_count(const struct picture_files *files) {
    return files->count;
}

const char *picture_files_name(const struct picture_files *files, int64_t index) {
    assert(index >= 0 && index < files->count);
    return files->names + files->places[index].name;
}

/* Reads `size` bytes from `offset` on into memory that is grown as needed. */
static int read_range(const char *name, int descriptor, int64_t offset, int64_t size,
                      uint8_t **bytes, size_t *room) {
    if (size > PICTURE_BYTES_MAX)
        return error_set(ERROR_SYSTEM, "%s: %" PRId64 " bytes: larger than any picture", name,
                         size);
    if (!*bytes || *room < (size_t)size) {
        size_t needed = (size_t)size + 1; /* never none */
        uint8_t *grown = realloc(*bytes, needed);
        if (!grown)
            return error_no_memory(name, needed);
        *bytes = grown;
        *room = needed;
    }
    for (int64_t done = 0; done < size;) {
        ssize_t got = pread(descriptor, *bytes + done, (size_t)(size - done), offset + done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(ERROR_SYSTEM, "%s: %s", name, strerror(errno));
        if (got == 0)
            return error_set(ERROR_SYSTEM, "%s: it ends after %" PRId64 " of %" PRId64 " bytes",
                             name, done, size);
        done += got;
    }
    return 0;
}

static int read_file(const char *name, int descriptor, uint8_t **bytes, size_t *room,
                     size_t *length) {
    struct stat status;
    if (fstat(descriptor, &status) != 0)
        return error_set(ERROR_SYSTEM, "%s: %s", name, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(ERROR_SYSTEM, "%s: not a regular file", name);
    TRY(read_range(name, descriptor, 0, status.st_size, bytes, room));
    *length = (size_t)status.st_size;
    return 0;
}

int picture_files_read(const struct picture_files *files, int64_t index, uint8_t **bytes,
                       size_t *room, size_t *length) {
    const char *name = picture_files_name(files, index);
    const struct place *place = &files->places[index];
    if (place->archive >= 0) {
        TRY(read_range(name, files->archives[place->archive].descriptor, place->offset, place->size,
                       bytes, room));
        *length = (size_t)place->size;
        return 0;
    }
    /* A pipe would be waited for. */
    int descriptor = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return error_set(ERROR_SYSTEM, "%s: %s", name, strerror(errno));
    int rc = read_file(name, descriptor, bytes, room, length);
    (void)close(descriptor);
    return rc;
}
