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

static int check_dimensions(const struct idx *idx, const char *path) {
    if (idx->dimensions >= 3)
        return 0;
    return error_set(ERROR_INPUT, "%s: %d dimensions; pictures have 3 (n, h, w) or 4 (n, h, w, c)",
                     path, idx->dimensions);
}

static int read_pictures(struct dataset *dataset, const char *path,
                         const struct data_request *request) {
    struct idx idx;
    TRY(idx_read(&idx, path));
    int rc;
    TRY_OR(done, check_dimensions(&idx, path));
    TRY_OR(done, source_set_shapes(dataset, path, picture_shape(&idx), request));
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
    if (source_labels_are_numbers(request))
        rc = take_targets(dataset, &idx, path);
    else
        rc = take_labels(dataset, &idx, path);
done:
    idx_free(&idx);
    return rc;
}

int source_read_idx(struct dataset *dataset, const struct source *source,
                    const struct data_request *request) {
    TRY(read_pictures(dataset, source->samples, request));
    return read_labels(dataset, source, request);
}
