#include "cli/comparison.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "train/benchmark_results.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    COLUMNS_MAX = 2 * BENCHMARK_DEVICES_MAX + 2, /* what it is, the devices, the ratio */
    CELL = BENCHMARK_TEXT_MAX + 8,
    RESULT_BYTES_MAX = 16 << 20,
};

/* A row is COLUMNS_MAX texts. */
struct row {
    char cells[COLUMNS_MAX][CELL];
};

struct table {
    const json_t *results[COLUMNS_MAX];
    const char *names[COLUMNS_MAX];
    int results_count;
    struct row *rows;
    int count, room;
};

int comparison_read(json_t **results, const char *path) {
    char *text;
    size_t length;
    TRY(file_read(path, RESULT_BYTES_MAX, &text, &length));
    int rc = benchmark_results_parse(results, path, text, length);
    free(text);
    return rc;
}

static int has_ratio(const struct table *table) {
    return table->results_count == 2;
}

static int columns(const struct table *table) {
    return 1 + table->results_count + has_ratio(table);
}

/* A new row of empty cells but the first; NULL, with the error set, when memory is used up. */
static struct row *add_row(struct table *table, const char *label) {
    if (table->count == table->room) {
        int room = 2 * table->room + 32;
        struct row *rows = realloc(table->rows, (size_t)room * sizeof *rows);
        if (!rows) {
            (void)error_no_memory("a table", (size_t)room * sizeof *rows);
            return NULL;
        }
        table->rows = rows;
        table->room = room;
    }
    struct row *row = &table->rows[table->count++];
    *row = (struct row){0};
    (void)snprintf(row->cells[0], CELL, "%s", label);
    return row;
}

static int add_texts(struct table *table, const char *label, const char *key) {
    struct row *row = add_row(table, label);
    if (!row)
        return ERROR_MEMORY;
    for (int i = 0; i < table->results_count; i++) {
        const char *text = json_string_value(json_object_get(table->results[i], key));
        (void)snprintf(row->cells[1 + i], CELL, "%s", text ? text : "");
    }
    return 0;
}

/* Numbers, of which a negative one is not known. */
static int add_numbers(struct table *table, const char *label, const double *values,
                       const char *unit, int is_time) {
    struct row *row = add_row(table, label);
    if (!row)
        return ERROR_MEMORY;
    for (int i = 0; i < table->results_count; i++) {
        if (values[i] >= 0)
            (void)snprintf(row->cells[1 + i], CELL, "%.*f%s", values[i] < 100 ? 2 : 1, values[i],
                           unit);
    }
    if (has_ratio(table) && values[0] > 0 && values[1] > 0)
        (void)snprintf(row->cells[3], CELL, "%.2f x",
                       is_time ? values[0] / values[1] : values[1] / values[0]);
    return 0;
}

/* One of the rows that every result has. */
struct measure {
    const char *label, *key, *unit;
    double scale;
    int is_time; /* less is faster */
};

static const struct measure measures[] = {
    {"peak, GFLOP/s", "peak_gflops", "", 1, 0},
    {"bandwidth, GB/s", "bandwidth_gbs", "", 1, 0},
    {"host to device, GB/s", "to_device_gbs", "", 1, 0},
    {"device to host, GB/s", "from_device_gbs", "", 1, 0},
    {"a launch, us", "launch_us", "", 1, 1},
    {"inference, images/s", "inference_images_per_second", "", 1, 0},
    {"forward+backward, images/s", "forward_backward_images_per_second", "", 1, 0},
    {"training, images/s", "training_images_per_second", "", 1, 0},
    {"inference, of peak", "inference_fraction_of_peak", " %", 100, 0},
    {"training, of peak", "training_fraction_of_peak", " %", 100, 0},
};

static int add_measure(struct table *table, const struct measure *measure) {
    double values[COLUMNS_MAX];
    for (int i = 0; i < table->results_count; i++) {
        const json_t *value = json_object_get(table->results[i], measure->key);
        values[i] = value ? measure->scale * json_number_value(value) : -1;
    }
    return add_numbers(table, measure->label, values, measure->unit, measure->is_time);
}

static int add_pass(struct table *table, const char *layer, const char *pass) {
    char label[2 * CELL];
    double values[COLUMNS_MAX];
    (void)snprintf(label, sizeof label, "%s %s, ms", layer, pass);
    for (int i = 0; i < table->count; i++) {
        if (strncmp(table->rows[i].cells[0], label, CELL - 1) == 0)
            return 0; /* another kernel of it was here */
    }
    for (int i = 0; i < table->results_count; i++)
        values[i] = benchmark_results_ms(table->results[i], layer, pass);
    return add_numbers(table, label, values, "", 1);
}

static int add_passes(struct table *table) {
    for (int i = 0; i < table->results_count; i++) {
        const json_t *kernels = json_object_get(table->results[i], "layers");
        for (size_t k = 0; k < json_array_size(kernels); k++) {
            const json_t *kernel = json_array_get(kernels, k);
            TRY(add_pass(table, json_string_value(json_object_get(kernel, "name")),
                         json_string_value(json_object_get(kernel, "pass"))));
        }
    }
    return 0;
}

static int fill(struct table *table) {
    struct row *row = add_row(table, "");
    if (!row)
        return ERROR_MEMORY;
    for (int i = 0; i < table->results_count; i++)
        (void)snprintf(row->cells[1 + i], CELL, "%s", table->names[i]);
    if (has_ratio(table))
        (void)snprintf(row->cells[3], CELL, "faster");
    TRY(add_texts(table, "device", "device"));
    TRY(add_texts(table, "platform", "platform"));
    TRY(add_texts(table, "driver", "driver"));
    TRY(add_texts(table, "clnet", "version"));
    TRY(add_texts(table, "config", "config"));
    row = add_row(table, "batch");
    if (!row)
        return ERROR_MEMORY;
    for (int i = 0; i < table->results_count; i++) {
        const json_t *batch = json_object_get(table->results[i], "batch");
        if (batch)
            (void)snprintf(row->cells[1 + i], CELL, "%.0f", json_number_value(batch));
    }
    for (size_t i = 0; i < sizeof measures / sizeof *measures; i++)
        TRY(add_measure(table, &measures[i]));
    return add_passes(table);
}

static void print(const struct table *table) {
    int widths[COLUMNS_MAX] = {0};
    for (int r = 0; r < table->count; r++) {
        for (int c = 0; c < columns(table); c++) {
            int length = (int)strlen(table->rows[r].cells[c]);
            if (length > widths[c])
                widths[c] = length;
        }
    }
    for (int r = 0; r < table->count; r++) {
        for (int c = 0; c < columns(table); c++)
            (void)printf(c == 0 ? "| %-*s |" : " %*s |", widths[c], table->rows[r].cells[c]);
        (void)printf("\n");
        for (int c = 0; r == 0 && c < columns(table); c++)
            (void)printf(c == 0 ? "|---|" : c < columns(table) - 1 ? "---:|" : "---:|\n");
    }
}

static void take(struct table *table, const json_t *results, const char *name) {
    for (size_t i = 0; i < json_array_size(results); i++) {
        table->results[table->results_count] = json_array_get(results, i);
        table->names[table->results_count++] = name;
    }
}

/* Whether all results have the same of a key, as far as they have it. */
static int is_common(const struct table *table, const char *key) {
    const json_t *first = NULL;
    for (int i = 0; i < table->results_count; i++) {
        const json_t *value = json_object_get(table->results[i], key);
        if (value && first && !json_equal(value, first))
            return 0;
        first = value ? value : first;
    }
    return 1;
}

int comparison_print(const json_t *one, const char *one_name, const json_t *other,
                     const char *other_name) {
    struct table table = {0};
    take(&table, one, one_name);
    take(&table, other, other_name);
    if (!is_common(&table, "config") || !is_common(&table, "batch"))
        log_warning("these are results of different configs or batches");
    int rc = fill(&table);
    if (rc == 0)
        print(&table);
    free(table.rows);
    return rc;
}
