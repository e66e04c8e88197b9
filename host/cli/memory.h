/* What training takes of each device's memory, for `clnet summary --devices`. */
#ifndef CLI_MEMORY_H
#define CLI_MEMORY_H

#include "cl/device.h"
#include "net/memory_needs.h"
#include "net/net_part.h"

#include <jansson.h>

/* One replica: its device, and what it takes of it. */
struct memory_row {
    struct device_choice choice;
    struct device_info device;
    int samples;  /* its share of the batch */
    int replicas; /* on the same device, which share its memory */
    struct memory_fit fit;
    struct net_part back;    /* its rows, with parallel=hybrid; else without a net */
    struct tunings *tunings; /* of the device */
};

struct memory_report {
    struct memory_row *rows;
    int count;
    int batch, least; /* samples, and the parts that the config asks for */
};

/* Plans training on the devices that a --devices list names, the batch divided evenly, or with
 * parallel=hybrid the layers too. Opens none. ERROR_DEVICE when one is too small. Free with
 * memory_report_free, before the net. */
int memory_report_create(struct memory_report *report, const struct net *net, const char *list);
void memory_report_free(struct memory_report *report);

void memory_report_print(const struct memory_report *report);

/* An array with an object for each replica; NULL without memory. */
json_t *memory_report_json(const struct memory_report *report);

#endif
