/* Any bytes, as a CSV file. What is accepted must be finite numbers, as many as announced. */
#include "data/csv.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct csv csv;
    if (csv_parse(&csv, "fuzz", (const char *)bytes, length) == 0) {
        for (long i = 0; i < csv.rows * csv.columns; i++) {
            if (!isfinite(csv.values[i]))
                abort();
        }
    }
    csv_free(&csv);
    return 0;
}
