/* The sources of pictures, by way of dataset_open. */
#include "data/dataset.h"

#include "base/file.h"
#include "data/files.h"

#include <archive.h>
#include <archive_entry.h>
#include <ftw.h>
#include <inttypes.h>
#include <locale.h>
#include <sys/stat.h>

/* Every picture's content is its name: what comes back tells what was read. */
static const struct data_request REQUEST = {.input = {3, 8, 8}, .outputs = 2, .labels_only = 1};

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *ftw) {
    (void)status, (void)flag, (void)ftw;
    return remove(path);
}

static void tree_teardown(void) {
    ck_assert_int_eq(nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static struct data_options defaults(const char *train) {
    struct data_options options = {0};
    options_defaults(&options, data_option_table);
    options.train = train;
    return options;
}

static int open_half(struct dataset **out, const struct data_options *options, enum data_half half,
                     const struct data_request *request) {
    char config[128];
    (void)snprintf(config, sizeof config, "%s/net.cfg", folder);
    return dataset_open(out, options, half, config, request);
}

static int open_train(struct dataset **out, const struct data_options *options) {
    return open_half(out, options, DATA_TRAIN, &REQUEST);
}

static int open_test(struct dataset **out, const struct data_options *options) {
    return open_half(out, options, DATA_TEST, &REQUEST);
}

/* Writes a file that holds its name, with the folders that it takes. */
static void plant(const char *name) {
    char directory[384];
    (void)snprintf(directory, sizeof directory, "%s/%s", folder, name);
    *strrchr(directory, '/') = '\0';
    ck_succeeds(directory_create(directory));
    (void)file_write_text(name, name);
}

static void link_to(const char *name, const char *target) {
    ck_assert_int_eq(symlink(target, file_path(name)), 0);
}

/* Asserts what a picture's bytes and label are. */
static void check_picture(const struct dataset *set, int64_t index, const char *content,
                          int label) {
    uint8_t *bytes = NULL;
    size_t room = 0, length = 0;
    ck_assert_int_lt(index, picture_files_count(set->files));
    ck_succeeds(picture_files_read(set->files, index, &bytes, &room, &length));
    ck_assert_uint_eq(length, strlen(content));
    ck_assert_mem_eq(bytes, content, length);
    ck_assert_int_eq(set->labels[index], label);
    free(bytes);
}

static int has_name(const struct dataset *set, const char *ending) {
    for (int64_t i = 0; i < set->count; i++) {
        const char *name = picture_files_name(set->files, i);
        size_t length = strlen(name), tail = strlen(ending);
        if (length >= tail && strcmp(name + length - tail, ending) == 0)
            return 1;
    }
    return 0;
}

START_TEST(folder_labels_pictures_by_sorted_classes) {
    plant("d/dog/b.PNG");
    plant("d/dog/a.jpeg");
    plant("d/dog/old/c.JPEG");
    plant("d/cat/x.jpg");
    plant("d/cat/notes.txt");
    plant("d/readme.md");
    struct data_options options = defaults("d");
    struct dataset *set;
    ck_succeeds(open_train(&set, &options));
    ck_assert_int_eq(set->count, 4);
    ck_assert_int_eq(set->classes.count, 2);
    ck_assert_str_eq(set->classes.names[0], "cat");
    ck_assert_str_eq(set->classes.names[1], "dog");
    check_picture(set, 0, "d/cat/x.jpg", 0);
    check_picture(set, 1, "d/dog/a.jpeg", 1);
    check_picture(set, 2, "d/dog/b.PNG", 1);
    check_picture(set, 3, "d/dog/old/c.JPEG", 1);
    ck_assert(shape_equal(set->frame, REQUEST.input));
    ck_assert_double_eq(set->broken_share, 0.01);
    uint64_t fingerprint = set->fingerprint;
    dataset_free(set);
    ck_succeeds(open_test(&set, &options));
    ck_assert_ptr_null(set);
    plant("d/cat/y.jpg");
    ck_succeeds(open_train(&set, &options));
    ck_assert(set->fingerprint != fingerprint);
    dataset_free(set);
}
END_TEST

START_TEST(folder_follows_links_but_not_in_circles) {
    plant("d/cat/x.jpg");
    plant("elsewhere/deep/y.jpg");
    plant("elsewhere/z.png");
    link_to("d/dog", "../elsewhere");
    link_to("d/cat/self", ".");
    link_to("d/cat/up", "..");
    link_to("d/cat/nowhere.png", "gone.png");
    link_to("d/cat/w.png", "../../elsewhere/z.png");
    struct data_options options = defaults("d");
    struct dataset *set;
    ck_succeeds(open_train(&set, &options));
    ck_assert_int_eq(set->count, 4);
    check_picture(set, 0, "elsewhere/z.png", 0);
    check_picture(set, 1, "d/cat/x.jpg", 0);
    check_picture(set, 2, "elsewhere/deep/y.jpg", 1);
    check_picture(set, 3, "elsewhere/z.png", 1);
    dataset_free(set);
}
END_TEST

START_TEST(folder_of_two_halves_is_both) {
    static const char *const tests[] = {"val", "test"};
    plant("d/train/a/1.png");
    plant("d/train/b/2.png");
    struct data_options options = defaults("d");
    options.test_share = 0.5; /* of no use here */
    struct dataset *set;
    for (int i = 0; i < 2; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "d/%s/a/3.png", tests[i]);
        plant(name);
        (void)snprintf(name, sizeof name, "d/%s/b/4.png", tests[i]);
        plant(name);
        ck_succeeds(open_test(&set, &options));
        ck_assert_int_eq(set->count, 2);
        check_picture(set, 1, name, 1);
        dataset_free(set);
    }
    ck_succeeds(open_train(&set, &options));
    ck_assert_int_eq(set->count, 2);
    check_picture(set, 0, "d/train/a/1.png", 0);
    dataset_free(set);
}
END_TEST

START_TEST(folder_classes_must_suit_the_network) {
    plant("d/a/1.png");
    plant("d/b/2.png");
    plant("d/c/3.png");
    struct data_options options = defaults("d");
    struct dataset *set;
    ck_fails(open_train(&set, &options), ERROR_INPUT,
             "d has 3 classes; the network's output is 2: set output=3 in the last [connected] (or "
             "--set <last layer>.output=3)");
    char *names[] = {"c", "b", "a", "z"};
    const struct classes classes = {4, names}, few = {2, names};
    struct data_request request = REQUEST;
    request.outputs = 4;
    request.classes = &classes;
    ck_succeeds(open_half(&set, &options, DATA_TRAIN, &request));
    check_picture(set, 0, "d/a/1.png", 2);
    check_picture(set, 2, "d/c/3.png", 0);
    ck_assert_int_eq(set->classes.count, 4);
    dataset_free(set);
    request.classes = &few;
    ck_fails(open_half(&set, &options, DATA_TRAIN, &request), ERROR_INPUT,
             "d: 'a' is not among the 2 classes");
    request = REQUEST;
    request.input.c = 4;
    ck_fails(open_half(&set, &options, DATA_TRAIN, &request), ERROR_INPUT,
             "pictures have 1 or 3 channels; the network's input has 4");
    request = REQUEST;
    request.outputs = 1;
    request.labels_only = 0;
    ck_succeeds(open_half(&set, &options, DATA_TRAIN, &request));
    ck_assert_ptr_null(set->labels);
    ck_assert_float_eq(set->targets[2], 2);
    dataset_free(set);
}
END_TEST

START_TEST(split_never_moves) {
    char name[64];
    for (int i = 0; i < 400; i++) {
        (void)snprintf(name, sizeof name, "d/%s/%d.png", i % 2 ? "a" : "b", i);
        plant(name);
    }
    struct data_options options = defaults("d");
    options.test_share = 0.25;
    struct dataset *train, *test, *more;
    ck_succeeds(open_train(&train, &options));
    ck_succeeds(open_test(&test, &options));
    ck_assert_int_eq(train->count + test->count, 400);
    ck_assert_int_gt(test->count, 60); /* 100 expected, 8.7 the standard deviation */
    ck_assert_int_lt(test->count, 140);
    for (int i = 400; i < 500; i++) {
        (void)snprintf(name, sizeof name, "d/a/%d.png", i);
        plant(name);
    }
    ck_succeeds(open_test(&more, &options));
    for (int i = 0; i < 400; i++) {
        (void)snprintf(name, sizeof name, "/%s/%d.png", i % 2 ? "a" : "b", i);
        ck_assert_int_eq(has_name(test, name), has_name(more, name));
        ck_assert_int_ne(has_name(test, name), has_name(train, name));
    }
    dataset_free(train);
    dataset_free(test);
    dataset_free(more);
}
END_TEST

START_TEST(split_that_leaves_nothing_is_refused) {
    plant("d/a/1.png");
    plant("d/b/1.png");
    struct data_options options = defaults("d");
    options.test_share = 1e-9;
    struct dataset *set;
    ck_fails(open_test(&set, &options), ERROR_INPUT,
             "data.test_share: 1e-09 of the 2 pictures in ");
    ck_assert_ptr_nonnull(strstr(error_message(), "leaves none to test on"));
    options.test_share = 1 - 1e-9;
    ck_fails(open_train(&set, &options), ERROR_INPUT, "leaves none to learn from");
}
END_TEST

START_TEST(folder_without_pictures_is_refused) {
    struct dataset *set;
    struct data_options options = defaults("d");
    plant("d/notes.txt");
    ck_fails(open_train(&set, &options), ERROR_INPUT, "no folders of classes");
    options.type = DATA_FOLDER;
    ck_fails(open_train(&set, &options), ERROR_INPUT, "d: no folders in it");
    plant("d/a/notes.txt");
    plant("d/b/notes.txt");
    ck_fails(open_train(&set, &options), ERROR_INPUT, "d: no pictures (.jpg, .jpeg, .png) in it");
    options.type = DATA_TAR;
    ck_fails(open_train(&set, &options), ERROR_INPUT, "d: no .tar files in this folder");
    options.type = DATA_CIFAR;
    ck_fails(open_train(&set, &options), ERROR_INPUT, "d: no file data_batch_*.bin or train.bin");
    options.type = DATA_LIST;
    ck_fails(open_train(&set, &options), ERROR_INPUT, "with type=list this should be a file");
    options.train = "d/notes.txt";
    options.type = DATA_FOLDER;
    ck_fails(open_train(&set, &options), ERROR_INPUT, "with type=folder this should be a folder");
    options.train = "gone";
    ck_fails(open_train(&set, &options), ERROR_SYSTEM, "--data PATH names it, or train=");
    options.train = "/usr/share/openclipart/gone";
    ck_fails(open_train(&set, &options), ERROR_SYSTEM, "./setup --with-openclipart");
}
END_TEST

START_TEST(list_reads_pictures_beside_it_or_its_root) {
    plant("l/sub/a b.jpg");
    plant("l/c.png");
    (void)file_write_text("l/list.txt", "sub/a b.jpg 1\n\nc.png 0\ngone.png 1\n");
    struct data_options options = defaults("l/list.txt");
    struct dataset *set;
    ck_succeeds(open_train(&set, &options));
    ck_assert_int_eq(set->count, 3);
    ck_assert_int_eq(set->classes.count, 0);
    check_picture(set, 0, "l/sub/a b.jpg", 1);
    check_picture(set, 1, "l/c.png", 0);
    uint8_t *bytes = NULL;
    size_t room = 0, length;
    ck_fails(picture_files_read(set->files, 2, &bytes, &room, &length), ERROR_SYSTEM,
             "/l/gone.png: No such file");
    free(bytes);
    dataset_free(set);
    (void)file_write_text("other.lst", "sub/a b.jpg 1\n");
    options.train = "other.lst";
    ck_fails(open_train(&set, &options), ERROR_SYSTEM, "other.lst:1: ");
    ck_assert_ptr_nonnull(strstr(error_message(), "paths are seen from root="));
    options.root = "l";
    ck_succeeds(open_train(&set, &options));
    check_picture(set, 0, "l/sub/a b.jpg", 1);
    dataset_free(set);
    options.train_labels = "x";
    ck_fails(open_train(&set, &options), ERROR_INPUT, "holds its labels itself");
}
END_TEST

START_TEST(list_labels_may_be_names) {
    plant("1.png");
    (void)file_write_text("l.txt", "1.png dog\n1.png cat\n1.png dog\n");
    struct data_options options = defaults("l.txt");
    struct dataset *set;
    ck_succeeds(open_train(&set, &options));
    ck_assert_str_eq(set->classes.names[0], "cat");
    check_picture(set, 0, "1.png", 1);
    check_picture(set, 1, "1.png", 0);
    dataset_free(set);
    char *names[] = {"dog", "cat", "0"};
    const struct classes classes = {3, names};
    struct data_request request = REQUEST;
    request.outputs = 3;
    request.classes = &classes;
    (void)file_write_text("l.txt", "1.png dog\n1.png 0\n1.png 1\n");
    ck_succeeds(open_half(&set, &options, DATA_TRAIN, &request));
    check_picture(set, 0, "1.png", 0);
    check_picture(set, 1, "1.png", 2);
    check_picture(set, 2, "1.png", 1);
    dataset_free(set);
    (void)file_write_text("l.txt", "1.png dog\n1.png emu\n");
    ck_fails(open_half(&set, &options, DATA_TRAIN, &request), ERROR_INPUT,
             "l.txt:2: 'emu' is not among the 3 classes");
    (void)file_write_text("l.txt", "1.png 0\n1.png emu\n");
    ck_fails(open_train(&set, &options), ERROR_INPUT, "l.txt:2: 'emu' is not a number");
    (void)file_write_text("l.txt", "1.png 0\n1.png 2\n");
    ck_fails(open_train(&set, &options), ERROR_INPUT, "l.txt:2: ");
    ck_assert_ptr_nonnull(strstr(error_message(), "label 2 is outside 0..1"));
}
END_TEST

/* An archive being written: by someone whose locale has all characters, though the reader's has
 * not.
 */
static struct archive *tar_create(const char *name, int compressed, int gnu) {
    ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C.UTF-8"));
    struct archive *archive = archive_write_new();
    ck_assert_ptr_nonnull(archive);
    if (gnu)
        (void)archive_write_set_format_gnutar(archive);
    else
        (void)archive_write_set_format_pax(archive);
    if (compressed)
        (void)archive_write_add_filter_gzip(archive);
    ck_assert_int_eq(archive_write_open_filename(archive, file_path(name)), ARCHIVE_OK);
    return archive;
}

static void tar_add_bytes(struct archive *archive, const char *name, const void *bytes,
                          size_t length) {
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_size(entry, (la_int64_t)length);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    ck_assert_int_eq(archive_write_header(archive, entry), ARCHIVE_OK);
    ck_assert_int_eq(archive_write_data(archive, bytes, length), (la_ssize_t)length);
    archive_entry_free(entry);
}

static void tar_add(struct archive *archive, const char *name, const char *text) {
    tar_add_bytes(archive, name, text, strlen(text));
}

static void tar_close(struct archive *archive) {
    ck_assert_int_eq(archive_write_free(archive), ARCHIVE_OK);
    ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C"));
}

START_TEST(tar_shards_pair_pictures_and_labels) {
    ck_succeeds(directory_create(file_path("s")));
    char long_name[300], key[280];
    memset(key, 'k', 250);
    (void)snprintf(key + 250, sizeof key - 250, "/\xC3\xA4");
    (void)snprintf(long_name, sizeof long_name, "%s.jpeg", key);
    for (int gnu = 0; gnu < 2; gnu++) {
        struct archive *tar = tar_create(gnu ? "s/b.tar" : "s/a.tar", 0, gnu);
        tar_add(tar, "0002.cls", "1\n");
        tar_add(tar, "0001.jpg", "first");
        tar_add(tar, long_name, "long");
        tar_add(tar, "0001.json", "{}");
        tar_add(tar, "0001.cls", "0");
        tar_add(tar, "0002.PNG", "second");
        (void)snprintf(long_name, sizeof long_name, "%s.cls", key);
        tar_add(tar, long_name, "1");
        (void)snprintf(long_name, sizeof long_name, "%s.jpeg", key);
        tar_close(tar);
    }
    struct data_options options = defaults("s");
    struct dataset *set;
    ck_succeeds(open_train(&set, &options));
    ck_assert_int_eq(set->count, 6);
    for (int i = 0; i < 6; i += 3) {
        check_picture(set, i, "first", 0);
        check_picture(set, i + 1, "long", 1);
        check_picture(set, i + 2, "second", 1);
    }
    ck_assert_ptr_nonnull(strstr(picture_files_name(set->files, 3), "/s/b.tar:0001.jpg"));
    ck_assert_ptr_nonnull(strstr(picture_files_name(set->files, 1), long_name));
    ck_assert_ptr_nonnull(strstr(picture_files_name(set->files, 4), long_name));
    dataset_free(set);
    options.train = "s/a.tar";
    ck_succeeds(open_train(&set, &options));
    ck_assert_int_eq(set->count, 3);
    dataset_free(set);
}
END_TEST

START_TEST(tar_of_class_archives_is_read_in_place) {
    static const char *const classes[] = {"n02", "n01"};
    struct archive *outer = tar_create("train.tar", 0, 1);
    for (int i = 0; i < 2; i++) {
        char name[64], text[96];
        struct archive *inner = tar_create("inner", 0, 1);
        for (int j = 0; j < 30; j++) {
            (void)snprintf(name, sizeof name, "%s_%02d.JPEG", classes[i], j);
            (void)snprintf(text, sizeof text, "picture %s", name);
            tar_add(inner, name, text);
        }
        tar_close(inner);
        char *bytes;
        size_t length;
        ck_succeeds(file_read(file_path("inner"), 1 << 20, &bytes, &length));
        (void)snprintf(name, sizeof name, "%s.tar", classes[i]);
        tar_add_bytes(outer, name, bytes, length);
        free(bytes);
    }
    tar_close(outer);
    struct data_options options = defaults("train.tar");
    struct dataset *set, *test;
    ck_succeeds(open_train(&set, &options));
    ck_assert_int_eq(set->count, 60);
    ck_assert_str_eq(set->classes.names[0], "n01");
    check_picture(set, 0, "picture n01_00.JPEG", 0);
    check_picture(set, 29, "picture n01_29.JPEG", 0);
    check_picture(set, 30, "picture n02_00.JPEG", 1);
    check_picture(set, 59, "picture n02_29.JPEG", 1);
    dataset_free(set);
    options.test_share = 0.3;
    ck_succeeds(open_train(&set, &options));
    ck_succeeds(open_test(&test, &options));
    ck_assert_int_eq(set->count + test->count, 60);
    ck_assert_int_gt(test->count, 0);
    dataset_free(set);
    dataset_free(test);
}
END_TEST

START_TEST(tar_refuses_links_to_pictures) {
    struct data_options options = defaults("s.tar");
    struct dataset *set;
    struct archive *tar = tar_create("s.tar", 0, 1);
    tar_add(tar, "07.jpg", "x");
    tar_add(tar, "07.cls", "1");
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, "08.jpg");
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_hardlink(entry, "07.jpg");
    ck_assert_int_eq(archive_write_header(tar, entry), ARCHIVE_OK);
    archive_entry_free(entry);
    tar_close(tar);
    ck_fails(open_train(&set, &options), ERROR_INPUT, "s.tar: 08.jpg: a link to another picture");
}
END_TEST

START_TEST(tar_says_what_is_wrong) {
    struct data_options options = defaults("s.tar");
    struct dataset *set;
    struct archive *tar = tar_create("s.tar", 0, 0);
    tar_add(tar, "sub/07.jpg", "x");
    tar_close(tar);
    ck_fails(open_train(&set, &options), ERROR_INPUT,
             "s.tar: key sub/07: there is no sub/07.cls with its label");
    tar = tar_create("s.tar", 0, 0);
    tar_add(tar, "07.cls", "cat");
    tar_close(tar);
    ck_fails(open_train(&set, &options), ERROR_INPUT, "s.tar: 07.cls: ");
    tar = tar_create("s.tar", 0, 0);
    tar_add(tar, "07.cls", "2");
    tar_add(tar, "07.jpg", "x");
    tar_close(tar);
    ck_fails(open_train(&set, &options), ERROR_INPUT, "label 2 is outside 0..1");
    tar = tar_create("s.tar", 0, 0);
    tar_add(tar, "07.cls", "1");
    tar_add(tar, "07.cls", "0");
    tar_close(tar);
    ck_fails(open_train(&set, &options), ERROR_INPUT, "s.tar: two labels of key 07");
    tar = tar_create("s.tar", 0, 0);
    tar_add(tar, "readme.txt", "x");
    tar_close(tar);
    ck_fails(open_train(&set, &options), ERROR_INPUT, "s.tar: no pictures");
    tar = tar_create("s.tar", 1, 0);
    tar_add(tar, "07.cls", "1");
    tar_close(tar);
    ck_fails(open_train(&set, &options), ERROR_INPUT, "s.tar: compressed (gzip)");
    (void)file_write_text("s.tar", "no archive at all");
    ck_fails(open_train(&set, &options), ERROR_INPUT, "s.tar: not a tar archive");
    char text[3000];
    memset(text, 'x', sizeof text);
    tar = tar_create("s.tar", 0, 0);
    tar_add(tar, "07.cls", "1");
    tar_add_bytes(tar, "07.jpg", text, sizeof text);
    tar_close(tar);
    ck_assert_int_eq(truncate(file_path("s.tar"), 3072), 0);
    ck_fails(open_train(&set, &options), ERROR_INPUT, "s.tar: truncated: it ends within 07.jpg");
}
END_TEST

/* Records whose planes hold 3 numbers: label + 10 c. */
static void write_cifar(const char *name, int label_bytes, int count, int first) {
    FILE *stream = fopen(file_path(name), "wb");
    ck_assert_ptr_nonnull(stream);
    for (int i = 0; i < count; i++) {
        for (int b = 1; b < label_bytes; b++)
            (void)fputc(77, stream);
        (void)fputc(first + i, stream);
        for (int j = 0; j < 3072; j++)
            (void)fputc(first + i + 10 * (j / 1024), stream);
    }
    ck_assert_int_eq(fclose(stream), 0);
}

START_TEST(cifar_is_read_in_both_versions) {
    struct data_request request = {.input = {3, 32, 32}, .outputs = 10, .labels_only = 1};
    ck_succeeds(directory_create(file_path("c")));
    write_cifar("c/data_batch_1.bin", 1, 3, 0);
    write_cifar("c/data_batch_2.bin", 1, 2, 3);
    write_cifar("c/test_batch.bin", 1, 1, 9);
    (void)file_write_text("c/batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
    struct data_options options = defaults("c");
    struct dataset *set;
    ck_succeeds(open_half(&set, &options, DATA_TRAIN, &request));
    ck_assert_int_eq(set->count, 5);
    ck_assert_int_eq(set->labels[4], 4);
    ck_assert_mem_eq(set->bytes + (size_t)4 * 3072 + 3069, ((uint8_t[]){4, 14, 24}), 3);
    ck_assert_str_eq(set->classes.names[9], "j");
    dataset_free(set);
    ck_succeeds(open_half(&set, &options, DATA_TEST, &request));
    ck_assert_int_eq(set->count, 1);
    ck_assert_int_eq(set->labels[0], 9);
    dataset_free(set);
    ck_assert_int_eq(truncate(file_path("c/data_batch_2.bin"), 4000), 0);
    ck_fails(open_half(&set, &options, DATA_TRAIN, &request), ERROR_INPUT,
             "data_batch_2.bin: 4000 bytes: neither whole records");
    write_cifar("c/data_batch_2.bin", 2, 1, 0);
    ck_fails(open_half(&set, &options, DATA_TRAIN, &request), ERROR_INPUT, "CIFAR-100, though");
    request.outputs = 100;
    write_cifar("train.bin", 2, 2, 98);
    options.train = "train.bin";
    ck_succeeds(open_half(&set, &options, DATA_TRAIN, &request));
    ck_assert_int_eq(set->labels[1], 99);
    ck_assert_int_eq(set->bytes[1], 98 + 10);
    dataset_free(set);
    request.outputs = 20;
    ck_fails(open_half(&set, &options, DATA_TRAIN, &request), ERROR_INPUT,
             "sample 0 (from 0): label 98 is outside 0..19");
}
END_TEST

START_TEST(pictures_in_memory_may_wait_for_their_frame) {
    struct data_request request = {
        .input = {3, 20, 20}, .frame = {3, 24, 24}, .outputs = 10, .labels_only = 1};
    write_cifar("one.bin", 1, 1, 0);
    struct data_options options = defaults("one.bin");
    struct dataset *set;
    ck_succeeds(open_half(&set, &options, DATA_TRAIN, &request));
    ck_assert(shape_equal(set->stored, ((struct shape){3, 32, 32})));
    ck_assert(shape_equal(set->frame, request.frame));
    ck_assert(shape_equal(set->input, request.input));
    dataset_free(set);
    request.frame = (struct shape){0};
    ck_fails(open_half(&set, &options, DATA_TRAIN, &request), ERROR_INPUT,
             "one.bin holds pictures of 32x32x3 (w x h x c); the network expects 20x20x3");
}
END_TEST

START_TEST(openclipart_is_read) {
    static const char place[] = "/usr/share/openclipart/png";
    if (access(place, R_OK) != 0)
        SKIP_TEST("there is no %s, which ./setup --with-openclipart installs", place);
    struct data_options options = defaults(place);
    options.test_share = 0.1;
    struct data_request request = REQUEST;
    request.outputs = 22;
    struct dataset *train, *test;
    ck_succeeds(open_half(&train, &options, DATA_TRAIN, &request));
    ck_succeeds(open_half(&test, &options, DATA_TEST, &request));
    ck_assert_int_eq(train->count + test->count, 8121);
    ck_assert_str_eq(train->classes.names[21], "unsorted");
    dataset_free(train);
    dataset_free(test);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("source");
    tcase_set_timeout(tests, 0);
    tcase_add_checked_fixture(tests, files_setup, tree_teardown);
    tcase_add_test(tests, folder_labels_pictures_by_sorted_classes);
    tcase_add_test(tests, folder_follows_links_but_not_in_circles);
    tcase_add_test(tests, folder_of_two_halves_is_both);
    tcase_add_test(tests, folder_classes_must_suit_the_network);
    tcase_add_test(tests, split_never_moves);
    tcase_add_test(tests, split_that_leaves_nothing_is_refused);
    tcase_add_test(tests, folder_without_pictures_is_refused);
    tcase_add_test(tests, list_reads_pictures_beside_it_or_its_root);
    tcase_add_test(tests, list_labels_may_be_names);
    tcase_add_test(tests, tar_shards_pair_pictures_and_labels);
    tcase_add_test(tests, tar_of_class_archives_is_read_in_place);
    tcase_add_test(tests, tar_refuses_links_to_pictures);
    tcase_add_test(tests, tar_says_what_is_wrong);
    tcase_add_test(tests, cifar_is_read_in_both_versions);
    tcase_add_test(tests, pictures_in_memory_may_wait_for_their_frame);
    tcase_add_test(tests, openclipart_is_read);
    return suite_run("data/source", tests);
}
