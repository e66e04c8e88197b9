/* The text of a config: grammar, places in messages, overriding, binding. */
#include "config/config.h"

#include "support/suite.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int parse(struct config **config, const char *text) {
    return config_parse(config, "net.cfg", text, strlen(text));
}

static struct config *parsed(const char *text) {
    struct config *config = NULL;
    ck_succeeds(parse(&config, text));
    return config;
}

/* Asserts that the text is refused with this message, from its first letter. */
static void assert_refused(const char *text, const char *message) {
    struct config *config = NULL;
    ck_assert_int_eq(parse(&config, text), ERROR_INPUT);
    ck_assert_ptr_null(config);
    ck_assert_msg(strncmp(error_message(), message, strlen(message)) == 0, "'%s' gives: %s", text,
                  error_message());
}

START_TEST(config_keeps_sections_and_keys_in_order_with_their_places) {
    struct config *config = parsed("\n[net]\nbatch=128\n  momentum = 0.9\n[conv]\n[conv]\nsize=3");
    ck_assert_str_eq(config->path, "net.cfg");
    ck_assert_int_eq(config->count, 3);
    const struct config_section *net = &config->sections[0];
    ck_assert_str_eq(net->name, "net");
    ck_assert_int_eq(net->line, 2);
    ck_assert_int_eq(net->count, 2);
    ck_assert_str_eq(net->entries[0].key, "batch");
    ck_assert_str_eq(net->entries[0].value, "128");
    ck_assert_int_eq(net->entries[0].line, 3);
    ck_assert_int_eq(net->entries[0].column, 1);
    ck_assert_str_eq(net->entries[1].key, "momentum");
    ck_assert_str_eq(net->entries[1].value, "0.9");
    ck_assert_int_eq(net->entries[1].line, 4);
    ck_assert_int_eq(net->entries[1].column, 3);
    ck_assert_int_eq(config->sections[1].count, 0);
    ck_assert_int_eq(config->sections[2].line, 6);
    ck_assert_str_eq(config_value(&config->sections[2], "size"), "3");
    config_free(config);
}
END_TEST

START_TEST(config_of_no_text_has_no_sections) {
    static const char *const empty[] = {"", "\n", "\n\n", "   \t", "# only a comment", ";"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        struct config *config = parsed(empty[i]);
        ck_assert_int_eq(config->count, 0);
        config_free(config);
    }
}
END_TEST

START_TEST(config_comments_start_a_line_or_follow_a_space) {
    struct config *config = parsed("# one\n ; two\n[net] # three\na=1 # four\nb=2\t;five\n"
                                   "c=x#y;z\nd=#e\n");
    const struct config_section *net = &config->sections[0];
    ck_assert_int_eq(net->count, 4);
    ck_assert_str_eq(config_value(net, "a"), "1");
    ck_assert_str_eq(config_value(net, "b"), "2");
    ck_assert_str_eq(config_value(net, "c"), "x#y;z");
    ck_assert_str_eq(config_value(net, "d"), "#e");
    config_free(config);
}
END_TEST

START_TEST(config_takes_crlf_line_ends) {
    struct config *config = parsed("[net]\r\n# comment\r\n\r\nbatch=128\r\nname = a b \r\n");
    ck_assert_int_eq(config->count, 1);
    ck_assert_int_eq(config->sections[0].count, 2);
    ck_assert_str_eq(config->sections[0].name, "net");
    ck_assert_str_eq(config_value(&config->sections[0], "batch"), "128");
    ck_assert_str_eq(config_value(&config->sections[0], "name"), "a b");
    ck_assert_int_eq(config->sections[0].entries[1].line, 5);
    config_free(config);
}
END_TEST

START_TEST(config_drops_spaces_around_names_and_keeps_those_inside_values) {
    struct config *config = parsed("  [ net ]\n\tkey\t=\t a  b=c \n");
    ck_assert_str_eq(config->sections[0].name, "net");
    ck_assert_str_eq(config_value(&config->sections[0], "key"), "a  b=c");
    config_free(config);
}
END_TEST

START_TEST(config_names_file_line_and_column_of_a_missing_bracket) {
    assert_refused("[net]\n\n  [conv\n", "net.cfg:3:8: a section is written [name]");
    assert_refused("[conv # ]\n", "net.cfg:1:6: a section is written [name]");
    assert_refused("[", "net.cfg:1:2: a section is written [name]");
}
END_TEST

START_TEST(config_names_the_place_of_every_other_mistake) {
    assert_refused("[]", "net.cfg:1:2: a section's name is made of");
    assert_refused("[a b]", "net.cfg:1:2: a section's name is made of");
    assert_refused("[net]]", "net.cfg:1:2: a section's name is made of");
    assert_refused("[net]\n batch\n", "net.cfg:2:2: expected [section] or key=value");
    assert_refused("\nbatch=1\n", "net.cfg:2:1: a key stands before the first [section]");
    assert_refused("[net]\nbatch =\n", "net.cfg:2:7: the value is missing after '='");
    assert_refused("[net]\nbatch = # 1\n", "net.cfg:2:7: the value is missing after '='");
    assert_refused("[net]\n=1\n", "net.cfg:2:1: a key is made of");
    assert_refused("[net]\na b=1\n", "net.cfg:2:1: a key is made of");
    assert_refused("[net]\na.b=1\n", "net.cfg:2:1: a key is made of");
}
END_TEST

START_TEST(config_refuses_a_key_that_stands_twice_and_names_both_lines) {
    assert_refused("[net]\nbatch=1\nsteps=2\n  batch=1\n",
                   "net.cfg:4:3: net.batch stands twice; first in line 2");
}
END_TEST

START_TEST(config_takes_one_key_in_two_sections_of_one_name) {
    struct config *config = parsed("[conv]\nsize=1\n[conv]\nsize=2\n");
    ck_assert_str_eq(config_value(&config->sections[0], "size"), "1");
    ck_assert_str_eq(config_value(&config->sections[1], "size"), "2");
    config_free(config);
}
END_TEST

START_TEST(config_refuses_a_zero_byte) {
    static const char text[] = "[net]\nbatch=1\0002\n";
    struct config *config = NULL;
    ck_fails(config_parse(&config, "net.cfg", text, sizeof text - 1), ERROR_INPUT,
             "net.cfg:2:8: a zero byte");
    ck_assert_ptr_null(config);
}
END_TEST

START_TEST(config_parse_reads_no_further_than_its_length) {
    struct config *config = NULL;
    ck_succeeds(config_parse(&config, "net.cfg", "[net]\na=12345", 10));
    ck_assert_str_eq(config_value(&config->sections[0], "a"), "12");
    config_free(config);
}
END_TEST

START_TEST(config_takes_many_sections_and_keys) {
    char text[40000] = "";
    size_t used = 0;
    for (int section = 0; section < 70; section++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "[s%d]\n", section);
        for (int key = 0; key < 35; key++)
            used += (size_t)snprintf(text + used, sizeof text - used, "k%d=%d\n", key, section);
    }
    struct config *config = parsed(text);
    ck_assert_int_eq(config->count, 70);
    for (int section = 0; section < 70; section++) {
        ck_assert_int_eq(config->sections[section].count, 35);
        ck_assert_int_eq(atoi(config_value(&config->sections[section], "k34")), section);
    }
    config_free(config);
}
END_TEST

START_TEST(config_read_names_the_file_in_messages) {
    char path[] = "/tmp/clnet-test-config-XXXXXX";
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(write(descriptor, "[net]\nbad", 9), 9);
    ck_assert_int_eq(close(descriptor), 0);
    struct config *config = NULL;
    int rc = config_read(&config, path);
    (void)unlink(path);
    ck_fails(rc, ERROR_INPUT, path);
    ck_assert_ptr_nonnull(strstr(error_message(), ":2:1: expected"));
    ck_fails(config_read(&config, path), ERROR_SYSTEM, path);
}
END_TEST

START_TEST(config_find_gives_the_first_section_of_any_of_the_names) {
    struct config *config = parsed("[data]\n[network]\n[net]\n");
    const char *const names[] = {"net", "network", NULL};
    const char *const none[] = {"solver", NULL};
    ck_assert_ptr_eq(config_find(config, names), &config->sections[1]);
    ck_assert_ptr_null(config_find(config, none));
    ck_assert_ptr_null(config_value(&config->sections[0], "absent"));
    config_free(config);
}
END_TEST

static const char layers[] = "[net]\nbatch=128\n"
                             "[conv]\nname=conv1\nsize=11\n"
                             "[conv]\nname=block.conv2\nsize=5\n"
                             "[pool]\nsize=2\n";

START_TEST(config_set_overrides_every_section_of_that_name) {
    struct config *config = parsed(layers);
    ck_succeeds(config_set(config, "conv.size=7"));
    ck_assert_str_eq(config_value(&config->sections[1], "size"), "7");
    ck_assert_str_eq(config_value(&config->sections[2], "size"), "7");
    ck_assert_str_eq(config_value(&config->sections[3], "size"), "2");
    ck_assert_int_eq(config->sections[1].count, 2);
    ck_assert_int_eq(config->sections[1].entries[1].line, 0);
    config_free(config);
}
END_TEST

START_TEST(config_set_overrides_the_layer_of_that_name_only) {
    struct config *config = parsed(layers);
    ck_succeeds(config_set(config, "conv1.size=7"));
    ck_assert_str_eq(config_value(&config->sections[1], "size"), "7");
    ck_assert_str_eq(config_value(&config->sections[2], "size"), "5");
    ck_succeeds(config_set(config, "block.conv2.size=9"));
    ck_assert_str_eq(config_value(&config->sections[1], "size"), "7");
    ck_assert_str_eq(config_value(&config->sections[2], "size"), "9");
    config_free(config);
}
END_TEST

START_TEST(config_set_adds_a_key_and_takes_any_value) {
    struct config *config = parsed(layers);
    ck_succeeds(config_set(config, "net.file=a.b=c#d"));
    ck_assert_str_eq(config_value(&config->sections[0], "file"), "a.b=c#d");
    ck_assert_int_eq(config->sections[0].count, 2);
    config_free(config);
}
END_TEST

START_TEST(config_set_names_a_section_that_is_missing) {
    struct config *config = parsed(layers);
    ck_fails(config_set(config, "solver.rate=1"), ERROR_INPUT,
             "--set solver.rate=1: net.cfg has no section or layer named solver");
    config_free(config);
}
END_TEST

START_TEST(config_set_refuses_what_is_no_assignment) {
    static const char *const wrong[] = {"",       "net",        "net.batch", "net=1",
                                        "=",      ".=",         "net.=",     "net.=1",
                                        ".key=1", "net.batch=", "net=a.b"};
    struct config *config = parsed(layers);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_fails(config_set(config, wrong[i]), ERROR_INPUT, "expected section.key=value");
    config_free(config);
}
END_TEST

static const char *const policies[] = {"constant", "step", NULL};

struct solver {
    int batch;
    double rate;
    int policy;
    const char *name;
};

struct extra {
    struct option_ints steps;
    int verbose;
};

static const struct option solver_table[] = {
    {"batch", "images a step", OPTION_INT, offsetof(struct solver, batch), "128", 1, 1024, NULL},
    {"rate", "learning rate", OPTION_FLOAT, offsetof(struct solver, rate), "0.01", 0, 10, NULL},
    {"policy", "of the rate", OPTION_ENUM, offsetof(struct solver, policy), "constant", 0, 0,
     policies},
    {"name", "a name", OPTION_STRING, offsetof(struct solver, name), NULL, 0, 0, NULL},
    {0},
};

static const struct option extra_table[] = {
    {"steps", "where the rate falls", OPTION_INTS, offsetof(struct extra, steps), NULL, 1, 1e9,
     NULL},
    {"verbose", "say more", OPTION_BOOL, offsetof(struct extra, verbose), "0", 0, 1, NULL},
    {0},
};

static int bind(const struct config *config, struct solver *solver, struct extra *extra) {
    const struct config_binding bindings[] = {{solver_table, solver}, {extra_table, extra}};
    return config_bind(config, &config->sections[0], bindings, 2);
}

START_TEST(config_bind_fills_every_target_with_defaults_and_then_keys) {
    struct solver solver;
    struct extra extra;
    memset(&solver, 0xff, sizeof solver);
    memset(&extra, 0xff, sizeof extra);
    struct config *config = parsed("[net]\nrate=.5\nsteps=10,20\npolicy=step\n");
    ck_succeeds(bind(config, &solver, &extra));
    ck_assert_int_eq(solver.batch, 128);
    ck_assert(solver.rate == .5);
    ck_assert_int_eq(solver.policy, 1);
    ck_assert_ptr_null(solver.name);
    ck_assert_int_eq(extra.steps.count, 2);
    ck_assert_int_eq(extra.steps.values[1], 20);
    ck_assert_int_eq(extra.verbose, 0);
    config_free(config);
}
END_TEST

/* Asserts what config_bind says, whole, to a config that it refuses. */
static void assert_unbound(struct config *config, const char *message) {
    struct solver solver;
    struct extra extra;
    ck_assert_int_eq(bind(config, &solver, &extra), ERROR_INPUT);
    ck_assert_str_eq(error_message(), message);
    config_free(config);
}

START_TEST(config_bind_names_file_line_section_and_key_of_a_wrong_value) {
    assert_unbound(parsed("[net]\nrate=.1\nbatch=0\n"),
                   "net.cfg:3: net.batch: 0 is outside 1..1024");
    assert_unbound(parsed("[net]\nsteps=1,two\n"),
                   "net.cfg:2: net.steps: 'two' is not a whole number");
    assert_unbound(parsed("[net]\n\npolicy=stop\n"),
                   "net.cfg:3: net.policy: 'stop' is not known; did you mean 'step'? (one of "
                   "constant, step)");
}
END_TEST

START_TEST(config_bind_suggests_the_key_that_was_meant) {
    assert_unbound(parsed("[net]\nbacth=64\n"),
                   "net.cfg:2: net.bacth: no such key; did you mean 'batch'?");
    assert_unbound(parsed("[net]\nverbos=1\n"),
                   "net.cfg:2: net.verbos: no such key; did you mean 'verbose'?");
    assert_unbound(parsed("[net]\nmomentum=1\n"),
                   "net.cfg:2: net.momentum: no such key; 'clnet help config' lists them");
}
END_TEST

START_TEST(config_bind_says_when_the_command_line_gave_a_wrong_value) {
    struct config *config = parsed("[net]\nbatch=64\n");
    ck_succeeds(config_set(config, "net.batch=0"));
    assert_unbound(config, "net.cfg, as overridden: net.batch: 0 is outside 1..1024");
    config = parsed("[net]\nbatch=64\n");
    ck_succeeds(config_set(config, "net.bacth=0"));
    assert_unbound(config, "net.cfg, as overridden: net.bacth: no such key; did you mean 'batch'?");
}
END_TEST

START_TEST(config_blame_falls_back_to_the_line_of_the_section) {
    struct config *config = parsed("\n[net]\nbatch=64\n");
    error_set(ERROR_INPUT, "wrong");
    ck_assert_int_eq(config_blame(ERROR_MEMORY, config, &config->sections[0], NULL), ERROR_MEMORY);
    ck_assert_str_eq(error_message(), "net.cfg:2: net: wrong");
    error_set(ERROR_INPUT, "wrong");
    config_blame(ERROR_INPUT, config, &config->sections[0], "absent");
    ck_assert_str_eq(error_message(), "net.cfg:2: net: wrong");
    error_set(ERROR_INPUT, "batch: wrong");
    config_blame(ERROR_INPUT, config, &config->sections[0], "batch");
    ck_assert_str_eq(error_message(), "net.cfg:3: net.batch: wrong");
    config_free(config);
}
END_TEST

START_TEST(config_free_takes_null) {
    config_free(NULL);
}
END_TEST

int main(void) {
    TCase *tests = tcase_create("config");
    tcase_add_test(tests, config_keeps_sections_and_keys_in_order_with_their_places);
    tcase_add_test(tests, config_of_no_text_has_no_sections);
    tcase_add_test(tests, config_comments_start_a_line_or_follow_a_space);
    tcase_add_test(tests, config_takes_crlf_line_ends);
    tcase_add_test(tests, config_drops_spaces_around_names_and_keeps_those_inside_values);
    tcase_add_test(tests, config_names_file_line_and_column_of_a_missing_bracket);
    tcase_add_test(tests, config_names_the_place_of_every_other_mistake);
    tcase_add_test(tests, config_refuses_a_key_that_stands_twice_and_names_both_lines);
    tcase_add_test(tests, config_takes_one_key_in_two_sections_of_one_name);
    tcase_add_test(tests, config_refuses_a_zero_byte);
    tcase_add_test(tests, config_parse_reads_no_further_than_its_length);
    tcase_add_test(tests, config_takes_many_sections_and_keys);
    tcase_add_test(tests, config_read_names_the_file_in_messages);
    tcase_add_test(tests, config_find_gives_the_first_section_of_any_of_the_names);
    tcase_add_test(tests, config_set_overrides_every_section_of_that_name);
    tcase_add_test(tests, config_set_overrides_the_layer_of_that_name_only);
    tcase_add_test(tests, config_set_adds_a_key_and_takes_any_value);
    tcase_add_test(tests, config_set_names_a_section_that_is_missing);
    tcase_add_test(tests, config_set_refuses_what_is_no_assignment);
    tcase_add_test(tests, config_bind_fills_every_target_with_defaults_and_then_keys);
    tcase_add_test(tests, config_bind_names_file_line_section_and_key_of_a_wrong_value);
    tcase_add_test(tests, config_bind_suggests_the_key_that_was_meant);
    tcase_add_test(tests, config_bind_says_when_the_command_line_gave_a_wrong_value);
    tcase_add_test(tests, config_blame_falls_back_to_the_line_of_the_section);
    tcase_add_test(tests, config_free_takes_null);
    return suite_run("config/config", tests);
}
