#include "data/idx.h"

#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum {
    IDX_UNSIGNED_BYTES = 8, /* the header's code for the type of the elements */
    IDX_MAGIC = 4,          /* bytes before the sizes */
    IDX_HEADER_MAX = IDX_MAGIC + 4 * IDX_DIMENSIONS_MAX,
    DEFLATE_RATIO_MAX = 1032, /* a byte of deflated data holds at most so many */
};

static int check_magic(const char *path, const uint8_t *bytes, size_t length) {
    if (length < IDX_MAGIC)
        return error_set(ERROR_INPUT, "%s: truncated: an IDX header has more than %zu bytes", path,
                         length);
    if (bytes[0] != 0 || bytes[1] != 0)
        return error_set(ERROR_INPUT, "%s: not an IDX file: it starts with %02x %02x, not 00 00",
                         path, bytes[0], bytes[1]);
    if (bytes[2] != IDX_UNSIGNED_BYTES)
        return error_set(ERROR_INPUT, "%s: IDX elements of type 0x%02x; only unsigned bytes (0x08)",
                         path, bytes[2]);
    if (bytes[3] < 1 || bytes[3] > IDX_DIMENSIONS_MAX)
        return error_set(ERROR_INPUT, "%s: IDX with %d dimensions; expected 1 to %d", path,
                         bytes[3], IDX_DIMENSIONS_MAX);
    return 0;
}

static size_t header_length(const uint8_t *magic) {
    return IDX_MAGIC + 4 * (size_t)magic[3];
}

/* Fills dimensions and sizes. */
static int parse_header(struct idx *idx, const char *path, const uint8_t *bytes, size_t length) {
    TRY(check_magic(path, bytes, length));
    if (length < header_length(bytes))
        return error_set(ERROR_INPUT, "%s: truncated: it ends within the IDX header", path);
    idx->dimensions = bytes[3];
    for (int i = 0; i < idx->dimensions; i++) {
        const uint8_t *b = bytes + IDX_MAGIC + (size_t)4 * (size_t)i;
        uint32_t size =
            (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | (uint32_t)b[3];
        if (size == 0 || size > INT32_MAX)
            return error_set(ERROR_INPUT, "%s: size %d of the IDX header is %" PRIu32, path, i + 1,
                             size);
        idx->sizes[i] = (int32_t)size;
    }
    return 0;
}

static int truncated(const char *path, uint64_t count, uint64_t available) {
    return error_set(ERROR_INPUT,
                     "%s: truncated: the IDX header announces %" PRIu64
                     " bytes, but at most %" PRIu64 " follow it",
                     path, count, available);
}

static int trailing(const char *path, uint64_t count) {
    return error_set(ERROR_INPUT,
                     "%s: trailing bytes: more than the %" PRIu64
                     " that the IDX header announces follow it",
                     path, count);
}

/* The product of the sizes, once it is known that no more than `available` elements can be there:
 * a header may announce anything, and nothing is allocated on its word alone. */
static int count_elements(size_t *count, const struct idx *idx, const char *path,
                          uint64_t available) {
    uint64_t product = 1;
    for (int i = 0; i < idx->dimensions; i++) {
        uint64_t size = (uint64_t)idx->sizes[i];
        if (product > SIZE_MAX / size)
            return error_set(ERROR_INPUT, "%s: the sizes of the IDX header are absurdly large",
                             path);
        product *= size;
    }
    if (product > available)
        return truncated(path, product, available);
    *count = product;
    return 0;
}

static int allocate_elements(struct idx *idx, const char *path, size_t count) {
    idx->elements = malloc(count);
    return idx->elements ? 0 : error_no_memory(path, count);
}

int idx_parse(struct idx *idx, const char *path, const uint8_t *bytes, size_t length) {
    *idx = (struct idx){0};
    TRY(parse_header(idx, path, bytes, length));
    size_t header = header_length(bytes), count = 0;
    TRY(count_elements(&count, idx, path, length - header));
    if (length - header > count)
        return trailing(path, count);
    TRY(allocate_elements(idx, path, count));
    memcpy(idx->elements, bytes + header, count);
    return 0;
}

/* A file being read through zlib, which passes plain ones through. */
struct reader {
    const char *path;
    gzFile file;
    uint64_t size; /* on disk */
};

static int reader_open(struct reader *reader, const char *path) {
    struct stat status;
    if (stat(path, &status) != 0)
        return error_set(ERROR_SYSTEM, "%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(ERROR_INPUT, "%s: not a regular file", path);
    errno = 0;
    gzFile file = gzopen(path, "rb");
    if (!file)
        return errno ? error_set(ERROR_SYSTEM, "%s: %s", path, strerror(errno))
                     : error_no_memory(path, 0);
    *reader = (struct reader){.path = path, .file = file, .size = (uint64_t)status.st_size};
    return 0;
}

/* Why the last read gave fewer bytes than were asked for; 0 at a proper end of the file. */
static int reader_error(const struct reader *reader) {
    int code;
    (void)gzerror(reader->file, &code);
    switch (code) {
    case Z_OK:
    case Z_STREAM_END:
        return 0;
    case Z_ERRNO:
        return error_set(ERROR_SYSTEM, "%s: %s", reader->path, strerror(errno));
    case Z_MEM_ERROR:
        return error_no_memory(reader->path, 0);
    case Z_BUF_ERROR:
        return error_set(ERROR_INPUT, "%s: truncated: its gzip data ends too early", reader->path);
    default:
        return error_set(ERROR_INPUT, "%s: its gzip data is damaged", reader->path);
    }
}

/* Reads until length bytes or the end; *got says how many came. */
static int reader_read(const struct reader *reader, uint8_t *to, size_t length, size_t *got) {
    const size_t most = 1 << 30; /* gzread counts in int */
    *got = 0;
    while (*got < length) {
        size_t wanted = length - *got < most ? length - *got : most;
        int n = gzread(reader->file, to + *got, (unsigned)wanted);
        if (n > 0)
            *got += (size_t)n;
        if (n < (int)wanted)
            return reader_error(reader);
    }
    return 0;
}

static int read_header(struct idx *idx, const struct reader *reader, size_t *length) {
    uint8_t bytes[IDX_HEADER_MAX];
    size_t got, more = 0;
    TRY(reader_read(reader, bytes, IDX_MAGIC, &got));
    TRY(check_magic(reader->path, bytes, got));
    *length = header_length(bytes);
    TRY(reader_read(reader, bytes + got, *length - got, &more));
    return parse_header(idx, reader->path, bytes, got + more);
}

static int read_elements(struct idx *idx, const struct reader *reader, size_t header) {
    uint64_t most = reader->size;
    if (!gzdirect(reader->file))
        most *= DEFLATE_RATIO_MAX;
    size_t count = 0, got;
    TRY(count_elements(&count, idx, reader->path, most > header ? most - header : 0));
    TRY(allocate_elements(idx, reader->path, count));
    TRY(reader_read(reader, idx->elements, count, &got));
    if (got < count)
        return truncated(reader->path, count, got);
    /* Asking for one more byte also makes zlib compare the checksum at the end. */
    uint8_t extra;
    TRY(reader_read(reader, &extra, 1, &got));
    return got ? trailing(reader->path, count) : 0;
}

int idx_read(struct idx *idx, const char *path) {
    *idx = (struct idx){0};
    struct reader reader = {0};
    TRY(reader_open(&reader, path));
    size_t header = 0;
    int rc = read_header(idx, &reader, &header);
    if (rc == 0)
        rc = read_elements(idx, &reader, header);
    (void)gzclose(reader.file);
    if (rc < 0)
        idx_free(idx);
    return rc;
}

void idx_free(struct idx *idx) {
    free(idx->elements);
    *idx = (struct idx){0};
}
