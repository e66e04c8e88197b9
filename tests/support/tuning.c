#include "support/tuning.h"

#include "support/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void redefine(struct kernel_spec *spec, const char *name, long value) {
    for (int i = 0; i < spec->define_count; i++) {
        if (strcmp(spec->defines[i].name, name) == 0) {
            (void)snprintf(spec->defines[i].value, sizeof spec->defines[i].value, "%ld", value);
            return;
        }
    }
    ck_abort_msg("%s has no %s", spec->function, name);
}

void retune_as(struct kernel_spec *spec, const struct kernel_spec *other) {
    memcpy(spec->global, other->global, sizeof spec->global);
    memcpy(spec->local, other->local, sizeof spec->local);
    for (int i = 0; i < other->define_count; i++)
        redefine(spec, other->defines[i].name, strtol(other->defines[i].value, NULL, 10));
}

size_t blocks(int size, int block) {
    return (size_t)((size + block - 1) / block);
}
