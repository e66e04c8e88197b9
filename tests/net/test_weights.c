/* Weights files: what a replica gives, another one takes. */
#include "support/net_bench.h"
#include "support/suite.h"

#include "net/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NET                                                                        \
    "[net]\nchannels=3\nheight=4\nwidth=4\nresize=5\n[convolutional]\nname=conv\n" \
    "filters=2\nsize=3\n[connected]\noutput=3\n[softmax]\n"

static char target[64];

static void set_up(void) {
    (void)snprintf(target, sizeof target, "/tmp/clnet-weights-%d.safetensors", (int)getpid());
}

static void tear_down(void) {
    (void)unlink(target);
}

static void open_pair(struct net_bench *a, struct net_bench *b) {
    net_bench_open(a, NET, NULL);
    net_bench_open(b, NET, NULL);
    ck_succeeds(replica_initialise(b->replica, 99));
}

static void assert_equal(struct net_bench *a, struct net_bench *b) {
    float *left = net_bench_parameters(a), *right = net_bench_parameters(b);
    ck_assert_mem_eq(left, right, (size_t)a->net->parameter_elements * sizeof *left);
    free(left);
    free(right);
}

static void assert_equal_means(struct net_bench *a, struct net_bench *b) {
    const struct mean *left = replica_mean(a->replica), *right = replica_mean(b->replica);
    ck_assert_ptr_nonnull(left);
    ck_assert_ptr_nonnull(right);
    ck_assert_int_eq(left->by_pixel, right->by_pixel);
    ck_assert_int_eq(left->count, right->count);
    ck_assert_mem_eq(left->values, right->values, (size_t)left->count * sizeof *left->values);
}

START_TEST(weights_load_gives_back_parameters_mean_and_class_names) {
    struct net_bench a, b;
    char *names[] = {"tench", "\"quoted\", it is", "gar\xC3\xA7on"};
    struct classes classes = {.count = 3, .names = names}, read = {0};
    float pixels[75];
    for (int i = 0; i < 75; i++)
        pixels[i] = (float)i / 3;
    struct mean mean[2] = {
        {.count = 3, .values = (float[]){1, 2.5F, -3}},
        {.by_pixel = 1, .frame = {.c = 3, .h = 5, .w = 5}, .count = 75, .values = pixels}};
    open_pair(&a, &b);
    for (int i = 0; i < 2; i++) {
        ck_succeeds(replica_set_mean(a.replica, &mean[i]));
        ck_succeeds(weights_save(target, a.replica, &classes));
        ck_succeeds(weights_load(target, b.replica, &read));
        assert_equal(&a, &b);
        assert_equal_means(&a, &b);
        ck_assert_int_eq(read.count, 3);
        for (int k = 0; k < 3; k++)
            ck_assert_str_eq(read.names[k], names[k]);
    }
    ck_succeeds(weights_save(target, a.replica, NULL));
    ck_succeeds(weights_load(target, b.replica, &read));
    ck_assert_int_eq(read.count, 0);
    classes_free(&read);
    net_bench_close(&a);
    net_bench_close(&b);
}
END_TEST

START_TEST(weights_of_a_checkpoint_bring_the_velocity_to_who_asks_for_it) {
    struct net_bench a, b;
    static const char *const metadata[][2] = {{"iteration", "12"}, {"loss", "0.5"}};
    float velocity[3] = {1, 2, 3}, read[3] = {0};
    struct safetensors file;
    open_pair(&a, &b);
    int last = a.net->parameter_count - 1; /* a bias of 3 */
    ck_succeeds(replica_write_velocity(a.replica, last, velocity));
    ck_succeeds(weights_write(target, a.replica, NULL, 1, metadata, 2));
    ck_succeeds(weights_load(target, b.replica, NULL)); /* passes over what is more */
    assert_equal(&a, &b);
    ck_succeeds(replica_read_velocity(b.replica, last, read));
    ck_assert_float_eq(read[1], 0);

    ck_succeeds(safetensors_read(&file, target));
    ck_assert_str_eq(safetensors_metadata(&file, "iteration"), "12");
    ck_assert_str_eq(safetensors_metadata(&file, "loss"), "0.5");
    ck_assert_ptr_null(safetensors_metadata(&file, "classes"));
    ck_succeeds(weights_take(&file, target, b.replica, NULL, 1));
    ck_succeeds(replica_read_velocity(b.replica, last, read));
    ck_assert_mem_eq(read, velocity, sizeof read);
    safetensors_free(&file);

    ck_succeeds(weights_save(target, a.replica, NULL));
    ck_succeeds(safetensors_read(&file, target));
    ck_fails(weights_take(&file, target, b.replica, NULL, 1), ERROR_INPUT,
             "tensor velocity/conv.weight is missing");
    safetensors_free(&file);
    net_bench_close(&a);
    net_bench_close(&b);
}
END_TEST

START_TEST(weights_with_a_mean_for_another_frame_are_refused) {
    struct net_bench a, b;
    struct mean mean = {.by_pixel = 1, .frame = {.c = 3, .h = 5, .w = 5}, .count = 75};
    mean.values = calloc(75, sizeof *mean.values);
    ck_assert_ptr_nonnull(mean.values);
    net_bench_open(&a, NET, NULL);
    net_bench_open(&b,
                   "[net]\nchannels=3\nheight=4\nwidth=4\n[convolutional]\nname=conv\n"
                   "filters=2\nsize=3\n[connected]\noutput=3\n[softmax]\n",
                   NULL);
    ck_succeeds(replica_set_mean(a.replica, &mean));
    ck_succeeds(weights_save(target, a.replica, NULL));
    ck_fails(weights_load(target, b.replica, NULL), ERROR_INPUT,
             "tensor input.mean: the mean by pixel is for frames of 3 x 5 x 5");
    free(mean.values);
    net_bench_close(&a);
    net_bench_close(&b);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("weights");
    tcase_set_timeout(tests, 0);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, weights_load_gives_back_parameters_mean_and_class_names);
    tcase_add_test(tests, weights_of_a_checkpoint_bring_the_velocity_to_who_asks_for_it);
    tcase_add_test(tests, weights_with_a_mean_for_another_frame_are_refused);
    return suite_run("net/weights", tests);
}
