/* Any bytes as a safetensors file. Of what is accepted every float is read, and the tensors must
 * tile the data in order. */
#include "base/error.h"
#include "data/safetensors.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct safetensors file;
    if (safetensors_parse(&file, "fuzz.safetensors", bytes, length) < 0) {
        if (error_message()[0] == '\0')
            abort();
        return 0;
    }
    uint64_t header_bytes;
    memcpy(&header_bytes, bytes, sizeof header_bytes);
    const uint8_t *data = bytes + sizeof header_bytes + header_bytes;
    for (int i = 0; i < file.count; i++) {
        const struct safetensor *tensor = &file.tensors[i];
        if (safetensors_find(&file, tensor->name) != tensor)
            abort();
        int64_t elements = 1;
        for (int d = 0; d < tensor->dimensions; d++)
            elements *= tensor->sizes[d];
        for (int64_t e = 0; e < elements; e++, data += sizeof(float)) {
            float value = tensor->values[e];
            if (memcmp(&value, data, sizeof value) != 0)
                abort();
        }
    }
    if (data != bytes + length)
        abort();
    safetensors_free(&file);
    return 0;
}
