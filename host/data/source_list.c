#include "data/source.h"

#include "base/error.h"
#include "base/file.h"
#include "base/options.h"
#include "data/list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A class by its name, for looking it up. */
struct named_label {
    const char *name;
    int label;
};

static int compare_named(const void *a, const void *b) {
    return strcmp(((const struct named_label *)a)->name, ((const struct named_label *)b)->name);
}

/* A list and what it takes to turn its labels into numbers. */
struct labelling {
    const char *path;
    struct list list;
    struct named_label *classes; /* [count], sorted by name; none: labels are numbers */
    int count;
};

static int is_number(const char *text) {
    int ignored;
    return parse_int(text, &ignored) == 0;
}

static int compare_words(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The different labels of the list, sorted. */
static int distinct_labels(struct names *names, const struct list *list) {
    size_t bytes = (size_t)list->count * sizeof(char *);
    const char **words = malloc(bytes);
    if (!words)
        return error_no_memory("the labels of a list", bytes);
    for (long i = 0; i < list->count; i++)
        words[i] = list->rows[i].label;
    qsort(words, (size_t)list->count, sizeof *words, compare_words);
    int rc = 0;
    for (long i = 0; rc == 0 && i < list->count; i++) {
        if (i == 0 || strcmp(words[i], words[i - 1]) != 0)
            rc = names_add(names, words[i]);
    }
    free(words);
    return rc;
}

static int index_classes(struct labelling *l, const struct classes *classes) {
    size_t bytes = ((size_t)classes->count + 1) * sizeof *l->classes;
    l->classes = malloc(bytes);
    if (!l->classes)
        return error_no_memory(l->path, bytes);
    for (int i = 0; i < classes->count; i++)
        l->classes[i] = (struct named_label){classes->names[i], i};
    l->count = classes->count;
    qsort(l->classes, (size_t)l->count, sizeof *l->classes, compare_named);
    return 0;
}

/* Labels are numbers when the first is one; classes of numeric names that are known go before. */
static int prepare_labels(struct labelling *l, struct dataset *dataset,
                          const struct data_request *request) {
    if (request->classes && request->classes->count) {
        TRY(index_classes(l, request->classes));
        return classes_copy(&dataset->classes, request->classes);
    }
    if (is_number(l->list.rows[0].label))
        return 0;
    struct names names = {0};
    int *labels = NULL;
    int rc;
    TRY_OR(done, distinct_labels(&names, &l->list));
    TRY_OR(done, source_name_classes(dataset, &labels, &names, l->path, request));
    rc = index_classes(l, &dataset->classes);
done:
    free(labels);
    names_free(&names);
    return rc;
}

static int label_of(int *label, const struct labelling *l, const struct list_row *row) {
    const struct named_label key = {.name = row->label};
    const struct named_label *found =
        l->count ? bsearch(&key, l->classes, (size_t)l->count, sizeof key, compare_named) : NULL;
    if (found) {
        *label = found->label;
        return 0;
    }
    if (parse_int(row->label, label) == 0)
        return 0;
    if (l->count)
        return error_set(ERROR_INPUT, "%s:%ld: '%.60s' is not among the %d classes", l->path,
                         row->line, row->label, l->count);
    return error_set(ERROR_INPUT,
                     "%s:%ld: '%.60s' is not a number, though the list's first label is one",
                     l->path, row->line, row->label);
}

static char *picture_path(const struct source *source, const char *name) {
    if (source->root && name[0] != '/')
        return path_join(source->root, name);
    return path_beside(source->samples, name);
}

/* A root that is wrong is wrong for all: the first picture tells, and a million need no look. */
static int check_first(const struct labelling *l, const char *path) {
    struct stat status;
    if (stat(path, &status) == 0)
        return 0;
    return error_set(ERROR_SYSTEM,
                     "%s:%ld: %s: %s; paths are seen from root= in [data], or else from the list's "
                     "own folder",
                     l->path, l->list.rows[0].line, path, strerror(errno));
}

static int add_row(struct gathering *g, const struct labelling *l, long index) {
    const struct list_row *row = &l->list.rows[index];
    int label = 0;
    TRY(label_of(&label, l, row));
    char *path = picture_path(g->source, row->path);
    if (!path)
        return error_no_memory(row->path, strlen(row->path));
    const struct found found = {.path = path, .name = row->path, .label = label, .archive = -1};
    int rc = index == 0 ? check_first(l, path) : 0;
    if (rc == 0) {
        rc = gathering_add(g, &found);
        if (rc < 0)
            (void)error_prefix(rc, "%s:%ld: ", l->path, row->line);
    }
    free(path);
    return rc;
}

static int read_list(struct labelling *l, const char *path) {
    *l = (struct labelling){.path = path};
    char *text;
    size_t length;
    TRY(file_read(path, SIZE_MAX, &text, &length));
    int rc = list_parse(&l->list, path, text, length);
    free(text);
    return rc;
}

int source_read_list(struct dataset *dataset, const struct source *source,
                     const struct data_request *request) {
    struct labelling l;
    struct gathering g = {0};
    int rc;
    TRY_OR(done, read_list(&l, source->samples));
    TRY_OR(done, prepare_labels(&l, dataset, request));
    TRY_OR(done, gathering_start(&g, source, request));
    for (long i = 0; i < l.list.count; i++)
        TRY_OR(done, add_row(&g, &l, i));
    rc = gathering_finish(&g, dataset);
done:
    list_free(&l.list);
    free(l.classes);
    gathering_free(&g);
    return rc;
}
