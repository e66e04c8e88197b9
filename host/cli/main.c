/* clnet: one subcommand a file. */
#include "base/error.h"
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct command *const commands[] = {
    &command_train,   &command_test,    &command_predict, &command_visualize,
    &command_summary, &command_devices, &command_bench,   &command_doctor,
    &command_kernels, &command_tune,    &command_help,    NULL,
};

enum { EXIT_BAD_INPUT = 2 };

static int fail(const char *name, int code) {
    (void)fprintf(stderr, "clnet%s%s: %s\n", name ? " " : "", name ? name : "", error_message());
    return code == ERROR_INPUT ? EXIT_BAD_INPUT : EXIT_FAILURE;
}

static int unknown_command(const char *name) {
    const char *known[ARGUMENTS_MAX];
    int count = 0;
    for (; commands[count]; count++)
        known[count] = commands[count]->name;
    const char *near = nearest_name(name, known, count);
    return fail(
        NULL, error_set(ERROR_INPUT, "'%.100s' is no command%s%s%s; 'clnet help' lists them", name,
                        near ? "; did you mean '" : "", near ? near : "", near ? "'?" : ""));
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0) {
        (void)printf("clnet " CLNET_VERSION "\n");
        return EXIT_SUCCESS;
    }
    for (const struct command *const *command = commands; *command; command++) {
        if (strcmp((*command)->name, name) != 0)
            continue;
        int rc = (*command)->run(*command, argc > 2 ? argc - 2 : 0, argv + (argc > 2 ? 2 : argc));
        if (rc == 0 && (fflush(stdout) != 0 || ferror(stdout)))
            rc = error_set(ERROR_SYSTEM, "standard output: cannot write");
        return rc < 0 ? fail(name, rc) : rc;
    }
    return unknown_command(name);
}
