/* How fast the devices of a team are, and what division of the batch follows.
 *
 * A rank's parts of whole batches are counted, each by its rank's own thread; all else is for one
 * thread, while none of those is at work.
 */
#ifndef TRAIN_PACE_H
#define TRAIN_PACE_H

struct pace;

/* Batches after which a new division is due, for the first time and later. */
enum { PACE_SOON = 5, PACE_LATER = 50 };

/* For so many ranks that share a batch; `first`: PACE_SOON, or PACE_LATER. Free with pace_free. */
int pace_create(struct pace **out, int count, int batch, int first);

void pace_free(struct pace *pace);

/* Counts a part. Returns whether it is to be timed, and pace_note told: in the first batches after
 * a division, but the very first, which has the driver compile. */
int pace_count(struct pace *pace, int rank);

/* What a part of so many samples took its device by itself. */
void pace_note(struct pace *pace, int rank, int samples, double seconds);

int pace_is_due(const struct pace *pace);

/* The share of an iteration's time that *better, which the pace keeps, saves over these shares, by
 * what was noted since the last time; begins anew. 0: of some rank nothing is known. */
double pace_take(struct pace *pace, const int *shares, const int **better);

/* The better shares, and a line in the log, if they are worth a new division; else NULL. */
const int *pace_divide(struct pace *pace, const int *shares);

/* Tells someone who divides the batch otherwise how to do better, if that is worth telling. */
void pace_advise(struct pace *pace, const int *shares);

#endif
