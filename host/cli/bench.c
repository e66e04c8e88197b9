#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/comparison.h"
#include "cli/crew.h"
#include "cli/tune_first.h"
#include "ops/limits.h"
#include "train/benchmark.h"
#include "train/doctor.h"
#include "train/loader_benchmark.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct flags {
    struct job_flags job;
    struct crew_flags crew;
    const char *set, *compare;
    int layers, together, json, repetitions, unchecked;
};

#define FIELD(name) offsetof(struct flags, name)

static const struct option flag_table[] = {
    {"devices", "the devices to measure, in turn, as 'clnet devices' lists them: by default all",
     OPTION_STRING, FIELD(crew.devices), NULL, 0, 0, NULL},
    {"together", "measure how fast the devices train as a team, in place of each by itself",
     OPTION_BOOL, FIELD(together), "0", 0, 1, NULL},
    {"split", "with --together: the samples of a batch that each device takes, as 96,32",
     OPTION_STRING, FIELD(crew.split), NULL, 0, 0, NULL},
    {"exchange", "with --together: " CREW_EXCHANGE_HELP, OPTION_ENUM, FIELD(crew.exchange), "auto",
     0, 0, crew_exchanges},
    {"tune", TUNE_FIRST_HELP, OPTION_STRING, FIELD(crew.tune), NULL, 0, 0, NULL},
    {"trace", "with --together: a file to write a timeline to", OPTION_STRING, FIELD(crew.trace),
     NULL, 0, 0, NULL},
    {"data", "pictures: measure how fast they are decoded too, and what a training waits for",
     OPTION_STRING, FIELD(job.data), NULL, 0, 0, NULL},
    {"batch", "override the batch", OPTION_STRING, FIELD(job.batch), NULL, 0, 0, NULL},
    {"layers", "time each kernel of each layer too", OPTION_BOOL, FIELD(layers), "0", 0, 1, NULL},
    {"repetitions", "measurements of each rate, of which the median is told", OPTION_INT,
     FIELD(repetitions), "5", 1, 1000, NULL},
    {"timeout",
     "seconds for which a device may not answer before this ends; 0: it may never answer",
     OPTION_INT, FIELD(crew.timeout), "300", 0, 1000000, NULL},
    {"unchecked", "do not first hold each layer's results against plain C; the report says so",
     OPTION_BOOL, FIELD(unchecked), "0", 0, 1, NULL},
    {"json", "print JSON", OPTION_BOOL, FIELD(json), "0", 0, 1, NULL},
    {"compare",
     "what --json printed earlier: print a table of that beside what is measured now, or beside "
     "another such file in place of CONFIG",
     OPTION_STRING, FIELD(compare), NULL, 0, 0, NULL},
    {"set", "section.key=value: override a key of the config; may be given many times",
     OPTION_STRING, FIELD(set), NULL, 0, 0, NULL},
    {0},
};

/* For each count of threads. */
enum { LOADER_SECONDS = 2 };

/* Everything that was measured on one device. */
struct report {
    const struct net *net;
    int timeout;
    const struct loader_benchmark *loader; /* of no rates without --data */
    struct device_choice choice;
    struct device_info device;
    struct device_limits limits;
    int is_checked; /* the results are right */
    struct benchmark rates;
    struct kernel_time *times;
    int time_count;
};

/* A limit is what was reached at best. */
static void keep_best(struct device_limits *best, const struct device_limits *other) {
    best->flops = fmax(best->flops, other->flops);
    best->bytes = fmax(best->bytes, other->bytes);
    best->to_device = fmax(best->to_device, other->to_device);
    best->from_device = fmax(best->from_device, other->from_device);
    best->launch_seconds = fmin(best->launch_seconds, other->launch_seconds);
}

static void tell_wrong(void *context, const struct finding *finding) {
    const struct device_info *device = context;
    if (!finding->passed)
        log_warning("device %d: %s %s (%s) is wrong", device->index,
                    finding->layer ? finding->layer->name : "the net's", finding->result,
                    finding->kernels);
}

/* A wrong kernel, however fast, has no speed. */
static int check_results(struct report *report, struct device *device,
                         const struct benchmark_options *options) {
    struct device_info info = *device_info(device);
    struct doctor_options doctor = {
        .technique = options->technique, .found = tell_wrong, .context = &info};
    log_info("holding the results of device %d against plain C", info.index);
    int wrong = doctor_examine(report->net, device, &doctor);
    TRY(wrong);
    if (wrong)
        return error_set(ERROR_DEVICE,
                         "device %d: %d results are wrong, so how fast they are is not measured; "
                         "'clnet doctor' tells more and takes those kernels out of use",
                         info.index, wrong);
    report->is_checked = 1;
    return 0;
}

/* The limits are measured before and after: a machine's speed drifts. */
static int measure_rates(struct report *report, struct device *device,
                         const struct benchmark_options *options) {
    struct device_limits after;
    report->device = *device_info(device);
    log_info("measuring device %d: %s", report->device.index, report->device.name);
    int rc = device_limits_measure(&report->limits, device);
    if (rc == 0)
        rc = benchmark_run(&report->rates, report->net, device, options);
    if (rc == 0)
        rc = device_limits_measure(&after, device);
    if (rc == 0)
        keep_best(&report->limits, &after);
    return rc;
}

static int measure_kernels(struct report *report, struct device *device,
                           const struct benchmark_options *options) {
    return benchmark_kernels(&report->times, &report->time_count, report->net, device, options);
}

/* On the device, opened for it, and watched. */
static int measure(struct report *report, const struct benchmark_options *options,
                   int (*open)(struct device **, struct device_choice),
                   int (*with)(struct report *, struct device *,
                               const struct benchmark_options *)) {
    struct device *device;
    struct watchdog *watchdog;
    TRY(open(&device, report->choice));
    int rc = watchdog_start(&watchdog, &device, 1, report->timeout, "bench");
    if (rc == 0)
        rc = with(report, device, options);
    watchdog_stop(watchdog);
    device_close(device);
    return rc;
}

/* The operations that training an image takes by the direct algorithms: forward, the gradients of
 * all weights, and the gradients of all activations but the data. */
static double training_flops(const struct net *net) {
    double flops = 0;
    for (int i = 0; i < net->count; i++) {
        const struct node *node = &net->nodes[i];
        flops += 2.0 * (double)node->layer.plan.macs * (node->needs_dx[0] ? 3 : 2);
    }
    return flops;
}

static double fraction_of_peak(const struct report *report, double flops, const struct rate *rate) {
    return flops * rate->median / report->limits.flops;
}

/* The roofline's bound for a kernel: no faster than its operations and its bytes allow. */
static double fraction_of_bound(const struct report *report, const struct kernel_time *time) {
    double bound = fmax(time->flops / report->limits.flops, time->bytes / report->limits.bytes);
    return time->seconds > 0 ? bound / time->seconds : 0;
}

/* What the loader gives a training. */
static double loader_rate(const struct loader_benchmark *loader) {
    return loader->rates[loader->count - 1].images_per_second;
}

static int loader_is_bottleneck(const struct report *report) {
    return loader_rate(report->loader) < report->rates.training.median;
}

static void add_loader_json(json_t *json, const struct report *report) {
    json_t *list = json_array();
    for (int i = 0; i < report->loader->count; i++) {
        const struct loader_rate *rate = &report->loader->rates[i];
        (void)json_array_append_new(list, json_pack("{s:i, s:f}", "threads", rate->threads,
                                                    "images_per_second", rate->images_per_second));
    }
    (void)json_object_set_new(json, "loader", list);
    (void)json_object_set_new(json, "bottleneck",
                              json_string(loader_is_bottleneck(report) ? "loader" : "device"));
}

static json_t *kernel_json(const struct report *report, const struct kernel_time *time) {
    return json_pack("{s:s, s:s, s:f, s:f, s:f, s:s}", "name", time->layer, "pass", time->pass,
                     "ms", 1e3 * time->seconds, "gflops",
                     time->seconds > 0 ? time->flops / time->seconds * 1e-9 : 0,
                     "fraction_of_bound", fraction_of_bound(report, time), "kernel", time->kernel);
}

/* A rate's keys: its median, and the least and the most that was measured. */
static void add_rate_json(json_t *json, const char *name, const struct rate *rate) {
    char key[64];
    (void)snprintf(key, sizeof key, "%s_images_per_second", name);
    (void)json_object_set_new(json, key, json_real(rate->median));
    (void)snprintf(key, sizeof key, "%s_spread", name);
    (void)json_object_set_new(json, key, json_pack("[f, f]", rate->least, rate->most));
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static json_t *report_json(const struct report *report) {
    const struct benchmark *b = &report->rates;
    const struct device_limits *l = &report->limits;
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:i, s:b, s:f, s:f, s:f, s:f, s:f}", "device",
        report->device.name, "platform", report->device.platform, "driver", report->device.driver,
        "version", CLNET_VERSION, "config", base_name(report->net->config->path), "batch",
        report->net->options.batch, "checked", report->is_checked, "peak_gflops", l->flops * 1e-9,
        "bandwidth_gbs", l->bytes * 1e-9, "to_device_gbs", l->to_device * 1e-9, "from_device_gbs",
        l->from_device * 1e-9, "launch_us", l->launch_seconds * 1e6);
    add_rate_json(json, "inference", &b->inference);
    add_rate_json(json, "forward_backward", &b->forward_backward);
    add_rate_json(json, "training", &b->training);
    double forward = 2.0 * (double)report->net->macs, all = training_flops(report->net);
    (void)json_object_set_new(json, "inference_fraction_of_peak",
                              json_real(fraction_of_peak(report, forward, &b->inference)));
    (void)json_object_set_new(json, "training_fraction_of_peak",
                              json_real(fraction_of_peak(report, all, &b->training)));
    json_t *layers = json_array();
    for (int i = 0; i < report->time_count; i++)
        (void)json_array_append_new(layers, kernel_json(report, &report->times[i]));
    (void)json_object_set_new(json, "layers", layers);
    if (report->loader->count)
        add_loader_json(json, report);
    return json;
}

static void print_rate(const struct report *report, const char *name, const struct rate *rate,
                       double flops) {
    (void)printf("  %-18s %9.1f images/s  (%.1f to %.1f)  %5.1f %% of peak\n", name, rate->median,
                 rate->least, rate->most, 100 * fraction_of_peak(report, flops, rate));
}

static void print_kernels(const struct report *report) {
    double total = 0;
    (void)printf("\n  %-12s %-20s %-26s %9s %9s %9s\n", "layer", "pass", "kernel", "ms", "GFLOP/s",
                 "of bound");
    for (int i = 0; i < report->time_count; i++) {
        const struct kernel_time *t = &report->times[i];
        total += t->seconds;
        (void)printf("  %-12s %-20s %-26s %9.3f ", t->layer, t->pass, t->kernel, 1e3 * t->seconds);
        if (t->flops > 0)
            (void)printf("%9.1f", t->seconds > 0 ? t->flops / t->seconds * 1e-9 : 0);
        else
            (void)printf("%9s", "");
        (void)printf(" %7.1f %%\n", 100 * fraction_of_bound(report, t));
    }
    (void)printf("  %-60s %9.3f\n", "all", 1e3 * total);
}

static void print_loader(const struct report *report) {
    const struct loader_benchmark *loader = report->loader;
    (void)printf("  loader, with no device at work:\n");
    for (int i = 0; i < loader->count; i++)
        (void)printf("  %3d %-14s %9.1f images/s\n", loader->rates[i].threads,
                     loader->rates[i].threads == 1 ? "thread" : "threads",
                     loader->rates[i].images_per_second);
    (void)printf("  The %s is the bottleneck: training takes %.1f images/s, the loader gives "
                 "%.1f.\n",
                 loader_is_bottleneck(report) ? "loader" : "device", report->rates.training.median,
                 loader_rate(loader));
}

static void print_report(const struct report *report) {
    const struct device_limits *l = &report->limits;
    const struct benchmark *b = &report->rates;
    (void)printf("device %d: %s (%s, driver %s)\n", report->device.index, report->device.name,
                 report->device.platform, report->device.driver);
    (void)printf("  limits: %.1f GFLOP/s, %.1f GB/s; host to device %.1f GB/s, back %.1f GB/s; a "
                 "launch %.1f us\n",
                 l->flops * 1e-9, l->bytes * 1e-9, l->to_device * 1e-9, l->from_device * 1e-9,
                 l->launch_seconds * 1e6);
    (void)printf("  %s, batch %d, synthetic data, results %s, median (spread):\n",
                 report->net->config->path, report->net->options.batch,
                 report->is_checked ? "right" : "not checked");
    double forward = 2.0 * (double)report->net->macs, all = training_flops(report->net);
    print_rate(report, "inference", &b->inference, forward);
    print_rate(report, "forward+backward", &b->forward_backward, all);
    print_rate(report, "training", &b->training, all);
    if (report->loader->count)
        print_loader(report);
    if (report->time_count)
        print_kernels(report);
}

/* Appends to the list, or prints where there is none. */
static int bench_device(const struct flags *flags, const struct net *net,
                        const struct loader_benchmark *loader, struct device_choice choice,
                        json_t *list) {
    struct benchmark_options options = {.repetitions = flags->repetitions};
    struct report report = {
        .net = net, .timeout = flags->crew.timeout, .loader = loader, .choice = choice};
    int rc = tune_first(flags->crew.tune, net, &choice, 1, net_truth_kind(net), 0);
    if (rc == 0 && !flags->unchecked)
        rc = measure(&report, &options, device_open, check_results);
    if (rc == 0)
        rc = measure(&report, &options, device_open, measure_rates);
    if (rc == 0 && flags->layers)
        rc = measure(&report, &options, device_open_profiling, measure_kernels);
    if (rc == 0 && list)
        (void)json_array_append_new(list, report_json(&report));
    else if (rc == 0)
        print_report(&report);
    free(report.times);
    return rc;
}

static int print_results(const struct flags *flags, json_t *list) {
    json_t *earlier;
    if (!flags->compare)
        return print_json(json_incref(list));
    TRY(comparison_read(&earlier, flags->compare));
    int rc = comparison_print(earlier, base_name(flags->compare), list, "now");
    json_decref(earlier);
    return rc;
}

/* One device that fails does not keep the others from being measured. */
static int bench_devices(const struct flags *flags, const struct net *net,
                         const struct loader_benchmark *loader) {
    struct device_choice *choices;
    int count, failures = 0, rc = 0;
    TRY(devices_choose(&choices, &count, flags->crew.devices ? flags->crew.devices : "all"));
    json_t *list = flags->json || flags->compare ? json_array() : NULL;
    for (int i = 0; i < count; i++) {
        rc = bench_device(flags, net, loader, choices[i], list);
        failures += rc < 0;
        if (rc < 0 && count > 1)
            log_warning("device %d is left out: %s", choices[i].index, error_message());
    }
    if (failures < count)
        rc = list ? print_results(flags, list) : 0;
    json_decref(list);
    free(choices);
    return rc < 0 ? rc : failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- several devices as a team ---- */

static json_t *team_json(const struct crew *crew, const struct net *net, const struct rate *rate) {
    json_t *devices = json_array();
    for (int i = 0; i < crew->count; i++)
        (void)json_array_append_new(devices, json_pack("{s:s, s:i}", "device",
                                                       device_info(crew->devices[i])->name, "share",
                                                       team_share(crew->team, i)));
    return json_pack("{s:o, s:i, s:f, s:f, s:f}", "devices", devices, "batch", net->options.batch,
                     "training_images_per_second", rate->median, "least", rate->least, "most",
                     rate->most);
}

static void print_team(const struct crew *crew, const struct net *net, const struct rate *rate) {
    (void)printf("%d device%s together, %s, batch %d, synthetic data:\n", crew->count,
                 crew->count == 1 ? "" : "s", net->config->path, net->options.batch);
    for (int i = 0; i < crew->count; i++)
        (void)printf("  device %d: %s: %d images of each batch\n",
                     device_info(crew->devices[i])->index, device_info(crew->devices[i])->name,
                     team_share(crew->team, i));
    (void)printf("  %-18s %9.1f images/s  (%.1f to %.1f)\n", "training", rate->median, rate->least,
                 rate->most);
}

static int bench_together(const struct flags *flags, const struct net *net) {
    struct crew crew = {0};
    struct crew_flags asked = flags->crew;
    struct rate rate;
    if (!asked.devices)
        asked.devices = "all";
    int rc = crew_open(&crew, "bench", net, &asked, TRUTH_LABELS, 0);
    if (rc == 0)
        rc = benchmark_team(&rate, crew.team, flags->repetitions);
    if (rc == 0 && flags->json)
        rc = print_json(team_json(&crew, net, &rate));
    else if (rc == 0)
        print_team(&crew, net, &rate);
    int closed = crew_close(&crew);
    return rc == 0 ? closed : rc;
}

static int check_flags(const struct flags *flags) {
    const char *alone = flags->crew.split      ? "--split"
                        : flags->crew.exchange ? "--exchange"
                        : flags->crew.trace    ? "--trace"
                                               : NULL;
    if (!flags->together && alone)
        return error_set(ERROR_INPUT, "%s: only with --together", alone);
    const char *apart = flags->layers      ? "--layers"
                        : flags->job.data  ? "--data"
                        : flags->unchecked ? "--unchecked"
                        : flags->compare   ? "--compare"
                                           : NULL;
    if (flags->together && apart)
        return error_set(ERROR_INPUT, "%s: not with --together", apart);
    if (flags->compare && flags->json)
        return error_set(ERROR_INPUT, "--json: not with --compare");
    return 0;
}

/* Two files, and nothing is measured. */
static int compare_files(const char *one_path, const char *other_path) {
    json_t *one, *other;
    TRY(comparison_read(&one, one_path));
    int rc = comparison_read(&other, other_path);
    if (rc == 0) {
        rc = comparison_print(one, base_name(one_path), other, base_name(other_path));
        json_decref(other);
    }
    json_decref(one);
    return rc;
}

/* What is wrong with the file is told before anything is measured. */
static int check_comparison(const char *path) {
    json_t *earlier;
    TRY(comparison_read(&earlier, path));
    json_decref(earlier);
    return 0;
}

static int bench_loader(struct loader_benchmark *loader, const struct job *job) {
    struct dataset *train;
    TRY(job_open_data(&train, job, DATA_TRAIN));
    log_info("measuring the loader on %s samples", grouped(train->count));
    int rc = loader_benchmark_run(loader, job->net, train, LOADER_SECONDS);
    dataset_free(train);
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
    if (arguments.operand_count == 0)
        arguments.operands[arguments.operand_count++] = "configs/alexnet.cfg";
    TRY(check_flags(&flags));
    if (flags.compare && arguments.operand_count == 1 &&
        path_has_ending(arguments.operands[0], ".json"))
        return compare_files(flags.compare, arguments.operands[0]);
    if (flags.compare)
        TRY(check_comparison(flags.compare));
    struct job job;
    struct loader_benchmark loader = {0};
    TRY(job_open(&job, command, &arguments, &flags.job));
    int rc = flags.job.data ? bench_loader(&loader, &job) : 0;
    if (rc == 0)
        rc = flags.together ? bench_together(&flags, job.net)
                            : bench_devices(&flags, job.net, &loader);
    job_close(&job);
    return rc;
}

const struct command command_bench = {
    .name = "bench",
    .usage =
        "[CONFIG] [--devices LIST] [--data PATH] [--batch N] [--layers] [--repetitions N] "
        "[--tune MODE] [--unchecked] [--timeout SECONDS] [--json | --compare FILE] "
        "[--set section.key=value]...\n"
        "clnet bench [CONFIG] --together [--split SHARES] [--exchange WAY] [--trace FILE] ...\n"
        "clnet bench FILE.json --compare FILE",
    .help =
        "Measures how fast a config (configs/alexnet.cfg by default) runs, on synthetic data, and "
        "how near\nto the device's own limits, which are measured first. A device whose results "
        "are not those of plain C\nis not measured.\nWith --data also how fast the "
        "loader prepares those pictures, and whether a training waits for it\nor for the "
        "device.\nWith --together the devices train as one team, as in 'clnet train'; --split "
        "auto has no time to act here.\nWith --compare a table, in Markdown: an earlier result, "
        "or another machine's, beside this one.",
    .flags = flag_table,
    .run = run,
};
