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

/* CLBlast's products have no file of ours, but a pass that they serve and work to do. */
static int is_used(const struct kernel_spec *spec) {
    return spec->file || (spec->pass && spec->flops > 0);
}

/* A kernel's line, with its newline. */
static void write_line(char line[LINE], const struct kernel_spec *spec,
                       const struct target *target) {
    const struct device_info *device = &target->device;
    const char *text = spec->file ? kernel_text(spec->file) : "";
    uint64_t key = hash(0xcbf29ce484222325, text, strlen(text));
    if (!spec->file) {
        char work[64];
        (void)snprintf(work, sizeof work, "%a %a", spec->flops, spec->bytes);
        key = hash(key, work, strlen(work));
    }
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
                   device->platform, device->driver, spec->file ? spec->file : "CLBlast",
                   spec->file ? spec->function : spec->pass, key);
}

int trust_kernels(const struct layer_kernels *kernels, const struct target *target) {
    char *list = read_list(), line[LINE];
    int is_trusted = 1;
    for (int k = 0; list && list[0] && k < LAYER_KERNELS_MAX; k++) {
        if (!is_used(&kernels->specs[k]))
            continue;
        write_line(line, &kernels->specs[k], target);
        is_trusted &= strstr(list, line) == NULL;
    }
    free(list);
    return is_trusted;
}

/* Takes a line out of the text. */
static void remove_line(char *list, const char *line) {
    char *found = strstr(list, line);
    if (found)
        memmove(found, found + strlen(line), strlen(found + strlen(line)) + 1);
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

int trust_set(const struct layer_kernels *kernels, const struct target *target, int is_trusted) {
    char *list = read_list(), more[LAYER_KERNELS_MAX * LINE] = "", line[LINE];
    if (!list)
        return error_no_memory("the list of wrong kernels", 1);
    if (is_trusted && !list[0]) {
        free(list);
        return 0;
    }
    for (int k = 0; k < LAYER_KERNELS_MAX; k++) {
        if (!is_used(&kernels->specs[k]))
            continue;
        write_line(line, &kernels->specs[k], target);
        remove_line(list, line);
        if (!is_trusted)
            strcat(more, line); /* NOLINT: as many lines as there is room for */
    }
    int rc = write_list(list, more);
    free(list);
    return rc;
}

int trust_choose_kernels(const struct layer *layer, const struct target *target, int needs_dx,
                         enum truth truth_kind, struct layer_kernels *out) {
    *out = (struct layer_kernels){0};
    layer->type->kernels(layer, target, needs_dx, truth_kind, out);
    if (trust_kernels(out, target))
        return 0;
    struct target plain = *target;
    if (plain.tunings) { /* wrong as they were tuned, perhaps not otherwise */
        plain.tunings = NULL;
        return trust_choose_kernels(layer, &plain, needs_dx, truth_kind, out);
    }
    plain.technique = TECHNIQUE_REFERENCE;
    *out = (struct layer_kernels){0};
    layer->type->kernels(layer, &plain, needs_dx, truth_kind, out);
    if (!trust_kernels(out, target))
        return error_set(ERROR_DEVICE,
                         "device %d (%s): its kernels of %s give wrong results, the plain ones "
                         "too: take another device or driver; 'clnet doctor' examines it again",
                         target->device.index, target->device.name, layer->name);
    log_warning("device %d (%s): its kernels of %s give wrong results, as 'clnet doctor' found; "
                "using the plain, slow ones",
                target->device.index, target->device.name, layer->name);
    return 0;
}
