/* safetensors files: what is written reads back, what Python wrote is read, and what breaks the
 * format is refused with its reason. */
#include "data/safetensors.h"

#include "base/file.h"
#include "support/suite.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char directory[] = "/tmp/clnet-test-safetensors-XXXXXX";
static char *target; /* the file that tests write */

static void remove_target(void) {
    (void)unlink(target);
}

/* A file's bytes in the making: a header, given as text, and data. */
struct image {
    size_t length;
    _Alignas(8) char bytes[4096];
};

static struct image image_of(const char *header, const void *data, size_t data_bytes) {
    struct image image = {.length = 8 + strlen(header) + data_bytes};
    uint64_t header_bytes = strlen(header);
    ck_assert_uint_le(image.length, sizeof image.bytes);
    memcpy(image.bytes, &header_bytes, 8);
    memcpy(image.bytes + 8, header, header_bytes);
    if (data_bytes)
        memcpy(image.bytes + 8 + header_bytes, data, data_bytes);
    return image;
}

static const float data[] = {1, 2, 3, 4, 5, 6};

/* Asserts that this header, before so many bytes of data, is refused for this reason. The bytes are
 * copied into memory of just their length, so that a sanitizer sees what reads beyond them. */
static void assert_refused(const char *header, size_t data_bytes, const char *reason) {
    struct image image = image_of(header, data, data_bytes);
    struct safetensors file;
    char *bytes = malloc(image.length);
    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, image.bytes, image.length);
    int rc = safetensors_parse(&file, "a.safetensors", bytes, image.length);
    free(bytes);
    ck_assert_msg(rc == ERROR_INPUT, "accepted: %s", header);
    ck_fails(rc, ERROR_INPUT, reason);
    ck_fails(rc, ERROR_INPUT, "a.safetensors: ");
    ck_assert_ptr_null(file.tensors);
    safetensors_free(&file);
}

static void assert_accepted(struct safetensors *file, const struct image *image) {
    ck_succeeds(safetensors_parse(file, "a.safetensors", image->bytes, image->length));
}

static void assert_same(const struct safetensors *file, const struct safetensor *expected) {
    const struct safetensor *tensor = safetensors_find(file, expected->name);
    ck_assert_msg(tensor != NULL, "%s is missing", expected->name);
    ck_assert_str_eq(tensor->name, expected->name);
    ck_assert_int_eq(tensor->dimensions, expected->dimensions);
    int64_t elements = 1;
    for (int i = 0; i < expected->dimensions; i++) {
        ck_assert_int_eq(tensor->sizes[i], expected->sizes[i]);
        elements *= expected->sizes[i];
    }
    ck_assert_uint_eq((uintptr_t)tensor->values % _Alignof(float), 0);
    for (int64_t i = 0; i < elements; i++)
        ck_assert_mem_eq(&tensor->values[i], &expected->values[i], sizeof(float));
}

START_TEST(safetensors_read_gives_what_safetensors_write_took) {
    static const float special[] = {-0.0F, INFINITY, -INFINITY, NAN, 1e-45F, 3.4e38F};
    static const struct safetensor tensors[] = {
        {"conv1.weights", 4, {1, 3, 1, 2}, data},
        {"scalar", 0, {0}, data + 3},
        {"empty", 2, {3, 0}, NULL},
        {"a name with \"quotes\" and \xc3\xa9", 1, {6}, special},
        {"eight", 8, {1, 1, 1, 2, 1, 1, 1, 1}, data + 1},
    };
    static const char *const metadata[][2] = {{"step", "17"}, {"config", "[net]\nbatch=1\n"}};
    enum { COUNT = sizeof tensors / sizeof *tensors };
    struct safetensors file;
    ck_succeeds(safetensors_write(target, tensors, COUNT, metadata, 2));
    ck_succeeds(safetensors_read(&file, target));
    ck_assert_int_eq(file.count, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_same(&file, &tensors[i]);
    ck_assert_ptr_null(safetensors_find(&file, "__metadata__"));
    ck_assert_ptr_null(safetensors_find(&file, "conv1"));
    safetensors_free(&file);
    safetensors_free(&file);
}
END_TEST

START_TEST(safetensors_write_begins_the_data_at_a_multiple_of_8) {
    char name[16] = "";
    for (int length = 1; length <= 8; length++) {
        name[length - 1] = 'w';
        const struct safetensor tensor = {name, 1, {6}, data};
        char *bytes;
        size_t size;
        uint64_t header_bytes;
        ck_succeeds(safetensors_write(target, &tensor, 1, NULL, 0));
        ck_succeeds(file_read(target, 4096, &bytes, &size));
        memcpy(&header_bytes, bytes, 8);
        ck_assert_uint_eq(header_bytes % 8, 0);
        ck_assert_uint_eq(size, 8 + header_bytes + sizeof data);
        ck_assert_int_eq(bytes[8], '{');
        ck_assert_mem_eq(bytes + 8 + header_bytes, data, sizeof data);
        free(bytes);
    }
}
END_TEST

START_TEST(safetensors_write_of_no_tensors_reads_back_as_none) {
    struct safetensors file;
    ck_succeeds(safetensors_write(target, NULL, 0, NULL, 0));
    ck_succeeds(safetensors_read(&file, target));
    ck_assert_int_eq(file.count, 0);
    ck_assert_ptr_null(safetensors_find(&file, "w"));
    safetensors_free(&file);
}
END_TEST

START_TEST(safetensors_write_refuses_names_that_no_file_can_hold) {
    const struct safetensor twice[] = {{"w", 1, {6}, data}, {"w", 1, {6}, data}};
    const struct safetensor reserved = {"__metadata__", 1, {6}, data};
    const struct safetensor latin1 = {"caf\xe9", 1, {6}, data};
    static const char *const doubled[][2] = {{"k", "1"}, {"k", "2"}};
    static const char *const garbled[][2] = {{"k", "\xff"}};
    ck_fails(safetensors_write(target, twice, 2, NULL, 0), ERROR_INPUT,
             "tensor 'w' is there twice");
    ck_fails(safetensors_write(target, &reserved, 1, NULL, 0), ERROR_INPUT, "__metadata__");
    ck_fails(safetensors_write(target, &latin1, 1, NULL, 0), ERROR_INPUT, "UTF-8");
    ck_fails(safetensors_write(target, twice, 1, doubled, 2), ERROR_INPUT,
             "__metadata__: 'k' is there twice");
    ck_fails(safetensors_write(target, twice, 1, garbled, 1), ERROR_INPUT, "UTF-8");
    ck_fails(safetensors_write(target, twice, 1, garbled, 1), ERROR_INPUT, target);
    ck_assert_int_ne(access(target, F_OK), 0);
}
END_TEST

START_TEST(safetensors_write_refuses_sizes_that_overflow) {
    const struct safetensor one = {"w", 2, {INT64_MAX / 4, 2}, NULL};
    const struct safetensor two[] = {{"v", 1, {INT64_MAX / 4}, NULL},
                                     {"w", 1, {INT64_MAX / 4}, NULL}};
    ck_fails(safetensors_write(target, &one, 1, NULL, 0), ERROR_INPUT, "'w' is too large");
    ck_fails(safetensors_write(target, two, 2, NULL, 0), ERROR_INPUT, "'w' is too large");
    ck_assert_int_ne(access(target, F_OK), 0);
}
END_TEST

START_TEST(safetensors_write_names_a_place_where_it_cannot_write) {
    const struct safetensor tensor = {"w", 1, {6}, data};
    char *path = path_join(target, "below");
    ck_fails(safetensors_write(path, &tensor, 1, NULL, 0), ERROR_SYSTEM, path);
    free(path);
}
END_TEST

/* A limit on a file's size fails a write just where a full disk would. */
static int write_beyond_limit(const struct safetensor *tensor, rlim_t limit) {
    struct rlimit old, small;
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){.rlim_cur = limit, .rlim_max = old.rlim_max};
    (void)setrlimit(RLIMIT_FSIZE, &small);
    int rc = safetensors_write(target, tensor, 1, NULL, 0);
    (void)setrlimit(RLIMIT_FSIZE, &old);
    (void)signal(SIGXFSZ, SIG_DFL);
    return rc;
}

START_TEST(safetensors_write_reports_a_full_disk_and_leaves_the_old_file) {
    static float large[100000];
    const struct safetensor old = {"old", 1, {6}, data};
    /* The disk is full in the header; in the data; and, for what stdio buffers, only at the end. */
    const struct safetensor long_one = {"w", 1, {100000}, large};
    const struct safetensor short_one = {"w", 1, {100}, large};
    const struct {
        const struct safetensor *tensor;
        rlim_t limit;
    } cases[] = {{&long_one, 16}, {&long_one, 5000}, {&short_one, 16}};
    ck_succeeds(safetensors_write(target, &old, 1, NULL, 0));
    for (int i = 0; i < 3; i++) {
        ck_fails(write_beyond_limit(cases[i].tensor, cases[i].limit), ERROR_SYSTEM, target);
        ck_assert_ptr_nonnull(strstr(error_message(), "cannot write"));
        struct safetensors file;
        ck_succeeds(safetensors_read(&file, target));
        assert_same(&file, &old);
        safetensors_free(&file);
    }
    /* Without the target the directory is empty: no temporary file is left. */
    ck_assert_int_eq(unlink(target), 0);
    ck_assert_int_eq(rmdir(directory), 0);
    ck_succeeds(directory_create(directory));
}
END_TEST

START_TEST(safetensors_read_takes_what_python_wrote) {
    struct safetensors file;
    ck_succeeds(
        safetensors_read(&file, CLNET_SOURCE_DIR "/tests/data/fixtures/python.safetensors"));
    float weights[24];
    for (int i = 0; i < 24; i++)
        weights[i] = (float)i / 8;
    ck_assert_int_eq(file.count, 4);
    assert_same(&file, &(struct safetensor){"conv1.weights", 4, {2, 3, 2, 2}, weights});
    assert_same(&file, &(struct safetensor){"conv1.biases", 1, {2}, (float[]){-1.5F, 2.25F}});
    assert_same(&file, &(struct safetensor){"step", 0, {0}, (float[]){7}});
    assert_same(&file, &(struct safetensor){"none", 2, {0, 3}, NULL});
    safetensors_free(&file);
}
END_TEST

START_TEST(safetensors_read_names_the_tensor_and_type_that_it_does_not_support) {
    struct safetensors file;
    ck_fails(
        safetensors_read(&file, CLNET_SOURCE_DIR "/tests/data/fixtures/python_int64.safetensors"),
        ERROR_INPUT,
        "python_int64.safetensors: tensor 'ids': dtype I64 is not supported; only F32 is");
}
END_TEST

START_TEST(safetensors_read_names_a_missing_file) {
    struct safetensors file;
    ck_fails(safetensors_read(&file, target), ERROR_SYSTEM, target);
    safetensors_free(&file);
}
END_TEST

/* Foreign writers need not pad the header. Each way the data can lie is tried. */
START_TEST(safetensors_parse_reads_data_at_any_alignment) {
    static const char member[] =
        "{\"w\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}}";
    char header[sizeof member + 8];
    memcpy(header, member, sizeof member);
    for (int spaces = 0; spaces < 8; spaces++) {
        struct image image = image_of(header, data, sizeof data);
        struct safetensors file;
        assert_accepted(&file, &image);
        assert_same(&file, &(struct safetensor){"w", 1, {6}, data});
        safetensors_free(&file);

        FILE *stream = fopen(target, "wb");
        ck_assert_ptr_nonnull(stream);
        ck_assert_uint_eq(fwrite(image.bytes, 1, image.length, stream), image.length);
        ck_assert_int_eq(fclose(stream), 0);
        ck_succeeds(safetensors_read(&file, target));
        assert_same(&file, &(struct safetensor){"w", 1, {6}, data});
        safetensors_free(&file);
        memcpy(header + strlen(header), " ", 2);
    }
}
END_TEST

START_TEST(safetensors_parse_orders_tensors_by_their_data) {
    struct image image =
        image_of("{\"late\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]},"
                 "\"early\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                 "\"nothing\":{\"dtype\":\"F32\",\"shape\":[0,5],\"data_offsets\":[8,8]}}",
                 data, 12);
    struct safetensors file;
    assert_accepted(&file, &image);
    ck_assert_int_eq(file.count, 3);
    ck_assert_str_eq(file.tensors[0].name, "early");
    ck_assert_str_eq(file.tensors[1].name, "nothing");
    ck_assert_str_eq(file.tensors[2].name, "late");
    ck_assert(file.tensors[2].values[0] == 3);
    safetensors_free(&file);
}
END_TEST

START_TEST(safetensors_parse_passes_over_members_that_it_does_not_know) {
    struct image image = image_of("{\"__metadata__\":{},\"w\":{\"dtype\":\"F32\",\"shape\":[1],"
                                  "\"data_offsets\":[0,4],\"note\":[1,{}]}}   ",
                                  data, 4);
    struct safetensors file;
    assert_accepted(&file, &image);
    ck_assert_int_eq(file.count, 1);
    safetensors_free(&file);
}
END_TEST

START_TEST(safetensors_parse_checks_the_length_of_the_header) {
    struct image image = image_of("{}", NULL, 0);
    struct safetensors file;
    assert_accepted(&file, &image);
    safetensors_free(&file);
    for (size_t length = 0; length < image.length; length++)
        ck_fails(safetensors_parse(&file, "short", image.bytes, length), ERROR_INPUT, "short: ");
    ck_fails(safetensors_parse(&file, "short", image.bytes, 7), ERROR_INPUT, "only 7 bytes long");
    ck_fails(safetensors_parse(&file, "short", image.bytes, 9), ERROR_INPUT,
             "cut short: a header of 2 bytes in a file of 9");

    static const uint64_t wrong[] = {0, 1, 3, 100000001, INT64_MAX, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        memcpy(image.bytes, &wrong[i], 8);
        ck_fails(safetensors_parse(&file, "wrong", image.bytes, image.length), ERROR_INPUT,
                 "wrong: ");
    }
    ck_fails(safetensors_parse(&file, "wrong", image.bytes, image.length), ERROR_INPUT,
             "is longer than 100000000");
}
END_TEST

START_TEST(safetensors_parse_refuses_a_header_that_is_no_json_object) {
    assert_refused("", 0, "is not a JSON object");
    assert_refused(" {}", 0, "is not a JSON object");
    assert_refused("[]", 0, "is not a JSON object");
    assert_refused("{", 0, "not well-formed JSON");
    assert_refused("{}x", 0, "not well-formed JSON");
    assert_refused("{\"w\":}", 0, "not well-formed JSON");
    assert_refused("{\"\xff\":1}", 0, "not well-formed JSON");
    assert_refused("{\"a\\u0000b\":{}}", 0, "not well-formed JSON");
}
END_TEST

/* A tensor's member with these three values. */
#define MEMBER(name, dtype, shape, offsets) \
    "\"" name "\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define F32 "\"F32\""

START_TEST(safetensors_parse_refuses_keys_that_stand_twice) {
    assert_refused("{" MEMBER("w", F32, "[1]", "[0,4]") "," MEMBER("w", F32, "[1]", "[0,4]") "}", 4,
                   "duplicate");
    assert_refused("{\"w\":{\"dtype\":" F32 ",\"dtype\":" F32
                   ",\"shape\":[1],\"data_offsets\":[0,4]}}",
                   4, "duplicate");
}
END_TEST

START_TEST(safetensors_parse_refuses_metadata_that_are_no_strings) {
    assert_refused("{\"__metadata__\":[]}", 0, "__metadata__ is not an object");
    assert_refused("{\"__metadata__\":\"x\"}", 0, "__metadata__ is not an object");
    assert_refused("{\"__metadata__\":{\"step\":1}}", 0, "value of 'step' is not a string");
}
END_TEST

START_TEST(safetensors_parse_refuses_a_tensor_with_missing_or_wrong_members) {
    assert_refused("{\"w\":1}", 0, "tensor 'w': is not an object");
    assert_refused("{\"w\":{}}", 0, "tensor 'w': dtype is not a string");
    assert_refused("{" MEMBER("w", "32", "[1]", "[0,4]") "}", 4, "dtype is not a string");
    assert_refused("{" MEMBER("w", "\"BF16\"", "[2]", "[0,4]") "}", 4,
                   "tensor 'w': dtype BF16 is not supported");
    assert_refused("{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "shape is not a list");
    assert_refused("{" MEMBER("w", F32, "1", "[0,4]") "}", 4, "shape is not a list");
    assert_refused("{" MEMBER("w", F32, "[1,-1]", "[0,4]") "}", 4, "size 2 of its shape");
    assert_refused("{" MEMBER("w", F32, "[1.0]", "[0,4]") "}", 4, "size 1 of its shape");
    assert_refused("{" MEMBER("w", F32, "[\"1\"]", "[0,4]") "}", 4, "size 1 of its shape");
    assert_refused("{" MEMBER("w", F32, "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "9 dimensions");
    assert_refused("{\"w\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "data_offsets is not");
    assert_refused("{" MEMBER("w", F32, "[1]", "4") "}", 4, "data_offsets is not");
    assert_refused("{" MEMBER("w", F32, "[1]", "[0]") "}", 4, "data_offsets is not");
    assert_refused("{" MEMBER("w", F32, "[1]", "[0,4,8]") "}", 4, "data_offsets is not");
    assert_refused("{" MEMBER("w", F32, "[1]", "[4,0]") "}", 4, "data_offsets is not");
    assert_refused("{" MEMBER("w", F32, "[1]", "[-4,0]") "}", 4, "data_offsets is not");
    assert_refused("{" MEMBER("w", F32, "[1]", "[0,4.0]") "}", 4, "data_offsets is not");
    assert_refused("{" MEMBER("w", F32, "[1]", "[0,99999999999999999999]") "}", 4, "too big");
}
END_TEST

START_TEST(safetensors_parse_refuses_sizes_that_do_not_make_the_byte_range) {
    assert_refused("{" MEMBER("w", F32, "[2]", "[0,4]") "}", 4,
                   "tensor 'w': its sizes need 8 bytes, its data_offsets hold 4");
    assert_refused("{" MEMBER("w", F32, "[0]", "[0,4]") "}", 4, "need 0 bytes");
    assert_refused("{" MEMBER("w", F32, "[]", "[0,0]") "}", 0, "need 4 bytes");
    assert_refused("{" MEMBER("w", F32, "[4611686018427387904]", "[0,0]") "}", 0,
                   "more bytes than can be counted");
    assert_refused("{" MEMBER("w", F32, "[4294967296,4294967296,0]", "[0,0]") "}", 0,
                   "more bytes than can be counted");
}
END_TEST

START_TEST(safetensors_parse_refuses_ranges_that_do_not_tile_the_data) {
    assert_refused("{" MEMBER("w", F32, "[2]", "[0,8]") "}", 4,
                   "tensor 'w': bytes 0..8 are outside");
    assert_refused("{" MEMBER("w", F32, "[1]", "[4,8]") "}", 8,
                   "tensor 'w': its data begin at byte 4, "
                   "after a gap that begins at 0");
    assert_refused("{" MEMBER("v", F32, "[1]", "[0,4]") "," MEMBER("w", F32, "[1]", "[8,12]") "}",
                   12, "tensor 'w': its data begin at byte 8, after a gap that begins at 4");
    assert_refused("{" MEMBER("v", F32, "[2]", "[0,8]") "," MEMBER("w", F32, "[2]", "[4,12]") "}",
                   12, "tensor 'w': its data begin at byte 4, before another tensor's end at 8");
    assert_refused("{" MEMBER("v", F32, "[1]", "[0,4]") "," MEMBER("w", F32, "[1]", "[0,4]") "}", 4,
                   "before another tensor's end at 4");
    assert_refused("{" MEMBER("w", F32, "[1]", "[0,4]") "}", 7,
                   "the last 3 bytes belong to no tensor");
    assert_refused("{}", 1, "the last 1 bytes belong to no tensor");
    assert_refused("{" MEMBER("v", F32, "[2]", "[0,8]") "," MEMBER("w", F32, "[0]", "[4,4]") "}", 8,
                   "tensor 'w': its data begin at byte 4");
}
END_TEST

int main(void) {
    if (!mkdtemp(directory) || !(target = path_join(directory, "target.safetensors")))
        return EXIT_FAILURE;
    TCase *tests = tcase_create("safetensors");
    tcase_add_checked_fixture(tests, NULL, remove_target);
    tcase_add_test(tests, safetensors_read_gives_what_safetensors_write_took);
    tcase_add_test(tests, safetensors_write_begins_the_data_at_a_multiple_of_8);
    tcase_add_test(tests, safetensors_write_of_no_tensors_reads_back_as_none);
    tcase_add_test(tests, safetensors_write_refuses_names_that_no_file_can_hold);
    tcase_add_test(tests, safetensors_write_refuses_sizes_that_overflow);
    tcase_add_test(tests, safetensors_write_names_a_place_where_it_cannot_write);
    tcase_add_test(tests, safetensors_write_reports_a_full_disk_and_leaves_the_old_file);
    tcase_add_test(tests, safetensors_read_takes_what_python_wrote);
    tcase_add_test(tests, safetensors_read_names_the_tensor_and_type_that_it_does_not_support);
    tcase_add_test(tests, safetensors_read_names_a_missing_file);
    tcase_add_test(tests, safetensors_parse_reads_data_at_any_alignment);
    tcase_add_test(tests, safetensors_parse_orders_tensors_by_their_data);
    tcase_add_test(tests, safetensors_parse_passes_over_members_that_it_does_not_know);
    tcase_add_test(tests, safetensors_parse_checks_the_length_of_the_header);
    tcase_add_test(tests, safetensors_parse_refuses_a_header_that_is_no_json_object);
    tcase_add_test(tests, safetensors_parse_refuses_keys_that_stand_twice);
    tcase_add_test(tests, safetensors_parse_refuses_metadata_that_are_no_strings);
    tcase_add_test(tests, safetensors_parse_refuses_a_tensor_with_missing_or_wrong_members);
    tcase_add_test(tests, safetensors_parse_refuses_sizes_that_do_not_make_the_byte_range);
    tcase_add_test(tests, safetensors_parse_refuses_ranges_that_do_not_tile_the_data);
    int status = suite_run("data/safetensors", tests);
    (void)rmdir(directory);
    free(target);
    return status;
}
