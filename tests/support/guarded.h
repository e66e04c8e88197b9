/* Buffers that show what a kernel does to them: a view between two guards, all of it NaN until
 * written. What a kernel reads without having written it, or beside the view, spoils its result;
 * what it writes beside the view is found. */
#ifndef SUPPORT_GUARDED_H
#define SUPPORT_GUARDED_H

#include "cl/buffer.h"

struct guarded {
    struct buffer *whole, *view; /* NULL: a buffer of no bytes */
    size_t bytes;                /* of the view */
};

/* On the test device. `what` names it in messages. */
void guarded_create(struct guarded *guarded, size_t bytes, const char *what);
void guarded_free(struct guarded *guarded);

/* Makes all of it NaN. */
void guarded_poison(struct guarded *guarded);

/* The whole of the view, from and to the host. */
void guarded_write(struct guarded *guarded, const void *data);
void guarded_read(const struct guarded *guarded, void *data);

/* Asserts that the guards are as they were. */
void guarded_check(const struct guarded *guarded, const char *what);

#endif
