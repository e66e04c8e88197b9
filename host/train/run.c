#include "train/run.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"
#include "cl/tuning_file.h"
#include "train/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_LENGTH = 64 };

#define CHECKPOINT_PREFIX "checkpoint-"
#define CHECKPOINT_SUFFIX ".safetensors"

char *run_file(const struct run *run, const char *name) {
    return path_join(run->path, name);
}

/* Like run_file, with a message. */
static int file_of(char **path, const struct run *run, const char *name) {
    *path = run_file(run, name);
    return *path ? 0 : error_no_memory("a path", strlen(name));
}

static void checkpoint_name(char name[NAME_LENGTH], int64_t iteration) {
    (void)snprintf(name, NAME_LENGTH, CHECKPOINT_PREFIX "%08" PRId64 CHECKPOINT_SUFFIX, iteration);
}

/* The iteration of a checkpoint's name; -1: it is not one. */
static int64_t checkpoint_iteration(const char *name) {
    size_t prefix = strlen(CHECKPOINT_PREFIX);
    if (strncmp(name, CHECKPOINT_PREFIX, prefix) != 0)
        return -1;
    size_t digits = strspn(name + prefix, "0123456789");
    if (digits == 0 || digits > 18 || strcmp(name + prefix + digits, CHECKPOINT_SUFFIX) != 0)
        return -1;
    return strtoll(name + prefix, NULL, 10);
}

/* ---- what lies in the directory ---- */

/* The iterations of all checkpoints, the newest first, in new memory that the caller frees. */
struct iterations {
    int64_t *values;
    int count;
};

static int compare_newest_first(const void *left, const void *right) {
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a < b) - (a > b);
}

static int add_iteration(struct iterations *list, int64_t iteration) {
    size_t bytes = ((size_t)list->count + 1) * sizeof *list->values;
    int64_t *grown = realloc(list->values, bytes);
    if (!grown)
        return error_no_memory("the list of checkpoints", bytes);
    list->values = grown;
    list->values[list->count++] = iteration;
    return 0;
}

static int open_directory(DIR **directory, const struct run *run) {
    *directory = opendir(run->path);
    return *directory ? 0 : error_set(ERROR_SYSTEM, "%s: %s", run->path, strerror(errno));
}

static int list_checkpoints(struct iterations *list, const struct run *run) {
    *list = (struct iterations){0};
    DIR *directory;
    TRY(open_directory(&directory, run));
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(directory));) {
        int64_t iteration = checkpoint_iteration(entry->d_name);
        if (iteration >= 0)
            rc = add_iteration(list, iteration);
    }
    (void)closedir(directory);
    if (rc < 0) {
        free(list->values);
        return rc;
    }
    if (list->count > 1)
        qsort(list->values, (size_t)list->count, sizeof *list->values, compare_newest_first);
    return 0;
}

/* Unfinished files of ours: a name of base/file.h's begins with that of the file to be. */
static int is_temporary(const char *name) {
    static const char *const beginnings[] = {CHECKPOINT_PREFIX, "best.",        "final.",
                                             "config.cfg.",     "classes.txt.", "tunings.tsv."};
    for (int i = 0; i < 6; i++) {
        if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0)
            return path_has_ending(name, ".tmp");
    }
    return 0;
}

/* What a creation that was killed may have made. */
static int is_of_creation(const char *name) {
    return is_temporary(name) || strcmp(name, "metrics.jsonl") == 0 ||
           strcmp(name, "classes.txt") == 0 || strcmp(name, "tunings.tsv") == 0 ||
           checkpoint_iteration(name) == 0;
}

/* Takes away files that only writers who are dead can have left, since we hold the lock. */
static int clean(const struct run *run, int (*is_left)(const char *name)) {
    DIR *directory;
    TRY(open_directory(&directory, run));
    for (struct dirent *entry; (entry = readdir(directory));) {
        const char *name = entry->d_name;
        if (is_left(name) && unlinkat(dirfd(directory), name, 0) != 0)
            log_warning("%s/%s: cannot remove: %s", run->path, name, strerror(errno));
    }
    (void)closedir(directory);
    return 0;
}

static int has_file(const struct run *run, const char *name) {
    char *path = run_file(run, name);
    struct stat status;
    int found = path && stat(path, &status) == 0;
    free(path);
    return found;
}

/* Checkpoints that are there already would be taken for the run's own. A creation makes only that
 * of iteration 0. */
static int check_no_checkpoints(const struct run *run, int has_lock) {
    struct iterations list;
    TRY(list_checkpoints(&list, run));
    int64_t newest = list.count ? list.values[0] : -1;
    free(list.values);
    if (newest < 0 || (newest == 0 && has_lock))
        return 0;
    char name[NAME_LENGTH];
    checkpoint_name(name, newest);
    return error_set(ERROR_INPUT, "%s/%s is there already; name another directory", run->path,
                     name);
}

/* Nothing that was not made by a creation that was killed is ever overwritten. */
static int check_free(const struct run *run, int has_lock) {
    if (has_file(run, "config.cfg"))
        return error_set(ERROR_INPUT,
                         "%s: a run is there already; name another directory, or go on with it: "
                         "clnet train --resume %s",
                         run->path, run->path);
    static const char *const names[] = {"best.safetensors", "final.safetensors", "metrics.jsonl",
                                        "classes.txt", "tunings.tsv"};
    for (int i = 0; i < (has_lock ? 2 : 5); i++) {
        if (has_file(run, names[i]))
            return error_set(ERROR_INPUT, "%s/%s is there already; name another directory",
                             run->path, names[i]);
    }
    return check_no_checkpoints(run, has_lock);
}

/* ---- the lock ---- */

static int lock_refused(const struct run *run, int reason) {
    if (reason != EWOULDBLOCK)
        return error_set(ERROR_SYSTEM, "%s/lock: cannot lock: %s", run->path, strerror(reason));
    char holder[32] = "";
    ssize_t got = pread(run->lock, holder, sizeof holder - 1, 0);
    holder[got > 0 ? got : 0] = '\0';
    holder[strspn(holder, "0123456789")] = '\0';
    return error_set(ERROR_INPUT, "%s: another clnet trains in this directory (process %s)",
                     run->path, *holder ? holder : "unknown");
}

/* The lock goes away with the process, however that ends. The file stays: a lock on a file that
 * someone removes is worth nothing. */
static int take_lock(struct run *run) {
    char *path;
    TRY(file_of(&path, run, "lock"));
    run->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    int rc = 0;
    if (run->lock < 0)
        rc = error_set(ERROR_SYSTEM, "%s: %s", path, strerror(errno));
    else if (flock(run->lock, LOCK_EX | LOCK_NB) != 0)
        rc = lock_refused(run, errno);
    if (rc == 0 &&
        (ftruncate(run->lock, 0) != 0 || dprintf(run->lock, "%ld\n", (long)getpid()) < 0))
        rc = error_set(ERROR_SYSTEM, "%s: cannot write: %s", path, strerror(errno));
    free(path);
    return rc;
}

/* ---- metrics ---- */

/* Whether a line is whole and belongs to what happened up to the iteration. Evaluations follow the
 * iteration after which they were made. */
static int belongs(const char *line, size_t length, int64_t iteration) {
    json_t *object = length && line[length - 1] == '\n' ? json_loadb(line, length, 0, NULL) : NULL;
    const json_t *number = json_object_get(object, "iteration");
    int kept = object && (!number || json_integer_value(number) <= iteration);
    json_decref(object);
    return kept;
}

/* Cuts the metrics off behind the iteration. */
static int cut_metrics(const char *path, int64_t iteration) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return errno == ENOENT ? 0 : error_set(ERROR_SYSTEM, "%s: %s", path, strerror(errno));
    char *line = NULL;
    size_t capacity = 0;
    off_t kept = 0;
    for (ssize_t length; (length = getline(&line, &capacity, file)) > 0; kept += length) {
        if (!belongs(line, (size_t)length, iteration))
            break;
    }
    int failed = ferror(file);
    free(line);
    (void)fclose(file);
    if (failed || truncate(path, kept) != 0)
        return error_set(ERROR_SYSTEM, "%s: cannot cut off behind iteration %" PRId64 ": %s", path,
                         iteration, strerror(errno));
    return 0;
}

static int open_metrics(struct run *run, int64_t iteration) {
    char *path;
    TRY(file_of(&path, run, "metrics.jsonl"));
    int rc = cut_metrics(path, iteration);
    if (rc == 0 && !(run->metrics = fopen(path, "ae")))
        rc = error_set(ERROR_SYSTEM, "%s: cannot write: %s", path, strerror(errno));
    free(path);
    return rc;
}

int run_write_metrics(struct run *run, const char *line) {
    if (fprintf(run->metrics, "%s\n", line) < 0 || fflush(run->metrics) != 0)
        return error_set(ERROR_SYSTEM, "%s/metrics.jsonl: cannot write: %s", run->path,
                         strerror(errno));
    return 0;
}

/* ---- checkpoints ---- */

/* best.safetensors becomes another name of the checkpoint. Two names of one file: where the file
 * system has no such thing, the replica is written a second time. */
static int mark_best(const struct run *run, struct replica *replica,
                     const struct trainer_state *state) {
    char name[NAME_LENGTH];
    checkpoint_name(name, state->iteration);
    char *checkpoint = run_file(run, name), *best = run_file(run, "best.safetensors");
    char *link_path = run_file(run, "best.safetensors.tmp");
    int rc = 0;
    if (!checkpoint || !best || !link_path) {
        rc = error_no_memory("a path", sizeof name);
    } else {
        (void)unlink(link_path);
        if (link(checkpoint, link_path) != 0)
            rc = checkpoint_write(best, replica, state, run->classes);
        else if (rename(link_path, best) != 0)
            rc = error_set(ERROR_SYSTEM, "%s: cannot write: %s", best, strerror(errno));
        (void)unlink(link_path); /* a rename from one name to another of the same file leaves it */
    }
    free(checkpoint);
    free(best);
    free(link_path);
    return rc;
}

/* Removes all but the last few. One that is newer than the training has been passed over as broken,
 * and does not count. */
static int remove_old(const struct run *run, int64_t newest) {
    struct iterations list;
    TRY(list_checkpoints(&list, run));
    int kept = 0;
    int rc = 0;
    for (int i = 0; rc == 0 && i < list.count; i++) {
        if (list.values[i] > newest || kept++ < run->net->options.keep)
            continue;
        char name[NAME_LENGTH], *path;
        checkpoint_name(name, list.values[i]);
        rc = file_of(&path, run, name);
        if (rc == 0 && unlink(path) != 0)
            log_warning("%s: cannot remove: %s", path, strerror(errno));
        if (rc == 0)
            free(path);
    }
    free(list.values);
    return rc;
}

static int save_checkpoint(struct run *run, struct replica *replica,
                           const struct trainer_state *state) {
    char name[NAME_LENGTH], *path;
    checkpoint_name(name, state->iteration);
    TRY(file_of(&path, run, name));
    int rc = checkpoint_write(path, replica, state, run->classes);
    free(path);
    TRY(rc);
    run->saved_iteration = state->iteration;
    run->saved_at = clock_seconds();
    return 0;
}

int run_save(struct run *run, struct replica *replica, const struct trainer_state *state) {
    if (run->saved_iteration == state->iteration)
        return 0;
    /* After a power failure, a checkpoint must not be there without the metrics up to it. */
    if (fsync(fileno(run->metrics)) != 0)
        return error_set(ERROR_SYSTEM, "%s/metrics.jsonl: cannot write: %s", run->path,
                         strerror(errno));
    TRY(save_checkpoint(run, replica, state));
    if (state->best_iteration && state->best_iteration == state->iteration)
        TRY(mark_best(run, replica, state));
    return remove_old(run, state->iteration);
}

int run_is_save_time(const struct run *run, const struct trainer_state *state,
                     int64_t batches_per_epoch) {
    const struct net_options *o = &run->net->options;
    if (state->iteration % batches_per_epoch == 0)
        return 1;
    if (o->save_iterations && state->iteration % o->save_iterations == 0)
        return 1;
    return o->save_minutes > 0 && clock_seconds() - run->saved_at >= 60 * o->save_minutes;
}

/* Whether a file is to blame for the error, and an older one may do. */
static int is_broken(int code) {
    return code == ERROR_INPUT || code == ERROR_SYSTEM;
}

/* Loads the newest checkpoint that is in order. */
static int load_newest(struct run *run, struct replica *replica, struct trainer_state *state) {
    struct iterations list;
    TRY(list_checkpoints(&list, run));
    int rc = list.count
                 ? ERROR_INPUT
                 : error_set(ERROR_INPUT, "%s: there is no checkpoint to go on from", run->path);
    for (int i = 0; is_broken(rc) && i < list.count; i++) {
        char name[NAME_LENGTH], *path;
        checkpoint_name(name, list.values[i]);
        TRY_OR(done, file_of(&path, run, name));
        rc = checkpoint_read(path, replica, state);
        free(path);
        if (is_broken(rc) && i + 1 < list.count)
            log_warning("this checkpoint is passed over: %s", error_message());
    }
done:
    free(list.values);
    if (rc == 0)
        run->saved_iteration = state->iteration;
    return rc;
}

/* ---- the run ---- */

int run_write_config(const struct run *run) {
    char *path;
    TRY(file_of(&path, run, "config.cfg"));
    struct file_writer writer;
    int rc = file_create(&writer, path);
    if (rc == 0) {
        net_print_config(run->net, writer.stream);
        rc = file_commit(&writer);
    }
    free(path);
    return rc;
}

static int write_classes(const struct run *run) {
    if (!run->classes || run->classes->count == 0)
        return 0;
    char *path;
    TRY(file_of(&path, run, "classes.txt"));
    struct file_writer writer;
    int rc = file_create(&writer, path);
    if (rc == 0) {
        for (int i = 0; i < run->classes->count; i++)
            (void)fprintf(writer.stream, "%s\n", run->classes->names[i]);
        rc = file_commit(&writer);
    }
    free(path);
    return rc;
}

static int write_tunings(const struct run *run, struct device *const *devices, int count) {
    char *path;
    TRY(file_of(&path, run, "tunings.tsv"));
    int rc = tuning_file_save(path, devices, count, ORIGIN_SHIPPED);
    free(path);
    return rc < 0 ? rc : 0;
}

static int begin(struct run *run, const char *path) {
    *run = RUN_CLOSED;
    run->path = strdup(path);
    return run->path ? 0 : error_no_memory("a path", strlen(path));
}

static void set_contents(struct run *run, const struct net *net, const struct classes *classes) {
    run->net = net;
    run->classes = classes;
    run->saved_at = clock_seconds();
}

int run_create(struct run *run, const char *path, struct replica *replica,
               const struct trainer_state *state, const struct classes *classes,
               struct device *const *devices, int device_count) {
    TRY(begin(run, path));
    set_contents(run, replica_net(replica), classes);
    TRY(directory_create(path));
    int has_lock = has_file(run, "lock");
    TRY(check_free(run, has_lock));
    TRY(take_lock(run));
    TRY(check_free(run, 1)); /* someone may have been faster */
    if (has_lock)
        TRY(clean(run, is_of_creation));
    TRY(write_classes(run));
    TRY(write_tunings(run, devices, device_count));
    TRY(open_metrics(run, 0));
    TRY(save_checkpoint(run, replica, state));
    return run_write_config(run);
}

int run_open(struct run *run, const char *path) {
    TRY(begin(run, path));
    if (!has_file(run, "config.cfg"))
        return error_set(ERROR_INPUT,
                         "%s: this is not the directory of a run: it has no config.cfg; a run that "
                         "was stopped before it wrote one has to begin anew",
                         path);
    return take_lock(run);
}

int run_resume(struct run *run, struct replica *replica, struct trainer_state *state,
               const struct classes *classes) {
    set_contents(run, replica_net(replica), classes);
    TRY(clean(run, is_temporary));
    TRY(load_newest(run, replica, state));
    TRY(open_metrics(run, state->iteration));
    /* It may have been killed between the two. */
    return state->best_iteration && state->best_iteration == state->iteration
               ? mark_best(run, replica, state)
               : 0;
}

void run_close(struct run *run) {
    if (run->metrics)
        (void)fclose(run->metrics);
    if (run->lock >= 0)
        (void)close(run->lock);
    free(run->path);
    *run = RUN_CLOSED;
}
