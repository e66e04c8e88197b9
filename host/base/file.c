#include "base/file.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

int file_read(const char *path, size_t limit, char **data, size_t *length) {
    FILE *stream = fopen(path, "rb");
    if (!stream)
        return error_set(ERROR_SYSTEM, "%s: %s", path, strerror(errno));

    int rc = 0;
    char *bytes = NULL;
    size_t used = 0, capacity = 0;
    for (;;) {
        if (used + 1 >= capacity) {
            capacity = capacity ? capacity * 2 : 65536;
            char *grown = realloc(bytes, capacity);
            if (!grown) {
                rc = error_no_memory(path, capacity);
                break;
            }
            bytes = grown;
        }
        size_t got = fread(bytes + used, 1, capacity - used - 1, stream);
        used += got;
        if (used > limit) {
            rc = error_set(ERROR_INPUT, "%s: larger than %zu bytes, which no such file needs", path,
                           limit);
            break;
        }
        if (got == 0) {
            if (ferror(stream))
                rc = error_set(ERROR_SYSTEM, "%s: %s", path, strerror(errno));
            break;
        }
    }
    (void)fclose(stream);
    if (rc < 0) {
        free(bytes);
        return rc;
    }
    bytes[used] = '\0';
    *data = bytes;
    *length = used;
    return 0;
}

/* Opens a new file beside path and writes its name into temporary, which has room for it. Not by
 * mkstemp: its files are private, and the umask that would give them the usual permissions cannot
 * be read without changing it for all threads. */
static int create_temporary(char *temporary, size_t size, const char *path) {
    for (unsigned attempt = 0;; attempt++) {
        (void)snprintf(temporary, size, "%s.%ld-%u.tmp", path, (long)getpid(), attempt);
        int descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor >= 0 || errno != EEXIST)
            return descriptor;
    }
}

int file_create(struct file_writer *writer, const char *path) {
    *writer = (struct file_writer){0};
    /* Renaming over /dev/null, say, would succeed for root and be regretted. */
    struct stat status;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return error_set(ERROR_SYSTEM, "%s: cannot write here: it exists and is not a regular file",
                         path);
    size_t size = strlen(path) + 48;
    char *temporary = malloc(size);
    writer->path = strdup(path);
    if (!writer->path || !temporary) {
        free(temporary);
        file_discard(writer);
        return error_no_memory(path, size);
    }
    int descriptor = create_temporary(temporary, size, path);
    if (descriptor < 0) {
        int rc = error_set(ERROR_SYSTEM, "%s: cannot write here: %s", path, strerror(errno));
        free(temporary);
        file_discard(writer);
        return rc;
    }
    writer->temporary = temporary;
    writer->stream = fdopen(descriptor, "wb");
    if (!writer->stream) {
        (void)close(descriptor);
        file_discard(writer);
        return error_no_memory(path, size);
    }
    return 0;
}

/* Makes the name of a file that was just renamed last through a power failure. Not every file
 * system can sync a directory, and the file itself is there: so nothing is said when it fails. */
static void sync_directory_of(const char *path) {
    char *directory = path_beside(path, ".");
    int descriptor = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (descriptor >= 0) {
        (void)fsync(descriptor);
        (void)close(descriptor);
    }
    free(directory);
}

int file_commit(struct file_writer *writer) {
    FILE *stream = writer->stream;
    int reason = 0;
    if (fflush(stream) != 0 || fsync(fileno(stream)) != 0)
        reason = errno;
    else if (ferror(stream))
        reason = EIO; /* an earlier write failed, and what errno said then is lost */
    writer->stream = NULL;
    if (fclose(stream) != 0 && !reason)
        reason = errno;
    if (!reason && rename(writer->temporary, writer->path) != 0)
        reason = errno;
    int rc = 0;
    if (reason) {
        rc = error_set(ERROR_SYSTEM, "%s: cannot write: %s", writer->path, strerror(reason));
    } else {
        sync_directory_of(writer->path);
        free(writer->temporary);
        writer->temporary = NULL;
    }
    file_discard(writer);
    return rc;
}

void file_discard(struct file_writer *writer) {
    if (writer->stream)
        (void)fclose(writer->stream);
    if (writer->temporary)
        (void)unlink(writer->temporary);
    free(writer->temporary);
    free(writer->path);
    *writer = (struct file_writer){0};
}

int directory_create(const char *path) {
    if (!*path)
        return error_set(ERROR_SYSTEM, "a directory's name is empty");
    char *copy = strdup(path);
    if (!copy)
        return error_no_memory(path, strlen(path));
    int rc = 0;
    for (char *slash = copy + 1; rc == 0; slash++) {
        if (*slash != '/' && *slash != '\0')
            continue;
        char kept = *slash;
        *slash = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            rc = error_set(ERROR_SYSTEM, "%s: cannot make this directory: %s", copy,
                           strerror(errno));
        *slash = kept;
        if (kept == '\0')
            break;
    }
    free(copy);
    struct stat status;
    if (rc == 0 && (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)))
        rc = error_set(ERROR_SYSTEM, "%s: exists and is not a directory", path);
    return rc;
}

int file_cache_path(char **path, const char *name) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    *path = NULL;
    int is_given = cache && cache[0] == '/'; /* its standard ignores relative ones */
    if (!is_given && !(home && home[0] == '/'))
        return error_set(ERROR_SYSTEM, "there is no cache directory: set HOME or XDG_CACHE_HOME");
    char *base = path_join(is_given ? cache : home, is_given ? "clnet/" : ".cache/clnet/");
    char *joined = base ? path_join(base, name) : NULL;
    char *directory = joined ? path_beside(joined, ".") : NULL;
    int rc = directory ? directory_create(directory) : error_no_memory(name, strlen(name));
    if (rc < 0)
        free(joined);
    else
        *path = joined;
    free(directory);
    free(base);
    return rc;
}

char *path_join(const char *directory, const char *name) {
    size_t length = strlen(directory);
    size_t size = length + strlen(name) + 2;
    char *path = malloc(size);
    if (path)
        (void)snprintf(path, size, "%s%s%s", directory,
                       length && directory[length - 1] == '/' ? "" : "/", name);
    return path;
}

int path_has_ending(const char *path, const char *ending) {
    size_t length = strlen(path), tail = strlen(ending);
    return length >= tail && strcasecmp(path + length - tail, ending) == 0;
}

char *path_beside(const char *beside, const char *path) {
    const char *slash = strrchr(beside, '/');
    if (path[0] == '/' || !slash)
        return strdup(path);
    char *directory = strndup(beside, (size_t)(slash - beside + 1));
    char *joined = directory ? path_join(directory, path) : NULL;
    free(directory);
    return joined;
}
