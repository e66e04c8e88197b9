/* Pictures inside of tar archives: WebDataset's shards, and ImageNet's archive of class archives.
 *
 * libarchive walks through an archive once, and skips the data by seeking. What is kept is where
 * each picture's data lies; it is read there later. */
#include "data/source.h"

#include "base/error.h"
#include "base/file.h"
#include "base/options.h"
#include "base/progress.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BLOCK = 8192,      /* read at once: most of what is read is headers */
    LABEL_LENGTH = 32, /* of a .cls member */
};

/* A tar archive within a file: all of it, or a member of another archive. */
struct range {
    const char *name; /* for messages */
    int descriptor;
    int64_t begin, end; /* in the file */
    int64_t at;         /* what libarchive reads next */
    uint8_t block[BLOCK];
};

static la_ssize_t read_block(struct archive *archive, void *context, const void **bytes) {
    struct range *range = context;
    int64_t left = range->end - range->at;
    if (left <= 0)
        return 0;
    ssize_t got;
    do {
        got =
            pread(range->descriptor, range->block, left < BLOCK ? (size_t)left : BLOCK, range->at);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        archive_set_error(archive, errno, "%s", strerror(errno));
        return ARCHIVE_FATAL;
    }
    range->at += got;
    *bytes = range->block;
    return got;
}

static la_int64_t skip_bytes(struct archive *archive, void *context, la_int64_t count) {
    (void)archive;
    struct range *range = context;
    int64_t left = range->end - range->at;
    int64_t skipped = count < left ? count : left;
    range->at += skipped;
    return skipped;
}

/* A regular file in an archive. */
struct member {
    const char *name;
    int64_t offset, size; /* of its data, in the file */
};

typedef int member_function(void *context, const struct range *range, const struct member *member);

static int fail_archive(const struct range *range, struct archive *archive) {
    const char *text = archive_error_string(archive);
    int code = archive_errno(archive) == EIO ? ERROR_SYSTEM : ERROR_INPUT;
    return error_set(code, "%s: not a tar archive that can be read: %s", range->name,
                     text ? text : "unknown error");
}

static int check_plain(const struct range *range, struct archive *archive) {
    if (archive_filter_code(archive, 0) == ARCHIVE_FILTER_NONE)
        return 0;
    return error_set(ERROR_INPUT,
                     "%s: compressed (%s): pictures are read at their places in an archive, so "
                     "decompress it first",
                     range->name, archive_filter_name(archive, 0));
}

/* pax archives hold UTF-8, which the C locale's characters cannot express; others hold bytes. */
static const char *name_of(struct archive_entry *entry) {
    const char *name = archive_entry_pathname_utf8(entry);
    return name ? name : archive_entry_pathname(entry);
}

static int visit(const struct range *range, struct archive *archive, struct archive_entry *entry,
                 member_function *function, void *context) {
    int is_link = archive_entry_hardlink(entry) || archive_entry_filetype(entry) == AE_IFLNK;
    if (is_link && name_of(entry) && is_picture_name(name_of(entry)))
        return error_set(ERROR_INPUT,
                         "%s: %s: a link to another picture, which cannot be read in place: pack "
                         "the archive with tar's --dereference --hard-dereference",
                         range->name, name_of(entry));
    if (is_link || archive_entry_filetype(entry) != AE_IFREG)
        return 0;
    const struct member member = {
        .name = name_of(entry),
        /* What has been read are the headers up to the data. */
        .offset = range->begin + archive_filter_bytes(archive, 0),
        .size = archive_entry_size(entry),
    };
    if (!member.name)
        return error_set(ERROR_INPUT, "%s: a member without a name", range->name);
    if (archive_entry_sparse_count(entry) > 0)
        return error_set(ERROR_INPUT, "%s: %s: stored with holes, which cannot be read in place",
                         range->name, member.name);
    if (member.size > range->end - member.offset)
        return error_set(ERROR_INPUT, "%s: truncated: it ends within %s", range->name, member.name);
    return function(context, range, &member);
}

static int walk_entries(const struct range *range, struct archive *archive,
                        member_function *function, void *context) {
    for (;;) {
        struct archive_entry *entry;
        int status = archive_read_next_header(archive, &entry);
        if (status == ARCHIVE_EOF)
            return check_plain(range, archive);
        if (status < ARCHIVE_WARN)
            return fail_archive(range, archive);
        TRY(check_plain(range, archive));
        TRY(visit(range, archive, entry, function, context));
    }
}

/* Calls function for every regular file of the archive. */
static int walk(struct range *range, member_function *function, void *context) {
    struct archive *archive = archive_read_new();
    if (!archive)
        return error_no_memory(range->name, 0);
    /* Compressed archives are only told apart, for the message. */
    (void)archive_read_support_filter_gzip(archive);
    (void)archive_read_support_filter_bzip2(archive);
    (void)archive_read_support_filter_xz(archive);
    (void)archive_read_support_filter_zstd(archive);
    (void)archive_read_support_format_tar(archive);
    int rc;
    if (archive_read_open2(archive, range, NULL, read_block, skip_bytes, NULL) != ARCHIVE_OK)
        rc = fail_archive(range, archive);
    else
        rc = walk_entries(range, archive, function, context);
    (void)archive_read_free(archive);
    return rc;
}

/* Reads a small member, as text. */
static int read_text(const struct range *range, const struct member *member,
                     char text[LABEL_LENGTH + 1]) {
    if (member->size > LABEL_LENGTH)
        return error_set(ERROR_INPUT, "%s: %s: %" PRId64 " bytes; expected a number", range->name,
                         member->name, member->size);
    ssize_t got = pread(range->descriptor, text, (size_t)member->size, member->offset);
    if (got != member->size)
        return error_set(ERROR_SYSTEM, "%s: %s: %s", range->name, member->name,
                         got < 0 ? strerror(errno) : "it ends early");
    text[got] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    return 0;
}

/* A picture or a label of the shard that is being walked through. */
struct part {
    char *name;
    size_t key_length; /* the name's first so many bytes: up to the first dot of its last part */
    int64_t offset, size;
    int label;
};

struct parts {
    struct part *parts;
    int64_t count, room;
};

/* The walk over all archives. */
struct tar_walk {
    struct gathering *gathering;
    struct dataset *dataset;
    const struct data_request *request;
    struct progress *progress;
    int archive; /* that is walked through, in the gathering */

    struct parts pictures, labels; /* shards: of this one */

    /* The archive of class archives. */
    struct parts class_archives;
    struct names classes;
    const char *class_name; /* that is walked through */
    int class_label;
};

static void parts_clear(struct parts *parts) {
    for (int64_t i = 0; i < parts->count; i++)
        free(parts->parts[i].name);
    free(parts->parts);
    *parts = (struct parts){0};
}

static int parts_add(struct parts *parts, const struct member *member, size_t key_length,
                     int label) {
    if (parts->count == parts->room) {
        int64_t room = parts->room ? 2 * parts->room : 256;
        struct part *grown = realloc(parts->parts, (size_t)room * sizeof *grown);
        if (!grown)
            return error_no_memory("members of an archive", (size_t)room * sizeof *grown);
        parts->parts = grown;
        parts->room = room;
    }
    char *name = strdup(member->name);
    if (!name)
        return error_no_memory(member->name, strlen(member->name));
    parts->parts[parts->count++] =
        (struct part){name, key_length, member->offset, member->size, label};
    return 0;
}

static int compare_keys(const void *a, const void *b) {
    const struct part *p = a, *q = b;
    size_t length = p->key_length < q->key_length ? p->key_length : q->key_length;
    int order = memcmp(p->name, q->name, length);
    if (order)
        return order;
    return (p->key_length > q->key_length) - (p->key_length < q->key_length);
}

static int compare_part_names(const void *a, const void *b) {
    return strcmp(((const struct part *)a)->name, ((const struct part *)b)->name);
}

static const char *last_part(const char *name) {
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

static int is_picture_extension(const char *extension) {
    return strchr(extension + 1, '.') == NULL && is_picture_name(extension);
}

static int take_label(struct tar_walk *w, const struct range *range, const struct member *member,
                      size_t key_length) {
    char text[LABEL_LENGTH + 1];
    int label;
    TRY(read_text(range, member, text));
    int rc = parse_int(text, &label);
    if (rc < 0)
        return error_prefix(rc, "%s: %s: ", range->name, member->name);
    return parts_add(&w->labels, member, key_length, label);
}

/* A member of an archive that is a shard, unless archives turn up in it. */
static int take_member(void *context, const struct range *range, const struct member *member) {
    struct tar_walk *w = context;
    const char *base = last_part(member->name);
    if (base[0] == '.') {
        w->gathering->ignored++;
        return 0;
    }
    if (path_has_ending(base, ".tar"))
        return parts_add(&w->class_archives, member, strlen(member->name), 0);
    const char *extension = strchr(base, '.');
    size_t key_length = extension ? (size_t)(extension - member->name) : 0;
    if (extension && is_picture_extension(extension))
        return parts_add(&w->pictures, member, key_length, 0);
    if (extension && path_has_ending(extension, ".cls") && !strchr(extension + 1, '.'))
        return take_label(w, range, member, key_length);
    w->gathering->ignored++;
    return 0;
}

static int add_picture(struct tar_walk *w, const struct range *range, const struct part *picture,
                       const char *name, int label) {
    const struct found found = {
        .path = picture->name,
        .name = name,
        .label = label,
        .archive = w->archive,
        .offset = picture->offset,
        .size = picture->size,
    };
    int rc = gathering_add(w->gathering, &found);
    return rc < 0 ? error_prefix(rc, "%s: ", range->name) : 0;
}

static int check_distinct(const struct range *range, const struct parts *labels) {
    for (int64_t i = 1; i < labels->count; i++) {
        const struct part *part = &labels->parts[i];
        if (compare_keys(part - 1, part) == 0)
            return error_set(ERROR_INPUT, "%s: two labels of key %.*s", range->name,
                             (int)part->key_length, part->name);
    }
    return 0;
}

/* Pairs the pictures of a shard with their labels, in the order of the pictures. */
static int pair_up(struct tar_walk *w, const struct range *range) {
    struct parts *labels = &w->labels;
    if (labels->count)
        qsort(labels->parts, (size_t)labels->count, sizeof *labels->parts, compare_keys);
    TRY(check_distinct(range, labels));
    for (int64_t i = 0; i < w->pictures.count; i++) {
        const struct part *picture = &w->pictures.parts[i];
        const struct part *label = labels->count
                                       ? bsearch(picture, labels->parts, (size_t)labels->count,
                                                 sizeof *picture, compare_keys)
                                       : NULL;
        if (!label)
            return error_set(ERROR_INPUT, "%s: key %.*s: there is no %.*s.cls with its label",
                             range->name, (int)picture->key_length, picture->name,
                             (int)picture->key_length, picture->name);
        TRY(add_picture(w, range, picture, picture->name, label->label));
    }
    return 0;
}

/* A member of a class's archive. */
static int take_class_member(void *context, const struct range *range,
                             const struct member *member) {
    struct tar_walk *w = context;
    const char *base = last_part(member->name);
    if (base[0] == '.' || !is_picture_name(base)) {
        w->gathering->ignored++;
        return 0;
    }
    progress_show(w->progress, "%" PRId64 " pictures", w->gathering->seen);
    /* Seen from the root as if the archives were folders: unpacking them moves no picture. */
    struct names joined = {0};
    int rc = names_add_joined(&joined, w->class_name, member->name);
    if (rc == 0) {
        const struct part picture = {joined.texts[0], 0, member->offset, member->size, 0};
        rc = add_picture(w, range, &picture, picture.name, w->class_label);
    }
    names_free(&joined);
    return rc;
}

static int name_class_archives(struct tar_walk *w) {
    struct parts *archives = &w->class_archives;
    qsort(archives->parts, (size_t)archives->count, sizeof *archives->parts, compare_part_names);
    for (int64_t i = 0; i < archives->count; i++) {
        const char *base = last_part(archives->parts[i].name);
        TRY(names_add(&w->classes, base));
        char *name = w->classes.texts[i];
        name[strlen(name) - strlen(".tar")] = '\0';
    }
    names_sort(&w->classes);
    return 0;
}

static const struct part *archive_of(const struct parts *archives, const char *class_name) {
    size_t length = strlen(class_name);
    for (int64_t i = 0; i < archives->count; i++) {
        const char *base = last_part(archives->parts[i].name);
        if (strlen(base) == length + strlen(".tar") && strncmp(base, class_name, length) == 0)
            return &archives->parts[i];
    }
    return NULL;
}

/* Walks through the archive of each class. */
static int walk_classes(struct tar_walk *w, const struct range *outer) {
    if (w->pictures.count || w->labels.count)
        return error_set(ERROR_INPUT, "%s: archives beside pictures or labels; expected one kind",
                         outer->name);
    TRY(name_class_archives(w));
    int *labels;
    int rc = source_name_classes(w->dataset, &labels, &w->classes, outer->name, w->request);
    for (int64_t i = 0; rc == 0 && i < w->classes.count; i++) {
        const struct part *part = archive_of(&w->class_archives, w->classes.texts[i]);
        if (i > 0 && strcmp(w->classes.texts[i - 1], w->classes.texts[i]) == 0) {
            rc = error_set(ERROR_INPUT, "%s: two archives of class %s", outer->name,
                           w->classes.texts[i]);
            break;
        }
        struct names name = {0};
        struct range inner = {.descriptor = outer->descriptor,
                              .begin = part->offset,
                              .end = part->offset + part->size,
                              .at = part->offset};
        w->class_name = w->classes.texts[i];
        w->class_label = labels[i];
        rc = names_add_joined(&name, outer->name, part->name);
        if (rc == 0) {
            inner.name = name.texts[0];
            rc = walk(&inner, take_class_member, w);
        }
        names_free(&name);
    }
    free(labels);
    return rc;
}

static int walk_file(struct tar_walk *w, struct range *range, int is_only) {
    struct stat status;
    if (fstat(range->descriptor, &status) != 0)
        return error_set(ERROR_SYSTEM, "%s: %s", range->name, strerror(errno));
    range->end = status.st_size;
    TRY(picture_files_add_archive(w->gathering->files, range->name, &w->archive));
    TRY(walk(range, take_member, w));
    if (w->class_archives.count == 0)
        return pair_up(w, range);
    if (!is_only)
        return error_set(ERROR_INPUT,
                         "%s: archives in it: an archive of class archives stands alone, not among "
                         "others",
                         range->name);
    return walk_classes(w, range);
}

static int walk_path(struct tar_walk *w, const char *path, int is_only) {
    struct range range = {.name = path, .descriptor = open(path, O_RDONLY | O_CLOEXEC)};
    if (range.descriptor < 0)
        return error_set(ERROR_SYSTEM, "%s: %s", path, strerror(errno));
    int rc = walk_file(w, &range, is_only);
    (void)close(range.descriptor);
    parts_clear(&w->pictures);
    parts_clear(&w->labels);
    return rc;
}

/* The archive that samples names, or those in the folder that it names, sorted. */
static int find_archives(struct names *paths, const char *samples) {
    struct stat status;
    if (stat(samples, &status) == 0 && !S_ISDIR(status.st_mode))
        return names_add(paths, samples);
    struct names names = {0};
    int rc = names_add_folder(&names, samples);
    for (int64_t i = 0; rc == 0 && i < names.count; i++) {
        if (path_has_ending(names.texts[i], ".tar"))
            rc = names_add_joined(paths, samples, names.texts[i]);
    }
    names_free(&names);
    if (rc == 0 && paths->count == 0)
        rc = error_set(ERROR_INPUT, "%s: no .tar files in this folder", samples);
    return rc;
}

int source_read_tar(struct dataset *dataset, const struct source *source,
                    const struct data_request *request) {
    struct gathering g;
    struct progress progress = progress_start(source->samples);
    struct tar_walk w = {
        .gathering = &g, .dataset = dataset, .request = request, .progress = &progress};
    struct names paths = {0};
    int rc;
    TRY_OR(done, gathering_start(&g, source, request));
    TRY_OR(done, find_archives(&paths, source->samples));
    for (int64_t i = 0; i < paths.count; i++) {
        progress_show(&progress, "%" PRId64 " of %" PRId64 " archives, %" PRId64 " pictures", i,
                      paths.count, g.seen);
        TRY_OR(done, walk_path(&w, paths.texts[i], paths.count == 1));
    }
    rc = gathering_finish(&g, dataset);
done:
    progress_end(&progress);
    parts_clear(&w.class_archives);
    names_free(&w.classes);
    names_free(&paths);
    gathering_free(&g);
    return rc;
}
