/* The program as a user meets it: what it prints, what it writes, how it refuses. */
#include "support/device.h"
#include "support/limits.h"
#include "support/suite.h"

#include "base/file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[] = "/tmp/clnet-cli-XXXXXX";

/* What a run of the program gave. */
struct result {
    int status;
    char *output; /* both streams */
};

/* Runs `clnet ARGUMENTS` by the shell, with both streams in out.txt, below the test's directory;
 * $SOURCE is the source tree, $CLNET the program. */
static struct result run(const char *arguments) {
    char command[4096];
    (void)snprintf(command, sizeof command,
                   "cd %s && SOURCE='%s' CLNET='%s' && { $CLNET %s ; } > out.txt 2>&1", directory,
                   CLNET_SOURCE_DIR, CLNET_PROGRAM, arguments);
    struct result result = {.status = system(command)};
    result.status = WIFEXITED(result.status) ? WEXITSTATUS(result.status) : -1;
    char *path = path_join(directory, "out.txt");
    size_t length;
    ck_succeeds(file_read(path, 1 << 24, &result.output, &length));
    free(path);
    return result;
}

static void expect(const char *arguments, int status, const char *text) {
    struct result result = run(arguments);
    ck_assert_msg(result.status == status && strstr(result.output, text),
                  "clnet %s\ngave status %d and:\n%s", arguments, result.status, result.output);
    free(result.output);
}

static json_t *expect_json(const char *arguments) {
    char only_output[512];
    (void)snprintf(only_output, sizeof only_output, "%s 2> /dev/null", arguments);
    struct result result = run(only_output);
    ck_assert_msg(result.status == 0, "clnet %s: %s", arguments, result.output);
    json_t *json = json_loads(result.output, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_msg(json != NULL, "clnet %s: not JSON:\n%s", arguments, result.output);
    free(result.output);
    return json;
}

static void write_file(const char *name, const char *text) {
    char *path = path_join(directory, name);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
    free(path);
}

static int exists(const char *name) {
    char *path = path_join(directory, name);
    struct stat status;
    int found = stat(path, &status) == 0;
    free(path);
    return found;
}

/* A regression that trains in no time. */
static const char *const tiny = "[net]\ninputs=2\nbatch=4\nepochs=3\nlearning_rate=0.1\n"
                                "[data]\ntrain=train.csv\ntest=train.csv\n"
                                "[connected]\nname=fc1\nactivation=linear\n[cost]\n";
static const char *const table = "a,b,y\n0,0,1\n1,0,3\n0,1,0\n1,1,2\n.5,.5,1.5\n";

/* The same through a convolution: two numbers are two channels of a pixel. */
static const char *const conv = "[net]\ninputs=2\nbatch=4\nlearning_rate=0.1\n"
                                "[data]\ntrain=train.csv\n"
                                "[conv]\nfilters=2\nactivation=linear\n"
                                "[connected]\nactivation=linear\n[cost]\n";

static void write_tiny(void) {
    write_file("tiny.cfg", tiny);
    write_file("train.csv", table);
}

START_TEST(cli_help_is_there_for_the_program_and_every_command) {
    expect("--help", 0, "Begin with: clnet train configs/quickstart.cfg");
    expect("help", 0, "Commands:");
    expect("", 0, "Commands:");
    static const char *const names[] = {"train",   "test",  "predict", "visualize", "summary",
                                        "devices", "bench", "kernels", "tune",      "help"};
    for (int i = 0; i < 10; i++) {
        char arguments[64];
        (void)snprintf(arguments, sizeof arguments, "%s --help", names[i]);
        expect(arguments, 0, "--help");
        (void)snprintf(arguments, sizeof arguments, "help %s", names[i]);
        expect(arguments, 0, "--help");
    }
    expect("help config", 0, "[convolutional]");
    expect("help device", 0, "work_group_max");
    expect("--version", 0, "clnet 0.");
}
END_TEST

START_TEST(cli_wrong_usage_says_what_was_expected) {
    static const char *const cases[][2] = {
        {"tran", "did you mean 'train'?"},
        {"train", "expected one config"},
        {"summary a b", "expected one config"},
        {"summary --jsn a", "--jsn: no such flag; did you mean --json?"},
        {"train tiny.cfg --batch", "--batch: its value is missing"},
        {"train tiny.cfg --batch=0", "net.batch: 0 is outside 1..65536"},
        {"train tiny.cfg --epochs many", "net.epochs: 'many' is not a whole number"},
        {"train tiny.cfg --json", "--json: no such flag"},
        {"devices --json=1", "--json: takes no value"},
        {"train tiny.cfg --set net.batch", "expected section.key=value"},
        {"train tiny.cfg --set nets.batch=2", "no section or layer named nets"},
        {"train tiny.cfg --set net.bacth=2", "did you mean 'batch'?"},
        {"train tiny.cfg --devices 99", "there is no such device"},
        {"train tiny.cfg --devices first", "--devices: expected an index"},
        {"train tiny.cfg --resume here", "--resume takes no config"},
        {"train --resume here --batch 3", "--batch: not with --resume"},
        {"train --resume here --set net.seed=3", "--set: not with --resume"},
        {"train --resume here", "this is not the directory of a run"},
        {"test tiny.cfg", "--weights: which weights to test is missing"},
        {"help nothing", "'nothing' is neither a command nor 'config' nor 'device'"},
    };
    write_tiny();
    expect(cases[_i][0], 2, cases[_i][1]);
}
END_TEST

enum { USAGE_CASES = 20 };

START_TEST(cli_summary_of_alexnet_says_its_parameters_and_operations) {
    expect("summary $SOURCE/configs/alexnet.cfg", 0, "60,965,224 parameters, 724,406,816");
    json_t *json = expect_json("summary $SOURCE/configs/alexnet.cfg --json");
    ck_assert_int_eq(json_integer_value(json_object_get(json, "parameters")), 60965224);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "macs")), 724406816);
    json_t *first = json_array_get(json_object_get(json, "layers"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(first, "name")), "conv1");
    ck_assert_str_eq(json_string_value(json_object_get(first, "type")), "convolutional");
    ck_assert_int_eq(json_integer_value(json_array_get(json_object_get(first, "output"), 1)), 55);
    ck_assert_int_eq(json_integer_value(json_object_get(first, "parameters")), 34944);
    json_decref(json);
}
END_TEST

START_TEST(cli_summary_needs_no_device) {
    write_tiny();
    expect("summary tiny.cfg", 0, "3 parameters");
    struct result result =
        run("summary tiny.cfg; OCL_ICD_VENDORS=/nowhere $CLNET summary tiny.cfg");
    ck_assert_int_eq(result.status, 0);
    free(result.output);
}
END_TEST

/* Runs in a shell's braces: the limits are those of the second program alone, beside those that all
 * tests run under. */
#define LIMITS(limits) \
    "CLNET_DEVICE_LIMITS=\"${CLNET_DEVICE_LIMITS:+$CLNET_DEVICE_LIMITS,}" limits "\" "
#define WITH_LIMITS(limits, arguments) "--version; " LIMITS(limits) "$CLNET " arguments
#define ALEXNET "summary $SOURCE/configs/alexnet.cfg --devices 0"

START_TEST(cli_train_tunes_first_what_is_not_known_yet) {
    static const char *const arguments =
        "train conv.cfg --output tuned --iterations 2 --tune quick";
    write_file("conv.cfg", conv);
    write_file("train.csv", table);
    expect(arguments, 0, "5 passes were tuned");
    struct result again = run("train conv.cfg --output tuned-again --iterations 2 --tune quick");
    ck_assert_int_eq(again.status, 0);
    ck_assert_ptr_null(strstr(again.output, "were tuned"));
    free(again.output);
    expect("tune conv.cfg --tune off --list", 0, "quick");
    ck_assert(exists("tuned/tunings.tsv"));
    expect("train --resume tuned --iterations 3", 0, "going on from iteration 2");
    write_file("tuned/tunings.tsv", "no tunings");
    expect("train --resume tuned --iterations 4", 2, "tuned/tunings.tsv:1: ");
    expect("train conv.cfg --tune some", 2, "--tune: 'some' is none of off, quick, full");
    ck_assert_int_eq(setenv("CLNET_TUNE", "much", 1), 0);
    expect("train conv.cfg", 2, "CLNET_TUNE: 'much' is none of off, quick, full");
    ck_assert_int_eq(setenv("CLNET_TUNE", "off", 1), 0);
}
END_TEST

START_TEST(cli_summary_of_devices_says_how_the_batch_is_made_to_fit) {
    if (!test_takes_alexnet())
        SKIP_TEST(TEST_NO_ROOM_FOR_ALEXNET);
    expect(WITH_LIMITS("global_memory=1G,allocation_max=256M", ALEXNET), 0, "so that they fit");
    expect(WITH_LIMITS("global_memory=512M", ALEXNET), 1, "even one sample at a time takes");
    expect(WITH_LIMITS("allocation_max=128M", ALEXNET), 1, "fc6.weight takes 144.0 MiB");
    expect("summary $SOURCE/configs/alexnet.cfg --devices 99", 2, "there is no such device");
    expect("summary $SOURCE/configs/alexnet.cfg --devices 0,0 --batch 1", 2,
           "2 devices cannot share a batch of 1");
}
END_TEST

START_TEST(cli_summary_of_devices_divides_the_batch_and_adds_up) {
    static const char *const parts[] = {"parameters",  "gradients",   "velocity",
                                        "multipliers", "activations", "scratch",
                                        "staging",     "results",     "exchange"};
    write_tiny();
    /* As on a device with memory of its own, which copies to the other. */
    test_limits("unified=0");
    json_t *json = expect_json("summary tiny.cfg --batch 5 --devices 0,0 --json");
    test_limits(NULL);
    json_t *devices = json_object_get(json, "devices");
    ck_assert_uint_eq(json_array_size(devices), 2);
    for (size_t i = 0; i < 2; i++) {
        json_t *device = json_array_get(devices, i);
        json_int_t sum = 0;
        for (int k = 0; k < 9; k++)
            sum += json_integer_value(json_object_get(device, parts[k]));
        ck_assert_int_eq(sum, json_integer_value(json_object_get(device, "total")));
        ck_assert_int_eq(json_integer_value(json_object_get(device, "samples")), i == 0 ? 3 : 2);
        ck_assert_int_eq(json_integer_value(json_object_get(device, "exchange")), 1024);
        ck_assert_int_eq(json_integer_value(json_object_get(device, "replicas")), 2);
        ck_assert_int_eq(json_integer_value(json_object_get(device, "subdivisions")), 1);
    }
    json_decref(json);
    json = expect_json("summary tiny.cfg --json");
    ck_assert_ptr_null(json_object_get(json, "devices"));
    json_decref(json);
}
END_TEST

/* Memory for some of the 43 samples of a third of the batch at once, but not for all of them. */
START_TEST(cli_summary_of_devices_that_share_layers_says_who_has_what) {
    if (!test_takes_alexnet())
        SKIP_TEST(TEST_NO_ROOM_FOR_ALEXNET);
    test_limits("global_memory=2500M");
    json_t *json = expect_json(ALEXNET ",0,0 --set net.parallel=hybrid --json");
    test_limits(NULL);
    json_t *devices = json_object_get(json, "devices");
    json_int_t outputs = 0, samples = 0;
    ck_assert_uint_eq(json_array_size(devices), 3);
    for (size_t i = 0; i < 3; i++) {
        json_t *device = json_array_get(devices, i);
        json_int_t own = json_integer_value(json_object_get(device, "samples"));
        json_int_t micro_batch = json_integer_value(json_object_get(device, "micro_batch"));
        samples += own;
        outputs += json_integer_value(json_object_get(json_object_get(device, "outputs"), "fc7"));
        ck_assert_int_lt(micro_batch, own);
        ck_assert_int_eq(micro_batch, json_integer_value(json_object_get(json_array_get(devices, 0),
                                                                         "micro_batch")));
        ck_assert_int_gt(json_integer_value(json_object_get(device, "left")), 0);
    }
    ck_assert_int_eq(samples, 128);
    ck_assert_int_eq(outputs, 4096);
    json_decref(json);
    expect(ALEXNET ",0 --set net.parallel=hybrid", 0, "500 of 1000 outputs of fc8");
    write_tiny();
    expect("summary tiny.cfg --batch 4 --devices 0,0 --set net.parallel=hybrid", 2,
           "parallel=hybrid is not possible");
}
END_TEST

START_TEST(cli_devices_lists_what_each_can_do) {
    json_t *json = expect_json("devices --json");
    ck_assert_uint_gt(json_array_size(json), 0);
    static const char *const keys[] = {
        "index",         "name",          "vendor",       "platform",           "driver",
        "compute_units", "global_memory", "local_memory", "largest_allocation", "fp16",
        "fp64",          "sub_devices",   "quirks"};
    for (int i = 0; i < 13; i++)
        ck_assert_msg(json_object_get(json_array_get(json, 0), keys[i]) != NULL, "no %s", keys[i]);
    json_decref(json);
    expect("devices", 0, "0: ");
    expect(WITH_LIMITS("platform=Oclgrind", "devices"), 0, "quirk 'serial': ");
}
END_TEST

/* The first kernel of that name in what clnet kernels wrote. */
static json_t *find_kernel(const json_t *written, const char *function) {
    size_t i;
    json_t *kernel, *kernels = json_object_get(written, "kernels");
    json_array_foreach(kernels, i, kernel) {
        const char *name = json_string_value(json_object_get(kernel, "function"));
        if (name && strcmp(name, function) == 0)
            return kernel;
    }
    ck_abort_msg("there is no %s", function);
}

START_TEST(cli_kernels_writes_what_a_device_that_is_not_here_would_be_given) {
    write_file("gpu.cfg", "[device]\nname=a GPU\nsub_group=16\ncompute_units=40\n");
    expect("kernels $SOURCE/configs/quickstart.cfg --output gpu --like gpu.cfg", 0, "gpu: ");
    ck_assert(exists("gpu/conv_tiled.cl"));
    char *path = path_join(directory, "gpu/kernels.json");
    json_t *written = json_load_file(path, 0, NULL);
    free(path);
    ck_assert_ptr_nonnull(written);
    ck_assert_str_eq(json_string_value(json_object_get(written, "device")), "a GPU");
    json_t *kernel = find_kernel(written, "conv_forward");
    const char *options = json_string_value(json_object_get(kernel, "options"));
    ck_assert_str_eq(json_string_value(json_object_get(kernel, "file")), "conv_tiled.cl");
    ck_assert_str_eq(json_string_value(json_object_get(kernel, "layer")), "conv1");
    ck_assert_msg(strstr(options, "-cl-std=CL1.2 -DHAVE_FMA=1 -DSUB_GROUP=16 ") == options,
                  "the options are %s", options);
    json_decref(written);
}
END_TEST

START_TEST(cli_kernels_writes_what_the_device_that_is_here_is_given) {
    write_tiny();
    expect("kernels tiny.cfg --output here", 0, "here: ");
    ck_assert(exists("here/kernels.json"));
    ck_assert(exists("here/solver.cl"));
}
END_TEST

START_TEST(cli_kernels_writes_what_the_tuner_would_try) {
    write_file("gpu.cfg", "[device]\nname=a GPU\ncompute_units=40\n");
    expect("kernels $SOURCE/configs/quickstart.cfg --candidates --output tries --like gpu.cfg", 0,
           "tries: ");
    ck_assert(exists("tries/conv_tiled.cl"));
    ck_assert(exists("tries/conv_winograd.cl")); /* another way */
    char *path = path_join(directory, "tries/kernels.json");
    json_t *written = json_load_file(path, 0, NULL);
    free(path);
    ck_assert_ptr_nonnull(written);
    json_t *kernel = find_kernel(written, "conv_forward");
    const char *candidate = json_string_value(json_object_get(kernel, "candidate"));
    ck_assert_ptr_nonnull(candidate);
    ck_assert_msg(strncmp(candidate, "conv_tiled.cl ", 14) == 0, "the first one is %s", candidate);
    json_decref(written);
}
END_TEST

START_TEST(cli_kernels_says_what_is_wrong_with_a_description) {
    write_tiny();
    write_file("many.cfg", "[device]\n[device]\n");
    write_file("odd.cfg", "[device]\nwork_group_max=none\n");
    expect("kernels tiny.cfg", 2, "--output: the folder to write to is missing");
    expect("kernels tiny.cfg --output x --like nowhere.cfg", 1, "nowhere.cfg");
    expect("kernels tiny.cfg --output x --like many.cfg", 2, "expected one section, [device]");
    expect("kernels tiny.cfg --output x --like odd.cfg", 2, "odd.cfg:2: device.work_group_max");
    expect("kernels tiny.cfg --output x --like odd.cfg --devices 0", 2, "--like: not with");
    expect("kernels tiny.cfg --output x --team 2 --candidates", 2, "--candidates: not with --team");
}
END_TEST

START_TEST(cli_without_an_opencl_platform_says_what_to_install) {
    struct result result =
        run("--version; OCL_ICD_VENDORS=/nowhere OCL_ICD_FILENAMES= $CLNET devices");
    ck_assert_int_ne(result.status, 0);
    ck_assert_msg(strstr(result.output, "pocl-opencl-icd") != NULL, "%s", result.output);
    free(result.output);
}
END_TEST

START_TEST(cli_train_writes_config_metrics_and_weights_that_test_reads) {
    write_tiny();
    expect("train tiny.cfg --output made", 0, "weights: made/final.safetensors");
    ck_assert(exists("made/config.cfg"));
    ck_assert(exists("made/metrics.jsonl"));
    ck_assert(exists("made/checkpoint-00000006.safetensors"));
    ck_assert(exists("made/best.safetensors"));
    /* The resolved config works from anywhere, and on its own. */
    json_t *by_copy = expect_json("test made/config.cfg --weights made/final.safetensors --json");
    json_t *by_config = expect_json("test tiny.cfg --weights made/final.safetensors --json");
    ck_assert(json_equal(by_copy, by_config));
    ck_assert_int_eq(json_integer_value(json_object_get(by_copy, "samples")), 5);
    json_decref(by_copy);
    json_decref(by_config);
}
END_TEST

START_TEST(cli_train_metrics_have_a_line_for_each_iteration_and_evaluation) {
    write_tiny();
    expect("train tiny.cfg --output lines", 0, "test loss");
    char *path = path_join(directory, "lines/metrics.jsonl"), *text;
    size_t length;
    ck_succeeds(file_read(path, 1 << 20, &text, &length));
    int iterations = 0, evaluations = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        ck_assert_msg(object != NULL, "not JSON: %s", line);
        if (json_object_get(object, "iteration")) {
            iterations++;
            ck_assert(json_is_real(json_object_get(object, "loss")));
            ck_assert(json_is_real(json_object_get(object, "learning_rate")));
            ck_assert(json_is_real(json_object_get(object, "images_per_second")));
            ck_assert(json_is_real(json_object_get(object, "loader_wait")));
        } else {
            evaluations++;
            ck_assert(json_is_real(json_object_get(object, "test_loss")));
        }
        ck_assert(json_is_integer(json_object_get(object, "epoch")));
        json_decref(object);
    }
    ck_assert_int_eq(iterations, 6);
    ck_assert_int_eq(evaluations, 3);
    free(text);
    free(path);
}
END_TEST

START_TEST(cli_bench_tells_rates_limits_and_kernels) {
    write_tiny();
    json_t *list = expect_json("bench tiny.cfg --devices 0 --repetitions 1 --layers --json");
    ck_assert_uint_eq(json_array_size(list), 1);
    json_t *report = json_array_get(list, 0);
    static const char *const keys[] = {"peak_gflops", "bandwidth_gbs",
                                       "inference_images_per_second", "training_images_per_second",
                                       "training_fraction_of_peak"};
    for (int i = 0; i < 5; i++)
        ck_assert_msg(json_number_value(json_object_get(report, keys[i])) > 0, "%s", keys[i]);
    json_t *first = json_array_get(json_object_get(report, "layers"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(first, "name")), "fc1");
    ck_assert_ptr_nonnull(json_object_get(first, "fraction_of_bound"));
    json_decref(list);
    expect("bench tiny.cfg --devices 0 --repetitions 1", 0, "images/s");
}
END_TEST

/* A device's object as --json prints it, with what differs between the files of a test. */
#define RESULT(device, training, more)                                                \
    "{\"device\": \"" device "\", \"peak_gflops\": 400, \"bandwidth_gbs\": 12.5, "    \
    "\"inference_images_per_second\": 100, \"training_images_per_second\": " training \
    ", \"training_fraction_of_peak\": 0.5, \"layers\": [" more "]}"
#define KERNEL(name, pass, ms)                                     \
    "{\"name\": \"" name "\", \"pass\": \"" pass "\", \"ms\": " ms \
    ", \"gflops\": 1, \"fraction_of_bound\": 1, \"kernel\": \"k\"}"

START_TEST(cli_bench_compares_two_files_in_one_table) {
    write_file("one.json",
               "[" RESULT("A", "20",
                          KERNEL("fc1", "forward", "3") ", " KERNEL("fc1", "forward", "1")) "]");
    write_file("two.json", "[" RESULT("B", "30", KERNEL("fc1", "forward", "2")) "]");
    struct result result = run("bench two.json --compare one.json");
    ck_assert_msg(result.status == 0, "%s", result.output);
    static const char *const lines[] = {
        "| one.json | two.json | faster |",
        "| device                     |        A |        B |        |",
        "| training, images/s         |    20.00 |    30.00 | 1.50 x |",
        "| fc1 forward, ms            |     4.00 |     2.00 | 2.00 x |",
    };
    for (int i = 0; i < 4; i++)
        ck_assert_msg(strstr(result.output, lines[i]) != NULL, "%s\nin\n%s", lines[i],
                      result.output);
    free(result.output);
    /* More than two devices have no ratio. */
    write_file("both.json", "[" RESULT("B", "30", "") ", " RESULT("C", "300", "") "]");
    expect("bench both.json --compare one.json", 0, "| one.json | both.json | both.json |\n");
}
END_TEST

START_TEST(cli_bench_compares_an_earlier_result_with_now) {
    write_tiny();
    expect("bench tiny.cfg --devices 0 --repetitions 1 --json 2> /dev/null > now.json; "
           "$CLNET bench tiny.cfg --devices 0 --repetitions 1 --compare now.json",
           0, "faster |\n|---|");
    expect("bench tiny.cfg --devices 0 --repetitions 1 --batch 3 --compare now.json", 0,
           "different configs or batches");
}
END_TEST

START_TEST(cli_bench_refuses_to_compare_what_is_no_result) {
    static const char *const cases[][2] = {
        {"[", "bad.json:1: not JSON"},
        {"{}", "bad.json: expected what 'clnet bench --json' prints"},
        {"[]", "bad.json: expected what 'clnet bench --json' prints"},
        {"[1]", "bad.json: [0]: expected an object"},
        {"[{\"device\": \"A\"}]", "bad.json: [0]: peak_gflops: missing"},
        {"[" RESULT("A", "\"many\"", "") "]", "training_images_per_second: expected a number"},
        {"[" RESULT("A", "-1", "") "]", "training_images_per_second: expected a number"},
        {"[" RESULT("\\u001b[2J", "1", "") "]", "device: a control character"},
        {"[" RESULT("A", "1", "[]") "]", "[0]: layers[0]: expected an object"},
        {"[" RESULT("A", "1", KERNEL("c", "forward", "1e300")) "]", "layers[0]: ms: expected"},
    };
    write_file("bad.json", cases[_i][0]);
    expect("bench --compare bad.json", 2, cases[_i][1]);
}
END_TEST

enum { COMPARE_CASES = 10 };

START_TEST(cli_bench_goes_on_with_the_other_devices_when_one_fails) {
    write_tiny();
    struct result result = run("--version; POCL_DEVICES='pthread pthread' " LIMITS(
        "1:launches=1") "$CLNET bench tiny.cfg "
                        "--devices 0,1 --repetitions 1");
    /* Where PoCL is, it shows two devices. */
    if (!strstr(result.output, "there is no such device")) {
        ck_assert_int_eq(result.status, 1);
        ck_assert_ptr_nonnull(strstr(result.output, "device 1 is left out"));
        ck_assert_ptr_nonnull(strstr(result.output, "results right"));
    }
    free(result.output);
}
END_TEST

START_TEST(cli_bench_tells_what_a_training_would_wait_for) {
    write_tiny();
    json_t *list =
        expect_json("bench tiny.cfg --data train.csv --devices 0 --repetitions 1 --json");
    json_t *report = json_array_get(list, 0);
    json_t *first = json_array_get(json_object_get(report, "loader"), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(first, "threads")), 1);
    ck_assert(json_number_value(json_object_get(first, "images_per_second")) > 0);
    const char *bottleneck = json_string_value(json_object_get(report, "bottleneck"));
    ck_assert_ptr_nonnull(bottleneck);
    ck_assert(strcmp(bottleneck, "loader") == 0 || strcmp(bottleneck, "device") == 0);
    json_decref(list);
    expect("bench tiny.cfg --data nowhere --devices 0", 1, "nowhere");
}
END_TEST

START_TEST(cli_train_never_overwrites_a_run) {
    write_tiny();
    expect("train tiny.cfg --output once", 0, "weights:");
    expect("train tiny.cfg --output once", 2, "a run is there already");
}
END_TEST

START_TEST(cli_train_flags_override_the_config) {
    write_tiny();
    expect("train tiny.cfg --output short --iterations 2 --batch 2 --seed 5", 0, "weights:");
    expect("summary short/config.cfg", 0, "batch 2");
    struct result result = run("--version; cat short/config.cfg");
    ck_assert_ptr_nonnull(strstr(result.output, "\nmax_batches=2\nepochs=0\n"));
    ck_assert_ptr_nonnull(strstr(result.output, "\nseed=5\n"));
    free(result.output);
}
END_TEST

START_TEST(cli_train_says_where_data_would_be_named) {
    write_tiny();
    expect("train $SOURCE/configs/alexnet.cfg", 1, "--data PATH");
    write_file("bare.cfg", "[net]\ninputs=2\nepochs=1\n[connected]\nactivation=linear\n[cost]\n");
    expect("train bare.cfg", 2, "data.train: missing");
    expect("train tiny.cfg --data nowhere.csv", 1, "nowhere.csv");
}
END_TEST

START_TEST(cli_train_refuses_an_output_that_cannot_be_written) {
    write_tiny();
    write_file("a-file", "x");
    expect("train tiny.cfg --output a-file", 1, "a-file");
    expect("train tiny.cfg --output /dev/null/x", 1, "/dev/null");
}
END_TEST

START_TEST(cli_train_on_a_full_disk_stops_with_the_reason_and_whole_weights) {
    write_tiny();
    /* A limit on the size of files stands for the full disk: 1 MiB, in blocks of 512 bytes, is
     * enough for what the driver's compiler writes, and for our metrics it is not. */
    struct result result =
        run("--version; for i in 1 2 3 4 5 6 7 8 9 10 11; do tail -n +2 train.csv; "
            "done > many; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do cat "
            "many many many many many many many many many many; done > many.csv; "
            "trap '' XFSZ; ulimit -f 2048; $CLNET train tiny.cfg --set "
            "data.train=many.csv --batch 1 --epochs 2 --output full");
    ck_assert_int_ne(result.status, 0);
    ck_assert_msg(strstr(result.output, "cannot write") != NULL, "%s", result.output);
    free(result.output);
    expect("test tiny.cfg --weights full/checkpoint-00000000.safetensors", 0, "loss");
    ck_assert(!exists("full/final.safetensors"));
}
END_TEST

START_TEST(cli_train_that_diverges_keeps_the_last_good_weights) {
    write_tiny();
    expect("train tiny.cfg --output wild --epochs 300 --set net.learning_rate=1e6", 1,
           "is not finite");
    expect("train --resume wild", 1, "goes on from iteration");
    ck_assert(!exists("wild/final.safetensors"));
}
END_TEST

START_TEST(cli_test_refuses_weights_of_another_net) {
    write_tiny();
    expect("train tiny.cfg --output ours", 0, "weights:");
    expect(
        "test tiny.cfg --weights ours/final.safetensors --set fc1.output=2 --set data.target=a,y "
        "--set net.inputs=1",
        2, "tensor fc1.weight is 1 x 2; the net's is 2 x 1");
    expect("test tiny.cfg --weights ours/final.safetensors --set fc1.name=fc9", 2, "fc9.weight");
    expect("test tiny.cfg --weights train.csv", 2, "train.csv");
    expect("test tiny.cfg --weights nothing", 1, "nothing");
}
END_TEST

START_TEST(cli_test_prints_a_loss_that_is_not_finite_as_null) {
    write_tiny();
    expect("train tiny.cfg --output nan", 0, "weights:");
    /* The last number in the file, a weight or a bias, becomes a NaN. */
    char *path = path_join(directory, "nan/final.safetensors");
    FILE *file = fopen(path, "r+b");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, -4, SEEK_END), 0);
    ck_assert_uint_eq(fwrite("\xff\xff\xff\x7f", 1, 4, file), 4);
    ck_assert_int_eq(fclose(file), 0);
    free(path);
    json_t *json = expect_json("test tiny.cfg --weights nan/final.safetensors --json");
    ck_assert(json_is_null(json_object_get(json, "loss")));
    json_decref(json);
}
END_TEST

START_TEST(cli_train_begins_with_given_weights) {
    write_tiny();
    expect("train tiny.cfg --output from --epochs 400", 0, "weights:");
    json_t *before = expect_json("test tiny.cfg --weights from/final.safetensors --json");
    expect("train tiny.cfg --output on --weights from/final.safetensors --set net.learning_rate=0 ",
           0, "weights:");
    json_t *after = expect_json("test tiny.cfg --weights on/final.safetensors --json");
    ck_assert(json_equal(before, after));
    json_decref(before);
    json_decref(after);
}
END_TEST

START_TEST(doctor_passes_the_devices_that_are_here) {
    write_tiny();
    expect("doctor tiny.cfg --devices 0", 0, "computes this net as it should");
    json_t *json = expect_json("doctor tiny.cfg --devices 0 --json");
    ck_assert(json_is_true(json_object_get(json_array_get(json, 0), "passed")));
    json_decref(json);
    expect("doctor tiny.cfg --devices 99", 2, "--devices");
}
END_TEST

START_TEST(doctor_goes_on_with_the_other_devices_when_one_fails) {
    write_tiny();
    struct result result =
        run(WITH_LIMITS("0:launches=3", "doctor tiny.cfg --devices 0,0 --json 2> /dev/null"));
    ck_assert_int_eq(result.status, 1);
    json_t *json = json_loads(strchr(result.output, '['), 0, NULL);
    ck_assert_int_eq((int)json_array_size(json), 2);
    for (size_t i = 0; i < 2; i++)
        ck_assert(json_is_false(json_object_get(json_array_get(json, i), "passed")));
    json_decref(json);
    free(result.output);
    expect("doctor tiny.cfg --devices 0", 0, "computes this net as it should");
}
END_TEST

/* The loss on the test data that a training ends with. */
static double trained(const char *arguments) {
    struct result result = run(arguments);
    const char *loss = strstr(result.output, "test loss: ");
    ck_assert_msg(result.status == 0 && loss, "clnet %s\ngave status %d and:\n%s", arguments,
                  result.status, result.output);
    double value = strtod(loss + strlen("test loss: "), NULL);
    free(result.output);
    return value;
}

START_TEST(cli_train_on_several_devices_learns_what_one_learns) {
    write_tiny();
    double alone = trained("train tiny.cfg --devices 0 --output alone --iterations 20");
    ck_assert_double_gt(alone, 0);
    static const char *const ways[] = {"--devices 0,0", "--devices 0,0,0",
                                       "--devices 0,0 --split 3,1", "--devices 0,0 --split auto",
                                       "--devices 0,0,0 --exchange device"};
    for (int i = 0; i < 5; i++) {
        char arguments[128];
        (void)snprintf(arguments, sizeof arguments,
                       "train tiny.cfg %s --output several%d --iterations 20", ways[i], i);
        ck_assert_double_eq_tol(trained(arguments), alone, 1e-4 * alone);
    }
    /* Half of it on two devices, the rest on one. */
    (void)trained("train tiny.cfg --devices 0,0 --output half --iterations 10");
    ck_assert_double_eq_tol(trained("train --resume half --devices 0 --iterations 20"), alone,
                            1e-4 * alone);
}
END_TEST

START_TEST(cli_devices_and_split_that_do_not_go_say_why) {
    static const char *const cases[][2] = {
        {"--devices 0,99", "device 99: there is no such device"},
        {"--devices 0/999", "device 0 ("},
        {"--devices 0,0 --split 1,1", "--split: '1,1': the shares add up to 2, and the batch is 4"},
        {"--devices 0,0 --split 2,1,1", "more shares than devices"},
        {"--devices 0,0,0,0,0", "5 devices cannot share a batch of 4"},
        {"--trace /nowhere/t.json", "/nowhere/t.json: No such file"},
        {"--devices 0,0 --exchange fast", "--exchange: 'fast'"},
    };
    write_tiny();
    for (int i = 0; i < 7; i++) {
        char arguments[128];
        (void)snprintf(arguments, sizeof arguments, "train tiny.cfg %s --output no", cases[i][0]);
        struct result result = run(arguments);
        ck_assert_msg(result.status != 0 && strstr(result.output, cases[i][1]),
                      "clnet %s\ngave status %d and:\n%s", arguments, result.status, result.output);
        free(result.output);
        ck_assert(!exists("no/config.cfg"));
    }
}
END_TEST

/* Which way it is then is up to the clock, unless copies do not work. */
START_TEST(cli_train_tries_copies_among_devices_that_have_memory_of_their_own) {
    write_tiny();
    expect("train tiny.cfg --devices 0,0 --output unified", 0, "test loss");
    expect(WITH_LIMITS("unified=0", "train tiny.cfg --devices 0,0 --output own"), 0,
           "gradients are exchanged by ");
    expect(WITH_LIMITS("unified=0,launches=1", "train tiny.cfg --devices 0,0 --output failing"), 1,
           "the devices are opened again, each in a context of its own");
    expect(WITH_LIMITS("launches=1",
                       "train tiny.cfg --devices 0,0 --exchange device --output refused"),
           1, "CL_OUT_OF_RESOURCES");
}
END_TEST

START_TEST(cli_train_on_a_device_that_is_lost_names_it_and_goes_on_elsewhere) {
    write_tiny();
    test_limits("0:commands=90");
    struct result result = run("train tiny.cfg --devices 0,0 --output lost --iterations 100 "
                               "--set net.save_iterations=1");
    test_limits(NULL);
    ck_assert_msg(result.status == 1 && strstr(result.output, "device 0 (") &&
                      strstr(result.output, "CL_OUT_OF_RESOURCES") &&
                      strstr(result.output, "clnet train --resume lost goes on from iteration"),
                  "status %d and:\n%s", result.status, result.output);
    free(result.output);
    (void)trained("train --resume lost --devices 0");
}
END_TEST

static json_t *traced(const char *arguments) {
    (void)trained(arguments);
    char *path = path_join(directory, "trace.json");
    json_t *events = json_load_file(path, 0, NULL);
    free(path);
    ck_assert(json_is_array(events));
    return events;
}

/* Events whose name, or the name that they give to a row or a group of rows, has this in it. */
static int count_events(const json_t *events, const char *text) {
    int found = 0;
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *event = json_array_get(events, i);
        const char *name = json_string_value(json_object_get(event, "name"));
        const char *of = json_string_value(json_object_get(json_object_get(event, "args"), "name"));
        found += strstr(of ? of : name, text) != NULL;
    }
    return found;
}

START_TEST(cli_trace_is_json_with_a_group_for_each_device) {
    write_tiny();
    json_t *events = traced("train tiny.cfg --devices 0,0 --output traced --trace trace.json");
    ck_assert_int_eq(count_events(events, ": device 0, "), 2);
    /* There and back, on two devices, in 6 iterations. */
    ck_assert_int_ge(count_events(events, "fc1: "), 2 * 2 * 6);
    ck_assert_int_eq(count_events(events, "rounds"), 0);
    json_decref(events);
}
END_TEST

/* Three epochs of a batch of 4, in two rounds, and one of 1, in a single one. */
START_TEST(cli_trace_shows_the_rounds_of_devices_that_share_layers) {
    write_file("shared.cfg",
               "[net]\ninputs=2\nbatch=4\nepochs=3\nlearning_rate=0.1\nparallel=hybrid\n"
               "[data]\ntrain=pairs.csv\ntest=pairs.csv\n"
               "[convolutional]\nfilters=3\nsize=1\n[connected]\noutput=4\n"
               "[connected]\noutput=2\nactivation=linear\n[cost]\n");
    write_file("pairs.csv", "a,b,y,z\n0,0,1,0\n1,0,3,1\n0,1,0,0\n1,1,2,1\n.5,.5,1.5,0\n");
    json_t *events = traced("train shared.cfg --devices 0,0 --output shared --trace trace.json");
    ck_assert_int_eq(count_events(events, "rounds"), 2);
    ck_assert_int_eq(count_events(events, "wait for the front"), 2 * 6);
    ck_assert_int_eq(count_events(events, "round 0") + count_events(events, "round 1"), 2 * 9);
    ck_assert_int_eq(count_events(events, "gather of activations"), 2 * 2 * 9);
    ck_assert_int_eq(count_events(events, "sum of gradients"), 2 * 2 * 9);
    json_decref(events);
}
END_TEST

/* A convolution whose passes a file of tunings knows: one way that works anywhere, one nowhere, one
 * that no kernel is of, and one of other kernels. */
static const char *const tuned = "[net]\nwidth=8\nheight=8\nchannels=3\nbatch=4\n[convolutional]\n"
                                 "name=conv1\nfilters=8\nsize=3\npadding=1\nactivation=linear\n"
                                 "[convolutional]\nname=conv2\nfilters=8\nsize=3\npadding=1\n"
                                 "activation=linear\n[cost]\n";
#define TUNINGS                                                                                   \
    "clnet tunings 1: platform\tdevice\tdriver\tkernel\tproblem\tvalues\tsource\tms\tms before\t" \
    "origin\n"
#define CONV1 \
    "T=4 TILES=1 GROUPS=1 C=3 H=8 W=8 K=8 R=3 S=3 STRIDE=1 PADDING=1 OUT_H=8 OUT_W=8 ACTIVATION=0"
#define CONV2 \
    "T=4 TILES=1 GROUPS=1 C=8 H=8 W=8 K=8 R=3 S=3 STRIDE=1 PADDING=1 OUT_H=8 OUT_W=8 ACTIVATION=0"
static const char *const tunings = TUNINGS
    "*\t*\t\tconv forward\t" CONV1
    "\tconv_vector.cl VECTORS=1 BLOCK=2 BLOCKS=1 SPAN=2 DEPTH=1\tany\t1.5\t2\tfull\n"
    "*\t*\t\tconv backward weight\t" CONV1
    "\tconv_vector.cl FILTERS=9 CHANNELS=9 TAP_ROWS=1 TAP_COLUMNS=1 ROWS=1 RUN=1 FILTER_BLOCKS=1 "
    "CHANNEL_BLOCKS=1\tany\t0\t0\tfull\n"
    "*\t*\t\tconv forward\t" CONV2 "\tsoftmax.cl A=1\tany\t0\t0\tfull\n"
    "*\t*\t\tconv backward data\t" CONV2
    "\tconv_vector.cl VECTORS=1\t0123456789abcdef\t0\t0\tfull\n"
    "*\tanother\t\tconv forward\tC=1\tconv_vector.cl A=1\tany\t1\t1\tfull\n";

START_TEST(cli_tune_shares_by_files_and_lists_what_is_chosen_and_why) {
    char *store = path_join(directory, "tunings.sqlite"); /* nothing is known yet */
    ck_assert_int_eq(setenv("CLNET_STORE", store, 1), 0);
    write_file("tuned.cfg", tuned);
    write_file("shared.tsv", tunings);
    expect("tune --devices 0 --import shared.tsv", 0,
           "3 imported; 1 left out, as the kernels' texts are others here\n"
           "shared.tsv: 5 tunings, 1 of them of other devices\n");
    static const char *const listed[] = {
        "conv1        forward          imported conv_vector.cl VECTORS=1 BLOCK=2 BLOCKS=1 ",
        "1.500 ms when it was found, 2.000 before",
        "conv1        backward weight  default  ",
        "CHANNEL_BLOCKS=1' (imported): there are fewer filters or channels\n",
        "conv2        forward          default  ",
        "not 'softmax.cl A=1' (imported): this device has no such way to compute it\n",
    };
    for (size_t i = 0; i < sizeof listed / sizeof *listed; i++)
        expect("tune tuned.cfg --devices 0 --list", 0, listed[i]);
    expect("tune --devices 0 --list", 0, "conv forward                  imported softmax.cl A=1\n");
    expect("tune --devices 0,0 --export exported.tsv", 0, "exported.tsv: 3 tunings of 2 devices\n");
    expect("tune --devices 0 --import exported.tsv --export again.tsv", 0,
           "3 imported\nexported.tsv: 3 tunings, 0 of them of other devices\n"
           "again.tsv: 3 tunings of 1 device\n");
    expect("help > /dev/null && cmp exported.tsv again.tsv", 0, "");
    ck_assert_int_eq(unsetenv("CLNET_STORE"), 0);
    free(store);
}
END_TEST

START_TEST(cli_tune_imports_nothing_of_a_file_with_a_mistake) {
    write_file("first.tsv", TUNINGS "*\t*\t\tconv forward\tX=1\tsoftmax.cl A=1\tany\t1\t1\tfull\n"
                                    "*\t*\t\tconv forward\tX=2\tsoftmax.cl A=1\tany\t?\t1\tfull\n");
    expect("tune --import first.tsv", 2,
           "clnet tune: first.tsv:3: column 8 (ms): '?' is not a number\n");
    expect("tune --import missing.tsv", 1, "clnet tune: missing.tsv: ");
    expect("tune --import first.tsv --devices 99", 2, "first.tsv:3: column 8");
    expect("tune --export /nonexistent/t.tsv", 1, "/nonexistent/t.tsv");
    expect("tune --export known.tsv && ! grep 'X=1' known.tsv", 0, "");
}
END_TEST

int main(void) {
    if (!mkdtemp(directory))
        return EXIT_FAILURE;
    TCase *tests = tcase_create("cli");
    tcase_set_timeout(tests, 0);
    tcase_add_test(tests, doctor_passes_the_devices_that_are_here);
    tcase_add_test(tests, doctor_goes_on_with_the_other_devices_when_one_fails);
    tcase_add_test(tests, cli_help_is_there_for_the_program_and_every_command);
    tcase_add_loop_test(tests, cli_wrong_usage_says_what_was_expected, 0, USAGE_CASES);
    tcase_add_test(tests, cli_summary_of_alexnet_says_its_parameters_and_operations);
    tcase_add_test(tests, cli_summary_needs_no_device);
    tcase_add_test(tests, cli_train_tunes_first_what_is_not_known_yet);
    tcase_add_test(tests, cli_summary_of_devices_says_how_the_batch_is_made_to_fit);
    tcase_add_test(tests, cli_summary_of_devices_divides_the_batch_and_adds_up);
    tcase_add_test(tests, cli_summary_of_devices_that_share_layers_says_who_has_what);
    tcase_add_test(tests, cli_devices_lists_what_each_can_do);
    tcase_add_test(tests, cli_kernels_writes_what_a_device_that_is_not_here_would_be_given);
    tcase_add_test(tests, cli_kernels_writes_what_the_device_that_is_here_is_given);
    tcase_add_test(tests, cli_kernels_writes_what_the_tuner_would_try);
    tcase_add_test(tests, cli_kernels_says_what_is_wrong_with_a_description);
    tcase_add_test(tests, cli_without_an_opencl_platform_says_what_to_install);
    tcase_add_test(tests, cli_train_writes_config_metrics_and_weights_that_test_reads);
    tcase_add_test(tests, cli_train_metrics_have_a_line_for_each_iteration_and_evaluation);
    tcase_add_test(tests, cli_bench_tells_rates_limits_and_kernels);
    tcase_add_test(tests, cli_bench_compares_two_files_in_one_table);
    tcase_add_test(tests, cli_bench_compares_an_earlier_result_with_now);
    tcase_add_loop_test(tests, cli_bench_refuses_to_compare_what_is_no_result, 0, COMPARE_CASES);
    tcase_add_test(tests, cli_bench_goes_on_with_the_other_devices_when_one_fails);
    tcase_add_test(tests, cli_bench_tells_what_a_training_would_wait_for);
    tcase_add_test(tests, cli_train_never_overwrites_a_run);
    tcase_add_test(tests, cli_train_flags_override_the_config);
    tcase_add_test(tests, cli_train_says_where_data_would_be_named);
    tcase_add_test(tests, cli_train_refuses_an_output_that_cannot_be_written);
    tcase_add_test(tests, cli_train_on_a_full_disk_stops_with_the_reason_and_whole_weights);
    tcase_add_test(tests, cli_train_that_diverges_keeps_the_last_good_weights);
    tcase_add_test(tests, cli_test_refuses_weights_of_another_net);
    tcase_add_test(tests, cli_test_prints_a_loss_that_is_not_finite_as_null);
    tcase_add_test(tests, cli_train_begins_with_given_weights);
    tcase_add_test(tests, cli_train_on_several_devices_learns_what_one_learns);
    tcase_add_test(tests, cli_devices_and_split_that_do_not_go_say_why);
    tcase_add_test(tests, cli_train_tries_copies_among_devices_that_have_memory_of_their_own);
    tcase_add_test(tests, cli_train_on_a_device_that_is_lost_names_it_and_goes_on_elsewhere);
    tcase_add_test(tests, cli_trace_is_json_with_a_group_for_each_device);
    tcase_add_test(tests, cli_trace_shows_the_rounds_of_devices_that_share_layers);
    tcase_add_test(tests, cli_tune_shares_by_files_and_lists_what_is_chosen_and_why);
    tcase_add_test(tests, cli_tune_imports_nothing_of_a_file_with_a_mistake);
    int status = suite_run("cli/cli", tests);
    char command[64];
    (void)snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command) == 0 ? status : EXIT_FAILURE;
}
