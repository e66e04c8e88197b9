/* What the subcommands share. Only this folder prints results and decides the exit status. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/options.h"
#include "config/config.h"
#include "net/replica.h"

#include <jansson.h>
#include <stdint.h>

struct command {
    const char *name;
    const char *usage; /* what follows `clnet name` */
    const char *help;
    const struct option *flags; /* --key VALUE; OPTION_BOOL rows take no value */
    /* Returns the exit status, or an error. */
    int (*run)(const struct command *command, int argc, char **argv);
};

extern const struct command command_devices, command_summary, command_train, command_test,
    command_predict, command_visualize, command_bench, command_doctor, command_kernels,
    command_tune, command_help;

/* All commands, NULL-terminated. */
extern const struct command *const commands[];

/* A command line, parsed: its flags went into the command's own struct. */
enum { ARGUMENTS_MAX = 64 };
struct arguments {
    const char *operands[ARGUMENTS_MAX];
    int operand_count;
    const char *assignments[ARGUMENTS_MAX]; /* of --set */
    int assignment_count;
    int wants_help;
};

/* Fills `target` by the command's flags. ERROR_INPUT names the flag. */
int arguments_parse(struct arguments *arguments, const struct command *command, void *target,
                    int argc, char **argv);

/* Prints a command's help on standard output. */
void command_print_help(const struct command *command);

/* Flags that override what a config says, as a part of a command's struct; NULL: not given. Their
 * values are checked as the config's own. */
struct job_flags {
    const char *data, *batch, *subdivisions, *seed, *epochs, *iterations;
};

/* A config, its overrides and its net. */
struct job {
    struct config *config;
    struct net *net;
};

/* Reads the config that is the command's only operand, applies --set and the flags, makes the data
 * paths absolute, and builds the net. Free with job_close. */
int job_open(struct job *job, const struct command *command, const struct arguments *arguments,
             const struct job_flags *flags);
void job_close(struct job *job);

/* Opens the device that --devices names, or the best one when it is NULL, and says which. */
int open_device(struct device **out, const char *list);

/* Reads a half of the data; a missing test half gives NULL. */
int job_open_data(struct dataset **out, const struct job *job, enum data_half half);

/* Gives the replica the mean that the config asks for, unless it has one from its weights. `train`
 * is what a mean is computed from; NULL: one that must be computed is ERROR_INPUT. */
int job_set_mean(const struct job *job, struct replica *replica, const struct dataset *train);

/* Loads weights and their mean. Weights without one get the config's; `compute`: from the training
 * data, if need be. `classes` is as for weights_load. */
int job_load_weights(const struct job *job, struct replica *replica, const char *path,
                     struct classes *classes, int compute);

/* 60965224 as "60,965,224"; the text lives in one of a few buffers that take turns. */
const char *grouped(int64_t number);

/* Prints JSON, indented, on standard output, and drops the reference. */
int print_json(json_t *json);

#endif
