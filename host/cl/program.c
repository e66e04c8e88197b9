#include "base/progress.h"
#include "cl/internal.h"
#include "cl/kernel.h"
#include "cl/quirks.h"
#include "cl/source.h"
#include "cl/store.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

enum { KEY_MAX = KERNEL_OPTIONS_MAX + 1024, BUILDERS_MAX = 16 };

/* A file of kernels_cl/ compiled with options. */
struct program {
    struct program *next;
    const char *file;
    char *options;
    cl_program program; /* NULL: not yet */
};

/* ---- what to compile ---- */

const char *kernel_text(const char *file) {
    for (const struct kernel_source *source = kernel_sources; source->name; source++) {
        if (strcmp(source->name, file) == 0)
            return source->text;
    }
    return NULL;
}

void kernel_texts(const char *texts[KERNEL_TEXTS], const char *file) {
    static const char *const shared[] = {"common.clh", "philox.clh", "tiled.clh", "winograd.clh"};
    for (int i = 0; i < KERNEL_TEXTS - 1; i++)
        texts[i] = kernel_text(shared[i]);
    texts[KERNEL_TEXTS - 1] = kernel_text(file);
    for (int i = 0; i < KERNEL_TEXTS; i++)
        assert(texts[i]);
}

uint64_t kernel_text_hash(const char *file) {
    const char *texts[KERNEL_TEXTS];
    uint64_t hash = 0;
    if (strcmp(file, KERNEL_FILE_BLAS) == 0)
        return XXH3_64bits(file, strlen(file));
    if (!kernel_text(file))
        return 0;
    kernel_texts(texts, file);
    for (int i = 0; i < KERNEL_TEXTS; i++)
        hash = XXH3_64bits_withSeed(texts[i], strlen(texts[i]), hash);
    return hash;
}

void kernel_options(char options[KERNEL_OPTIONS_MAX], const struct device_info *device,
                    const struct kernel_spec *spec) {
    int used =
        snprintf(options, KERNEL_OPTIONS_MAX, "%s%s -DHAVE_FMA=%d",
                 device->quirks & QUIRK_NO_STANDARD ? "" : "-cl-std=CL1.2",
                 device->quirks & QUIRK_UNOPTIMISED ? " -cl-opt-disable" : "", device->has_fma);
    if (device->sub_group)
        used += snprintf(options + used, (size_t)(KERNEL_OPTIONS_MAX - used), " -DSUB_GROUP=%d",
                         device->sub_group);
    for (int i = 0; i < spec->define_count; i++) {
        used += snprintf(options + used, (size_t)(KERNEL_OPTIONS_MAX - used), " -D%s=%s",
                         spec->defines[i].name, spec->defines[i].value);
        assert(used < KERNEL_OPTIONS_MAX);
    }
}

static struct program *find(const struct device *device, const char *file, const char *options) {
    for (struct program *known = device->programs; known; known = known->next) {
        if (known->file == file && strcmp(known->options, options) == 0)
            return known;
    }
    return NULL;
}

static void free_entry(struct program *entry) {
    if (entry->program)
        (void)clReleaseProgram(entry->program);
    free(entry->options);
    free(entry);
}

/* An entry that is not compiled yet. */
static int create_entry(struct program **out, const char *file, const char *options) {
    struct program *entry = calloc(1, sizeof *entry);
    char *copy = strdup(options);
    if (!entry || !copy) {
        free(entry);
        free(copy);
        return error_no_memory("a program", sizeof *entry);
    }
    *entry = (struct program){.file = file, .options = copy};
    *out = entry;
    return 0;
}

/* ---- programs from earlier runs ---- */

/* Names all that a compiled program depends on: in full, but for the texts. */
static void write_key(char key[KEY_MAX], const struct device *device, const struct program *entry) {
    char name[DEVICE_KEY];
    device_key(name, &device->info);
    (void)snprintf(key, KEY_MAX, "%s\n%s %016" PRIx64 "\n%s", name, entry->file,
                   kernel_text_hash(entry->file), entry->options);
}

/* Whether a program that came from its binary is one: a driver may take anything. */
static int has_kernels(cl_program program) {
    size_t count = 0;
    return clGetProgramInfo(program, CL_PROGRAM_NUM_KERNELS, sizeof count, &count, NULL) ==
               CL_SUCCESS &&
           count > 0;
}

/* NULL: the store has none that the driver takes. */
static cl_program recall(struct device *device, const struct program *entry, const char *key) {
    size_t bytes = 0;
    unsigned char *binary = store_find_program(device->store, key, &bytes);
    if (!binary)
        return NULL;
    const unsigned char *binaries = binary;
    cl_int status, code;
    cl_program program = clCreateProgramWithBinary(device->context, 1, &device->id, &bytes,
                                                   &binaries, &status, &code);
    free(binary);
    if (code == CL_SUCCESS && status == CL_SUCCESS &&
        clBuildProgram(program, 1, &device->id, entry->options, NULL, NULL) == CL_SUCCESS &&
        has_kernels(program)) {
        store_prove_program(device->store, key);
        return program;
    }
    if (code == CL_SUCCESS)
        (void)clReleaseProgram(program);
    store_drop_program(device->store, key);
    return NULL;
}

/* The device's place among those of the program, which are all of the context's; -1: it has none.
 */
static int find_place(const struct device *device, cl_program program, cl_device_id *ids,
                      size_t bytes) {
    if (clGetProgramInfo(program, CL_PROGRAM_DEVICES, bytes, ids, NULL) != CL_SUCCESS)
        return -1;
    for (size_t i = 0; i < bytes / sizeof *ids; i++) {
        if (ids[i] == device->id)
            return (int)i;
    }
    return -1;
}

enum { SHARING_MAX = 64 }; /* devices of one context */

/* The program as the driver hands it out, in new memory; NULL if it does not. */
static unsigned char *get_binary(const struct device *device, cl_program program, size_t *bytes) {
    cl_device_id ids[SHARING_MAX];
    size_t sizes[SHARING_MAX];
    unsigned char *binaries[SHARING_MAX] = {NULL};
    cl_uint count = 0;
    if (clGetProgramInfo(program, CL_PROGRAM_NUM_DEVICES, sizeof count, &count, NULL) !=
            CL_SUCCESS ||
        count > SHARING_MAX)
        return NULL;
    int place = find_place(device, program, ids, count * sizeof *ids);
    if (place < 0 || clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, count * sizeof *sizes,
                                      sizes, NULL) != CL_SUCCESS)
        return NULL;
    *bytes = sizes[place];
    binaries[place] = *bytes ? malloc(*bytes) : NULL; /* the others' are not wanted */
    if (binaries[place] && clGetProgramInfo(program, CL_PROGRAM_BINARIES, count * sizeof *binaries,
                                            binaries, NULL) != CL_SUCCESS) {
        free(binaries[place]);
        return NULL;
    }
    return binaries[place];
}

/* Keeps a program for later runs, if the driver hands it out. */
static void keep(struct device *device, const struct program *entry, const char *key) {
    size_t bytes = 0;
    unsigned char *binary = device->store ? get_binary(device, entry->program, &bytes) : NULL;
    if (binary)
        store_keep_program(device->store, key, binary, bytes);
    free(binary);
}

/* ---- compiling ---- */

static int build_failed(struct device *device, cl_program program, const struct program *entry,
                        cl_int code) {
    size_t length = 0;
    char *log = NULL;
    if (clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &length) ==
            CL_SUCCESS &&
        (log = calloc(1, length + 1)) != NULL)
        (void)clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, length, log, NULL);
    int rc =
        error_set(ERROR_DEVICE,
                  "device %d (%s): cannot build %s: %s\nwith the macros %s\nthe compiler said:\n%s",
                  device->info.index, device->info.name, entry->file, cl_error_name(code),
                  entry->options, log && log[0] ? log : "nothing");
    free(log);
    return rc;
}

static int compile(struct device *device, struct program *entry) {
    const char *texts[KERNEL_TEXTS];
    kernel_texts(texts, entry->file);
    cl_int code;
    cl_program program =
        clCreateProgramWithSource(device->context, KERNEL_TEXTS, texts, NULL, &code);
    if (code != CL_SUCCESS)
        return cl_error(device, code, "clCreateProgramWithSource");
    code = clBuildProgram(program, 1, &device->id, entry->options, NULL, NULL);
    if (code != CL_SUCCESS) {
        int rc = build_failed(device, program, entry, code);
        (void)clReleaseProgram(program);
        return rc;
    }
    entry->program = program;
    return 0;
}

static int build(struct device *device, struct program *entry) {
    char key[KEY_MAX];
    write_key(key, device, entry);
    entry->program = recall(device, entry, key);
    if (entry->program)
        return 0;
    TRY(compile(device, entry));
    keep(device, entry, key);
    return 0;
}

static void add(struct device *device, struct program *entry) {
    entry->next = device->programs;
    device->programs = entry;
}

int program_get(cl_program *out, struct device *device, const struct kernel_spec *spec) {
    char options[KERNEL_OPTIONS_MAX];
    kernel_options(options, &device->info, spec);
    struct program *entry = find(device, spec->file, options);
    if (!entry) {
        TRY(create_entry(&entry, spec->file, options));
        int rc = build(device, entry);
        if (rc < 0) {
            free_entry(entry);
            return rc;
        }
        add(device, entry);
    }
    *out = entry->program;
    return 0;
}

/* ---- several at a time ---- */

struct builders {
    struct device *device;
    struct program **entries;
    int count;
    atomic_int next, done;
};

/* Builds whatever is next. What fails is left to program_get, which says why. */
static void build_entries(struct builders *builders, struct progress *progress) {
    int i;
    while ((i = atomic_fetch_add(&builders->next, 1)) < builders->count) {
        (void)build(builders->device, builders->entries[i]);
        int done = atomic_fetch_add(&builders->done, 1) + 1;
        if (progress)
            progress_show_share(progress, (double)done / builders->count, "%d of %d", done,
                                builders->count);
    }
}

static void *builder_main(void *context) {
    build_entries(context, NULL);
    return NULL;
}

int program_builders(const struct device_info *info, int count, long cores) {
    long most = cores < count ? cores : count;
    if (info->quirks & QUIRK_SERIAL || most < 1)
        return 1;
    return most < BUILDERS_MAX ? (int)most : BUILDERS_MAX;
}

static void build_in_threads(struct builders *builders) {
    pthread_t threads[BUILDERS_MAX];
    int most =
        program_builders(&builders->device->info, builders->count, sysconf(_SC_NPROCESSORS_ONLN));
    int started = 0; /* beside this one */
    while (started + 1 < most &&
           pthread_create(&threads[started], NULL, builder_main, builders) == 0)
        started++;
    struct progress progress = progress_start("compiling kernels");
    build_entries(builders, &progress);
    for (int i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    progress_end(&progress);
}

/* Adds the program of a specification to those that are to be built, unless it is there. */
static int collect(struct builders *builders, const struct kernel_spec *spec) {
    char options[KERNEL_OPTIONS_MAX];
    if (!kernel_is_ours(spec))
        return 0;
    kernel_options(options, &builders->device->info, spec);
    if (find(builders->device, spec->file, options))
        return 0;
    for (int i = 0; i < builders->count; i++) {
        const struct program *entry = builders->entries[i];
        if (entry->file == spec->file && strcmp(entry->options, options) == 0)
            return 0;
    }
    TRY(create_entry(&builders->entries[builders->count], spec->file, options));
    builders->count++;
    return 0;
}

int kernels_build(struct device *device, const struct kernel_spec *const *specs, int count) {
    struct builders builders = {.device = device};
    builders.entries = calloc((size_t)count + 1, sizeof(struct program *));
    if (!builders.entries)
        return error_no_memory("programs", (size_t)count * sizeof(struct program *));
    int rc = 0;
    for (int i = 0; rc == 0 && i < count; i++)
        rc = collect(&builders, specs[i]);
    if (rc == 0)
        build_in_threads(&builders);
    for (int i = 0; i < builders.count; i++) {
        if (builders.entries[i]->program)
            add(device, builders.entries[i]);
        else
            free_entry(builders.entries[i]);
    }
    free(builders.entries);
    return rc;
}

int kernels_built(const struct device *device) {
    int count = 0;
    for (const struct program *known = device->programs; known; known = known->next)
        count++;
    return count;
}

void programs_free(struct device *device) {
    while (device->programs) {
        struct program *entry = device->programs;
        device->programs = entry->next;
        free_entry(entry);
    }
}
