/* What `--devices` asks for. */
#include "cl/internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { CHOICES_MAX = 64 };

struct choices {
    struct device_choice *list;
    int count;
    const struct device_info *devices;
    int device_count;
};

int choice_check_index(int index, int count) {
    if (index >= 0 && index < count)
        return 0;
    return error_set(ERROR_INPUT,
                     "device %d: there is no such device; there are %d, numbered from 0 ('clnet "
                     "devices' lists them)",
                     index, count);
}

int choice_check_parts(const struct device_choice *choice, const struct device_info *info) {
    int most = info->sub_devices < info->compute_units ? info->sub_devices : info->compute_units;
    if (choice->parts <= 1)
        return 0;
    if (most < 2)
        return error_set(ERROR_INPUT, "device %d (%s): it cannot be split", info->index,
                         info->name);
    if (choice->parts > most || choice->part < 0 || choice->part >= choice->parts)
        return error_set(ERROR_INPUT,
                         "device %d (%s): there is no part %d of %d; it can be split into %d at "
                         "most",
                         info->index, info->name, choice->part + 1, choice->parts, most);
    return 0;
}

static int add(struct choices *choices, struct device_choice choice) {
    TRY(choice_check_index(choice.index, choices->device_count));
    TRY(choice_check_parts(&choice, &choices->devices[choice.index]));
    if (choices->count == CHOICES_MAX)
        return error_set(ERROR_INPUT, "more than %d devices are asked for", CHOICES_MAX);
    choices->list[choices->count++] = choice;
    return 0;
}

/* Digits alone; -1 when there are none, or too many. */
static int take_number(const char **text) {
    int value = 0, digits = 0;
    for (; isdigit((unsigned char)**text); (*text)++, digits++)
        value = digits < 8 ? 10 * value + (**text - '0') : value;
    return digits >= 1 && digits <= 8 ? value : -1;
}

static int add_item(struct choices *choices, const char **text) {
    const char *start = *text;
    struct device_choice choice = {.index = take_number(text), .parts = 1};
    int first = 0, end = 1, is_bad = choice.index < 0;
    if (!is_bad && **text == '/') {
        (*text)++;
        end = choice.parts = take_number(text);
        is_bad = choice.parts < 2;
    }
    if (!is_bad && choice.parts > 1 && **text == ':') {
        (*text)++;
        first = take_number(text);
        end = first + 1;
        is_bad = first < 0;
    }
    if (is_bad || (**text && **text != ','))
        return error_set(ERROR_INPUT,
                         "expected an index of 'clnet devices' (0), some of them (0,1), parts of "
                         "one (0/2, or 0/2:1) or all, not '%.100s'",
                         start);
    for (choice.part = first; choice.part < end; choice.part++)
        TRY(add(choices, choice));
    return 0;
}

static int parse(struct choices *choices, const char *text) {
    if (strcmp(text, "all") == 0) {
        for (int i = 0; i < choices->device_count; i++)
            TRY(add(choices, WHOLE_DEVICE(i)));
        return 0;
    }
    for (;; text++) {
        TRY(add_item(choices, &text));
        if (*text == '\0')
            return 0;
    }
}

int devices_choose(struct device_choice **out, int *count, const char *text) {
    struct device_info *devices;
    struct choices choices = {0};
    TRY(devices_list(&devices, &choices.device_count));
    choices.devices = devices;
    choices.list = calloc(CHOICES_MAX, sizeof *choices.list);
    int rc = choices.list ? 0 : error_no_memory("the devices", CHOICES_MAX * sizeof *choices.list);
    if (rc == 0 && text) {
        rc = parse(&choices, text);
        if (rc < 0)
            (void)error_prefix(rc, "--devices: ");
    } else if (rc == 0) {
        rc = add(&choices, WHOLE_DEVICE(devices_best(devices, choices.device_count)));
    }
    free(devices);
    if (rc < 0) {
        free(choices.list);
        return rc;
    }
    *out = choices.list;
    *count = choices.count;
    return 0;
}
