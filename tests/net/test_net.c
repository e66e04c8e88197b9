/* Configs that make a net, and those that must not. Host only. */
#include "support/suite.h"

#include "base/file.h"
#include "net/net.h"

#include <stdlib.h>
#include <string.h>

#define NET "[net]\nheight=8\nwidth=8\nchannels=4\nbatch=4\n"
#define END "[connected]\noutput=3\nactivation=linear\n[softmax]\n"

static int make(struct net **net, struct config **config, const char *text) {
    ck_succeeds(config_parse(config, "a.cfg", text, strlen(text)));
    return net_create(net, *config);
}

static void expect_error(const char *text, const char *message) {
    struct net *net = NULL;
    struct config *config;
    ck_fails(make(&net, &config, text), ERROR_INPUT, message);
    config_free(config);
}

static void read_config(struct net **net, struct config **config, const char *name) {
    char *path = path_join(CLNET_SOURCE_DIR, name);
    ck_succeeds(config_read(config, path));
    ck_succeeds(net_create(net, *config));
    free(path);
}

START_TEST(net_alexnet_has_the_parameters_and_the_operations_of_the_paper) {
    struct net *net;
    struct config *config;
    read_config(&net, &config, "configs/alexnet.cfg");
    ck_assert_int_eq(net->parameter_elements, 60965224);
    ck_assert_int_eq(net->macs, 724406816);
    ck_assert_int_eq(net_loss(net)->plan.output.c, 1000);
    net_free(net);
    config_free(config);
}
END_TEST

START_TEST(net_every_shipped_config_is_consistent) {
    static const char *const names[] = {
        "configs/quickstart.cfg",          "configs/logistic-regression.cfg",
        "configs/mlp-sigmoid.cfg",         "configs/mlp-relu.cfg",
        "configs/linear-regression.cfg",   "configs/alexnet.cfg",
        "configs/alexnet-openclipart.cfg", "configs/bvlc-alexnet.cfg",
    };
    struct net *net;
    struct config *config;
    read_config(&net, &config, names[_i]);
    net_free(net);
    config_free(config);
}
END_TEST

START_TEST(net_reports_what_is_wrong_with_file_line_section_and_key) {
    static const char *const cases[][2] = {
        {"", "a.cfg: there is no section"},
        {"[softmax]\n", "a.cfg:1: the first section is [softmax]; it must be [net]"},
        {"[net]\nwidth=3\n" END, "a.cfg:1: net: the input is missing"},
        {"[net]\nwidth=3\ninputs=4\n" END, "a.cfg:3: net.inputs: it stands in place of"},
        {NET, "a.cfg: there is no layer"},
        {NET "[connected]\noutput=3\n", "a.cfg:6: connected: the net ends here, without a loss"},
        {NET "[softmax]\n" END, "input: softmax1 ends the net"},
        {NET "[softmax]\n", "a.cfg:6: softmax: no layer before it has anything to learn"},
        {NET "[convolutionel]\n" END, "a.cfg:6: [convolutionel] is not known; did you mean "
                                      "[convolutional]?"},
        {NET "[zzzzzzzz]\n" END, "a.cfg:6: [zzzzzzzz] is not known; 'clnet help config'"},
        {NET "[net]\n" END, "a.cfg:6: [net] stands twice"},
        {NET "[data]\n[data]\n" END, "a.cfg:7: [data] stands twice"},
        {NET "[convolutional]\nfilter=3\n" END, "a.cfg:7: convolutional.filter: no such key; did "
                                                "you mean 'filters'?"},
        {NET "[convolutional]\nstride=0\n" END,
         "a.cfg:7: convolutional.stride: 0 is outside 1..64"},
        {NET "[convolutional]\nactivation=rely\n" END, "did you mean 'relu'?"},
        {NET "[convolutional]\nfilters=4\ngroups=3\n" END,
         "a.cfg:8: convolutional.groups: 3 does not divide the 4 filters"},
        {NET "[convolutional]\nfilters=9\ngroups=3\n" END,
         "a.cfg:8: convolutional.groups: 3 does not divide the 4 channels"},
        {NET "[convolutional]\nsize=9\n" END,
         "a.cfg:7: convolutional.size: a 9 x 9 window does not "
         "fit"},
        {NET "[convolutional]\nsize=3\npadding=3\n" END, "a.cfg:8: convolutional.padding: 3 is not "
                                                         "below size 3"},
        {NET "[lrn]\nsize=4\n" END, "a.cfg:7: lrn.size: 4 is even"},
        {NET "[maxpool]\nsize=2\npadding=2\n" END, "maxpool.padding: 2 is not below size 2"},
        {NET "[avgpool]\nstride=2\n" END, "avgpool.stride: has no meaning without size"},
        {NET "[dropout]\nprobability=1\n" END, "dropout.probability: 1 is outside 0..0.999"},
        {NET "[shortcut]\n" END, "shortcut: from: it must name"},
        {NET "[lrn]\nfrom=-1\n" END, "a.cfg:7: lrn.from: [lrn] takes one input only"},
        {NET "[lrn]\n[shortcut]\nfrom=-1\n" END, "it names the layer that comes in already"},
        {NET "[lrn]\ninput=3\n" END, "a.cfg:7: lrn.input: 3 is not one of the 0 layers"},
        {NET "[lrn]\nname=first\n[lrn]\ninput=firts\n" END, "did you mean first?"},
        {NET "[lrn]\nname=a\n[lrn]\nname=a\n" END, "a is the name of the layer in line 6"},
        {NET "[lrn]\nname=3a\n" END, "does not begin with a letter"},
        {NET "[lrn]\nname=a\n[lrn]\n[lrn]\ninput=a\n" END,
         "a.cfg:8: lrn: no layer takes its output"},
        {"[net]\ninputs=4\npolicy=steps\nsteps=1,2\nscales=.1\n" END, "a.cfg:4: net.steps: "
                                                                      "policy=steps needs as many"},
        {"[net]\ninputs=4\npolicy=steps\nsteps=2,2\nscales=.1,.1\n" END,
         "net.steps: they must rise"},
        {"[net]\ninputs=4\nbatch=2\nsubdivisions=3\n" END, "net.subdivisions: 3 are more than"},
        {"[net]\ninputs=16777216\n[connected]\noutput=1000000\n[softmax]\n", "connected.output: "},
        {"[net]\nheight=65536\nwidth=65536\nchannels=2\n[convolutional]\nfilters=9\n" END,
         "is too large"},
    };
    expect_error(cases[_i][0], cases[_i][1]);
}
END_TEST

enum { ERROR_CASES = 35 };

START_TEST(net_infers_darknets_output_sizes) {
    struct net *net;
    struct config *config;
    ck_succeeds(make(&net, &config,
                     "[net]\nheight=55\nwidth=54\nchannels=3\n"
                     "[convolutional]\nfilters=8\nsize=3\nstride=2\npad=1\n"
                     "[maxpool]\nsize=2\nstride=2\n"
                     "[maxpool]\nsize=3\nstride=2\npadding=0\n"
                     "[avgpool]\n"
                     "[connected]\noutput=2\n[softmax]\n"));
    static const struct shape expected[] = {{8, 28, 27}, {8, 14, 14}, {8, 6, 6}, {8, 1, 1}};
    for (int i = 0; i < 4; i++) {
        struct shape out = net->nodes[i].layer.plan.output;
        ck_assert_msg(shape_equal(out, expected[i]), "layer %d: %d x %d x %d", i, out.c, out.h,
                      out.w);
    }
    net_free(net);
    config_free(config);
}
END_TEST

START_TEST(net_leaves_out_darknets_cost_after_softmax) {
    struct net *net;
    struct config *config;
    ck_succeeds(make(&net, &config, NET END "[cost]\ntype=sse\n"));
    ck_assert_str_eq(net_loss(net)->type->name, "softmax");
    net_free(net);
    config_free(config);
}
END_TEST

START_TEST(net_knows_which_gradients_nobody_needs) {
    struct net *net;
    struct config *config;
    ck_succeeds(make(&net, &config, NET "[lrn]\n[convolutional]\n[lrn]\n" END));
    ck_assert_int_eq(net->nodes[0].needs_dx[0], 0);
    ck_assert_int_eq(net->nodes[1].needs_dx[0], 0);
    ck_assert_int_eq(net->nodes[2].needs_dx[0], 1);
    net_free(net);
    config_free(config);
}
END_TEST

START_TEST(net_batch_can_be_limited_to_what_there_is) {
    static const struct {
        int64_t most;
        int batch;
    } cases[] = {{100, 4}, {4, 4}, {3, 3}, {1, 1}, {INT64_MAX, 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct net *net;
        struct config *config;
        ck_succeeds(make(&net, &config,
                         "[net]\ninputs=3\nbatch=10\nsubdivisions=3\n[connected]\n[cost]\n"));
        net_limit_batch(net, cases[i].most);
        ck_assert_int_eq(net->options.batch, cases[i].batch);
        ck_assert_int_eq(net_micro_batch(net), cases[i].batch);
        net_free(net);
        config_free(config);
    }
}
END_TEST

START_TEST(net_printed_config_makes_the_same_net_and_prints_the_same_again) {
    struct net *net, *again;
    struct config *config, *printed;
    char *first, *second;
    size_t first_size, second_size;
    ck_succeeds(make(&net, &config,
                     "[net]\nheight=8\nwidth=8\nchannels=4\npolicy=steps\nsteps=3,5\nscales=.1,.2\n"
                     "[data]\ntrain=/x\n"
                     "[convolutional]\nname=a\nfilters=4\nsize=3\npad=1\nactivation=relu\n"
                     "[convolutional]\nfilters=4\nsize=3\npad=1\n"
                     "[shortcut]\nfrom=a\n" END));
    FILE *out = open_memstream(&first, &first_size);
    net_print_config(net, out);
    ck_assert_int_eq(fclose(out), 0);

    ck_succeeds(make(&again, &printed, first));
    ck_assert_int_eq(again->count, net->count);
    ck_assert_int_eq(again->parameter_elements, net->parameter_elements);
    ck_assert_int_eq(again->macs, net->macs);
    out = open_memstream(&second, &second_size);
    net_print_config(again, out);
    ck_assert_int_eq(fclose(out), 0);
    ck_assert_str_eq(first, second);
    free(first);
    free(second);
    net_free(net);
    net_free(again);
    config_free(config);
    config_free(printed);
}
END_TEST

START_TEST(net_documentation_names_every_key_of_every_table) {
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    net_document_config(out);
    ck_assert_int_eq(fclose(out), 0);
    const struct option *tables[64] = {net_option_table, data_option_table, layer_option_table};
    int count = 3;
    for (const struct layer_type *const *type = layer_types; *type; type++)
        tables[count++] = (*type)->options;
    for (int t = 0; t < count; t++) {
        for (const struct option *row = tables[t]; row->key; row++) {
            char line[64];
            (void)snprintf(line, sizeof line, "\n  %s ", row->key);
            ck_assert_msg(strstr(text, line) != NULL, "%s is not documented", row->key);
        }
    }
    free(text);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("net");
    tcase_add_test(tests, net_alexnet_has_the_parameters_and_the_operations_of_the_paper);
    tcase_add_loop_test(tests, net_every_shipped_config_is_consistent, 0, 8);
    tcase_add_loop_test(tests, net_reports_what_is_wrong_with_file_line_section_and_key, 0,
                        ERROR_CASES);
    tcase_add_test(tests, net_infers_darknets_output_sizes);
    tcase_add_test(tests, net_leaves_out_darknets_cost_after_softmax);
    tcase_add_test(tests, net_knows_which_gradients_nobody_needs);
    tcase_add_test(tests, net_batch_can_be_limited_to_what_there_is);
    tcase_add_test(tests, net_printed_config_makes_the_same_net_and_prints_the_same_again);
    tcase_add_test(tests, net_documentation_names_every_key_of_every_table);
    return suite_run("net/net", tests);
}
