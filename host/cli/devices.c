#include "base/error.h"
#include "cl/quirks.h"
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

struct flags {
    int json;
};

static const struct option flag_table[] = {
    {"json", "print JSON", OPTION_BOOL, offsetof(struct flags, json), "0", 0, 1, NULL},
    {0},
};

static double mebibytes(uint64_t bytes) {
    return (double)bytes / (1 << 20);
}

static json_t *describe_quirks(const struct device_info *d) {
    json_t *list = json_array();
    for (const struct quirk_row *row = quirk_rows; row->label; row++) {
        if (quirk_holds(row, d))
            (void)json_array_append_new(list,
                                        json_pack("{s:s, s:s, s:s}", "quirk", row->label, "reason",
                                                  row->reason, "changes", row->changes));
    }
    return list;
}

static json_t *describe(const struct device_info *d) {
    return json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:I, s:I, s:I, s:b, s:b, "
                     "s:i, s:o}",
                     "index", d->index, "name", d->name, "kind", d->kind, "vendor", d->vendor,
                     "platform", d->platform, "version", d->version, "driver", d->driver,
                     "compute_units", d->compute_units, "clock_mhz", d->clock_mhz, "vector_width",
                     d->vector_width, "global_memory", (json_int_t)d->global_memory, "local_memory",
                     (json_int_t)d->local_memory, "largest_allocation",
                     (json_int_t)d->allocation_max, "fp16", d->has_fp16, "fp64", d->has_fp64,
                     "sub_devices", d->sub_devices, "quirks", describe_quirks(d));
}

static void print_device(const struct device_info *d, int is_best) {
    (void)printf("%d: %s%s\n", d->index, d->name, is_best ? "  (used by default)" : "");
    (void)printf("   %s by %s, platform %s, %s, driver %s\n", d->kind, d->vendor, d->platform,
                 d->version, d->driver);
    (void)printf("   %d compute units; memory: %.0f MiB, %.0f MiB in one piece, %.0f KiB local\n",
                 d->compute_units, mebibytes(d->global_memory), mebibytes(d->allocation_max),
                 (double)d->local_memory / 1024);
    (void)printf("   fp16: %s, fp64: %s, sub-devices: ", d->has_fp16 ? "yes" : "no",
                 d->has_fp64 ? "yes" : "no");
    if (d->sub_devices > 1)
        (void)printf("up to %d\n", d->sub_devices);
    else
        (void)printf("no\n");
    for (const struct quirk_row *row = quirk_rows; row->label; row++) {
        if (quirk_holds(row, d))
            (void)printf("   quirk '%s': %s; so %s\n", row->label, row->reason, row->changes);
    }
}

static int run(const struct command *command, int argc, char **argv) {
    struct flags flags = {0};
    struct arguments arguments;
    TRY(arguments_parse(&arguments, command, &flags, argc, argv));
    if (arguments.wants_help) {
        command_print_help(command);
        return 0;
    }
    if (arguments.operand_count)
        return error_set(ERROR_INPUT, "%.100s: takes no argument", arguments.operands[0]);
    struct device_info *devices;
    int count;
    TRY(devices_list(&devices, &count));
    int best = devices_best(devices, count), rc = 0;
    if (flags.json) {
        json_t *list = json_array();
        for (int i = 0; i < count; i++)
            (void)json_array_append_new(list, describe(&devices[i]));
        rc = print_json(list);
    } else {
        for (int i = 0; i < count; i++)
            print_device(&devices[i], i == best);
    }
    free(devices);
    return rc;
}

const struct command command_devices = {
    .name = "devices",
    .usage = "[--json]",
    .help = "Lists every OpenCL device of every platform, by the index that --devices takes.",
    .flags = flag_table,
    .run = run,
};
