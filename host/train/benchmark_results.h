/* What `clnet bench --json` printed, read back: perhaps on another machine, by another release. */
#ifndef TRAIN_BENCHMARK_RESULTS_H
#define TRAIN_BENCHMARK_RESULTS_H

#include <stddef.h>

struct json_t;

enum {
    BENCHMARK_DEVICES_MAX = 16,
    BENCHMARK_KERNELS_MAX = 1024, /* of a device */
    BENCHMARK_TEXT_MAX = 120,     /* bytes of a text */
};

/* Parses such text, whatever its bytes: an array with an object for each device. What is accepted
 * has the keys that the table in the .c file requires; its numbers are finite and not negative, its
 * texts short and without control characters. ERROR_INPUT names the path, the place, and what was
 * expected. Drop *results with json_decref. */
int benchmark_results_parse(struct json_t **results, const char *path, const char *text,
                            size_t length);

/* Milliseconds of a layer's pass in one device's object, over all its kernels; negative where it
 * has none. */
double benchmark_results_ms(const struct json_t *result, const char *layer, const char *pass);

#endif
