#include "cl/limits_override.h"

#include "base/error.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A whole number, and a unit; no unit is bytes. */
static int parse_amount(const char *text, size_t length, uint64_t *amount) {
    static const char units[] = "KMG";
    char *end;
    if (length == 0 || !isdigit((unsigned char)*text))
        return -1;
    errno = 0;
    unsigned long long parsed = strtoull(text, &end, 10);
    int shift = 0;
    if (end < text + length) {
        const char *unit = strchr(units, *end++);
        if (!unit || !*unit)
            return -1;
        shift = 10 * (int)(unit - units + 1);
    }
    if (errno || end != text + length || parsed > UINT64_MAX >> shift)
        return -1;
    *amount = (uint64_t)parsed << shift;
    return 0;
}

static void lower(uint64_t *value, uint64_t limit) {
    if (limit < *value)
        *value = limit;
}

/* Returns -1 when there is no such key, or when it does not take that amount. */
static int set(struct device_info *info, const char *key, size_t length, uint64_t limit) {
#define IS(name) (length == strlen(name) && strncmp(key, name, length) == 0)
    int *flag = IS("fp64") ? &info->has_fp64 : IS("fp16") ? &info->has_fp16 : NULL;
    if (flag) {
        *flag = *flag && limit;
        return limit > 1 ? -1 : 0;
    }
    if (limit == 0)
        return -1;
    if (IS("global_memory")) {
        lower(&info->global_memory, limit);
    } else if (IS("allocation_max")) {
        lower(&info->allocation_max, limit);
    } else if (IS("local_memory")) {
        lower(&info->local_memory, limit);
    } else if (IS("work_group_max")) {
        if (limit < info->work_group_max)
            info->work_group_max = (size_t)limit;
    } else {
        return -1;
    }
#undef IS
    return 0;
}

int limits_override(struct device_info *info, const char *text) {
    while (text && *text) {
        size_t length = strcspn(text, ","), key = strcspn(text, "=,");
        uint64_t limit = 0;
        if (key == length || parse_amount(text + key + 1, length - key - 1, &limit) < 0 ||
            set(info, text, key, limit) < 0)
            return error_set(ERROR_INPUT,
                             "CLNET_DEVICE_LIMITS: '%.*s' makes no sense; it takes global_memory, "
                             "allocation_max, local_memory and work_group_max=N, with K, M or G, "
                             "and fp64 and fp16=0",
                             (int)(length < 100 ? length : 100), text);
        text += length;
        text += *text == ',';
    }
    if (text && info->global_memory) /* one piece is not more than the whole */
        lower(&info->allocation_max, info->global_memory);
    return 0;
}
