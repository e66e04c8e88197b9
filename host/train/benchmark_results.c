#include "train/benchmark_results.h"

#include "base/error.h"

#include <jansson.h>
#include <string.h>

/* The greatest number that a table has room for. */
static const double number_max = 1e12;

struct key {
    const char *name;
    enum { TEXT, NUMBER } type;
    int is_required;
};

static const struct key device_keys[] = {
    {"device", TEXT, 1},
    {"platform", TEXT, 0},
    {"driver", TEXT, 0},
    {"version", TEXT, 0},
    {"config", TEXT, 0},
    {"batch", NUMBER, 0},
    {"peak_gflops", NUMBER, 1},
    {"bandwidth_gbs", NUMBER, 1},
    {"to_device_gbs", NUMBER, 0},
    {"from_device_gbs", NUMBER, 0},
    {"launch_us", NUMBER, 0},
    {"inference_images_per_second", NUMBER, 1},
    {"forward_backward_images_per_second", NUMBER, 0},
    {"training_images_per_second", NUMBER, 1},
    {"inference_fraction_of_peak", NUMBER, 0},
    {"training_fraction_of_peak", NUMBER, 1},
    {0},
};

static const struct key kernel_keys[] = {
    {"name", TEXT, 1},
    {"pass", TEXT, 1},
    {"kernel", TEXT, 1},
    {"ms", NUMBER, 1},
    {"gflops", NUMBER, 1},
    {"fraction_of_bound", NUMBER, 1},
    {0},
};

static int check_text(const json_t *value) {
    const char *text = json_string_value(value);
    if (!text || strlen(text) > BENCHMARK_TEXT_MAX)
        return error_set(ERROR_INPUT, "expected a text of at most %d bytes", BENCHMARK_TEXT_MAX);
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return error_set(ERROR_INPUT, "a control character");
    }
    return 0;
}

static int check_number(const json_t *value) {
    double number = json_number_value(value);
    if (!json_is_number(value) || !(number >= 0 && number <= number_max))
        return error_set(ERROR_INPUT, "expected a number from 0 to %g", number_max);
    return 0;
}

static int check_object(const json_t *object, const struct key *keys) {
    if (!json_is_object(object))
        return error_set(ERROR_INPUT, "expected an object");
    for (const struct key *key = keys; key->name; key++) {
        const json_t *value = json_object_get(object, key->name);
        if (!value && !key->is_required)
            continue;
        int rc = !value              ? error_set(ERROR_INPUT, "missing")
                 : key->type == TEXT ? check_text(value)
                                     : check_number(value);
        if (rc < 0)
            return error_prefix(rc, "%s: ", key->name);
    }
    return 0;
}

static int check_kernels(const json_t *kernels) {
    size_t count = json_array_size(kernels); /* 0 of what is no array */
    if (!json_is_array(kernels) || count > BENCHMARK_KERNELS_MAX)
        return error_set(ERROR_INPUT, "layers: expected an array of at most %d objects",
                         BENCHMARK_KERNELS_MAX);
    for (size_t i = 0; i < count; i++) {
        int rc = check_object(json_array_get(kernels, i), kernel_keys);
        if (rc < 0)
            return error_prefix(rc, "layers[%zu]: ", i);
    }
    return 0;
}

static int check_results(const json_t *results) {
    size_t count = json_array_size(results);
    if (count < 1 || count > BENCHMARK_DEVICES_MAX)
        return error_set(ERROR_INPUT,
                         "expected what 'clnet bench --json' prints: an array of 1 to %d devices",
                         BENCHMARK_DEVICES_MAX);
    for (size_t i = 0; i < count; i++) {
        const json_t *result = json_array_get(results, i);
        int rc = check_object(result, device_keys);
        if (rc == 0)
            rc = check_kernels(json_object_get(result, "layers"));
        if (rc < 0)
            return error_prefix(rc, "[%zu]: ", i);
    }
    return 0;
}

int benchmark_results_parse(json_t **results, const char *path, const char *text, size_t length) {
    json_error_t error;
    *results = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!*results)
        return error_set(ERROR_INPUT, "%s:%d: not JSON", path, error.line);
    int rc = check_results(*results);
    if (rc < 0) {
        json_decref(*results);
        *results = NULL;
        return error_prefix(rc, "%s: ", path);
    }
    return 0;
}

double benchmark_results_ms(const json_t *result, const char *layer, const char *pass) {
    const json_t *kernels = json_object_get(result, "layers");
    double sum = -1;
    for (size_t i = 0; i < json_array_size(kernels); i++) {
        const json_t *kernel = json_array_get(kernels, i);
        if (strcmp(json_string_value(json_object_get(kernel, "name")), layer) == 0 &&
            strcmp(json_string_value(json_object_get(kernel, "pass")), pass) == 0)
            sum = (sum < 0 ? 0 : sum) + json_number_value(json_object_get(kernel, "ms"));
    }
    return sum;
}
