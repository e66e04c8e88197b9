/* Trainings that are interrupted: whatever ends one and whenever, it goes on as if nothing had
 * happened. */
#include "support/limits.h"
#include "support/suite.h"

#include "base/file.h"
#include "base/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char directory[] = "/tmp/clnet-survival-XXXXXX";

enum { ROWS = 40, ARGUMENTS = 16, FILE_MOST = 1 << 26 };

/* Whatever may hang on the past: momentum, dropout, a plateau of the error. */
static const char *const small = "[net]\ninputs=3\nbatch=4\nmax_batches=%d\nlearning_rate=0.01\n"
                                 "policy=plateau\npatience=2\nthreshold=0.3\n"
                                 "save_iterations=%d\nkeep=%d\n"
                                 "[data]\ntrain=train.csv\ntest=test.csv\n"
                                 "[connected]\nname=fc1\noutput=8\nactivation=relu\n[dropout]\n"
                                 "[connected]\nname=fc2\nactivation=linear\n[cost]\n";

/* A checkpoint of more than a megabyte, which a limit on files can tell from all else. */
static const char *const large = "[net]\ninputs=3\nbatch=4\nmax_batches=20\nlearning_rate=0.001\n"
                                 "[data]\ntrain=train.csv\n"
                                 "[connected]\nname=fc1\noutput=512\nactivation=relu\n"
                                 "[connected]\nname=fc2\noutput=512\nactivation=relu\n"
                                 "[connected]\nname=fc3\nactivation=linear\n[cost]\n";

static FILE *create(const char *name) {
    FILE *file = fopen(name, "wb");
    ck_assert_ptr_nonnull(file);
    return file;
}

static void write_table(const char *name, uint32_t seed) {
    struct rng rng = rng_start(seed, RNG_SHUFFLE, 0, 0);
    FILE *file = create(name);
    for (int i = 0; i < ROWS; i++) {
        double a = (double)rng_uniform(&rng), b = (double)rng_uniform(&rng);
        double c = (double)rng_uniform(&rng);
        (void)fprintf(file, "%.4f,%.4f,%.4f,%.4f\n", a, b, c, a * b - c);
    }
    ck_assert_int_eq(fclose(file), 0);
}

/* In a folder of its own, in which the test then is. */
static void setup(void) {
    ck_assert_int_eq(chdir(directory), 0);
    write_table("train.csv", 1);
    write_table("test.csv", 2);
    FILE *file = create("large.cfg");
    ck_assert_int_ge(fputs(large, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void write_small(const char *name, int iterations, int save_iterations, int keep) {
    FILE *file = create(name);
    (void)fprintf(file, small, iterations, save_iterations, keep);
    ck_assert_int_eq(fclose(file), 0);
}

/* ---- processes ---- */

/* Starts `clnet ARGUMENTS`, separated by single spaces, with both streams in log.txt; files of at
 * most `file_limit` bytes, if that is not 0. */
static pid_t start_limited(const char *arguments, rlim_t file_limit) {
    char copy[512], *words[ARGUMENTS] = {(char *)CLNET_PROGRAM};
    (void)snprintf(copy, sizeof copy, "%s", arguments);
    int count = 1;
    for (char *word = strtok(copy, " "); word && count < ARGUMENTS - 1; word = strtok(NULL, " "))
        words[count++] = word;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        int log = open("log.txt", O_WRONLY | O_CREAT | O_TRUNC, 0666);
        struct rlimit limit = {.rlim_cur = file_limit, .rlim_max = file_limit};
        if (log < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0 ||
            (file_limit && setrlimit(RLIMIT_FSIZE, &limit) != 0))
            _exit(99);
        (void)execv(CLNET_PROGRAM, words);
        _exit(99);
    }
    return child;
}

static pid_t start(const char *arguments) {
    return start_limited(arguments, 0);
}

/* The exit status, or minus the signal that killed it. */
static int await(pid_t child) {
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int has_ended(pid_t child) {
    siginfo_t info = {0};
    ck_assert_int_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT), 0);
    return info.si_pid == child;
}

static void pause_for(long microseconds) {
    struct timespec time = {.tv_sec = microseconds / 1000000,
                            .tv_nsec = microseconds % 1000000 * 1000};
    (void)nanosleep(&time, NULL);
}

static char *read_whole(const char *path, size_t *length) {
    char *bytes;
    ck_succeeds(file_read(path, FILE_MOST, &bytes, length));
    return bytes;
}

static void expect_log(const char *text) {
    size_t length;
    char *log = read_whole("log.txt", &length);
    ck_assert_msg(strstr(log, text) != NULL, "no '%s' in:\n%s", text, log);
    free(log);
}

static void expect_no_log(const char *text) {
    size_t length;
    char *log = read_whole("log.txt", &length);
    ck_assert_msg(strstr(log, text) == NULL, "'%s' in:\n%s", text, log);
    free(log);
}

static void expect(const char *arguments, int status, const char *text) {
    int got = await(start(arguments));
    size_t length;
    char *log = read_whole("log.txt", &length);
    ck_assert_msg(got == status && strstr(log, text), "clnet %s\ngave status %d and:\n%s",
                  arguments, got, log);
    free(log);
}

static int exists(const char *path) {
    struct stat status;
    return stat(path, &status) == 0;
}

/* Waits until a file is there, or the child has ended. */
static void await_file(pid_t child, const char *path) {
    while (!exists(path) && !has_ended(child))
        pause_for(1000);
}

static void expect_same_files(const char *a, const char *b) {
    size_t a_length, b_length;
    char *a_bytes = read_whole(a, &a_length), *b_bytes = read_whole(b, &b_length);
    ck_assert_msg(a_length == b_length && memcmp(a_bytes, b_bytes, a_length) == 0,
                  "%s and %s differ", a, b);
    free(a_bytes);
    free(b_bytes);
}

/* Drops what a clock has measured from a line of metrics. */
static json_t *read_line(char *line) {
    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_msg(object != NULL, "not JSON: %s", line);
    (void)json_object_del(object, "images_per_second");
    (void)json_object_del(object, "loader_wait");
    return object;
}

/* Asserts that both files tell the same iterations and evaluations, from 1 to `iterations`. */
static void expect_same_metrics(const char *a, const char *b, int iterations) {
    size_t length;
    char *a_text = read_whole(a, &length), *b_text = read_whole(b, &length);
    char *a_rest, *b_rest;
    char *a_line = strtok_r(a_text, "\n", &a_rest), *b_line = strtok_r(b_text, "\n", &b_rest);
    int next = 1;
    for (; a_line && b_line;
         a_line = strtok_r(NULL, "\n", &a_rest), b_line = strtok_r(NULL, "\n", &b_rest)) {
        json_t *x = read_line(a_line), *y = read_line(b_line);
        ck_assert_msg(json_equal(x, y), "%s\n%s", a_line, b_line);
        const json_t *number = json_object_get(x, "iteration");
        if (number)
            ck_assert_int_eq(json_integer_value(number), next++);
        json_decref(x);
        json_decref(y);
    }
    ck_assert(!a_line && !b_line);
    ck_assert_int_eq(next - 1, iterations);
    free(a_text);
    free(b_text);
}

/* ---- tests ---- */

START_TEST(survival_half_killed_and_resumed_gives_the_same_bytes) {
    write_small("half.cfg", 100, 50, 2);
    expect("train half.cfg --output straight", 0, "weights: straight/final.safetensors");
    pid_t child = start("train half.cfg --output halves");
    await_file(child, "halves/checkpoint-00000050.safetensors");
    (void)kill(child, SIGKILL);
    (void)await(child);
    expect("train --resume halves", 0, "weights: halves/final.safetensors");
    expect_same_files("straight/final.safetensors", "halves/final.safetensors");
    expect_same_files("straight/best.safetensors", "halves/best.safetensors");
    expect_same_metrics("straight/metrics.jsonl", "halves/metrics.jsonl", 100);
}
END_TEST

/* Whether the child holds the run's lock by now: it is then about to load or to write. */
static int holds_lock(pid_t child, const char *path) {
    char text[32];
    FILE *file = fopen(path, "rb");
    int holds = file && fgets(text, sizeof text, file) && atol(text) == (long)child;
    if (file)
        (void)fclose(file);
    return holds;
}

/* Ends the child at a random moment: one time in four of its whole life, else of what it does with
 * the run's directory. */
static void kill_at_random(pid_t child, const char *lock, struct rng *rng) {
    if (rng_below(rng, 4) == 0) {
        pause_for((long)rng_below(rng, 500000));
    } else {
        while (!holds_lock(child, lock) && !has_ended(child))
            pause_for(500);
        pause_for((long)rng_below(rng, 60000));
    }
    (void)kill(child, SIGKILL);
    (void)await(child);
}

START_TEST(survival_killed_a_hundred_times_at_random_moments_ends_as_a_straight_run) {
    enum { ITERATIONS = 600, KILLS = 100 };
    struct rng rng = rng_start(4, RNG_SHUFFLE, 5, 6);
    write_small("often.cfg", ITERATIONS, 3, 3);
    for (int i = 0; i < KILLS; i++) {
        int is_run = exists("often/config.cfg");
        pid_t child = start(is_run ? "train --resume often" : "train often.cfg --output often");
        kill_at_random(child, "often/lock", &rng);
    }
    if (exists("often/config.cfg"))
        expect("train --resume often", 0, "weights: often/final.safetensors");
    else
        expect("train often.cfg --output often", 0, "weights: often/final.safetensors");
    expect("train often.cfg --output never", 0, "weights: never/final.safetensors");
    expect_same_files("never/final.safetensors", "often/final.safetensors");
    expect_same_files("never/best.safetensors", "often/best.safetensors");
    expect_same_metrics("never/metrics.jsonl", "often/metrics.jsonl", ITERATIONS);
    ck_assert_int_eq(system("test -z \"$(find often -name '*.tmp')\""), 0);
}
END_TEST

/* Trains without end until the signal; what it was last told of must be what goes on. */
static void expect_stop(const char *name, int number, int status) {
    char arguments[128], path[128];
    (void)snprintf(arguments, sizeof arguments, "train endless.cfg --output %s", name);
    (void)snprintf(path, sizeof path, "%s/checkpoint-00000050.safetensors", name);
    pid_t child = start(arguments);
    await_file(child, path);
    (void)kill(child, number);
    ck_assert_int_eq(await(child), status);
    (void)snprintf(arguments, sizeof arguments, "go on with: clnet train --resume %s", name);
    expect_log(arguments);
}

START_TEST(survival_a_signal_ends_it_after_the_iteration_with_a_checkpoint) {
    write_small("endless.cfg", 100000000, 50, 2);
    expect_stop("terminated", SIGTERM, 128 + SIGTERM);
    expect_stop("interrupted", SIGINT, 128 + SIGINT);
}
END_TEST

START_TEST(survival_a_run_in_use_is_refused_to_a_second_trainer) {
    write_small("endless.cfg", 100000000, 50, 2);
    pid_t child = start("train endless.cfg --output used");
    await_file(child, "used/checkpoint-00000050.safetensors");
    char holder[96];
    (void)snprintf(holder, sizeof holder,
                   "used: another clnet trains in this directory (process %ld)", (long)child);
    expect("train --resume used", 2, holder);
    (void)kill(child, SIGKILL);
    ck_assert_int_eq(await(child), -SIGKILL);
}
END_TEST

START_TEST(survival_a_full_disk_ends_it_with_the_reason_and_a_whole_checkpoint) {
    enum { LIMIT = 1 << 20 };
    expect("train large.cfg --output roomy --iterations 40", 0, "weights:");
    expect("train large.cfg --output tight", 0, "weights:");
    pid_t child = start_limited("train --resume tight --iterations 40", LIMIT);
    ck_assert_int_eq(await(child), 1);
    expect_log("cannot write");
    expect_log("clnet train --resume tight goes on from iteration 20");
    expect("train --resume tight", 0, "weights:");
    expect_same_files("roomy/final.safetensors", "tight/final.safetensors");
    expect_same_metrics("roomy/metrics.jsonl", "tight/metrics.jsonl", 40);
}
END_TEST

/* It hangs for good, amid an iteration, so that the process can only be ended. */
START_TEST(survival_a_device_that_never_answers_ends_it_with_a_whole_checkpoint) {
    static const char *const commands[] = {"train --timeout 2 patient.cfg --output stuck",
                                           "train --resume stuck --timeout 2 --devices 0,0"};
    write_small("patient.cfg", 600, 10, 2);
    for (int i = 0; i < 2; i++) {
        test_limits("hang=1500");
        pid_t child = start(commands[i]);
        test_limits(NULL);
        ck_assert_int_eq(await(child), 1);
        expect_log("clnet train: device 0 (");
        expect_log("has not answered for 2 s");
        expect_log("clnet train --resume stuck goes on from the last checkpoint");
        ck_assert(!exists("stuck/final.safetensors"));
    }
    expect("train --resume stuck", 0, "weights:");
    expect_log("going on from iteration ");
    expect_no_log("this checkpoint is passed over");
}
END_TEST

START_TEST(survival_a_broken_checkpoint_is_passed_over) {
    write_small("broken.cfg", 60, 20, 2);
    expect("train broken.cfg --output broken", 0, "weights:");
    ck_assert_int_eq(truncate("broken/checkpoint-00000060.safetensors", 100), 0);
    expect("train --resume broken", 0, "this checkpoint is passed over");
    expect_log("going on from iteration ");
    write_small("whole.cfg", 60, 20, 2);
    expect("train whole.cfg --output whole", 0, "weights:");
    expect_same_files("whole/final.safetensors", "broken/final.safetensors");
    expect_same_files("whole/checkpoint-00000060.safetensors",
                      "broken/checkpoint-00000060.safetensors");
    expect_same_metrics("whole/metrics.jsonl", "broken/metrics.jsonl", 60);
}
END_TEST

START_TEST(survival_a_finished_run_says_so_and_can_be_lengthened) {
    write_small("long.cfg", 60, 0, 2);
    expect("train long.cfg --output short --iterations 30", 0, "weights:");
    expect("train --resume short", 0, "this run is finished");
    expect("train --resume short --iterations 60", 0, "going on from iteration 30 of 60");
    expect("train long.cfg --output long", 0, "weights:");
    expect_same_files("long/final.safetensors", "short/final.safetensors");
    expect_same_metrics("long/metrics.jsonl", "short/metrics.jsonl", 60);
}
END_TEST

START_TEST(survival_paths_that_were_set_by_hand_hold_in_a_run_that_goes_on) {
    write_small("set.cfg", 20, 0, 2);
    ck_assert_int_eq(rename("train.csv", "other.csv"), 0);
    expect("train set.cfg --output set/run --set data.train=other.csv", 0, "weights:");
    expect("train --resume set/run --iterations 40", 0, "going on from iteration 20 of 40");
}
END_TEST

/* As if it had been killed between the last checkpoint and the final weights. */
START_TEST(survival_final_weights_of_a_shorter_training_are_written_anew) {
    write_small("stale.cfg", 60, 0, 2);
    expect("train stale.cfg --output stale --iterations 30", 0, "weights:");
    ck_assert_int_eq(rename("stale/final.safetensors", "final.30"), 0);
    expect("train --resume stale --iterations 60", 0, "weights:");
    ck_assert_int_eq(rename("stale/final.safetensors", "final.60"), 0);
    ck_assert_int_eq(rename("final.30", "stale/final.safetensors"), 0);
    expect("train --resume stale", 0, "this run is finished");
    expect_same_files("final.60", "stale/final.safetensors");
}
END_TEST

START_TEST(survival_checkpoints_of_another_run_are_not_taken_for_its_own) {
    write_small("alien.cfg", 20, 0, 2);
    expect("train alien.cfg --output alien", 0, "weights:");
    ck_assert_int_eq(mkdir("moved", 0777), 0);
    ck_assert_int_eq(
        rename("alien/checkpoint-00000020.safetensors", "moved/checkpoint-00000020.safetensors"),
        0);
    expect("train alien.cfg --output moved", 2,
           "moved/checkpoint-00000020.safetensors is there already");
}
END_TEST

START_TEST(survival_other_data_than_before_are_told_of) {
    write_small("data.cfg", 20, 0, 2);
    expect("train data.cfg --output data", 0, "weights:");
    expect("train --resume data --iterations 30", 0, "weights:");
    expect_no_log("data.train");
    write_table("train.csv", 3);
    expect("train --resume data --iterations 40", 0, "data.train: ");
    expect("train --resume data --iterations 50", 0, "weights:");
    expect_no_log("data.train"); /* it is told once: these are the run's data now */
}
END_TEST

int main(void) {
    if (!mkdtemp(directory))
        return EXIT_FAILURE;
    TCase *tests = tcase_create("survival");
    tcase_set_timeout(tests, 0);
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, survival_half_killed_and_resumed_gives_the_same_bytes);
    tcase_add_test(tests, survival_killed_a_hundred_times_at_random_moments_ends_as_a_straight_run);
    tcase_add_test(tests, survival_a_signal_ends_it_after_the_iteration_with_a_checkpoint);
    tcase_add_test(tests, survival_a_run_in_use_is_refused_to_a_second_trainer);
    tcase_add_test(tests, survival_a_full_disk_ends_it_with_the_reason_and_a_whole_checkpoint);
    tcase_add_test(tests, survival_a_device_that_never_answers_ends_it_with_a_whole_checkpoint);
    tcase_add_test(tests, survival_a_broken_checkpoint_is_passed_over);
    tcase_add_test(tests, survival_a_finished_run_says_so_and_can_be_lengthened);
    tcase_add_test(tests, survival_paths_that_were_set_by_hand_hold_in_a_run_that_goes_on);
    tcase_add_test(tests, survival_final_weights_of_a_shorter_training_are_written_anew);
    tcase_add_test(tests, survival_checkpoints_of_another_run_are_not_taken_for_its_own);
    tcase_add_test(tests, survival_other_data_than_before_are_told_of);
    int status = suite_run("cli/survival", tests);
    char command[64];
    (void)snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command) == 0 ? status : EXIT_FAILURE;
}
