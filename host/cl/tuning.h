/* What kernels leave open, and what was found to be best.
 *
 * There are several ways to compute a pass, each a file of kernels. A kernel's TUNE_* macros may
 * change its speed and the order in which it rounds, nothing else. The file that specifies a way
 * declares them: a space is a table of knobs with the values that are worth trying, and of rules
 * that say which of them a device can run. It comes with values by default; a table of tunings,
 * which hangs off the target, may know a better way and better values for that problem.
 *
 * A tuning is text, so that it can be stored, read and shared: "conv_vector.cl BLOCK=12 VECTORS=2".
 * What a table says is believed only where it names all knobs and breaks no rule.
 */
#ifndef CL_TUNING_H
#define CL_TUNING_H

#include "cl/kernel.h"
#include "cl/target.h"

#include <stdint.h>

enum { KNOBS_MAX = 9, KNOB_CHOICES_MAX = 14, TUNING_NAME = 64, TUNING_PROBLEM = 256 };

/* Values worth trying, ascending; those beyond the last one are 0. */
struct knob {
    const char *macro; /* "TUNE_BLOCK" */
    const char *meaning;
    int choices[KNOB_CHOICES_MAX];
};

/* Values for the knobs of a space, as its rules see them. */
struct candidate {
    const struct target *target;
    const void *problem; /* what the space is of: struct conv, struct gemm */
    const int *values;
};

/* What a candidate must fulfil to run at all, and why it does not. */
struct rule {
    int (*holds)(const struct candidate *candidate);
    const char *broken;
};

/* What a way to compute a pass leaves open. */
struct space {
    const char *file; /* "conv_vector.cl" */
    const struct knob *knobs;
    int knob_count;
    const struct rule *rules; /* the last one has no function */
};

/* Where values come from. */
enum origin { ORIGIN_DEFAULT, ORIGIN_SHIPPED, ORIGIN_IMPORTED, ORIGIN_QUICK, ORIGIN_FULL };

/* "default", "shipped", ..., NULL-terminated. */
extern const char *const origin_names[];

/* A way to compute a pass of a layer, what was chosen for it, and why. */
struct choice {
    const char *operation; /* "conv" */
    const char *pass;      /* as kernel_work names it: the kernels that this is for */
    const struct space *space;
    int is_taken;                 /* this way, of those there are for the pass */
    char problem[TUNING_PROBLEM]; /* "T=32 TILES=4 C=3 ..." */
    int defaults[KNOBS_MAX];
    int most[KNOBS_MAX]; /* values beyond these do no more, for this problem; 0: no such limit */
    int values[KNOBS_MAX];
    enum origin origin;
    const char *refused; /* why what the table says is not taken, or NULL */
};

/* A row of a table of tunings. */
struct tuning {
    char kernel[TUNING_NAME]; /* operation and pass: "conv forward" */
    char problem[TUNING_PROBLEM];
    char values[TUNING_PROBLEM]; /* "conv_vector.cl BLOCK=12 ..." */
    uint64_t source; /* kernel_text_hash of the file when it was tuned; 0: whatever it is */
    double seconds, seconds_before; /* of a pass, with these values and with those that the search
                                       began with; 0: unknown */
    enum origin origin;
};

struct tunings;

/* A new, empty table; NULL: there is no memory. Free with tunings_free. */
struct tunings *tunings_create(void);
void tunings_free(struct tunings *tunings);

/* Empties it. */
void tunings_clear(struct tunings *tunings);

/* The hash of the text that a tuning's file has now; 0: there is no such file. */
uint64_t tuning_text_hash(const struct tuning *tuning);

/* Whether a tuning is of that text; of another one it says nothing. */
int tuning_is_current(const struct tuning *tuning);

/* Adds a row, in place of what the table has for its kernel and problem. One that is not current is
 * left out. */
int tunings_set(struct tunings *tunings, const struct tuning *tuning);

int tunings_count(const struct tunings *tunings);
const struct tuning *tunings_at(const struct tunings *tunings, int i);

/* The row for a kernel and problem, or for a choice's; NULL: none. */
const struct tuning *tunings_about(const struct tunings *tunings, const char *kernel,
                                   const char *problem);
const struct tuning *tunings_find(const struct tunings *tunings, const struct choice *choice);

/* Chooses one of `count` > 0 ways to compute a pass, of which the operation, pass, space, defaults
 * and most are given: the one that the target's tunings name, else the first. The problem is what
 * the spaces' rules see; `spec` has the macros of the problem and no others. Returns it, marked as
 * taken. */
const struct choice *tuning_choose(struct choice *ways, int count, const struct target *target,
                                   const void *problem, const struct kernel_spec *spec);

/* Why a device cannot run a candidate, or NULL. */
const char *tuning_refuse(const struct space *space, const struct candidate *candidate);

/* Of a knob, by its index, the next value worth trying above `value` (step 1) or below it (step
 * -1); 0: there is none. */
int choice_step(const struct choice *choice, int knob, int value, int step);

/* Defines the knobs' macros. */
void tuning_define(struct kernel_spec *spec, const struct space *space, const int values[]);

/* The row that says this way and `values` for a choice's kernel, problem and text as it is now. */
struct tuning tuning_of(const struct choice *choice, const int values[KNOBS_MAX],
                        enum origin origin);

#endif
