#include "cli/pictures.h"

#include "base/error.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int add(struct paths *paths, const char *path) {
    if (access(path, R_OK) != 0) {
        (void)fprintf(stderr, "%s: cannot read: %s\n", path, strerror(errno));
        paths->missing++;
        return 0;
    }
    if (paths->count == paths->room) {
        int64_t room = paths->room ? 2 * paths->room : 64;
        char **texts = realloc(paths->texts, (size_t)room * sizeof *texts);
        if (!texts)
            return error_no_memory("paths", (size_t)room * sizeof *texts);
        paths->texts = texts;
        paths->room = room;
    }
    char *copy = strdup(path);
    if (!copy)
        return error_no_memory("a path", strlen(path));
    paths->texts[paths->count++] = copy;
    return 0;
}

/* ---- folders ---- */

static int is_folder(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static int is_shown(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static int add_folder(struct paths *paths, const char *folder);

/* NOLINTNEXTLINE(misc-no-recursion): as deep as folders lie in folders */
static int add_entry(struct paths *paths, const char *folder, const char *name) {
    char *path = path_join(folder, name);
    if (!path)
        return error_no_memory("a path", strlen(folder));
    int rc = 0;
    if (is_folder(path))
        rc = add_folder(paths, path);
    else if (is_picture_name(name))
        rc = add(paths, path);
    free(path);
    return rc;
}

/* Each folder's entries in the order of their names. */
/* NOLINTNEXTLINE(misc-no-recursion): likewise */
static int add_folder(struct paths *paths, const char *folder) {
    struct dirent **entries;
    int count = scandir(folder, &entries, is_shown, alphasort);
    if (count < 0)
        return error_set(ERROR_SYSTEM, "%s: cannot read the folder: %s", folder, strerror(errno));
    int rc = 0;
    for (int i = 0; i < count; i++) {
        if (rc == 0)
            rc = add_entry(paths, folder, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

/* ---- standard input ---- */

static int add_listed(struct paths *paths) {
    char *line = NULL;
    size_t room = 0;
    int rc = 0;
    while (rc == 0 && getline(&line, &room, stdin) >= 0) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0])
            rc = add(paths, line);
    }
    free(line);
    return rc;
}

int paths_add(struct paths *paths, const char *operand) {
    if (strcmp(operand, "-") == 0)
        return add_listed(paths);
    return is_folder(operand) ? add_folder(paths, operand) : add(paths, operand);
}

void paths_free(struct paths *paths) {
    for (int64_t i = 0; i < paths->count; i++)
        free(paths->texts[i]);
    free(paths->texts);
    *paths = (struct paths){0};
}

/* ---- the data set ---- */

static int fill(struct dataset *set, const struct paths *paths) {
    TRY(picture_files_create(&set->files));
    for (int64_t i = 0; i < paths->count; i++) {
        struct stat status;
        int64_t size = stat(paths->texts[i], &status) == 0 ? status.st_size : 0;
        TRY(picture_files_add(set->files, paths->texts[i], -1, 0, size));
    }
    set->labels = calloc((size_t)paths->count, sizeof *set->labels);
    return set->labels ? 0 : error_no_memory("labels", (size_t)paths->count * sizeof(int32_t));
}

int pictures_open(struct dataset **out, const struct paths *paths, const struct net *net) {
    struct shape input = net->input;
    if ((input.c != 1 && input.c != 3) || (input.h == 1 && input.w == 1))
        return error_set(ERROR_INPUT,
                         "%s: the net takes no pictures: its input is %d x %d x %d, and pictures "
                         "have 1 or 3 channels",
                         net->config->path, input.c, input.h, input.w);
    struct dataset *set = calloc(1, sizeof *set);
    if (!set)
        return error_no_memory("a data set", sizeof *set);
    set->input = input;
    set->frame = net->frame;
    set->count = paths->count;
    set->outputs = net_loss(net)->plan.output.c;
    set->broken_share = 1;
    int rc = fill(set, paths);
    if (rc < 0)
        dataset_free(set);
    else
        *out = set;
    return rc;
}
