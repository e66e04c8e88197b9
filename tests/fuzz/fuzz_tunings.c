/* Any bytes, as a file of tunings. What is accepted is read back as it is written. */
#include "base/error.h"
#include "cl/tuning_file.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static char *write_file(const struct tuning_file *file, size_t *length) {
    char *text = NULL;
    FILE *out = open_memstream(&text, length);
    if (!out)
        abort();
    tuning_file_begin(out);
    for (int i = 0; i < file->count; i++)
        tuning_row_write(out, &file->rows[i]);
    if (fclose(out) != 0)
        abort();
    return text;
}

static void read_back(struct tuning_file *file, const char *text, size_t length) {
    if (tuning_file_parse(file, "written", text, length) < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    struct tuning_file file, again;
    if (tuning_file_parse(&file, "fuzz.tsv", (const char *)bytes, length) < 0) {
        if (error_message()[0] == '\0')
            abort();
        tuning_file_free(&file);
        return 0;
    }
    size_t first_length, second_length;
    char *first = write_file(&file, &first_length);
    read_back(&again, first, first_length);
    char *second = write_file(&again, &second_length);
    if (again.count != file.count || first_length != second_length ||
        memcmp(first, second, first_length) != 0)
        abort();
    free(first);
    free(second);
    tuning_file_free(&file);
    tuning_file_free(&again);
    return 0;
}
