#include "base/error.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static int unknown_flag(const struct command *command, const char *flag) {
    const char *known[ARGUMENTS_MAX] = {"help"};
    int count = 1;
    for (const struct option *row = command->flags; row->key && count < ARGUMENTS_MAX; row++)
        known[count++] = row->key;
    const char *near = nearest_name(flag, known, count);
    return error_set(ERROR_INPUT, "--%.100s: no such flag%s%s%s; 'clnet %s --help' lists them",
                     flag, near ? "; did you mean --" : "", near ? near : "", near ? "?" : "",
                     command->name);
}

static int add_assignment(struct arguments *arguments, const char *value) {
    if (arguments->assignment_count == ARGUMENTS_MAX)
        return error_set(ERROR_INPUT, "--set: at most %d times", ARGUMENTS_MAX);
    arguments->assignments[arguments->assignment_count++] = value;
    return 0;
}

/* One --flag; its value may follow as the next argument, which then counts as used. */
static int parse_flag(struct arguments *arguments, const struct command *command, void *target,
                      const char *text, const char *next, int *used_next) {
    char key[64];
    size_t length = strcspn(text, "=");
    if (length >= sizeof key)
        return unknown_flag(command, text);
    memcpy(key, text, length);
    key[length] = '\0';
    const char *value = text[length] == '=' ? text + length + 1 : NULL;
    const struct option *row = options_find(command->flags, key);
    if (!row)
        return unknown_flag(command, key);
    if (row->type == OPTION_BOOL) {
        if (value)
            return error_set(ERROR_INPUT, "--%s: takes no value", key);
        value = "1";
    } else if (!value) {
        if (!next)
            return error_set(ERROR_INPUT, "--%s: its value is missing", key);
        value = next;
        *used_next = 1;
    }
    if (strcmp(key, "set") == 0)
        return add_assignment(arguments, value);
    int rc = option_set(target, row, value);
    return rc < 0 ? error_prefix(rc, "--") : 0;
}

int arguments_parse(struct arguments *arguments, const struct command *command, void *target,
                    int argc, char **argv) {
    *arguments = (struct arguments){0};
    options_defaults(target, command->flags);
    int flags_ended = 0;
    for (int i = 0; i < argc; i++) {
        const char *text = argv[i];
        if (!flags_ended && strcmp(text, "--") == 0) {
            flags_ended = 1;
        } else if (!flags_ended && (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0)) {
            arguments->wants_help = 1;
        } else if (!flags_ended && strncmp(text, "--", 2) == 0) {
            int used_next = 0;
            TRY(parse_flag(arguments, command, target, text + 2, i + 1 < argc ? argv[i + 1] : NULL,
                           &used_next));
            i += used_next;
        } else {
            if (arguments->operand_count == ARGUMENTS_MAX)
                return error_set(ERROR_INPUT, "too many arguments");
            arguments->operands[arguments->operand_count++] = text;
        }
    }
    return 0;
}

void command_print_help(const struct command *command) {
    (void)printf("clnet %s%s%s\n\n%s\n", command->name, command->usage[0] ? " " : "",
                 command->usage, command->help);
    if (command->flags->key)
        (void)printf("\nFlags:\n");
    for (const struct option *row = command->flags; row->key; row++) {
        char left[64];
        static const char *const values[] = {" N", " X", "", " VALUE", " NAME", " LIST", " LIST"};
        (void)snprintf(left, sizeof left, "--%s%s", row->key, values[row->type]);
        (void)printf("  %-22s %s\n", left, row->help);
    }
    (void)printf("  %-22s %s\n", "--help", "this text");
}
