/* Kernels that gave wrong results on a device, as `clnet doctor` found: a list in the user's cache
 * directory ($XDG_CACHE_HOME/clnet/distrusted, or below ~/.cache), by device, driver, kernel text,
 * macros and geometry. One that is listed is not used there again.
 */
#ifndef LAYERS_TRUST_H
#define LAYERS_TRUST_H

#include "layers/layer.h"

/* Whether a specification names a kernel of a pass. */
int trust_is_kernel(const struct kernel_spec *spec);

/* Whether the kernel is not listed for the target's device. Where no list can be read, all are
 * trusted. */
int trust_kernel(const struct kernel_spec *spec, const struct target *target);

/* Lists the kernel, or takes it off the list. Fails where the list cannot be written. */
int trust_set(const struct kernel_spec *spec, const struct target *target, int is_trusted);

/* Whether any of a layer's kernels is listed. */
int trust_has_listed(const struct layer_kernels *kernels, const struct target *target);

/* An examination, in which a kernel may be met more than once: one that failed once is wrong,
 * however often it passes. Zeroed: it begins. */
struct trust_examination {
    char *wrong; /* as the list has it */
};

/* trust_set for what was found now. */
int trust_found(struct trust_examination *examination, const struct kernel_spec *spec,
                const struct target *target, int is_right);
void trust_examination_free(struct trust_examination *examination);

/* Puts others in the place of kernels that are listed, a pass at a time, as the kernels of a pass
 * work together: those by default where the target's tunings chose them, then the reference ones.
 * `kernels` are those of the layer. Returns how many replacements there were: 0 too where reference
 * kernels are listed. */
int trust_replace(const struct layer *layer, const struct target *target, int needs_dx,
                  enum truth truth_kind, struct layer_kernels *kernels);

/* What the layer type says to compile, with listed kernels replaced, and a warning. Where reference
 * kernels are listed too it is ERROR_DEVICE. */
int trust_choose_kernels(const struct layer *layer, const struct target *target, int needs_dx,
                         enum truth truth_kind, struct layer_kernels *out);

/* A kernel that belongs to no layer, as the list knows it: it is right or wrong whatever its global
 * size. */
struct kernel_spec trust_of_any_size(const struct kernel_spec *spec);

/* kernel_create for such a kernel; `plain` is what takes its place where it is listed, or NULL.
 * ERROR_DEVICE too where that is listed, or there is none. */
int trust_create_kernel(struct kernel **out, struct device *device, const struct kernel_spec *spec,
                        const struct kernel_spec *plain);

#endif
