#include "data/source.h"

#include "base/error.h"
#include "data/idx.h"

#include <inttypes.h>
#include <stdlib.h>

/* One picture of a file [n][h][w], or [n][h][w][c]. */
static struct shape picture_shape(const struct idx *idx) {
    return (struct shape){
        .c = idx->dimensions == 4 ? idx->sizes[3] : 1,
        .h = idx->sizes[1],
        .w = idx->sizes[2],
    };
}

/* A picture may also be taken as a vector of its bytes, in the order in which they lie. */
static int check_pictures(const struct idx *idx, struct shape expected, const char *path) {
    if (idx->dimensions < 3)
        return error_set(ERROR_INPUT,
                         "%s: %d dimensions; pictures have 3 (n, h, w) or 4 (n, h, w, c)", path,
                         idx->dimensions);
    struct shape held = picture_shape(idx);
    int is_vector = expected.h == 1 && expected.w == 1;
    if (shape_equal(held, expected) ||
        (is_vector && shape_elements(held) == shape_elements(expected)))
        return 0;
    return error_set(ERROR_INPUT,
                     "%s holds pictures of %dx%dx%d (w x h x c); the network expects %dx%dx%d",
                     path, held.w, held.h, held.c, expected.w, expected.h, expected.c);
}

static int read_pictures(struct dataset *dataset, const char *path, struct shape expected) {
    struct idx idx;
    TRY(idx_read(&idx, path));
    int rc;
    TRY_OR(done, check_pictures(&idx, expected, path));
    dataset->input = expected;
    dataset->count = idx.sizes[0];
    dataset->bytes = idx.elements;
    idx.elements = NULL; /* the data set's now */
done:
    idx_free(&idx);
    return rc;
}

static int check_labels(const struct idx *idx, const char *path, const struct dataset *dataset,
                        const char *pictures_path) {
    if (idx->dimensions != 1)
        return error_set(ERROR_INPUT, "%s: %d dimensions; labels have 1", path, idx->dimensions);
    if (idx->sizes[0] != dataset->count)
        return error_set(ERROR_INPUT,
                         "%s holds %" PRId32 " labels, but %s holds %" PRId64 " pictures", path,
                         idx->sizes[0], pictures_path, dataset->count);
    return 0;
}

static int take_labels(struct dataset *dataset, const struct idx *idx, const char *path) {
    size_t count = (size_t)dataset->count;
    dataset->labels = calloc(count, sizeof *dataset->labels);
    if (!dataset->labels)
        return error_no_memory(path, count * sizeof *dataset->labels);
    for (size_t i = 0; i < count; i++) {
        if (idx->elements[i] >= dataset->outputs)
            return error_set(ERROR_INPUT,
                             "%s: sample %zu (from 0): label %d is outside 0..%d, the network's "
                             "%d classes",
                             path, i, idx->elements[i], dataset->outputs - 1, dataset->outputs);
        dataset->labels[i] = idx->elements[i];
    }
    return 0;
}

static int take_targets(struct dataset *dataset, const struct idx *idx, const char *path) {
    size_t count = (size_t)dataset->count;
    dataset->targets = calloc(count, sizeof *dataset->targets);
    if (!dataset->targets)
        return error_no_memory(path, count * sizeof *dataset->targets);
    for (size_t i = 0; i < count; i++)
        dataset->targets[i] = idx->elements[i];
    return 0;
}

static int read_labels(struct dataset *dataset, const struct source *source,
                       const struct data_request *request) {
    const char *path = source->labels;
    struct idx idx;
    TRY(idx_read(&idx, path));
    int rc;
    TRY_OR(done, check_labels(&idx, path, dataset, source->samples));
    /* A loss with a single output that takes numbers is a regression on the label's value. */
    if (request->outputs == 1 && !request->labels_only)
        rc = take_targets(dataset, &idx, path);
    else
        rc = take_labels(dataset, &idx, path);
done:
    idx_free(&idx);
    return rc;
}

int source_read_idx(struct dataset *dataset, const struct source *source,
                    const struct data_request *request) {
    TRY(read_pictures(dataset, source->samples, request->input));
    return read_labels(dataset, source, request);
}
