/* What the program tells about pictures: predict, test by class, visualize. */
#include "support/suite.h"

#include "base/file.h"
#include "data/picture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[] = "/tmp/clnet-pictures-XXXXXX";

/* Runs a line of the shell, in which $CLNET is the program, below the test's directory; expects its
 * status, and a text among what it printed, on whichever stream. */
static void expect(const char *line, int status, const char *text) {
    char command[4096], *output;
    size_t length;
    (void)snprintf(command, sizeof command, "cd %s && CLNET='%s' && { %s ; } > out.txt 2>&1",
                   directory, CLNET_PROGRAM, line);
    int got = system(command);
    got = WIFEXITED(got) ? WEXITSTATUS(got) : -1;
    char *path = path_join(directory, "out.txt");
    ck_succeeds(file_read(path, 1 << 24, &output, &length));
    ck_assert_msg(got == status && strstr(output, text), "%s\ngave status %d and:\n%s", line, got,
                  output);
    free(path);
    free(output);
}

/* A picture that is all of one colour. */
static void write_picture(const char *name, int channel) {
    struct picture picture;
    char *path = path_join(directory, name);
    ck_succeeds(picture_create(&picture, 12, 10, 3));
    for (int i = 0; i < 12 * 10 * 3; i++)
        picture.pixels[i] = i % 3 == channel ? 220 : 20;
    ck_succeeds(picture_write_png(path, &picture));
    picture_free(&picture);
    free(path);
}

static void set_up(void) {
    static const char *const text =
        "[net]\nchannels=3\nheight=8\nwidth=8\nbatch=2\nepochs=20\nlearning_rate=0.1\n"
        "[data]\ntrain=data\ntest=data\nmean=channel\nscale=0.01\n[convolutional]\nfilters=2\n"
        "size=3\n[connected]\noutput=2\nactivation=linear\n[softmax]\n";
    expect("mkdir -p data/blue data/red more/sub", 0, "");
    write_picture("data/red/1.png", 0);
    write_picture("data/red/2.png", 0);
    write_picture("data/blue/1.png", 2);
    write_picture("data/blue/2.png", 2);
    write_picture("more/sub/sky.png", 2);
    char *path = path_join(directory, "a.cfg");
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
    free(path);
    expect("rm -rf run && $CLNET train a.cfg --output run", 0, "final");
}

#define WEIGHTS " --weights run/final.safetensors "

START_TEST(predict_names_the_classes_of_files_folders_and_lists) {
    expect("$CLNET predict a.cfg" WEIGHTS "data/red/1.png", 0, " %  red\n");
    expect("$CLNET predict a.cfg" WEIGHTS "more --top 1", 0, " %  blue\n");
    expect("echo data/red/2.png | $CLNET predict a.cfg" WEIGHTS "- --json --crops 10", 0,
           "\"name\": \"red\"");
    expect("$CLNET predict a.cfg" WEIGHTS, 2, "which pictures is missing");
    expect("$CLNET predict a.cfg more", 2, "--weights: which weights");
}
END_TEST

START_TEST(predict_goes_on_after_a_broken_picture_and_fails_at_the_end) {
    expect("echo no picture > more/broken.png", 0, "");
    expect("$CLNET predict a.cfg" WEIGHTS "more nowhere.png", 1, "more/sub/sky.png\n");
    expect("$CLNET predict a.cfg" WEIGHTS "more nowhere.png", 1, "more/broken.png");
    expect("$CLNET predict a.cfg" WEIGHTS "more nowhere.png", 1, "nowhere.png: cannot read");
    expect("$CLNET predict a.cfg" WEIGHTS "more nowhere.png", 1, "2 of 3 pictures");
    expect("rm more/broken.png", 0, "");
}
END_TEST

START_TEST(test_tells_the_error_of_each_class_and_writes_their_confusion) {
    expect("$CLNET test a.cfg" WEIGHTS "--confusion c.csv", 0, "2  blue\n");
    expect("cat c.csv", 0, "truth,blue,red\nblue,2,0\nred,0,2\n");
    expect("$CLNET test a.cfg" WEIGHTS "--crops 10 --json --confusion c.png", 0, "\"classes\": [");
    expect("head -c 4 c.png", 0, "PNG");
    expect("$CLNET test a.cfg" WEIGHTS "--crops 3", 2, "there can be 1 or 10");
}
END_TEST

START_TEST(visualize_draws_filters_input_and_layers) {
    expect("$CLNET visualize a.cfg" WEIGHTS "--output v --image more/sub/sky.png && ls v", 0,
           "00-convolutional1.png\n01-connected1.png\n02-softmax1.png\nfilters.png\ninput.png\n");
    expect("$CLNET visualize a.cfg" WEIGHTS, 2, "--output");
}
END_TEST

int main(void) {
    if (!mkdtemp(directory))
        return EXIT_FAILURE;
    TCase *tests = tcase_create("pictures");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, predict_names_the_classes_of_files_folders_and_lists);
    tcase_add_test(tests, predict_goes_on_after_a_broken_picture_and_fails_at_the_end);
    tcase_add_test(tests, test_tells_the_error_of_each_class_and_writes_their_confusion);
    tcase_add_test(tests, visualize_draws_filters_input_and_layers);
    int status = suite_run("cli/pictures", tests);
    char command[64];
    (void)snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command) == 0 ? status : EXIT_FAILURE;
}
