/* What the sources of pictures share: names, classes, shapes, and the split of the halves. */
#include "data/source.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Takes the text over, also when it fails. */
static int take_name(struct names *names, char *text) {
    if (!text)
        return error_no_memory("a name", 0);
    if (names->count == names->room) {
        int64_t room = names->room ? 2 * names->room : 64;
        char **texts = realloc(names->texts, (size_t)room * sizeof *texts);
        if (!texts) {
            free(text);
            return error_no_memory("names", (size_t)room * sizeof *texts);
        }
        names->texts = texts;
        names->room = room;
    }
    names->texts[names->count++] = text;
    return 0;
}

int names_add(struct names *names, const char *text) {
    return take_name(names, strdup(text));
}

int names_add_joined(struct names *names, const char *folder, const char *name) {
    return take_name(names, path_join(folder, name));
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void names_sort(struct names *names) {
    if (names->count)
        qsort(names->texts, (size_t)names->count, sizeof *names->texts, compare_names);
}

void names_free(struct names *names) {
    for (int64_t i = 0; i < names->count; i++)
        free(names->texts[i]);
    free(names->texts);
    *names = (struct names){0};
}

int names_add_folder(struct names *names, const char *folder) {
    DIR *directory = opendir(folder);
    if (!directory)
        return error_set(ERROR_SYSTEM, "%s: %s", folder, strerror(errno));
    int rc = 0;
    errno = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(directory));) {
        if (entry->d_name[0] != '.')
            rc = names_add(names, entry->d_name);
        errno = 0;
    }
    if (rc == 0 && errno)
        rc = error_set(ERROR_SYSTEM, "%s: %s", folder, strerror(errno));
    (void)closedir(directory);
    names_sort(names);
    return rc;
}

int source_labels_are_numbers(const struct data_request *request) {
    return request->outputs == 1 && !request->labels_only;
}

static struct shape frame_of(const struct data_request *request) {
    return shape_elements(request->frame) ? request->frame : request->input;
}

int source_set_shapes(struct dataset *dataset, const char *path, struct shape held,
                      const struct data_request *request) {
    struct shape input = request->input, frame = frame_of(request);
    int is_vector = input.h == 1 && input.w == 1;
    if (is_vector && shape_elements(held) == shape_elements(input))
        held = frame = input;
    int fits = shape_equal(held, frame);
    /* Without a frame of its own the network takes its input as it is. */
    if (!fits && !shape_elements(request->frame))
        return error_set(ERROR_INPUT,
                         "%s holds pictures of %dx%dx%d (w x h x c); the network expects %dx%dx%d",
                         path, held.w, held.h, held.c, input.w, input.h, input.c);
    if (!fits && (held.c != frame.c || (held.c != 1 && held.c != 3)))
        return error_set(ERROR_INPUT,
                         "%s holds pictures of %dx%dx%d (w x h x c), which cannot be resized to "
                         "%dx%dx%d: that takes 1 or 3 channels, the same before and after",
                         path, held.w, held.h, held.c, frame.w, frame.h, frame.c);
    dataset->input = input;
    dataset->frame = frame;
    dataset->stored = held;
    return 0;
}

/* Whether a picture belongs to the test half. By its name alone: it stays there whatever comes to
 * lie beside it. */
static int is_held_out(const char *name, double share) {
    uint64_t hash = XXH64(name, strlen(name), 0);
    return (double)(hash >> 11) * 0x1p-53 < share;
}

int gathering_start(struct gathering *g, const struct source *source,
                    const struct data_request *request) {
    *g = (struct gathering){.source = source, .request = request};
    int channels = frame_of(request).c;
    if (channels != 1 && channels != 3)
        return error_set(ERROR_INPUT,
                         "%s: pictures have 1 or 3 channels; the network's input has %d",
                         source->samples, channels);
    g->hash = XXH64_createState();
    if (!g->hash)
        return error_no_memory("a hash", 0);
    (void)XXH64_reset(g->hash, 0);
    return picture_files_create(&g->files);
}

static int reserve_label(struct gathering *g) {
    if (picture_files_count(g->files) < g->room)
        return 0;
    int64_t room = g->room ? 2 * g->room : 1024;
    size_t bytes = (size_t)room * sizeof *g->labels;
    int32_t *labels = realloc(g->labels, bytes);
    if (!labels)
        return error_no_memory("the labels of the pictures", bytes);
    g->labels = labels;
    g->room = room;
    return 0;
}

int gathering_add(struct gathering *g, const struct found *found) {
    const struct data_request *request = g->request;
    if (!source_labels_are_numbers(request) &&
        (found->label < 0 || found->label >= request->outputs))
        return error_set(ERROR_INPUT, "%s: label %d is outside 0..%d, the network's %d classes",
                         found->path, found->label, request->outputs - 1, request->outputs);
    g->seen++;
    double share = g->source->test_share;
    if (share > 0 && is_held_out(found->name, share) != (g->source->half == DATA_TEST))
        return 0;
    TRY(reserve_label(g));
    g->labels[picture_files_count(g->files)] = found->label;
    TRY(picture_files_add(g->files, found->path, found->archive, found->offset, found->size));
    (void)XXH64_update(g->hash, found->name, strlen(found->name) + 1);
    (void)XXH64_update(g->hash, &found->size, sizeof found->size);
    (void)XXH64_update(g->hash, &found->label, sizeof found->label);
    return 0;
}

static int hand_over_labels(struct gathering *g, struct dataset *dataset) {
    if (!source_labels_are_numbers(g->request)) {
        dataset->labels = g->labels;
        g->labels = NULL;
        return 0;
    }
    size_t count = (size_t)dataset->count;
    dataset->targets = calloc(count, sizeof *dataset->targets);
    if (!dataset->targets)
        return error_no_memory("the labels of the pictures", count * sizeof *dataset->targets);
    for (size_t i = 0; i < count; i++)
        dataset->targets[i] = (float)g->labels[i];
    return 0;
}

int gathering_finish(struct gathering *g, struct dataset *dataset) {
    const struct source *source = g->source;
    /* Once is enough where both halves are found in the same place. */
    if (g->ignored && (source->test_share == 0 || source->half == DATA_TRAIN))
        log_info("%s: %" PRId64 " files ignored that are no pictures (.jpg, .jpeg, .png)",
                 source->samples, g->ignored);
    if (g->seen == 0)
        return error_set(ERROR_INPUT, "%s: no pictures (.jpg, .jpeg, .png) in it", source->samples);
    dataset->count = picture_files_count(g->files);
    if (dataset->count == 0)
        return error_set(ERROR_INPUT,
                         "data.test_share: %g of the %" PRId64 " pictures in %s leaves none to %s",
                         source->test_share, g->seen, source->samples,
                         source->half == DATA_TEST ? "test on" : "learn from");
    dataset->input = g->request->input;
    dataset->frame = dataset->stored = frame_of(g->request);
    TRY(hand_over_labels(g, dataset));
    dataset->files = g->files;
    g->files = NULL;
    dataset->fingerprint = XXH64_digest(g->hash);
    return 0;
}

void gathering_free(struct gathering *g) {
    picture_files_free(g->files);
    free(g->labels);
    (void)XXH64_freeState(g->hash);
    *g = (struct gathering){0};
}

static int label_by_request(int *labels, const struct names *names, const char *path,
                            const struct classes *classes) {
    for (int64_t i = 0; i < names->count; i++) {
        int label = 0;
        while (label < classes->count && strcmp(classes->names[label], names->texts[i]) != 0)
            label++;
        if (label == classes->count)
            return error_set(ERROR_INPUT,
                             "%s: '%s' is not among the %d classes that the network was trained on",
                             path, names->texts[i], classes->count);
        labels[i] = label;
    }
    return 0;
}

static int check_class_count(const struct names *names, const char *path,
                             const struct data_request *request) {
    if (names->count == request->outputs || source_labels_are_numbers(request))
        return 0;
    return error_set(ERROR_INPUT,
                     "%s has %" PRId64 " classes; the network's output is %d: set output=%" PRId64
                     " in the last [connected] (or --set <last layer>.output=%" PRId64 ")",
                     path, names->count, request->outputs, names->count, names->count);
}

int source_name_classes(struct dataset *dataset, int **labels, const struct names *names,
                        const char *path, const struct data_request *request) {
    *labels = calloc((size_t)names->count + 1, sizeof **labels);
    if (!*labels)
        return error_no_memory(path, (size_t)names->count * sizeof **labels);
    if (request->classes && request->classes->count) {
        TRY(label_by_request(*labels, names, path, request->classes));
        return classes_copy(&dataset->classes, request->classes);
    }
    TRY(check_class_count(names, path, request));
    for (int64_t i = 0; i < names->count; i++)
        (*labels)[i] = (int)i;
    const struct classes classes = {(int)names->count, names->texts};
    return classes_copy(&dataset->classes, &classes);
}
