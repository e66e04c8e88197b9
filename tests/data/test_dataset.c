#include "data/dataset.h"

#include "data/files.h"

#include <inttypes.h>

/* Pictures of 3 x 2 (w x h), and labels 0..4. */
static const struct data_request PICTURES = {.input = {1, 2, 3}, .outputs = 5, .labels_only = 1};

/* Options with every default, and nothing named. */
static struct data_options defaults(void) {
    struct data_options options = {0};
    options_defaults(&options, data_option_table);
    return options;
}

static int open_train(struct dataset **out, const struct data_options *options,
                      const struct data_request *request) {
    char config[128];
    (void)snprintf(config, sizeof config, "%s/net.cfg", folder);
    return dataset_open(out, options, DATA_TRAIN, config, request);
}

static int open_test(struct dataset **out, const struct data_options *options,
                     const struct data_request *request) {
    char config[128];
    (void)snprintf(config, sizeof config, "%s/net.cfg", folder);
    return dataset_open(out, options, DATA_TEST, config, request);
}

static void write_idx(const char *name, int dimensions, const int *sizes, int first, int step) {
    uint8_t bytes[IDX_FILE_MAX];
    size_t length = idx_bytes(bytes, dimensions, sizes, first, step);
    if (strstr(name, ".gz"))
        (void)file_write_gzip(name, bytes, length);
    else
        (void)file_write(name, bytes, length);
}

static void write_half(const char *pictures, const char *labels, int count) {
    write_idx(pictures, 3, (int[]){count, 2, 3}, 1, 1);
    write_idx(labels, 1, (int[]){count}, 0, 1);
}

static int open_csv(struct dataset **out, const char *text, const char *target,
                    const struct data_request *request) {
    (void)file_write_text("d.csv", text);
    struct data_options options = defaults();
    options.train = "d.csv";
    options.target = target;
    return open_train(out, &options, request);
}

START_TEST(dataset_options_have_defaults) {
    struct data_options options = defaults();
    ck_assert_ptr_null(options.train);
    ck_assert_int_eq(options.type, DATA_AUTO);
    ck_assert_int_eq(options.shuffle, 1);
    ck_assert_str_eq(options.mean, "0");
    ck_assert_double_eq(options.scale, 1);
}
END_TEST

START_TEST(dataset_opens_both_halves_of_a_folder) {
    write_half("train-images-idx3-ubyte.gz", "train-labels.idx1-ubyte", 4);
    write_half("t10k-images.idx3-ubyte", "t10k-labels-idx1-ubyte.gz", 2);
    struct data_options options = defaults();
    options.train = folder;
    struct dataset *train, *test;
    ck_succeeds(open_train(&train, &options, &PICTURES));
    ck_succeeds(open_test(&test, &options, &PICTURES));
    ck_assert_int_eq(train->count, 4);
    ck_assert_int_eq(test->count, 2);
    ck_assert(shape_equal(train->input, PICTURES.input));
    ck_assert_ptr_null(train->floats);
    ck_assert_ptr_null(train->targets);
    ck_assert_int_eq(train->bytes[4 * 6 - 1], 24);
    ck_assert_int_eq(train->labels[3], 3);
    dataset_free(train);
    dataset_free(test);
    dataset_free(NULL);
}
END_TEST

START_TEST(dataset_finds_no_test_half_where_there_is_none) {
    write_half("train-images-idx3-ubyte", "train-labels-idx1-ubyte", 4);
    struct data_options options = defaults();
    struct dataset *test = (struct dataset *)&options;
    ck_succeeds(open_test(&test, &options, &PICTURES));
    ck_assert_ptr_null(test);
    options.train = ".";
    ck_succeeds(open_test(&test, &options, &PICTURES));
    ck_assert_ptr_null(test);
    options.train = "train-images-idx3-ubyte";
    options.train_labels = "train-labels-idx1-ubyte";
    ck_succeeds(open_test(&test, &options, &PICTURES));
    ck_assert_ptr_null(test);
}
END_TEST

START_TEST(dataset_rejects_half_a_test_half) {
    write_half("train-images-idx3-ubyte", "train-labels-idx1-ubyte", 4);
    write_idx("t10k-labels-idx1-ubyte", 1, (int[]){4}, 0, 1);
    struct data_options options = defaults();
    options.train = ".";
    struct dataset *test;
    ck_fails(open_test(&test, &options, &PICTURES), ERROR_INPUT,
             "no file t10k-images-idx3-ubyte or .gz");
    options.train = NULL;
    options.test_labels = "l";
    ck_fails(open_test(&test, &options, &PICTURES), ERROR_INPUT, "data.test: missing");
}
END_TEST

START_TEST(dataset_opens_files_named_one_by_one) {
    write_half("p", "l", 3);
    write_half("q", "m", 2);
    struct data_options options = defaults();
    options.train = "p";
    options.train_labels = "l";
    options.test = "q";
    options.test_labels = "m";
    struct dataset *set;
    ck_succeeds(open_train(&set, &options, &PICTURES));
    ck_assert_int_eq(set->count, 3);
    dataset_free(set);
    ck_succeeds(open_test(&set, &options, &PICTURES));
    ck_assert_int_eq(set->count, 2);
    dataset_free(set);
}
END_TEST

START_TEST(dataset_rejects_options_that_do_not_go_together) {
    write_half("p", "l", 3);
    (void)file_write_text("d.csv", "1,2\n");
    struct dataset *set;
    struct data_options options = defaults();
    ck_fails(open_train(&set, &options, &PICTURES), ERROR_INPUT, "data.train: missing");
    ck_assert_ptr_null(set);
    options.train = "p";
    ck_fails(open_train(&set, &options, &PICTURES), ERROR_INPUT, "data.train_labels: missing");
    options.train_labels = "none";
    ck_fails(open_train(&set, &options, &PICTURES), ERROR_SYSTEM, "data.train_labels: ");
    options.train_labels = ".";
    ck_fails(open_train(&set, &options, &PICTURES), ERROR_INPUT, "a folder");
    options.train_labels = "l";
    options.target = "2";
    ck_fails(open_train(&set, &options, &PICTURES), ERROR_INPUT, "data.target: ");
    options.target = NULL;
    options.train = ".";
    ck_fails(open_train(&set, &options, &PICTURES), ERROR_INPUT, "data.train_labels: ");
    options.train = "d.csv";
    ck_fails(open_train(&set, &options, &PICTURES), ERROR_INPUT, "data.train_labels: ");
    options.train = ".";
    options.train_labels = NULL;
    options.type = DATA_CSV;
    ck_fails(open_train(&set, &options, &PICTURES), ERROR_INPUT, "type=csv");
    options.train = "/dev/null";
    ck_fails(open_train(&set, &options, &PICTURES), ERROR_INPUT, "neither a regular file");
}
END_TEST

START_TEST(dataset_says_what_is_missing_and_what_provides_it) {
    struct data_options options = defaults();
    struct dataset *set;
    options.train = "nowhere";
    ck_fails(open_train(&set, &options, &PICTURES), ERROR_SYSTEM, "/nowhere: No such file");
    ck_assert_ptr_null(strstr(error_message(), "dataset-fashion-mnist"));
    options.train = "/usr/share/datasets/nowhere";
    ck_fails(open_train(&set, &options, &PICTURES), ERROR_SYSTEM, "./setup installs it");
    options.train = ".";
    ck_fails(open_train(&set, &options, &PICTURES), ERROR_INPUT,
             "no file train-images-idx3-ubyte or .gz in this folder");
    /* The half that is missing is blamed on the key that was read. */
    options.train = "nowhere";
    ck_fails(open_test(&set, &options, &PICTURES), ERROR_SYSTEM, "data.train: ");
}
END_TEST

START_TEST(dataset_rejects_pictures_of_another_shape) {
    write_half("p", "l", 3);
    struct data_options options = defaults();
    options.train = "p";
    options.train_labels = "l";
    struct dataset *set;
    struct data_request request = {.input = {1, 3, 2}, .outputs = 5, .labels_only = 1};
    ck_fails(open_train(&set, &options, &request), ERROR_INPUT,
             "p holds pictures of 3x2x1 (w x h x c); the network expects 2x3x1");
    options.train = "l";
    ck_fails(open_train(&set, &options, &request), ERROR_INPUT, "l: 1 dimensions; pictures have 3");
}
END_TEST

START_TEST(dataset_takes_a_picture_as_a_vector) {
    write_half("p", "l", 3);
    struct data_options options = defaults();
    options.train = "p";
    options.train_labels = "l";
    struct dataset *set;
    struct data_request request = {.input = {6, 1, 1}, .outputs = 5, .labels_only = 1};
    ck_succeeds(open_train(&set, &options, &request));
    ck_assert(shape_equal(set->input, request.input));
    ck_assert_int_eq(set->bytes[17], 18);
    dataset_free(set);
    request.input.c = 7;
    ck_fails(open_train(&set, &options, &request), ERROR_INPUT, "expects 1x1x7");
}
END_TEST

START_TEST(dataset_reads_pictures_with_channels) {
    write_idx("p", 4, (int[]){2, 4, 5, 3}, 0, 1);
    write_idx("l", 1, (int[]){2}, 0, 1);
    struct data_options options = defaults();
    options.train = "p";
    options.train_labels = "l";
    struct dataset *set;
    struct data_request request = {.input = {3, 4, 5}, .outputs = 2, .labels_only = 1};
    ck_succeeds(open_train(&set, &options, &request));
    ck_assert_int_eq(set->bytes[119], 119);
    dataset_free(set);
}
END_TEST

START_TEST(dataset_rejects_labels_that_do_not_fit) {
    write_half("p", "l", 6);
    write_idx("few", 1, (int[]){5}, 0, 1);
    struct data_options options = defaults();
    options.train = "p";
    options.train_labels = "l";
    struct dataset *set;
    ck_fails(open_train(&set, &options, &PICTURES), ERROR_INPUT,
             "l: sample 5 (from 0): label 5 is outside 0..4");
    options.train_labels = "few";
    ck_fails(open_train(&set, &options, &PICTURES), ERROR_INPUT, "few holds 5 labels, but ");
    ck_assert_ptr_nonnull(strstr(error_message(), "p holds 6 pictures"));
    options.train_labels = "p";
    ck_fails(open_train(&set, &options, &PICTURES), ERROR_INPUT, "p: 3 dimensions; labels have 1");
}
END_TEST

START_TEST(dataset_turns_labels_into_numbers_for_a_single_output) {
    write_half("p", "l", 6);
    struct data_options options = defaults();
    options.train = "p";
    options.train_labels = "l";
    struct dataset *set;
    struct data_request request = {.input = {1, 2, 3}, .outputs = 1, .labels_only = 0};
    ck_succeeds(open_train(&set, &options, &request));
    ck_assert_ptr_null(set->labels);
    ck_assert_float_eq(set->targets[5], 5);
    dataset_free(set);
    request.labels_only = 1;
    ck_fails(open_train(&set, &options, &request), ERROR_INPUT, "label 1 is outside 0..0");
}
END_TEST

START_TEST(dataset_takes_the_last_columns_as_targets) {
    struct dataset *set;
    struct data_request request = {.input = {2, 1, 1}, .outputs = 2, .labels_only = 0};
    ck_succeeds(open_csv(&set, "1,2,3,4\n5,6,7,8\n", NULL, &request));
    ck_assert_int_eq(set->count, 2);
    ck_assert_ptr_null(set->bytes);
    ck_assert_ptr_null(set->labels);
    const float floats[] = {1, 2, 5, 6}, targets[] = {3, 4, 7, 8};
    ck_assert_mem_eq(set->floats, floats, sizeof floats);
    ck_assert_mem_eq(set->targets, targets, sizeof targets);
    dataset_free(set);
}
END_TEST

START_TEST(dataset_takes_named_columns_as_targets) {
    struct dataset *set;
    struct data_request request = {.input = {2, 1, 1}, .outputs = 2, .labels_only = 0};
    const float floats[] = {2, 3}, targets[] = {4, 1};
    static const struct {
        const char *text, *target;
    } cases[] = {{"a,b,c,d\n1,2,3,4\n", "d, a"}, {"1,2,3,4\n", " 4,1"}};
    for (int i = 0; i < 2; i++) {
        ck_succeeds(open_csv(&set, cases[i].text, cases[i].target, &request));
        ck_assert_mem_eq(set->floats, floats, sizeof floats);
        ck_assert_mem_eq(set->targets, targets, sizeof targets);
        dataset_free(set);
    }
}
END_TEST

START_TEST(dataset_takes_a_column_as_labels) {
    struct dataset *set;
    struct data_request request = {.input = {2, 1, 1}, .outputs = 3, .labels_only = 1};
    ck_succeeds(open_csv(&set, "class,x,y\n2,.5,.5\n0,1,1\n", "class", &request));
    ck_assert_int_eq(set->labels[0], 2);
    ck_assert_int_eq(set->labels[1], 0);
    ck_assert_ptr_null(set->targets);
    dataset_free(set);

    ck_fails(open_csv(&set, "x,y,class\n1,1,2\n\n1,1,3\n", NULL, &request), ERROR_INPUT,
             "d.csv:4: column 3 (class): 3 is not a label; expected a whole number in 0..2");
    ck_fails(open_csv(&set, "1,1,.5\n", NULL, &request), ERROR_INPUT,
             "d.csv:1: column 3 (the target): 0.5 is not a label");
    ck_fails(open_csv(&set, "1,1,-1\n", NULL, &request), ERROR_INPUT, "-1 is not a label");
}
END_TEST

START_TEST(dataset_rejects_targets_that_are_no_columns) {
    struct dataset *set;
    struct data_request request = {.input = {2, 1, 1}, .outputs = 1, .labels_only = 0};
    static const struct {
        const char *text, *target, *message;
    } cases[] = {
        {"alpha,beta,gamma\n1,2,3\n", "gama", "did you mean 'gamma'?"},
        {"alpha,beta,gamma\n1,2,3\n", "1", "no column of "},
        {"a,b,b\n1,2,3\n", "b", "2 columns of "},
        {"1,2,3\n", "a", "named by number, 1..3"},
        {"1,2,3\n", "0", "named by number, 1..3"},
        {"1,2,3\n", "4", "named by number, 1..3"},
        {"1,2,3\n", "", "named by number, 1..3"},
        {"1,2,3\n", "1,1", "column '1' stands twice"},
        {"1,2,3\n", "1,2", "names 2 columns; the network's loss wants 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_fails(open_csv(&set, cases[i].text, cases[i].target, &request), ERROR_INPUT,
                 cases[i].message);
        ck_assert_ptr_nonnull(strstr(error_message(), "data.target: "));
        ck_assert_ptr_null(set);
    }
}
END_TEST

START_TEST(dataset_rejects_a_wrong_number_of_columns) {
    struct dataset *set;
    struct data_request request = {.input = {1, 2, 2}, .outputs = 1, .labels_only = 0};
    ck_fails(open_csv(&set, "1,2,3\n", NULL, &request), ERROR_INPUT,
             "d.csv has 3 columns, 1 for the target and 2 for the input; the network expects an "
             "input of 4 (2x2x1, w x h x c)");
    request.outputs = 3;
    ck_fails(open_csv(&set, "1,2,3\n", NULL, &request), ERROR_INPUT, "leaves no input");
    ck_fails(open_csv(&set, "1,2\n3\n", NULL, &request), ERROR_INPUT, "d.csv:2: ");
}
END_TEST

START_TEST(dataset_reads_csv_of_any_name_when_told) {
    (void)file_write_text("numbers", "1,2\n");
    struct data_options options = defaults();
    options.train = "numbers";
    options.type = DATA_CSV;
    struct dataset *set;
    struct data_request request = {.input = {1, 1, 1}, .outputs = 1, .labels_only = 0};
    ck_succeeds(open_train(&set, &options, &request));
    dataset_free(set);
    options.type = DATA_IDX;
    options.train_labels = "numbers";
    ck_fails(open_train(&set, &options, &request), ERROR_INPUT, "numbers: not an IDX file");
}
END_TEST

START_TEST(dataset_reads_fashion_mnist) {
    static const char place[] = "/usr/share/datasets/fashion-mnist";
    if (access(place, R_OK) != 0)
        SKIP_TEST("there is no %s, which ./setup installs", place);
    struct data_options options = defaults();
    options.train = place;
    const struct data_request request = {.input = {1, 28, 28}, .outputs = 10, .labels_only = 1};
    static const int64_t counts[] = {[DATA_TRAIN] = 60000, [DATA_TEST] = 10000};
    for (int half = DATA_TRAIN; half <= DATA_TEST; half++) {
        struct dataset *set;
        ck_succeeds(dataset_open(&set, &options, (enum data_half)half, "net.cfg", &request));
        ck_assert_int_eq(set->count, counts[half]);
        int64_t seen[10] = {0};
        for (int64_t i = 0; i < set->count; i++)
            seen[set->labels[i]]++;
        for (int k = 0; k < 10; k++)
            ck_assert_int_eq(seen[k], counts[half] / 10);
        dataset_free(set);
    }
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("dataset");
    tcase_set_timeout(tests, 0);
    tcase_add_checked_fixture(tests, files_setup, files_teardown);
    tcase_add_test(tests, dataset_options_have_defaults);
    tcase_add_test(tests, dataset_opens_both_halves_of_a_folder);
    tcase_add_test(tests, dataset_finds_no_test_half_where_there_is_none);
    tcase_add_test(tests, dataset_rejects_half_a_test_half);
    tcase_add_test(tests, dataset_opens_files_named_one_by_one);
    tcase_add_test(tests, dataset_rejects_options_that_do_not_go_together);
    tcase_add_test(tests, dataset_says_what_is_missing_and_what_provides_it);
    tcase_add_test(tests, dataset_rejects_pictures_of_another_shape);
    tcase_add_test(tests, dataset_takes_a_picture_as_a_vector);
    tcase_add_test(tests, dataset_reads_pictures_with_channels);
    tcase_add_test(tests, dataset_rejects_labels_that_do_not_fit);
    tcase_add_test(tests, dataset_turns_labels_into_numbers_for_a_single_output);
    tcase_add_test(tests, dataset_takes_the_last_columns_as_targets);
    tcase_add_test(tests, dataset_takes_named_columns_as_targets);
    tcase_add_test(tests, dataset_takes_a_column_as_labels);
    tcase_add_test(tests, dataset_rejects_targets_that_are_no_columns);
    tcase_add_test(tests, dataset_rejects_a_wrong_number_of_columns);
    tcase_add_test(tests, dataset_reads_csv_of_any_name_when_told);
    tcase_add_test(tests, dataset_reads_fashion_mnist);
    return suite_run("data/dataset", tests);
}
