/* What devices do together with buffers that each of them has: by way of the host's memory,
 * whatever their platforms.
 *
 * Each device has a thread of its own, and all call the same functions in the same order. Each
 * works on what is enqueued by then, blocks until all have met, and what is enqueued after it finds
 * the result. Results are the same bits on all devices, and every time.
 *
 * When one has given up (collective_abort) nobody waits any more, and results mean nothing; who
 * called is to learn of it elsewhere.
 */
#ifndef TRAIN_COLLECTIVE_H
#define TRAIN_COLLECTIVE_H

#include "cl/buffer.h"

struct collective;

/* The devices [count] must outlive it, and so must the buffers that they meet with. `copies`: see
 * window_create. Free with collective_free, when no thread is in it. */
int collective_create(struct collective **out, struct device *const *devices, int count,
                      int copies);

void collective_free(struct collective *collective);

/* The first floats of the buffers become their sum, taken in the order of the ranks. */
int collective_sum(struct collective *collective, int rank, struct buffer *buffer, size_t floats);

/* The buffers are [tiles][rows][tile], and each rank has written its rows: part_first. */
int collective_gather(struct collective *collective, int rank, struct buffer *buffer, int tiles,
                      int rows, int tile);

/* Shows the others what the buffer holds; NULL: nothing. They see that until the next time,
 * whatever becomes of the buffer; the next time waits until all have fetched what they wanted. */
int collective_show(struct collective *collective, int rank, struct buffer *buffer);

/* Begins to fetch what the root shows to a buffer of the same size, beside the kernels that are
 * enqueued from here on. Does not block, nor need the others call it. */
int collective_fetch(struct collective *collective, int rank, struct buffer *buffer, int root);

/* What is enqueued from here on finds there what was fetched last. */
int collective_await(struct collective *collective, int rank);

/* Shows in that row of a trace what the rank's thread does. */
void collective_trace(struct collective *collective, int rank, struct trace *trace, int row);

void collective_abort(struct collective *collective);

#endif
