/* Any bytes as a config: parsed, overridden, bound to options of every type, and printed. What was
 * bound must print as text that binds to the same. */
#include "base/error.h"
#include "base/options.h"
#include "config/config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static const char *const colours[] = {"red", "green", "blue", NULL};

struct example {
    int i;
    double f;
    int b;
    const char *s;
    int e;
    struct option_ints is;
    struct option_floats fs;
};

static const struct option table[] = {
    {"i", "", OPTION_INT, offsetof(struct example, i), "1", -100, 100, NULL},
    {"f", "", OPTION_FLOAT, offsetof(struct example, f), "0.5", -1e300, 1e300, NULL},
    {"b", "", OPTION_BOOL, offsetof(struct example, b), "0", 0, 1, NULL},
    {"s", "", OPTION_STRING, offsetof(struct example, s), NULL, 0, 0, NULL},
    {"e", "", OPTION_ENUM, offsetof(struct example, e), "red", 0, 0, colours},
    {"is", "", OPTION_INTS, offsetof(struct example, is), "1,2", -100, 100, NULL},
    {"fs", "", OPTION_FLOATS, offsetof(struct example, fs), NULL, -1e300, 1e300, NULL},
    {0},
};

/* Prints a field, sets another's from the text, and prints that: both texts must be equal. */
static void check_round_trip(const struct example *example, const struct option *row) {
    char *first, *second;
    size_t first_length, second_length;
    struct example again = {0};
    FILE *out = open_memstream(&first, &first_length);
    int written = option_print(out, example, row);
    if (fclose(out) != 0)
        abort();
    if (written) {
        if (option_set(&again, row, first) < 0)
            abort();
        out = open_memstream(&second, &second_length);
        (void)option_print(out, &again, row);
        if (fclose(out) != 0 || strcmp(first, second) != 0)
            abort();
        free(second);
    }
    free(first);
}

static void check_message(void) {
    if (error_message()[0] == '\0')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct config *config;
    if (config_parse(&config, "fuzz.cfg", (const char *)bytes, length) < 0) {
        check_message();
        return 0;
    }
    /* Each value of the file as an assignment too: the text of --set is as free as the file's. */
    for (int i = 0; i < config->count; i++) {
        for (int j = 0; j < config->sections[i].count; j++) {
            char *assignment = strdup(config->sections[i].entries[j].value);
            if (assignment && config_set(config, assignment) < 0)
                check_message();
            free(assignment);
        }
    }
    for (int i = 0; i < config->count; i++) {
        struct example example;
        const struct config_binding binding = {table, &example};
        if (config_bind(config, &config->sections[i], &binding, 1) < 0) {
            check_message();
            continue;
        }
        for (const struct option *row = table; row->key; row++)
            check_round_trip(&example, row);
    }
    config_free(config);
    return 0;
}
