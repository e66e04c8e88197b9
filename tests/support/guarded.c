#include "support/guarded.h"

#include "support/device.h"
#include "support/suite.h"

#include <stdlib.h>
#include <string.h>

enum { GUARD_LEAST = 1024 }; /* bytes */

static const uint32_t nan_bits = 0x7fc00000;

/* A guard keeps the view aligned. */
static size_t guard_bytes(void) {
    size_t alignment = device_info(test_device())->alignment;
    return alignment > GUARD_LEAST ? alignment : GUARD_LEAST;
}

void guarded_poison(struct guarded *guarded) {
    float value;
    memcpy(&value, &nan_bits, sizeof value);
    if (guarded->whole)
        ck_succeeds(buffer_fill(guarded->whole, value));
}

void guarded_create(struct guarded *guarded, size_t bytes, const char *what) {
    size_t guard = guard_bytes(), padded = (bytes + 3) / 4 * 4;
    *guarded = (struct guarded){.bytes = bytes};
    if (bytes == 0)
        return;
    ck_succeeds(buffer_create(&guarded->whole, test_device(), guard + padded + guard, what));
    ck_succeeds(buffer_view(&guarded->view, guarded->whole, guard, bytes));
    guarded_poison(guarded);
}

void guarded_free(struct guarded *guarded) {
    buffer_free(guarded->view);
    buffer_free(guarded->whole);
}

void guarded_write(struct guarded *guarded, const void *data) {
    ck_succeeds(buffer_write(guarded->view, 0, guarded->bytes, data));
}

void guarded_read(const struct guarded *guarded, void *data) {
    ck_succeeds(buffer_read(guarded->view, 0, guarded->bytes, data));
}

void guarded_check(const struct guarded *guarded, const char *what) {
    if (!guarded->whole)
        return;
    size_t guard = guard_bytes(), size = buffer_bytes(guarded->whole);
    unsigned char pattern[sizeof nan_bits];
    unsigned char *bytes = malloc(size);
    ck_assert_ptr_nonnull(bytes);
    memcpy(pattern, &nan_bits, sizeof pattern);
    ck_succeeds(buffer_read(guarded->whole, 0, size, bytes));
    for (size_t i = 0; i < size; i++) {
        int is_inside = i >= guard && i < guard + guarded->bytes;
        if (!is_inside && bytes[i] != pattern[i % sizeof pattern])
            ck_abort_msg("%s: byte %ld was written, where there are %zu", what,
                         (long)i - (long)guard, guarded->bytes);
    }
    free(bytes);
}
