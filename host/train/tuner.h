/* Finds what is fastest on a device, for each pass of each layer that leaves something open
 * (cl/tuning.h), by trying.
 *
 * From what was known before, one knob after the other is turned, up and down as long as that pays:
 * coordinate descent. Then the other ways to compute the pass are tuned in the same manner, if they
 * come near. A candidate runs in turn with the best so far, on data that were swept out of
 * the caches, so that neither the drift of a shared machine nor a warm cache decides. It must be
 * faster by more than noise, and then right, by plain C in double precision; one that is wrong goes
 * into the list of kernels that are never used (layers/trust.h). What won in the end is held
 * against what was known before once more: many small steps by noise make none. Equal layers share
 * what is found.
 */
#ifndef TRAIN_TUNER_H
#define TRAIN_TUNER_H

#include "net/net.h"

/* What was found of a pass. */
struct tuner_finding {
    const struct layer *layer; /* the first one that has it */
    const char *pass;
    int layers;               /* that have the same */
    int tried, cannot, wrong; /* candidates: timed; dropped since they cannot run, or are wrong */
    struct tuning tuning;
};

struct tuner_options {
    enum technique technique;
    int micro_batch;    /* 0: the net's */
    int is_full;        /* every value of every knob until none helps; else neighbours */
    enum origin enough; /* passes whose tunings come from there, or better, are left; 0: none. With
                           it, those for which no time is left count as tuned, as they are. */
    double seconds;     /* in which to be done; 0: no limit */
    void (*found)(void *context, const struct tuner_finding *finding);
    int (*is_stopped)(void *context); /* asked before each candidate; NULL: never */
    void *context;
    /* For tests: what is read back of a result, and the seconds of a candidate ("BLOCK=1 ..."). */
    void (*disturb)(void *context, enum layer_result result, float *values, int64_t count);
    double (*clock)(void *context, const char *values, double seconds);
};

/* Tunes a net's training on a device opened for profiling, and keeps what it finds as it finds it.
 * Returns how many passes were tuned. What cannot run is no error. */
int tuner_run(const struct net *net, struct device *device, const struct tuner_options *options);

#endif
