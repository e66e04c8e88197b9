#include "base/error.h"
#include "cli/cli.h"
#include "cli/memory.h"
#include "net/memory_plan.h"

#include <stdio.h>

struct flags {
    struct job_flags job;
    int json;
    const char *devices, *set;
};

#define FIELD(name) offsetof(struct flags, name)

static const struct option flag_table[] = {
    {"json", "print JSON", OPTION_BOOL, FIELD(json), "0", 0, 1, NULL},
    {"devices", "tell what training takes of these, as 0 or 0,1 or 0/2 (halves of one) or all",
     OPTION_STRING, FIELD(devices), NULL, 0, 0, NULL},
    {"batch", "override the batch", OPTION_STRING, FIELD(job.batch), NULL, 0, 0, NULL},
    {"set", "section.key=value: override a key of the config; may be given many times",
     OPTION_STRING, FIELD(set), NULL, 0, 0, NULL},
    {0},
};

static int64_t layer_parameters(const struct layer *layer) {
    int64_t elements = 0;
    for (int p = 0; p < layer->plan.parameter_count; p++)
        elements += parameter_elements(&layer->plan.parameters[p]);
    return elements;
}

static json_t *summary_json(const struct net *net) {
    json_t *layers = json_array();
    for (int i = 0; i < net->count; i++) {
        const struct layer *layer = &net->nodes[i].layer;
        struct shape out = layer->plan.output;
        (void)json_array_append_new(layers, json_pack("{s:s, s:s, s:[i,i,i], s:I, s:I}", "name",
                                                      layer->name, "type", layer->type->name,
                                                      "output", out.c, out.h, out.w, "parameters",
                                                      (json_int_t)layer_parameters(layer), "macs",
                                                      (json_int_t)layer->plan.macs));
    }
    return json_pack("{s:I, s:I, s:o}", "parameters", (json_int_t)net->parameter_elements, "macs",
                     (json_int_t)net->macs, "layers", layers);
}

static const char *shape_text(char *text, size_t size, struct shape shape) {
    if (shape.h == 1 && shape.w == 1)
        (void)snprintf(text, size, "%d", shape.c);
    else
        (void)snprintf(text, size, "%dx%dx%d", shape.c, shape.h, shape.w);
    return text;
}

static double mebibytes(double bytes) {
    return bytes / (1 << 20);
}

/* Memory of a layer: parameters, gradients and velocity, and what a micro-batch leaves for
 * backward. */
static double trained_bytes(const struct layer *layer, struct tiling tiling) {
    return 12.0 * (double)layer_parameters(layer) +
           4.0 * (double)tiling_elements(tiling, layer->plan.output) +
           (double)layer->plan.keep_bytes * tiling.tiles * tiling.tile;
}

static int print_table(const struct net *net) {
    struct tiling tiling = tiling_for_batch(net_micro_batch(net));
    struct memory_plan plan;
    struct memory_plan_options options = {.tiling = tiling, .is_training = 1};
    TRY(memory_plan_create(&plan, net, &options));
    (void)printf("%-16s %-14s %-13s %-13s %12s %15s %11s\n", "layer", "type", "input", "output",
                 "parameters", "multiply-adds", "memory/MiB");
    for (int i = 0; i < net->count; i++) {
        const struct layer *layer = &net->nodes[i].layer;
        char in[48], out[48];
        (void)printf("%-16s %-14s %-13s %-13s %12s %15s %11.1f\n", layer->name, layer->type->name,
                     shape_text(in, sizeof in, layer->inputs[0]),
                     shape_text(out, sizeof out, layer->plan.output),
                     grouped(layer_parameters(layer)), grouped(layer->plan.macs),
                     mebibytes(trained_bytes(layer, tiling)));
    }
    double parameters = 12.0 * (double)net->parameter_elements;
    (void)printf("\n%s parameters, %s multiply-adds an image forward.\n",
                 grouped(net->parameter_elements), grouped(net->macs));
    (void)printf(
        "Training with batch %d in %d part%s takes %.1f MiB: %.1f for parameters, gradients "
        "and velocity, %.1f for activations, which share memory where they can.\n",
        net->options.batch, net->options.subdivisions, net->options.subdivisions == 1 ? "" : "s",
        mebibytes(parameters + (double)plan.total_bytes), mebibytes(parameters),
        mebibytes((double)plan.total_bytes));
    memory_plan_free(&plan);
    return 0;
}

static int show_json(const struct net *net, const struct memory_report *report) {
    json_t *json = summary_json(net);
    if (report->count && json)
        (void)json_object_set_new(json, "devices", memory_report_json(report));
    return print_json(json);
}

static int show(const struct net *net, const struct flags *flags) {
    struct memory_report report = {0};
    if (flags->devices)
        TRY(memory_report_create(&report, net, flags->devices));
    int rc = flags->json ? show_json(net, &report) : print_table(net);
    if (rc == 0 && !flags->json && report.count)
        memory_report_print(&report);
    memory_report_free(&report);
    return rc;
}

static int run(const struct command *command, int argc, char **argv) {
    struct flags flags = {0};
    struct arguments arguments;
    TRY(arguments_parse(&arguments, command, &flags, argc, argv));
    if (arguments.wants_help) {
        command_print_help(command);
        return 0;
    }
    struct job job;
    TRY(job_open(&job, command, &arguments, &flags.job));
    int rc = show(job.net, &flags);
    job_close(&job);
    return rc;
}

const struct command command_summary = {
    .name = "summary",
    .usage = "CONFIG [--devices LIST] [--json] [--batch N] [--set section.key=value]...",
    .help =
        "Prints a config's layers: shapes, parameters, multiply-adds, memory. Needs no device.\n"
        "With --devices also what training takes of each device's memory, and into how many\n"
        "parts a device's share of the batch is divided to fit; with parallel=hybrid which share "
        "of\n"
        "each fully connected layer it has, too. Nothing is allocated.",
    .flags = flag_table,
    .run = run,
};
