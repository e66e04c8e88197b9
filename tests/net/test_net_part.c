/* Cutting a net in parts, and what must not be cut. Host only. */
#include "support/suite.h"

#include "net/net_part.h"

#include <string.h>

#define NET "[net]\nheight=8\nwidth=8\nchannels=3\nbatch=4\n"
#define CONVOLUTION "[convolutional]\nname=conv\nfilters=4\nsize=3\n"
#define FIRST "[connected]\nname=fc1\noutput=10\nactivation=relu\n"
#define END "[dropout]\nname=drop\n[connected]\nname=fc2\noutput=5\nactivation=linear\n[softmax]\n"

static void make(struct net **net, struct config **config, const char *text) {
    ck_succeeds(config_parse(config, "a.cfg", text, strlen(text)));
    ck_succeeds(net_create(net, *config));
}

START_TEST(net_part_front_ends_before_the_first_connected_layer) {
    struct net *net;
    struct config *config;
    struct net_part front;
    make(&net, &config, NET CONVOLUTION "[maxpool]\nname=pool\n" FIRST END);
    ck_succeeds(net_part_front(&front, net));
    ck_assert_int_eq(front.net->count, 2);
    ck_assert_str_eq(front.net->nodes[1].name, "pool");
    ck_assert_int_eq(front.net->nodes[1].layer.plan.is_loss, 0);
    ck_assert_int_eq(front.net->parameter_count, 2);
    ck_assert_int_eq(front.net->parameter_elements, 4 * 27 + 4);
    ck_assert_int_eq(front.parameters[1].whole, 1);
    ck_assert_int_eq(front.parameters[0].first, 0);
    ck_assert_int_eq(front.parameters[0].count, (int64_t)4 * 27);
    net_part_free(&front);
    net_free(net);
    config_free(config);
}
END_TEST

START_TEST(net_part_back_has_its_rows_between_a_fanout_and_a_gather) {
    static const char *const names[] = {"fc1.fanout", "fc1", "fc1.gather", "drop",
                                        "fc2.fanout", "fc2", "fc2.gather", "softmax1"};
    static const int indices[] = {1, 1, 1, 2, 3, 3, 3, 4}; /* in the whole net */
    static const int outputs[] = {6 * 6 * 4, 3, 10, 10, 10, 2, 5, 5};
    struct net *net;
    struct config *config;
    struct net_part back;
    make(&net, &config, NET CONVOLUTION FIRST END);
    ck_succeeds(net_part_back(&back, net, 1, 3));
    ck_assert(shape_equal(back.net->input, net->nodes[0].layer.plan.output));
    ck_assert_int_eq(back.net->count, 8);
    for (int i = 0; i < 8; i++) {
        const struct node *node = &back.net->nodes[i];
        ck_assert_str_eq(node->name, names[i]);
        ck_assert_int_eq(node->index, indices[i]);
        ck_assert_int_eq(node->inputs[0], i == 0 ? NET_INPUT : i - 1);
        ck_assert_int_eq(shape_elements(node->layer.plan.output), outputs[i]);
    }
    ck_assert_int_eq(net_loss(back.net)->plan.is_loss, 1);
    net_part_free(&back);
    net_free(net);
    config_free(config);
}
END_TEST

START_TEST(net_part_the_parts_make_up_the_whole_once) {
    int ranks = _i;
    struct net *net;
    struct config *config;
    char seen[4096];
    make(&net, &config, NET CONVOLUTION FIRST END);
    int64_t found = 0;
    for (int p = 2; p < net->parameter_count; p++) {
        int64_t elements = parameter_elements(net_parameter(net, p, NULL));
        ck_assert_int_le(elements, (int64_t)sizeof seen);
        memset(seen, 0, sizeof seen);
        for (int rank = 0; rank < ranks; rank++) {
            struct net_part back;
            ck_succeeds(net_part_back(&back, net, rank, ranks));
            for (int i = 0; i < back.net->parameter_count; i++) {
                const struct parameter_part *part = &back.parameters[i];
                ck_assert_int_eq(part->count, parameter_elements(net_parameter(back.net, i, NULL)));
                for (int64_t e = 0; part->whole == p && e < part->count; e++)
                    seen[part->first + e]++;
            }
            net_part_free(&back);
        }
        for (int64_t e = 0; e < elements; e++)
            ck_assert_int_eq(seen[e], 1);
        found += elements;
    }
    ck_assert_int_eq(found + (int64_t)4 * 27 + 4, net->parameter_elements);
    net_free(net);
    config_free(config);
}
END_TEST

START_TEST(net_part_says_why_a_net_cannot_be_divided) {
    static const char *const cases[][2] = {
        {NET CONVOLUTION "[softmax]\n",
         "a.cfg:10: softmax: parallel=hybrid is not possible: no layer of the net is fully "
         "connected"},
        {NET FIRST END, "a.cfg:6: connected: parallel=hybrid is not possible: no layer before "
                        "this one"},
        {NET "[maxpool]\n" FIRST END, "a.cfg:7: connected: parallel=hybrid is not possible: no "
                                      "layer before this one"},
        {NET CONVOLUTION "[avgpool]\nname=a\n[dropout]\n" FIRST
                         "[connected]\noutput=4\n[shortcut]\nfrom=a\n" END,
         "a.cfg:19: shortcut: parallel=hybrid is not possible: it reaches across the first fully "
         "connected layer, fc1"},
        {NET CONVOLUTION FIRST "[convolutional]\nsize=1\n" END,
         "a.cfg:14: convolutional: parallel=hybrid is not possible: it learns, is not fully "
         "connected, and comes after fc1"},
        {NET CONVOLUTION FIRST "[connected]\noutput=2\n" END,
         "a.cfg:14: connected: parallel=hybrid is not possible: its 2 outputs cannot be divided "
         "among 3 devices"},
    };
    struct net *net;
    struct config *config;
    struct net_part part;
    make(&net, &config, cases[_i][0]);
    ck_fails(net_part_back(&part, net, 0, 3), ERROR_INPUT, cases[_i][1]);
    net_part_free(&part);
    net_free(net);
    config_free(config);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("net_part");
    tcase_add_test(tests, net_part_front_ends_before_the_first_connected_layer);
    tcase_add_test(tests, net_part_back_has_its_rows_between_a_fanout_and_a_gather);
    tcase_add_loop_test(tests, net_part_the_parts_make_up_the_whole_once, 1, 6);
    tcase_add_loop_test(tests, net_part_says_why_a_net_cannot_be_divided, 0, 6);
    return suite_run("net/net_part", tests);
}
