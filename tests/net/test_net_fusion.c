/* Which layers are computed together, and that a net is the same for it. Host only but for the last
 * tests. */
#include "support/device.h"
#include "support/net_bench.h"
#include "support/numbers.h"
#include "support/suite.h"

#include "net/net_fusion.h"

#include <stdlib.h>
#include <string.h>

#define NET                                                                                       \
    "[net]\nheight=8\nwidth=8\nchannels=3\nbatch=4\n[convolutional]\nname=conv\nfilters=6\nsize=" \
    "3\n"
#define LRN "[lrn]\nname=norm\n"
#define POOL "[maxpool]\nname=pool\nsize=3\nstride=2\n"
#define END "[dropout]\nname=drop\n[connected]\nname=fc\noutput=5\nactivation=linear\n[softmax]\n"

static struct target cpu(void) {
    return (struct target){.tiling = tiling_for_batch(4),
                           .technique = TECHNIQUE_AUTO,
                           .device = {.is_cpu = 1, .vector_width = 8, .compute_units = 2}};
}

struct made {
    struct config *config;
    struct net *net, *fused;
};

static void make(struct made *made, const char *text, struct target target) {
    ck_succeeds(config_parse(&made->config, "a.cfg", text, strlen(text)));
    ck_succeeds(net_create(&made->net, made->config));
    ck_succeeds(net_fuse(&made->fused, made->net, &target));
}

static void clear(struct made *made) {
    net_free(made->fused);
    net_free(made->net);
    config_free(made->config);
}

START_TEST(net_fuse_joins_normalisation_and_the_pooling_that_follows) {
    static const char *const names[] = {"conv", "norm+pool", "drop", "fc", "softmax1"};
    static const int indices[] = {0, 2, 3, 4, 5}; /* so that dropout drops the same */
    struct made made;
    make(&made, NET LRN POOL END, cpu());
    ck_assert_ptr_nonnull(made.fused);
    ck_assert_int_eq(made.fused->count, 5);
    for (int i = 0; i < 5; i++) {
        const struct node *node = &made.fused->nodes[i];
        ck_assert_str_eq(node->name, names[i]);
        ck_assert_int_eq(node->index, indices[i]);
        ck_assert_int_eq(node->inputs[0], i - 1);
        ck_assert(
            shape_equal(node->layer.plan.output, made.net->nodes[indices[i]].layer.plan.output));
    }
    ck_assert_int_eq(made.fused->parameter_count, made.net->parameter_count);
    ck_assert_int_eq(made.fused->parameter_elements, made.net->parameter_elements);
    ck_assert_int_eq(made.fused->macs, made.net->macs);
    clear(&made);
}
END_TEST

START_TEST(net_fuse_renumbers_the_inputs_of_later_layers) {
    struct made made;
    make(&made,
         NET LRN POOL "[convolutional]\nname=c2\nfilters=6\nsize=3\npad=1\n"
                      "[shortcut]\nfrom=pool\n" END,
         cpu());
    ck_assert_ptr_nonnull(made.fused);
    const struct node *shortcut = &made.fused->nodes[3];
    ck_assert_int_eq(shortcut->inputs[0], 2);
    ck_assert_int_eq(shortcut->inputs[1], 1);
    clear(&made);
}
END_TEST

START_TEST(net_fuse_leaves_what_others_read_and_what_does_not_follow) {
    static const char *const nets[] = {
        NET LRN "[maxpool]\nname=pool\nsize=3\npadding=2\n[shortcut]\nfrom=norm\n" END,
        NET LRN "[dropout]\n" POOL END,
        NET POOL LRN END,
        NET LRN "[avgpool]\nsize=3\nstride=2\n" END,
    };
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        struct made made;
        make(&made, nets[i], cpu());
        ck_assert_ptr_null(made.fused);
        clear(&made);
    }
}
END_TEST

START_TEST(net_fuse_leaves_nets_on_gpus_and_by_reference) {
    struct target gpu = cpu(), plain = cpu();
    struct made made;
    gpu.device.is_cpu = 0;
    plain.technique = TECHNIQUE_REFERENCE;
    make(&made, NET LRN POOL END, gpu);
    ck_assert_ptr_null(made.fused);
    clear(&made);
    make(&made, NET LRN POOL END, plain);
    ck_assert_ptr_null(made.fused);
    clear(&made);
}
END_TEST

enum { BATCH = 4, PIXELS = 8 * 8 * 3 };

/* Gradients of a training pass, dropout in it, and the outputs. */
static float *gradients_of(struct net_bench *bench, float outputs[BATCH * 5]) {
    static float x[BATCH * PIXELS];
    static const int32_t labels[BATCH] = {0, 4, 2, 1};
    const struct samples samples = {.count = BATCH, .floats = x, .labels = labels};
    const struct step step = {.is_training = 1, .seed = 3, .global_count = BATCH};
    fill_uniform(x, BATCH * PIXELS, -1, 1, 1);
    ck_succeeds(replica_forward(bench->replica, &samples, &step));
    ck_succeeds(replica_read_output(bench->replica, outputs));
    ck_succeeds(replica_backward(bench->replica, NULL, NULL));
    return net_bench_gradients(bench);
}

START_TEST(a_fused_net_computes_the_same) {
    const struct replica_options together = {.is_training = 1, .technique = TECHNIQUE_VECTOR};
    const struct replica_options apart = {
        .is_training = 1, .technique = TECHNIQUE_VECTOR, .is_apart = 1};
    struct net_bench one, other;
    float outputs[2][BATCH * 5];
    net_bench_open(&one, NET LRN POOL END, &together);
    net_bench_open(&other, NET LRN POOL END, &apart);
    int fused = one.net->count - replica_running_net(one.replica)->count;
    ck_assert_int_eq(fused,
                     target_has_vectors(&(struct target){.device = *device_info(one.device)}));
    ck_assert_ptr_eq(replica_running_net(other.replica), other.net);
    float *a = gradients_of(&one, outputs[0]), *b = gradients_of(&other, outputs[1]);
    int64_t count = one.net->parameter_elements;
    ck_assert_double_le(largest_difference(outputs[0], outputs[1], BATCH * 5), 1e-6);
    ck_assert_double_le(largest_difference(a, b, count), 1e-5 * largest(b, count));
    free(a);
    free(b);
    net_bench_close(&one);
    net_bench_close(&other);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("net_fusion");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, test_device_open, test_device_close);
    tcase_add_test(tests, net_fuse_joins_normalisation_and_the_pooling_that_follows);
    tcase_add_test(tests, net_fuse_renumbers_the_inputs_of_later_layers);
    tcase_add_test(tests, net_fuse_leaves_what_others_read_and_what_does_not_follow);
    tcase_add_test(tests, net_fuse_leaves_nets_on_gpus_and_by_reference);
    tcase_add_test(tests, a_fused_net_computes_the_same);
    return suite_run("net/net_fusion", tests);
}
