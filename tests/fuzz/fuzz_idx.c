/* Any bytes, as an IDX file. What is accepted must be readable to its end. */
#include "data/idx.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct idx idx;
    if (idx_parse(&idx, "fuzz", bytes, length) == 0) {
        size_t count = 1;
        for (int i = 0; i < idx.dimensions; i++)
            count *= (size_t)idx.sizes[i];
        volatile uint8_t last = idx.elements[count - 1];
        (void)last;
    }
    idx_free(&idx);
    return 0;
}
