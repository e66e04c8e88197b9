#include "data/safetensors.h"

#include "base/error.h"
#include "base/file.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The format is little-endian, and tensors are read and written as they lie in memory. */
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors.c needs a little-endian host"
#endif
_Static_assert(sizeof(float) == 4, "F32 is 4 bytes");

/* The limit of the reference implementation, so that a length of nonsense does not reach malloc. */
enum { HEADER_BYTES_MAX = 100000000 };

enum { LENGTH_BYTES = 8, DATA_ALIGNMENT = 8 };

#define METADATA_KEY "__metadata__"

/* A tensor that has been read from the header but not yet been given its values. */
struct placed {
    struct safetensor tensor;
    int64_t begin, end; /* in the data */
    int order;          /* in the header */
};

/* Bytes of a tensor of these sizes, or -1 when they overflow. */
static int64_t tensor_bytes(const struct safetensor *tensor) {
    int64_t bytes = sizeof(float);
    for (int i = 0; i < tensor->dimensions; i++) {
        if (__builtin_mul_overflow(bytes, tensor->sizes[i], &bytes))
            return -1;
    }
    return bytes;
}

/* A whole number of at least 0, or -1. */
static int64_t whole(const json_t *value) {
    return json_is_integer(value) && json_integer_value(value) >= 0 ? json_integer_value(value)
                                                                    : -1;
}

static int parse_sizes(struct safetensor *tensor, const json_t *shape) {
    if (!json_is_array(shape))
        return error_set(ERROR_INPUT, "shape is not a list of sizes");
    size_t dimensions = json_array_size(shape);
    if (dimensions > SAFETENSORS_DIMENSIONS_MAX)
        return error_set(ERROR_INPUT, "%zu dimensions; at most %d are supported", dimensions,
                         SAFETENSORS_DIMENSIONS_MAX);
    tensor->dimensions = (int)dimensions;
    for (size_t i = 0; i < dimensions; i++) {
        tensor->sizes[i] = whole(json_array_get(shape, i));
        if (tensor->sizes[i] < 0)
            return error_set(ERROR_INPUT, "size %zu of its shape is not a whole number", i + 1);
    }
    return 0;
}

/* Fills out from one member of the header. Messages do not name the tensor yet. */
static int parse_tensor(struct placed *out, const json_t *value, int64_t data_bytes) {
    if (!json_is_object(value))
        return error_set(ERROR_INPUT, "is not an object with dtype, shape and data_offsets");
    const json_t *dtype = json_object_get(value, "dtype");
    if (!json_is_string(dtype))
        return error_set(ERROR_INPUT, "dtype is not a string");
    if (strcmp(json_string_value(dtype), "F32") != 0)
        return error_set(ERROR_INPUT, "dtype %.20s is not supported; only F32 is",
                         json_string_value(dtype));
    TRY(parse_sizes(&out->tensor, json_object_get(value, "shape")));

    const json_t *offsets = json_object_get(value, "data_offsets");
    out->begin = whole(json_array_get(offsets, 0)); /* NULL, and so -1, for what is no list */
    out->end = whole(json_array_get(offsets, 1));
    if (json_array_size(offsets) != 2 || out->begin < 0 || out->end < out->begin)
        return error_set(ERROR_INPUT, "data_offsets is not a begin and an end");
    if (out->end > data_bytes)
        return error_set(ERROR_INPUT, "bytes %lld..%lld are outside the file's %lld bytes of data",
                         (long long)out->begin, (long long)out->end, (long long)data_bytes);
    int64_t bytes = tensor_bytes(&out->tensor);
    if (bytes < 0)
        return error_set(ERROR_INPUT, "its sizes multiply to more bytes than can be counted");
    if (bytes != out->end - out->begin)
        return error_set(ERROR_INPUT, "its sizes need %lld bytes, its data_offsets hold %lld",
                         (long long)bytes, (long long)(out->end - out->begin));
    return 0;
}

static int check_metadata(const json_t *metadata) {
    const char *key;
    const json_t *value;
    if (!json_is_object(metadata))
        return error_set(ERROR_INPUT, METADATA_KEY " is not an object");
    json_object_foreach((json_t *)metadata, key, value) {
        if (!json_is_string(value))
            return error_set(ERROR_INPUT, METADATA_KEY ": the value of '%.100s' is not a string",
                             key);
    }
    return 0;
}

static int parse_members(struct placed *placed, int *count, const json_t *header,
                         int64_t data_bytes) {
    const char *name;
    const json_t *value;
    json_object_foreach((json_t *)header, name, value) {
        if (strcmp(name, METADATA_KEY) == 0) {
            TRY(check_metadata(value));
            continue;
        }
        placed[*count] = (struct placed){.tensor = {.name = name}, .order = *count};
        int rc = parse_tensor(&placed[*count], value, data_bytes);
        if (rc < 0)
            return error_prefix(rc, "tensor '%.200s': ", name);
        (*count)++;
    }
    return 0;
}

/* By place in the data. Several may begin at one place, if all but the last are empty. */
static int compare_places(const void *left, const void *right) {
    const struct placed *a = left, *b = right;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end)
        return a->end < b->end ? -1 : 1;
    return a->order - b->order;
}

/* The format demands that every byte of the data belongs to one tensor. */
static int check_tiling(const struct placed *placed, int count, int64_t data_bytes) {
    int64_t end = 0;
    for (int i = 0; i < count; i++) {
        if (placed[i].begin != end)
            return error_set(ERROR_INPUT, "tensor '%.200s': its data begin at byte %lld, %s %lld",
                             placed[i].tensor.name, (long long)placed[i].begin,
                             placed[i].begin > end ? "after a gap that begins at"
                                                   : "before another tensor's end at",
                             (long long)end);
        end = placed[i].end;
    }
    if (end != data_bytes)
        return error_set(ERROR_INPUT, "the last %lld bytes belong to no tensor",
                         (long long)(data_bytes - end));
    return 0;
}

/* Gives the tensors their values. Other writers need not pad the header as safetensors_write does:
 * where the data do not lie so that floats can be read, they move into memory of their own. */
static int place(struct safetensors *out, const struct placed *placed, int count, const char *data,
                 size_t data_bytes) {
    static const float nothing[1];
    if (data_bytes == 0) {
        data = (const char *)nothing;
    } else if ((uintptr_t)data % _Alignof(float) != 0) {
        out->storage = malloc(data_bytes);
        if (!out->storage)
            return error_no_memory("its tensors", data_bytes);
        data = memcpy(out->storage, data, data_bytes);
    }
    out->tensors = calloc(count ? (size_t)count : 1, sizeof *out->tensors);
    if (!out->tensors)
        return error_no_memory("its tensors", (size_t)count * sizeof *out->tensors);
    for (int i = 0; i < count; i++) {
        out->tensors[i] = placed[i].tensor;
        out->tensors[i].values = (const float *)(const void *)(data + placed[i].begin);
    }
    out->count = count;
    return 0;
}

static int parse_header(json_t **header, const char *text, size_t length) {
    /* The format asks for the brace; jansson would pass over space before it. */
    if (length == 0 || text[0] != '{')
        return error_set(ERROR_INPUT, "not a safetensors file: its header is not a JSON object");
    json_error_t error;
    *header = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (*header)
        return 0;
    if (json_error_code(&error) == json_error_out_of_memory)
        return error_no_memory("its header", length);
    return error_set(ERROR_INPUT, "its header is not well-formed JSON: %s, at byte %d of the file",
                     error.text, LENGTH_BYTES + error.position);
}

static int parse(struct safetensors *out, const char *bytes, size_t length) {
    uint64_t header_bytes;
    if (length < LENGTH_BYTES)
        return error_set(ERROR_INPUT, "not a safetensors file: only %zu bytes long", length);
    memcpy(&header_bytes, bytes, sizeof header_bytes);
    if (header_bytes > HEADER_BYTES_MAX)
        return error_set(ERROR_INPUT,
                         "not a safetensors file: a header of %llu bytes is longer than %d",
                         (unsigned long long)header_bytes, HEADER_BYTES_MAX);
    if (header_bytes > length - LENGTH_BYTES)
        return error_set(ERROR_INPUT, "cut short: a header of %llu bytes in a file of %zu",
                         (unsigned long long)header_bytes, length);

    json_t *header;
    TRY(parse_header(&header, bytes + LENGTH_BYTES, (size_t)header_bytes));
    out->header = header;

    const char *data = bytes + LENGTH_BYTES + header_bytes;
    size_t data_bytes = length - LENGTH_BYTES - (size_t)header_bytes;
    size_t size = (json_object_size(header) + 1) * sizeof(struct placed);
    struct placed *placed = malloc(size);
    if (!placed)
        return error_no_memory("its tensors", size);
    int count = 0;
    int rc;
    TRY_OR(done, parse_members(placed, &count, header, (int64_t)data_bytes));
    qsort(placed, (size_t)count, sizeof *placed, compare_places);
    TRY_OR(done, check_tiling(placed, count, (int64_t)data_bytes));
    TRY_OR(done, place(out, placed, count, data, data_bytes));
done:
    free(placed);
    return rc;
}

int safetensors_parse(struct safetensors *out, const char *path, const void *bytes, size_t length) {
    *out = (struct safetensors){0};
    int rc = parse(out, bytes, length);
    if (rc < 0) {
        safetensors_free(out);
        return error_prefix(rc, "%s: ", path);
    }
    return 0;
}

int safetensors_read(struct safetensors *out, const char *path) {
    *out = (struct safetensors){0};
    char *bytes;
    size_t length;
    TRY(file_read(path, PTRDIFF_MAX, &bytes, &length));
    int rc = safetensors_parse(out, path, bytes, length);
    if (rc < 0 || out->storage)
        free(bytes); /* the tensors, if any, have moved */
    else
        out->storage = bytes;
    return rc;
}

const struct safetensor *safetensors_find(const struct safetensors *file, const char *name) {
    for (int i = 0; i < file->count; i++) {
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    }
    return NULL;
}

const char *safetensors_metadata(const struct safetensors *file, const char *key) {
    return json_string_value(json_object_get(json_object_get(file->header, METADATA_KEY), key));
}

void safetensors_free(struct safetensors *file) {
    free(file->tensors);
    free(file->storage);
    json_decref(file->header);
    *file = (struct safetensors){0};
}

/* Adds value, whose reference it takes, to an object. jansson takes no NULL, which stands for used
 * up memory, and no name that is not UTF-8. */
static int add_member(json_t *object, const char *key, json_t *value) {
    if (json_object_get(object, key)) {
        json_decref(value);
        return error_set(ERROR_INPUT, "'%.200s' is there twice", key);
    }
    if (json_object_set_new(object, key, value) != 0)
        return error_set(ERROR_INPUT, "'%.200s' or its value is not UTF-8, or memory is used up",
                         key);
    return 0;
}

static int add_metadata(json_t *header, const char *const metadata[][2], int count) {
    if (count == 0)
        return 0;
    json_t *object = json_object();
    TRY(add_member(header, METADATA_KEY, object));
    for (int i = 0; i < count; i++) {
        int rc = add_member(object, metadata[i][0], json_string(metadata[i][1]));
        if (rc < 0)
            return error_prefix(rc, METADATA_KEY ": ");
    }
    return 0;
}

/* Adds a tensor whose data begin at *offset, and moves *offset behind them. */
static int add_tensor(json_t *header, const struct safetensor *tensor, int64_t *offset) {
    if (strcmp(tensor->name, METADATA_KEY) == 0)
        return error_set(ERROR_INPUT, "no tensor can be named " METADATA_KEY);
    assert(tensor->dimensions >= 0 && tensor->dimensions <= SAFETENSORS_DIMENSIONS_MAX);
    int64_t bytes = tensor_bytes(tensor);
    int64_t begin = *offset;
    if (bytes < 0 || __builtin_add_overflow(begin, bytes, offset))
        return error_set(ERROR_INPUT, "tensor '%.200s' is too large", tensor->name);
    json_t *shape = json_array();
    for (int i = 0; i < tensor->dimensions; i++) {
        assert(tensor->sizes[i] >= 0);
        (void)json_array_append_new(shape, json_integer(tensor->sizes[i]));
    }
    json_t *member = json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", shape,
                               "data_offsets", (json_int_t)begin, (json_int_t)*offset);
    int rc = add_member(header, tensor->name, member);
    return rc < 0 ? error_prefix(rc, "tensor ") : 0;
}

/* The text of the header in new memory that the caller frees. */
static int build_header(char **text, const struct safetensor *tensors, int count,
                        const char *const metadata[][2], int metadata_count) {
    json_t *header = json_object();
    int64_t offset = 0;
    int rc;
    TRY_OR(done, add_metadata(header, metadata, metadata_count));
    for (int i = 0; i < count; i++)
        TRY_OR(done, add_tensor(header, &tensors[i], &offset));
    *text = json_dumps(header, JSON_COMPACT);
    if (!*text)
        rc = error_set(ERROR_MEMORY, "not enough memory for its header");
    else if (strlen(*text) > HEADER_BYTES_MAX - DATA_ALIGNMENT) {
        free(*text);
        rc = error_set(ERROR_INPUT, "its header would be longer than %d bytes", HEADER_BYTES_MAX);
    }
done:
    json_decref(header);
    return rc;
}

/* Returns 0 when the system took everything. Data begin where a reader can use them in place: the
 * header is padded with spaces, as the format allows. */
static int write_all(FILE *stream, const char *header, const struct safetensor *tensors,
                     int count) {
    size_t text_bytes = strlen(header);
    size_t padding =
        (DATA_ALIGNMENT - (LENGTH_BYTES + text_bytes) % DATA_ALIGNMENT) % DATA_ALIGNMENT;
    uint64_t header_bytes = text_bytes + padding;
    if (fwrite(&header_bytes, sizeof header_bytes, 1, stream) != 1 || fputs(header, stream) < 0 ||
        fprintf(stream, "%*s", (int)padding, "") < 0)
        return -1;
    for (int i = 0; i < count; i++) {
        size_t elements = (size_t)tensor_bytes(&tensors[i]) / sizeof(float);
        if (elements && fwrite(tensors[i].values, sizeof(float), elements, stream) != elements)
            return -1;
    }
    return 0;
}

int safetensors_write(const char *path, const struct safetensor *tensors, int count,
                      const char *const metadata[][2], int metadata_count) {
    char *header = NULL;
    int rc = build_header(&header, tensors, count, metadata, metadata_count);
    if (rc < 0)
        return error_prefix(rc, "%s: ", path);
    struct file_writer writer;
    TRY_OR(done, file_create(&writer, path));
    if (write_all(writer.stream, header, tensors, count) < 0) {
        rc = error_set(ERROR_SYSTEM, "%s: cannot write: %s", path, strerror(errno));
        file_discard(&writer);
    } else {
        rc = file_commit(&writer);
    }
done:
    free(header);
    return rc;
}
