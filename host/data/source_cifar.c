/* CIFAR-10 and CIFAR-100 in their binary versions: records of one or two bytes of label, then the
 * picture's red, green and blue plane. https://www.cs.toronto.edu/~kriz/cifar.html */
#include "data/source.h"

#include "base/error.h"
#include "base/file.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SIDE = 32, PLANE = SIDE * SIDE, CHANNELS = 3, PICTURE = CHANNELS * PLANE };

/* What sets the two apart. */
struct variant {
    int classes;
    size_t label_bytes; /* the last one is the label: CIFAR-100 has the coarse one before */
    const char *names;  /* the file beside that names the classes */
};

static const struct variant CIFAR_10 = {10, 1, "batches.meta.txt"};
static const struct variant CIFAR_100 = {100, 2, "fine_label_names.txt"};

static const char *const TRAIN_FILES[] = {
    "data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
    "data_batch_4.bin", "data_batch_5.bin", "train.bin",
};
static const char *const TEST_FILES[] = {"test_batch.bin", "test.bin"};
enum { TRAIN_COUNT = sizeof TRAIN_FILES / sizeof *TRAIN_FILES, TEST_COUNT = 2 };

/* Adds the files of one half that are there. */
static int find_files(struct names *files, const char *folder, enum data_half half) {
    const char *const *candidates = half == DATA_TRAIN ? TRAIN_FILES : TEST_FILES;
    int count = half == DATA_TRAIN ? TRAIN_COUNT : TEST_COUNT;
    for (int i = 0; i < count; i++) {
        TRY(names_add_joined(files, folder, candidates[i]));
        struct stat status;
        if (stat(files->texts[files->count - 1], &status) != 0)
            free(files->texts[--files->count]);
    }
    return 0;
}

int cifar_in_folder(const char *folder) {
    struct names files = {0};
    int rc = find_files(&files, folder, DATA_TRAIN);
    if (rc == 0)
        rc = find_files(&files, folder, DATA_TEST);
    if (rc == 0)
        rc = files.count > 0;
    names_free(&files);
    return rc;
}

static int find(struct names *files, const struct source *source) {
    struct stat status;
    if (stat(source->samples, &status) == 0 && !S_ISDIR(status.st_mode))
        return names_add(files, source->samples);
    TRY(find_files(files, source->samples, source->half));
    if (files->count)
        return 0;
    return error_set(ERROR_INPUT, "%s: no file %s in this folder", source->samples,
                     source->half == DATA_TRAIN ? "data_batch_*.bin or train.bin"
                                                : "test_batch.bin or test.bin");
}

/* By the size; by the name where that suits both. */
static const struct variant *variant_of(const char *path, size_t length) {
    int is_10 = length % (CIFAR_10.label_bytes + PICTURE) == 0;
    int is_100 = length % (CIFAR_100.label_bytes + PICTURE) == 0;
    if (length == 0 || (!is_10 && !is_100))
        return NULL;
    if (is_10 && is_100)
        return path_has_ending(path, "/train.bin") || path_has_ending(path, "/test.bin")
                   ? &CIFAR_100
                   : &CIFAR_10;
    return is_10 ? &CIFAR_10 : &CIFAR_100;
}

static int grow(struct dataset *dataset, int64_t count, const char *path) {
    size_t bytes = (size_t)count * PICTURE, label_bytes = (size_t)count * sizeof(int32_t);
    uint8_t *pixels = realloc(dataset->bytes, bytes);
    if (!pixels)
        return error_no_memory(path, bytes);
    dataset->bytes = pixels;
    int32_t *labels = realloc(dataset->labels, label_bytes);
    if (!labels)
        return error_no_memory(path, label_bytes);
    dataset->labels = labels;
    return 0;
}

static void take_picture(uint8_t *to, const uint8_t *planes) {
    for (int c = 0; c < CHANNELS; c++) {
        for (int i = 0; i < PLANE; i++)
            to[i * CHANNELS + c] = planes[c * PLANE + i];
    }
}

static int take_records(struct dataset *dataset, const char *path, const struct variant *variant,
                        const uint8_t *bytes, size_t length, const struct data_request *request) {
    size_t record = variant->label_bytes + PICTURE;
    int64_t count = (int64_t)(length / record);
    int limit = source_labels_are_numbers(request) ? variant->classes : request->outputs;
    TRY(grow(dataset, dataset->count + count, path));
    for (int64_t i = 0; i < count; i++) {
        const uint8_t *at = bytes + (size_t)i * record;
        int label = at[variant->label_bytes - 1];
        if (label >= limit || label >= variant->classes)
            return error_set(ERROR_INPUT,
                             "%s: sample %" PRId64 " (from 0): label %d is outside 0..%d", path, i,
                             label, (limit < variant->classes ? limit : variant->classes) - 1);
        dataset->labels[dataset->count] = label;
        take_picture(dataset->bytes + (size_t)dataset->count * PICTURE, at + variant->label_bytes);
        dataset->count++;
    }
    return 0;
}

static int read_file(struct dataset *dataset, const char *path, const struct variant **variant,
                     const struct data_request *request) {
    char *bytes;
    size_t length;
    TRY(file_read(path, SIZE_MAX, &bytes, &length));
    const struct variant *found = variant_of(path, length);
    int rc;
    if (!found)
        rc = error_set(ERROR_INPUT,
                       "%s: %zu bytes: neither whole records of CIFAR-10 (%zu bytes) nor of "
                       "CIFAR-100 (%zu)",
                       path, length, CIFAR_10.label_bytes + PICTURE,
                       CIFAR_100.label_bytes + PICTURE);
    else if (*variant && *variant != found)
        rc = error_set(ERROR_INPUT, "%s: CIFAR-%d, though other files of the folder are CIFAR-%d",
                       path, found->classes, (*variant)->classes);
    else
        rc = take_records(dataset, path, found, (const uint8_t *)bytes, length, request);
    *variant = found;
    free(bytes);
    return rc;
}

/* Lines of text, in place; empty ones are left out. */
static int split_lines(struct names *names, char *text) {
    for (char *at = text; *at;) {
        size_t length = strcspn(at, "\r\n");
        char *next = at + length + (at[length] != '\0');
        at[length] = '\0';
        if (length)
            TRY(names_add(names, at));
        at = next;
    }
    return 0;
}

static int read_names(struct dataset *dataset, const char *path, const struct variant *variant) {
    struct stat status;
    if (stat(path, &status) != 0)
        return 0; /* classes may go without names */
    char *text;
    size_t length;
    TRY(file_read(path, 1 << 20, &text, &length));
    struct names names = {0};
    int rc;
    TRY_OR(done, split_lines(&names, text));
    if (names.count != variant->classes) {
        rc = error_set(ERROR_INPUT, "%s: %" PRId64 " names; CIFAR-%d has %d classes", path,
                       names.count, variant->classes, variant->classes);
        goto done;
    }
    const struct classes classes = {(int)names.count, names.texts};
    rc = classes_copy(&dataset->classes, &classes);
done:
    names_free(&names);
    free(text);
    return rc;
}

static int name_classes(struct dataset *dataset, const char *file, const struct variant *variant,
                        const struct data_request *request) {
    assert(variant); /* each file has one, and there is one file at least */
    if (request->classes && request->classes->count)
        return classes_copy(&dataset->classes, request->classes);
    char *path = path_beside(file, variant->names);
    if (!path)
        return error_no_memory(file, strlen(file));
    int rc = read_names(dataset, path, variant);
    free(path);
    return rc;
}

static int turn_into_numbers(struct dataset *dataset) {
    size_t count = (size_t)dataset->count;
    dataset->targets = calloc(count, sizeof *dataset->targets);
    if (!dataset->targets)
        return error_no_memory("labels", count * sizeof *dataset->targets);
    for (size_t i = 0; i < count; i++)
        dataset->targets[i] = (float)dataset->labels[i];
    free(dataset->labels);
    dataset->labels = NULL;
    return 0;
}

int source_read_cifar(struct dataset *dataset, const struct source *source,
                      const struct data_request *request) {
    struct names files = {0};
    const struct variant *variant = NULL;
    const struct shape held = {CHANNELS, SIDE, SIDE};
    int rc;
    TRY_OR(done, find(&files, source));
    TRY_OR(done, source_set_shapes(dataset, source->samples, held, request));
    for (int64_t i = 0; i < files.count; i++)
        TRY_OR(done, read_file(dataset, files.texts[i], &variant, request));
    TRY_OR(done, name_classes(dataset, files.texts[0], variant, request));
    rc = source_labels_are_numbers(request) ? turn_into_numbers(dataset) : 0;
done:
    names_free(&files);
    return rc;
}
