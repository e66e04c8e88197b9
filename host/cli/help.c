#include "base/error.h"
#include "cli/cli.h"
#include "cli/device_file.h"

#include <stdio.h>
#include <string.h>

static const struct option flags[] = {{0}};

static void print_commands(void) {
    (void)printf("clnet trains convolutional networks on any OpenCL device.\n\n"
                 "  clnet COMMAND ...\n\nCommands:\n");
    for (const struct command *const *command = commands; *command; command++)
        (void)printf("  %-10s %.*s\n", (*command)->name, (int)strcspn((*command)->help, "\n"),
                     (*command)->help);
    (void)printf(
        "\n'clnet COMMAND --help' says more of each; 'clnet help config' documents configs;\n"
        "'clnet --version' prints the version.\n\n"
        "Begin with: clnet train configs/quickstart.cfg\n");
}

static int run(const struct command *command, int argc, char **argv) {
    struct arguments arguments;
    TRY(arguments_parse(&arguments, command, NULL, argc, argv));
    if (arguments.wants_help) {
        command_print_help(command);
        return 0;
    }
    if (arguments.operand_count == 0) {
        print_commands();
        return 0;
    }
    const char *topic = arguments.operands[0];
    if (strcmp(topic, "config") == 0) {
        net_document_config(stdout);
        return 0;
    }
    if (strcmp(topic, "device") == 0) {
        device_file_document(stdout);
        return 0;
    }
    for (const struct command *const *other = commands; *other; other++) {
        if (strcmp((*other)->name, topic) == 0) {
            command_print_help(*other);
            return 0;
        }
    }
    return error_set(ERROR_INPUT, "'%.100s' is neither a command nor 'config' nor 'device'", topic);
}

const struct command command_help = {
    .name = "help",
    .usage = "[COMMAND | config | device]",
    .help = "Says how to use clnet, a command, the keys of a config, or of a device's description.",
    .flags = flags,
    .run = run,
};
