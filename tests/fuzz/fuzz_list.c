/* Any bytes, as a list of labelled pictures. What is accepted must be two words or more a row. */
#include "data/list.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct list list;
    if (list_parse(&list, "fuzz", (const char *)bytes, length) == 0) {
        for (long i = 0; i < list.count; i++) {
            if (strlen(list.rows[i].path) == 0 || strlen(list.rows[i].label) == 0 ||
                strlen(list.rows[i].path) + strlen(list.rows[i].label) >= length)
                abort();
        }
    }
    list_free(&list);
    return 0;
}
