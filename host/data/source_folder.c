#include "data/source.h"

#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A folder whose pictures are looked for. */
struct node {
    char *name; /* seen from the root */
    int64_t parent;
    dev_t device;
    ino_t number;
};

/* The walk through one class's folder and those in it. */
struct walk {
    const char *root;
    struct node
        *nodes; /* node 0 is the root itself, which is only there for links that lead to it */
    int64_t count, room;
    struct names pictures; /* seen from the root */
    int64_t ignored;
};

enum kind { KIND_FILE, KIND_FOLDER, KIND_OTHER };

static void walk_free(struct walk *walk) {
    for (int64_t i = 0; i < walk->count; i++)
        free(walk->nodes[i].name);
    free(walk->nodes);
    names_free(&walk->pictures);
    *walk = (struct walk){0};
}

/* What the entry is, or what it links to. A link that leads nowhere is neither file nor folder. */
static enum kind kind_of(DIR *directory, const struct dirent *entry) {
    if (entry->d_type == DT_REG)
        return KIND_FILE;
    if (entry->d_type == DT_DIR)
        return KIND_FOLDER;
    struct stat status;
    if (fstatat(dirfd(directory), entry->d_name, &status, 0) != 0)
        return KIND_OTHER;
    if (S_ISREG(status.st_mode))
        return KIND_FILE;
    return S_ISDIR(status.st_mode) ? KIND_FOLDER : KIND_OTHER;
}

/* Whether a folder is one that it lies in: a link has led back. */
static int is_loop(const struct walk *walk, const struct stat *status, int64_t parent) {
    for (int64_t i = parent; i >= 0; i = walk->nodes[i].parent) {
        if (walk->nodes[i].device == status->st_dev && walk->nodes[i].number == status->st_ino)
            return 1;
    }
    return 0;
}

/* Takes the name over, also when it fails. */
static int add_node(struct walk *walk, char *name, const struct stat *status, int64_t parent) {
    if (walk->count == walk->room) {
        int64_t room = walk->room ? 2 * walk->room : 64;
        struct node *nodes = realloc(walk->nodes, (size_t)room * sizeof *nodes);
        if (!nodes) {
            free(name);
            return error_no_memory("folders", (size_t)room * sizeof *nodes);
        }
        walk->nodes = nodes;
        walk->room = room;
    }
    walk->nodes[walk->count++] = (struct node){name, parent, status->st_dev, status->st_ino};
    return 0;
}

/* Adds a folder inside of another. */
static int add_folder(struct walk *walk, int64_t parent, const char *name) {
    char *relative = parent == 0 ? strdup(name) : path_join(walk->nodes[parent].name, name);
    if (!relative)
        return error_no_memory(name, strlen(name));
    char *path = path_join(walk->root, relative);
    struct stat status;
    int rc = 0;
    if (!path)
        rc = error_no_memory(name, strlen(name));
    else if (stat(path, &status) != 0)
        rc = error_set(ERROR_SYSTEM, "%s: %s", path, strerror(errno));
    free(path);
    if (rc == 0 && !is_loop(walk, &status, parent))
        return add_node(walk, relative, &status, parent);
    free(relative);
    return rc;
}

static int take_entry(struct walk *walk, int64_t node, DIR *directory, const struct dirent *entry) {
    const char *name = entry->d_name;
    if (name[0] == '.')
        return 0;
    enum kind kind = kind_of(directory, entry);
    if (kind == KIND_FOLDER)
        return add_folder(walk, node, name);
    if (kind == KIND_FILE && is_picture_name(name))
        return names_add_joined(&walk->pictures, walk->nodes[node].name, name);
    walk->ignored++;
    return 0;
}

static int read_entries(struct walk *walk, int64_t node, DIR *directory, const char *path) {
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (!entry)
            return errno ? error_set(ERROR_SYSTEM, "%s: %s", path, strerror(errno)) : 0;
        TRY(take_entry(walk, node, directory, entry));
    }
}

static int read_folder(struct walk *walk, int64_t node) {
    char *path = path_join(walk->root, walk->nodes[node].name);
    if (!path)
        return error_no_memory(walk->root, strlen(walk->root));
    DIR *directory = opendir(path);
    int rc = directory ? read_entries(walk, node, directory, path)
                       : error_set(ERROR_SYSTEM, "%s: %s", path, strerror(errno));
    if (directory)
        (void)closedir(directory);
    free(path);
    return rc;
}

/* Finds all pictures of a class, in the order of their names. */
static int walk_class(struct walk *walk, const char *root, const char *name) {
    *walk = (struct walk){.root = root};
    struct stat status;
    if (stat(root, &status) != 0)
        return error_set(ERROR_SYSTEM, "%s: %s", root, strerror(errno));
    TRY(add_node(walk, NULL, &status, -1));
    TRY(add_folder(walk, 0, name));
    for (int64_t i = 1; i < walk->count; i++)
        TRY(read_folder(walk, i));
    names_sort(&walk->pictures);
    return 0;
}

static int add_picture(struct gathering *g, const char *name, int label) {
    char *path = path_join(g->source->samples, name);
    if (!path)
        return error_no_memory(name, strlen(name));
    const struct found found = {.path = path, .name = name, .label = label, .archive = -1};
    int rc = gathering_add(g, &found);
    free(path);
    return rc;
}

static int add_class(struct gathering *g, const char *name, int label, struct progress *progress) {
    struct walk walk;
    int rc;
    TRY_OR(done, walk_class(&walk, g->source->samples, name));
    g->ignored += walk.ignored;
    for (int64_t i = 0; i < walk.pictures.count; i++)
        TRY_OR(done, add_picture(g, walk.pictures.texts[i], label));
    progress_show(progress, "%" PRId64 " pictures", g->seen);
done:
    walk_free(&walk);
    return rc;
}

/* The folders in the root: one a class. */
static int find_classes(struct names *classes, struct gathering *g) {
    const char *root = g->source->samples;
    DIR *directory = opendir(root);
    if (!directory)
        return error_set(ERROR_SYSTEM, "%s: %s", root, strerror(errno));
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        if (kind_of(directory, entry) == KIND_FOLDER)
            rc = names_add(classes, entry->d_name);
        else
            g->ignored++;
    }
    (void)closedir(directory);
    names_sort(classes);
    if (rc == 0 && classes->count == 0)
        rc = error_set(ERROR_INPUT, "%s: no folders in it; expected one for each class", root);
    return rc;
}

int source_read_folder(struct dataset *dataset, const struct source *source,
                       const struct data_request *request) {
    struct gathering g;
    struct names classes = {0};
    int *labels = NULL;
    struct progress progress = progress_start(source->samples);
    int rc;
    TRY_OR(done, gathering_start(&g, source, request));
    TRY_OR(done, find_classes(&classes, &g));
    TRY_OR(done, source_name_classes(dataset, &labels, &classes, source->samples, request));
    for (int64_t i = 0; i < classes.count; i++)
        TRY_OR(done, add_class(&g, classes.texts[i], labels[i], &progress));
    rc = gathering_finish(&g, dataset);
done:
    progress_end(&progress);
    free(labels);
    names_free(&classes);
    gathering_free(&g);
    return rc;
}
