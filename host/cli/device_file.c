#include "cli/device_file.h"

#include "base/error.h"
#include "cl/quirks.h"
#include "config/config.h"

/* As the file says it. */
struct description {
    const char *name, *platform;
    int kind;
    int compute_units, vector_width, fma, unified;
    int work_group_max, sub_group;
    int local_kib, memory_mib, allocation_mib, alignment;
    double gflops, bandwidth;
};

static const char *const kinds[] = {"CPU", "GPU", "accelerator", NULL};
enum { KIND_CPU };

#define FIELD(name) offsetof(struct description, name)

static const struct option table[] = {
    {"name", "as OpenCL tells it: what is known to suit devices goes by that", OPTION_STRING,
     FIELD(name), "a device", 0, 0, NULL},
    {"platform", "likewise", OPTION_STRING, FIELD(platform), "none", 0, 0, NULL},
    {"kind", "CPU, GPU or accelerator", OPTION_ENUM, FIELD(kind), "GPU", 0, 0, kinds},
    {"compute_units", "as OpenCL counts them", OPTION_INT, FIELD(compute_units), "1", 1, 65536,
     NULL},
    {"vector_width", "native, in floats", OPTION_INT, FIELD(vector_width), "1", 1, 64, NULL},
    {"fma", "fused multiply-add in hardware", OPTION_BOOL, FIELD(fma), "1", 0, 1, NULL},
    {"unified", "works in the host's memory", OPTION_BOOL, FIELD(unified), "0", 0, 1, NULL},
    {"work_group_max", "work-items", OPTION_INT, FIELD(work_group_max), "256", 1, 65536, NULL},
    {"sub_group",
     "the fewest work-items that can be made to share a register, where kernels may say so; 0: "
     "they "
     "may not",
     OPTION_INT, FIELD(sub_group), "0", 0, 128, NULL},
    {"local_memory", "KiB", OPTION_INT, FIELD(local_kib), "32", 1, 1 << 20, NULL},
    {"global_memory", "MiB", OPTION_INT, FIELD(memory_mib), "4096", 1, 1 << 30, NULL},
    {"allocation_max", "MiB in one piece", OPTION_INT, FIELD(allocation_mib), "1024", 1, 1 << 30,
     NULL},
    {"alignment", "bytes, of a view into a buffer", OPTION_INT, FIELD(alignment), "128", 1, 4096,
     NULL},
    {"gflops", "10^9 operations a second, multiply-adds as two; 0: not known", OPTION_FLOAT,
     FIELD(gflops), "0", 0, 1e9, NULL},
    {"bandwidth", "GB/s; 0: not known", OPTION_FLOAT, FIELD(bandwidth), "0", 0, 1e9, NULL},
    {0},
};

static void fill(struct device_file *out, const struct description *d) {
    *out = (struct device_file){
        .info = {.index = -1,
                 .version = "OpenCL 1.2",
                 .kind = kinds[d->kind],
                 .is_cpu = d->kind == KIND_CPU,
                 .is_unified = d->unified,
                 .compute_units = d->compute_units,
                 .vector_width = d->vector_width,
                 .has_fma = d->fma,
                 .work_group_max = (size_t)d->work_group_max,
                 .sub_group = d->sub_group,
                 .local_memory = (uint64_t)d->local_kib << 10,
                 .global_memory = (uint64_t)d->memory_mib << 20,
                 .allocation_max = (uint64_t)d->allocation_mib << 20,
                 .alignment = (size_t)d->alignment},
        .gflops = d->gflops,
        .bandwidth = d->bandwidth,
    };
    (void)snprintf(out->info.name, sizeof out->info.name, "%s", d->name);
    (void)snprintf(out->info.platform, sizeof out->info.platform, "%s", d->platform);
    out->info.quirks = quirks_find(&out->info);
}

static int bind(struct device_file *out, const struct config *config) {
    static const char *const names[] = {"device", NULL};
    struct description description;
    const struct config_section *section = config_find(config, names);
    if (!section || config->count != 1)
        return error_set(ERROR_INPUT, "%s: expected one section, [device]", config->path);
    struct config_binding binding = {table, &description};
    TRY(config_bind(config, section, &binding, 1));
    fill(out, &description);
    return 0;
}

int device_file_read(struct device_file *out, const char *path) {
    struct config *config;
    TRY(config_read(&config, path));
    int rc = bind(out, config);
    config_free(config);
    return rc;
}

void device_file_document(FILE *out) {
    options_document(out, table);
}
