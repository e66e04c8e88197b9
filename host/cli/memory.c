#include "cli/memory.h"

#include "base/error.h"
#include "cl/tuning.h"
#include "data/dataset.h"
#include "layers/part.h"
#include "train/exchange_choice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the plan ---- */

/* What the data will be is known only when they are read; the config tells it well enough. */
static struct memory_needs_options options_for(const struct net *net) {
    int is_vector = net->input.h == 1 && net->input.w == 1;
    return (struct memory_needs_options){
        .is_training = 1,
        .truth_kind = net_truth_kind(net),
        .is_floats = is_vector && net->data.type != DATA_IDX,
        .mean_by_pixel = net->data.mean && strcmp(net->data.mean, "pixel") == 0,
        .bucket_bytes = (size_t)(net->options.bucket * (1 << 20)),
    };
}

static int count_same(const struct device_choice *choices, int count, int index) {
    int same = 0;
    for (int i = 0; i < count; i++)
        same += choices[i].index == index;
    return same;
}

/* Of equal sub-devices each has its part of the units; the memory is one. */
static struct device_info info_of(struct device_info whole, struct device_choice choice) {
    if (choice.parts > 1)
        whole.compute_units /= choice.parts;
    return whole;
}

/* `options` are those that all rows share. */
static int plan_row(struct memory_report *report, const struct net *net, int i,
                    const struct device_choice *choices,
                    const struct memory_needs_options *options) {
    struct memory_row *row = &report->rows[i];
    struct memory_needs_options own = *options;
    int even = report->batch / report->count, more = report->batch % report->count;
    own.rank = i;
    row->samples = even + (i < more);
    row->replicas = count_same(choices, report->count, choices[i].index);
    if (own.ranks)
        TRY(net_part_back(&row->back, net, i, own.ranks));
    TRY(device_find_tunings(&row->tunings, &row->device));
    own.tunings = row->tunings;
    return memory_fit(&row->fit, net, &row->device, &own,
                      own.ranks ? even + (more > 0) : row->samples, report->least, row->replicas);
}

/* Devices that share the layers go through their samples in step: as many at once as fit all. */
static int keep_step(struct memory_report *report, const struct net *net,
                     const struct memory_needs_options *options) {
    struct memory_needs_options own = *options;
    own.micro_batch = report->rows[0].fit.micro_batch;
    for (int i = 1; i < report->count; i++) {
        int micro_batch = report->rows[i].fit.micro_batch;
        own.micro_batch = micro_batch < own.micro_batch ? micro_batch : own.micro_batch;
    }
    for (int i = 0; i < report->count; i++) {
        struct memory_row *row = &report->rows[i];
        own.rank = i;
        own.tunings = row->tunings;
        row->fit.micro_batch = own.micro_batch;
        row->fit.subdivisions = (row->samples + own.micro_batch - 1) / own.micro_batch;
        TRY(memory_needs(&row->fit.needs, net, &row->device, &own));
    }
    return 0;
}

static int plan_rows(struct memory_report *report, const struct net *net,
                     const struct device_choice *choices, const struct device_info *devices) {
    struct memory_needs_options options = options_for(net);
    int is_hybrid = net->options.parallel == PARALLEL_HYBRID && report->count > 1;
    options.ranks = is_hybrid ? report->count : 0;
    if (exchange_is_worth_a_trial(devices, choices, report->count))
        options.peers = report->count;
    for (int i = 0; i < report->count; i++) {
        struct memory_row *row = &report->rows[i];
        row->choice = choices[i];
        row->device = info_of(devices[choices[i].index], choices[i]);
        TRY(plan_row(report, net, i, choices, &options));
    }
    return is_hybrid ? keep_step(report, net, &options) : 0;
}

static int fill(struct memory_report *report, const struct net *net,
                const struct device_choice *choices) {
    struct device_info *devices;
    int count;
    if (report->count > report->batch)
        return error_set(ERROR_INPUT,
                         "--devices: %d devices cannot share a batch of %d; a larger batch "
                         "(--batch) or fewer devices would do",
                         report->count, report->batch);
    report->rows = calloc((size_t)report->count, sizeof *report->rows);
    if (!report->rows)
        return error_no_memory("the plan of memory", (size_t)report->count * sizeof *report->rows);
    TRY(devices_list(&devices, &count));
    int rc = plan_rows(report, net, choices, devices);
    free(devices);
    return rc;
}

int memory_report_create(struct memory_report *report, const struct net *net, const char *list) {
    struct device_choice *choices;
    *report =
        (struct memory_report){.batch = net->options.batch, .least = net->options.subdivisions};
    TRY(devices_choose(&choices, &report->count, list));
    int rc = fill(report, net, choices);
    free(choices);
    if (rc < 0)
        memory_report_free(report);
    return rc;
}

void memory_report_free(struct memory_report *report) {
    for (int i = 0; report->rows && i < report->count; i++) {
        net_part_free(&report->rows[i].back);
        tunings_free(report->rows[i].tunings);
    }
    free(report->rows);
    *report = (struct memory_report){0};
}

/* ---- how it is shown ---- */

/* A kind of memory, and where struct memory_needs has it. */
struct kind {
    const char *name, *key;
    size_t offset;
};

static const struct kind kinds[] = {
    {"parameters", "parameters", offsetof(struct memory_needs, parameters)},
    {"gradients", "gradients", offsetof(struct memory_needs, gradients)},
    {"velocity", "velocity", offsetof(struct memory_needs, velocity)},
    {"multipliers", "multipliers", offsetof(struct memory_needs, multipliers)},
    {"activations", "activations", offsetof(struct memory_needs, activations)},
    {"scratch", "scratch", offsetof(struct memory_needs, scratch)},
    {"staging", "staging", offsetof(struct memory_needs, staging)},
    {"results", "results", offsetof(struct memory_needs, results)},
    {"exchange", "exchange", offsetof(struct memory_needs, exchange)},
    {"total", "total", offsetof(struct memory_needs, total)},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static uint64_t bytes_of(const struct memory_needs *needs, const struct kind *kind) {
    uint64_t bytes;
    memcpy(&bytes, (const char *)needs + kind->offset, sizeof bytes);
    return bytes;
}

static const char *choice_text(char *text, size_t size, struct device_choice choice) {
    if (choice.parts > 1)
        (void)snprintf(text, size, "%d, part %d of %d", choice.index, choice.part + 1,
                       choice.parts);
    else
        (void)snprintf(text, size, "%d", choice.index);
    return text;
}

static double mebibytes(uint64_t bytes) {
    return (double)bytes / (1 << 20);
}

static void print_line(const char *name, uint64_t bytes, const char *note) {
    char text[32] = "< 0.1";
    if (bytes == 0 || mebibytes(bytes) >= 0.05)
        (void)snprintf(text, sizeof text, "%.1f", mebibytes(bytes));
    (void)printf("  %-12s %10s MiB%s%s\n", name, text, *note ? "  " : "", note);
}

static void print_parts(const struct memory_report *report, const struct memory_row *row) {
    const struct memory_fit *fit = &row->fit;
    if (fit->subdivisions == 1)
        (void)printf("  %d of %d samples, in one part\n", row->samples, report->batch);
    else
        (void)printf("  %d of %d samples, in %d parts of up to %d%s\n", row->samples, report->batch,
                     fit->subdivisions, fit->micro_batch,
                     fit->subdivisions > report->least ? ", so that they fit" : "");
}

/* Whether a device has some outputs of this layer alone. */
static int is_divided(const struct net *back, int i) {
    return i + 1 < back->count && back->nodes[i + 1].layer.type == &layer_gather;
}

static void print_outputs(const struct net *back) {
    for (int i = 0; back && i < back->count; i++) {
        if (is_divided(back, i))
            (void)printf("  %d of %d outputs of %s\n", back->nodes[i].layer.plan.output.c,
                         back->nodes[i + 1].layer.plan.output.c, back->nodes[i].name);
    }
}

static void print_limit(const struct memory_row *row) {
    char note[96] = "";
    if (row->fit.limit == UINT64_MAX) {
        (void)printf("  %-12s %14s\n", "limit", "unknown");
        return;
    }
    if (row->replicas > 1)
        (void)snprintf(note, sizeof note, "of %.1f MiB, which %d replicas share",
                       mebibytes(row->device.global_memory), row->replicas);
    else
        (void)snprintf(note, sizeof note, "of %.1f MiB", mebibytes(row->device.global_memory));
    print_line("limit", row->fit.limit, note);
    print_line("left", row->fit.limit - row->fit.needs.total, "");
}

static void print_row(const struct memory_report *report, const struct memory_row *row) {
    const struct memory_needs *needs = &row->fit.needs;
    char text[48], note[MEMORY_NAME + 64];
    (void)printf("\nDevice %s: %s\n", choice_text(text, sizeof text, row->choice),
                 row->device.name);
    print_parts(report, row);
    print_outputs(row->back.net);
    for (int k = 0; k < KINDS; k++) {
        if (k == KINDS - 1) /* the total */
            (void)printf("  ---------------------------\n");
        print_line(kinds[k].name, bytes_of(needs, &kinds[k]), "");
    }
    print_limit(row);
    if (row->device.allocation_max)
        (void)snprintf(note, sizeof note, "%s; the device allows %.1f MiB", needs->largest_name,
                       mebibytes(row->device.allocation_max));
    else
        (void)snprintf(note, sizeof note, "%s", needs->largest_name);
    print_line("in one piece", needs->largest, note);
}

void memory_report_print(const struct memory_report *report) {
    for (int i = 0; i < report->count; i++)
        print_row(report, &report->rows[i]);
}

static json_t *outputs_json(const struct net *back) {
    json_t *outputs = json_object();
    for (int i = 0; outputs && i < back->count; i++) {
        if (is_divided(back, i))
            (void)json_object_set_new(outputs, back->nodes[i].name,
                                      json_integer(back->nodes[i].layer.plan.output.c));
    }
    return outputs;
}

static json_t *row_json(const struct memory_row *row) {
    const struct memory_fit *fit = &row->fit;
    json_t *object = json_pack(
        "{s:i, s:i, s:i, s:s, s:i, s:i, s:i, s:i, s:I, s:I, s:s, s:I, s:I}", "index",
        row->choice.index, "part", row->choice.part, "parts",
        row->choice.parts > 1 ? row->choice.parts : 1, "name", row->device.name, "samples",
        row->samples, "subdivisions", fit->subdivisions, "micro_batch", fit->micro_batch,
        "replicas", row->replicas, "live_activations", (json_int_t)fit->needs.live, "largest",
        (json_int_t)fit->needs.largest, "largest_name", fit->needs.largest_name,
        "largest_allocation", (json_int_t)row->device.allocation_max, "global_memory",
        (json_int_t)row->device.global_memory);
    for (int k = 0; object && k < KINDS; k++)
        (void)json_object_set_new(object, kinds[k].key,
                                  json_integer((json_int_t)bytes_of(&fit->needs, &kinds[k])));
    if (object && row->back.net)
        (void)json_object_set_new(object, "outputs", outputs_json(row->back.net));
    int is_known = object && fit->limit != UINT64_MAX;
    if (object) {
        (void)json_object_set_new(object, "limit",
                                  is_known ? json_integer((json_int_t)fit->limit) : json_null());
        (void)json_object_set_new(
            object, "left",
            is_known ? json_integer((json_int_t)(fit->limit - fit->needs.total)) : json_null());
    }
    return object;
}

json_t *memory_report_json(const struct memory_report *report) {
    json_t *list = json_array();
    for (int i = 0; i < report->count; i++)
        (void)json_array_append_new(list, row_json(&report->rows[i]));
    return list;
}
