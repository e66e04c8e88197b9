#include "cl/limits_override.h"

#include "base/error.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What an item does to what the device says of itself. */
enum effect {
    LOWERS_U64,
    LOWERS_SIZE,
    LOWERS_INT,
    RAISES_SIZE, /* where more is the stricter limit: a power of two */
    REFUSES,     /* a feature: 0 takes it away */
    SETS,
    NAMES, /* a text */
    TYPES, /* the kind of device */
};

static const struct item {
    const char *key;
    enum effect effect;
    size_t offset; /* in struct device_info */
} items[] = {
#define FIELD(name) offsetof(struct device_info, name)
    {"global_memory", LOWERS_U64, FIELD(global_memory)},
    {"allocation_max", LOWERS_U64, FIELD(allocation_max)},
    {"local_memory", LOWERS_U64, FIELD(local_memory)},
    {"work_group_max", LOWERS_SIZE, FIELD(work_group_max)},
    {"compute_units", LOWERS_INT, FIELD(compute_units)},
    {"vector_width", LOWERS_INT, FIELD(vector_width)},
    {"alignment", RAISES_SIZE, FIELD(alignment)},
    {"fp64", REFUSES, FIELD(has_fp64)},
    {"fp16", REFUSES, FIELD(has_fp16)},
    {"fma", REFUSES, FIELD(has_fma)},
    {"unified", REFUSES, FIELD(is_unified)},
    {"commands", SETS, FIELD(fails_after)},
    {"launches", SETS, FIELD(launches_fail_after)},
    {"hang", SETS, FIELD(hangs_after)},
    {"name", NAMES, FIELD(name)},
    {"platform", NAMES, FIELD(platform)},
    {"driver", NAMES, FIELD(driver)},
    {"version", NAMES, FIELD(version)},
    {"type", TYPES, 0},
#undef FIELD
};

enum { ITEMS = sizeof items / sizeof *items };

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

static int is_power_of_two(uint64_t number) {
    return (number & (number - 1)) == 0;
}

/* Returns -1 when the field does not take that amount. */
static int set_amount(void *field, enum effect effect, uint64_t amount) {
    if (effect == REFUSES) {
        if (amount == 0)
            *(int *)field = 0;
        return amount > 1 ? -1 : 0;
    }
    if (amount == 0 || (effect == RAISES_SIZE && !is_power_of_two(amount)))
        return -1;
    if (effect == SETS || (effect == LOWERS_U64 && amount < *(uint64_t *)field))
        *(uint64_t *)field = amount;
    else if ((effect == LOWERS_SIZE && amount < *(size_t *)field) ||
             (effect == RAISES_SIZE && amount > *(size_t *)field))
        *(size_t *)field = (size_t)amount;
    else if (effect == LOWERS_INT && amount < (uint64_t) * (int *)field)
        *(int *)field = (int)amount;
    return 0;
}

/* Kernels and techniques go by it. */
static int set_type(struct device_info *info, const char *text, size_t length) {
    static const char *const kinds[] = {"CPU", "GPU"};
    for (int i = 0; i < 2; i++) {
        if (length == strlen(kinds[i]) && strncasecmp(text, kinds[i], length) == 0) {
            info->kind = kinds[i];
            info->is_cpu = i == 0;
            return 0;
        }
    }
    return -1;
}

static int set(struct device_info *info, const struct item *item, const char *value,
               size_t length) {
    char *field = (char *)info + item->offset;
    uint64_t amount;
    if (item->effect == TYPES)
        return set_type(info, value, length);
    if (item->effect == NAMES) {
        (void)snprintf(field, DEVICE_TEXT, "%.*s", (int)length, value);
        return length > 0 && length < DEVICE_TEXT ? 0 : -1;
    }
    return parse_amount(value, length, &amount) < 0 ? -1 : set_amount(field, item->effect, amount);
}

static const struct item *find(const char *key, size_t length) {
    for (int i = 0; i < ITEMS; i++) {
        if (strlen(items[i].key) == length && strncmp(items[i].key, key, length) == 0)
            return &items[i];
    }
    return NULL;
}

static int override_item(struct device_info *info, const char *text, size_t length) {
    struct device_info other = *info; /* takes what is not for this one */
    const char *end = text + length;
    int is_own = take_scope(&text, info->index);
    size_t key = strcspn(text, "=,");
    const struct item *item = find(text, key);
    if (!item || text + key >= end)
        return -1;
    const char *value = text + key + 1;
    return set(is_own ? info : &other, item, value, (size_t)(end - value));
}

static int makes_no_sense(const char *text, size_t length) {
    char keys[512] = "";
    for (int i = 0, used = 0; i < ITEMS; i++)
        used +=
            snprintf(keys + used, sizeof keys - (size_t)used, "%s%s", i ? ", " : "", items[i].key);
    return error_set(ERROR_INPUT,
                     "CLNET_DEVICE_LIMITS: '%.*s' makes no sense; expected KEY=VALUE, or "
                     "1:KEY=VALUE for device 1 alone, with commas between; the keys are %s; "
                     "numbers take K, M or G, what a device has or not 0, and type CPU or GPU",
                     (int)(length < 100 ? length : 100), text, keys);
}

int limits_override(struct device_info *info, const char *text) {
    while (text && *text) {
        size_t length = strcspn(text, ",");
        if (override_item(info, text, length) < 0)
            return makes_no_sense(text, length);
        text += length;
        text += *text == ',';
    }
    /* One piece is not more than the whole. */
    if (text && info->global_memory && info->global_memory < info->allocation_max)
        info->allocation_max = info->global_memory;
    return 0;
}
