/* A buffer as the host sees it now and then, for what devices exchange by way of the host.
 *
 * A device that works in the host's memory has the buffer mapped; from another one it is copied to
 * pinned memory and back. Either way goes through a queue of its own, beside the kernels and beside
 * the other way: open when the device has written the buffer, work on it on the host, close.
 */
#ifndef CL_WINDOW_H
#define CL_WINDOW_H

#include "cl/buffer.h"

struct window;

/* Of the whole of a buffer, or of a view, which must outlive it. `copies`: copy even where mapping
 * would do, for tests and measurements. Free with window_free, which closes it. */
int window_create(struct window **out, struct buffer *buffer, int copies);

void window_free(struct window *window);

/* Enqueues making the content visible after what `after` marks; no kernel may touch the buffer from
 * there until it is closed. */
int window_open(struct window *window, const struct mark *after);

/* Waits until it is, and gives the content, to read and to write until the window is closed. */
int window_wait(struct window *window, void **content);

/* Enqueues giving it back as the host has left it; *closed then marks the end of that. */
int window_close(struct window *window, struct mark *closed);

/* Closes one that copies without giving anything back: the device may have gone on with the buffer
 * meanwhile. The content stays as it is until the next opening. */
void window_leave(struct window *window);

#endif
