/* Memory on a device. */
#ifndef CL_BUFFER_H
#define CL_BUFFER_H

#include "cl/device.h"

struct buffer;

/* A new buffer; `what` it is for names it in messages. More than the device holds, or than it
 * allows in one piece, is ERROR_DEVICE, which says how much was needed and what would help. Its
 * content is undefined. Free with buffer_free. */
int buffer_create(struct buffer **out, struct device *device, size_t bytes, const char *what);

/* A part of a buffer that is no view itself, from `offset`, a multiple of the device's alignment;
 * others are ERROR_DEVICE. It shares the memory, must be freed on its own, and may outlive the
 * handle of its parent. What the driver holds for it goes with the parent and all of its views. */
int buffer_view(struct buffer **out, struct buffer *parent, size_t offset, size_t bytes);

void buffer_free(struct buffer *buffer);

size_t buffer_bytes(const struct buffer *buffer);

/* Copies to and from the host; they wait for what was enqueued before, and for the copy. */
int buffer_write(struct buffer *buffer, size_t offset, size_t bytes, const void *data);
int buffer_read(struct buffer *buffer, size_t offset, size_t bytes, void *data);

/* Enqueues a copy from the host as a transfer, which begins after what `after` marks (NULL: at
 * once) and which *sent, unless NULL, then marks the end of. Transfers run one after another,
 * beside the kernels; the data must stay as they are until they were sent. */
int buffer_transfer(struct buffer *buffer, size_t bytes, const void *data, const struct mark *after,
                    struct mark *sent);

/* Enqueues a copy of the first bytes to the host, among the kernels: it begins when what was
 * enqueued before is done, and *done then marks its end. `data` is not to be touched until then. */
int buffer_read_later(struct buffer *buffer, size_t bytes, void *data, struct mark *done);

/* Enqueues a copy of the whole of one buffer to another of the same size. */
int buffer_copy(struct buffer *to, const struct buffer *from);

/* Copies between devices that share a context, beside the kernels of both. Each begins after what
 * `after` marks. A device fetches among its transfers, and sends through the queue of what comes
 * from it; *sent, unless NULL, then marks the end of what it has sent so far. */
int buffer_fetch(struct buffer *to, size_t to_offset, const struct buffer *from, size_t from_offset,
                 size_t bytes, const struct mark *after);
int buffer_send(const struct buffer *from, struct buffer *to, size_t offset, size_t bytes,
                const struct mark *after, struct mark *sent);

/* Enqueues filling the whole buffer with one float. */
int buffer_fill(struct buffer *buffer, float value);

#endif
