/* Any bytes, as what `clnet bench --json` printed. Of what is accepted every pass has a time. */
#include "base/error.h"
#include "train/benchmark_results.h"

#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    json_t *results;
    if (benchmark_results_parse(&results, "fuzz.json", (const char *)bytes, length) < 0) {
        if (error_message()[0] == '\0')
            abort();
        return 0;
    }
    for (size_t i = 0; i < json_array_size(results); i++) {
        const json_t *result = json_array_get(results, i);
        const json_t *first = json_array_get(json_object_get(result, "layers"), 0);
        if (first && benchmark_results_ms(result, json_string_value(json_object_get(first, "name")),
                                          json_string_value(json_object_get(first, "pass"))) < 0)
            abort();
    }
    json_decref(results);
    return 0;
}
