#include "layers/trust.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 1 << 20, LINE = 640 };

static const char *const list_name = "distrusted";

/* The list's text in new memory, empty where there is none. */
static char *read_list(void) {
    char *path, *text = NULL;
    size_t length;
    if (file_cache_path(&path, list_name) == 0)
        (void)file_read(path, LIST_MAX, &text, &length);
    free(path);
    return text ? text : calloc(1, 1);
}

/* FNV-1a. */
static uint64_t hash(uint64_t state, const void *data, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        state = (state ^ ((const unsigned char *)data)[i]) * 0x100000001b3;
    return state;
}

int trust_is_kernel(const struct kernel_spec *spec) {
    return spec->pass && spec->file;
}

/* A kernel's line, with its newline. */
static void write_line(char line[LINE], const struct kernel_spec *spec,
                       const struct target *target) {
    const struct device_info *device = &target->device;
    uint64_t key = 0xcbf29ce484222325, text = kernel_text_hash(spec->file);
    key = hash(key, &text, sizeof text);
    for (int i = 0; i < spec->define_count; i++) {
        key = hash(key, spec->defines[i].name, strlen(spec->defines[i].name));
        key = hash(key, spec->defines[i].value, strlen(spec->defines[i].value));
    }
    uint64_t geometry[6];
    for (int i = 0; i < 3; i++) {
        geometry[i] = spec->global[i];
        geometry[3 + i] = spec->local[i];
    }
    key = hash(key, geometry, sizeof geometry);
    (void)snprintf(line, LINE, "%s\t%s\t%s\t%s\t%s\t%016" PRIx64 "\n", device->name,
                   device->platform, device->driver, spec->file, spec->function, key);
}

static char *find_line(char *list, const char *line) {
    char *found = list;
    while ((found = strstr(found, line)) && found != list && found[-1] != '\n')
        found++;
    return found;
}

int trust_kernel(const struct kernel_spec *spec, const struct target *target) {
    char *list = read_list(), line[LINE];
    write_line(line, spec, target);
    int is_trusted = !list || !find_line(list, line);
    free(list);
    return is_trusted;
}

static int write_list(const char *list, const char *more) {
    struct file_writer writer;
    char *path;
    int rc = file_cache_path(&path, list_name);
    if (rc < 0)
        return error_prefix(rc, "the list of wrong kernels: ");
    rc = file_create(&writer, path);
    if (rc == 0) {
        (void)fprintf(writer.stream, "%s%s", list, more);
        rc = file_commit(&writer);
    }
    free(path);
    return rc;
}

int trust_set(const struct kernel_spec *spec, const struct target *target, int is_trusted) {
    char *list = read_list(), line[LINE];
    if (!list)
        return error_no_memory("the list of wrong kernels", 1);
    write_line(line, spec, target);
    char *found = find_line(list, line);
    int rc = 0;
    if (found && is_trusted) {
        memmove(found, found + strlen(line), strlen(found + strlen(line)) + 1);
        rc = write_list(list, "");
    } else if (!found && !is_trusted) {
        rc = write_list(list, line);
    }
    free(list);
    return rc;
}

int trust_found(struct trust_examination *examination, const struct kernel_spec *spec,
                const struct target *target, int is_right) {
    char line[LINE];
    write_line(line, spec, target);
    if (examination->wrong && find_line(examination->wrong, line))
        return 0;
    if (!is_right) {
        size_t used = examination->wrong ? strlen(examination->wrong) : 0;
        size_t size = used + strlen(line) + 1;
        char *grown = realloc(examination->wrong, size);
        if (!grown)
            return error_no_memory("the list of wrong kernels", size);
        memcpy(grown + used, line, size - used);
        examination->wrong = grown;
    }
    return trust_set(spec, target, is_right);
}

void trust_examination_free(struct trust_examination *examination) {
    free(examination->wrong);
    *examination = (struct trust_examination){0};
}

/* ---- a layer's kernels ---- */

static int is_same(const struct kernel_spec *a, const struct kernel_spec *b,
                   const struct target *target) {
    char lines[2][LINE];
    if (!trust_is_kernel(a) || !trust_is_kernel(b))
        return 0;
    write_line(lines[0], a, target);
    write_line(lines[1], b, target);
    return strcmp(lines[0], lines[1]) == 0;
}

static int is_of_pass(const struct kernel_spec *spec, const char *pass) {
    return spec->pass && strcmp(spec->pass, pass) == 0;
}

static void replace_pass(struct layer_kernels *kernels, const struct layer_kernels *others,
                         const char *pass) {
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        if (is_of_pass(&kernels->specs[k], pass) || is_of_pass(&others->specs[k], pass))
            kernels->specs[k] = others->specs[k];
    }
    if (others->scratch_bytes > kernels->scratch_bytes)
        kernels->scratch_bytes = others->scratch_bytes;
}

/* The first kernel that is listed, of a pass or, for NULL, of all; NULL: there is none. */
static const struct kernel_spec *find_listed(const struct layer_kernels *kernels, const char *pass,
                                             const struct target *target) {
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        const struct kernel_spec *spec = &kernels->specs[k];
        if ((!pass || is_of_pass(spec, pass)) && trust_is_kernel(spec) &&
            !trust_kernel(spec, target))
            return spec;
    }
    return NULL;
}

int trust_has_listed(const struct layer_kernels *kernels, const struct target *target) {
    return find_listed(kernels, NULL, target) != NULL;
}

int trust_replace(const struct layer *layer, const struct target *target, int needs_dx,
                  enum truth truth_kind, struct layer_kernels *kernels) {
    struct target others = *target;
    struct layer_kernels by_default = {0}, plain = {0};
    int replaced = 0;
    others.tunings = NULL; /* wrong as they were tuned, perhaps not otherwise */
    layer->type->kernels(layer, &others, needs_dx, truth_kind, &by_default);
    others.technique = TECHNIQUE_REFERENCE;
    layer->type->kernels(layer, &others, needs_dx, truth_kind, &plain);
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        const struct kernel_spec *spec = &kernels->specs[k];
        if (!spec->pass || !trust_is_kernel(spec) || trust_kernel(spec, target) ||
            is_same(spec, &plain.specs[k], target))
            continue;
        const char *pass = spec->pass;
        replace_pass(kernels, find_listed(&by_default, pass, target) ? &plain : &by_default, pass);
        replaced++;
    }
    return replaced;
}

int trust_choose_kernels(const struct layer *layer, const struct target *target, int needs_dx,
                         enum truth truth_kind, struct layer_kernels *out) {
    *out = (struct layer_kernels){0};
    layer->type->kernels(layer, target, needs_dx, truth_kind, out);
    int replaced = trust_replace(layer, target, needs_dx, truth_kind, out);
    const struct kernel_spec *listed = find_listed(out, NULL, target);
    if (listed)
        return error_set(ERROR_DEVICE,
                         "device %d (%s): its %s kernels of %s give wrong results, the plain ones "
                         "too: take another device or driver; 'clnet doctor' examines it again",
                         target->device.index, target->device.name, listed->pass, layer->name);
    if (replaced)
        log_warning("device %d (%s): some of its kernels of %s give wrong results, as 'clnet "
                    "doctor' found; using others in their place",
                    target->device.index, target->device.name, layer->name);
    return 0;
}

/* ---- kernels that belong to no layer ---- */

struct kernel_spec trust_of_any_size(const struct kernel_spec *spec) {
    struct kernel_spec any = *spec;
    any.global[0] = any.global[1] = any.global[2] = 0;
    return any;
}

int trust_create_kernel(struct kernel **out, struct device *device, const struct kernel_spec *spec,
                        const struct kernel_spec *plain) {
    const struct target target = {.device = *device_info(device)};
    struct kernel_spec any = trust_of_any_size(spec);
    if (trust_kernel(&any, &target))
        return kernel_create(out, device, spec);
    if (plain) {
        any = trust_of_any_size(plain);
        if (trust_kernel(&any, &target))
            return kernel_create(out, device, plain);
    }
    return error_set(ERROR_DEVICE,
                     "device %d (%s): its kernel %s of %s gives wrong results: take another device "
                     "or driver; 'clnet doctor' examines it again",
                     target.device.index, target.device.name, spec->function, spec->file);
}
