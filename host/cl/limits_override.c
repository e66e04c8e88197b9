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

/* An index and a colon, for an item of that device alone: moves *text behind them. Returns whether
 * the item is the device's. */
static int take_scope(const char **text, int index) {
    char *end;
    if (!isdigit((unsigned char)**text))
        return 1;
    unsigned long scope = strtoul(*text, &end, 10);
    if (*end != ':')
        return 1;
    *text = end + 1;
    return scope == (unsigned long)index;
}

static void lower(uint64_t *value, uint64_t limit) {
    if (limit < *value)
        *value = limit;
}

/* Returns -1 when there is no such key, or when it does not take that amount. */
static int set(struct device_info *info, const char *key, size_t length, uint64_t limit) {
#define IS(name) (length == strlen(name) && strncmp(key, name, length) == 0)
    int *flag = IS("fp64")      ? &info->has_fp64
                : IS("fp16")    ? &info->has_fp16
                : IS("unified") ? &info->is_unified
                                : NULL;
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
    } else if (IS("commands")) {
        info->fails_after = limit;
    } else if (IS("launches")) {
        info->launches_fail_after = limit;
    } else if (IS("hang")) {
        info->hangs_after = limit;
    } else {
        return -1;
    }
#undef IS
    return 0;
}

static int override_item(struct device_info *info, const char *text, size_t length) {
    struct device_info other = *info; /* takes what is not for this one */
    const char *end = text + length;
    int is_own = take_scope(&text, info->index);
    size_t key = strcspn(text, "=,");
    uint64_t limit = 0;
    if (text + key >= end ||
        parse_amount(text + key + 1, (size_t)(end - text) - key - 1, &limit) < 0)
        return -1;
    return set(is_own ? info : &other, text, key, limit);
}

int limits_override(struct device_info *info, const char *text) {
    while (text && *text) {
        size_t length = strcspn(text, ",");
        if (override_item(info, text, length) < 0)
            return error_set(
                ERROR_INPUT,
                "CLNET_DEVICE_LIMITS: '%.*s' makes no sense; it takes global_memory, "
                "allocation_max, local_memory and work_group_max=N, with K, M or G, "
                "fp64, fp16 and unified=0, commands, launches and hang=N; 1:commands=N is for "
                "device 1 alone",
                (int)(length < 100 ? length : 100), text);
        text += length;
        text += *text == ',';
    }
    if (text && info->global_memory) /* one piece is not more than the whole */
        lower(&info->allocation_max, info->global_memory);
    return 0;
}
