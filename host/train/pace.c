#include "train/pace.h"

#include "base/error.h"
#include "base/log.h"
#include "train/split.h"

#include <stdio.h>
#include <stdlib.h>

/* A new division must save this share of an iteration: it has kernels compiled anew. To be talked
 * about, this share. */
#define WORTH_IT 0.05
#define WORTH_TELLING 0.1

/* Since the batch was last divided, or looked at. */
struct measured {
    int batches, samples;
    double seconds;
};

struct pace {
    int count, batch;
    int due; /* after so many batches */
    struct measured *measured;
    double *rates;
    int *better;
};

int pace_create(struct pace **out, int count, int batch, int first) {
    struct pace *pace = calloc(1, sizeof *pace);
    if (!pace)
        return error_no_memory("a team's pace", sizeof *pace);
    *pace = (struct pace){.count = count, .batch = batch, .due = first};
    pace->measured = calloc((size_t)count, sizeof *pace->measured);
    pace->rates = calloc((size_t)count, sizeof *pace->rates);
    pace->better = calloc((size_t)count, sizeof *pace->better);
    if (!pace->measured || !pace->rates || !pace->better) {
        pace_free(pace);
        return error_no_memory("a team's pace", (size_t)count * sizeof *pace->measured);
    }
    *out = pace;
    return 0;
}

void pace_free(struct pace *pace) {
    if (!pace)
        return;
    free(pace->measured);
    free(pace->rates);
    free(pace->better);
    free(pace);
}

int pace_count(struct pace *pace, int rank) {
    int batches = ++pace->measured[rank].batches;
    return batches > 1 && batches <= PACE_SOON;
}

void pace_note(struct pace *pace, int rank, int samples, double seconds) {
    pace->measured[rank].samples += samples;
    pace->measured[rank].seconds += seconds;
}

int pace_is_due(const struct pace *pace) {
    return pace->measured[0].batches >= pace->due;
}

/* Returns whether there is one of each. */
static int take_rates(struct pace *pace) {
    int are_known = 1;
    for (int i = 0; i < pace->count; i++) {
        struct measured *own = &pace->measured[i];
        int is_known = own->samples > 0 && own->seconds > 0;
        are_known &= is_known;
        pace->rates[i] = is_known ? own->samples / own->seconds : 0;
        *own = (struct measured){0};
    }
    return are_known;
}

double pace_take(struct pace *pace, const int *shares, const int **better) {
    *better = pace->better;
    if (!take_rates(pace))
        return 0;
    pace->due = PACE_LATER;
    split_by_rates(pace->better, pace->rates, pace->count, pace->batch);
    return 1 - split_seconds(pace->better, pace->rates, pace->count) /
                   split_seconds(shares, pace->rates, pace->count);
}

enum { SHARES_TEXT = 512 };

static const char *shares_text(char text[SHARES_TEXT], const int *shares, int count) {
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < count && used < SHARES_TEXT; i++)
        used += (size_t)snprintf(text + used, SHARES_TEXT - used, "%s%d", i ? "," : "", shares[i]);
    return text;
}

const int *pace_divide(struct pace *pace, const int *shares) {
    char text[SHARES_TEXT];
    const int *better;
    double saving = pace_take(pace, shares, &better);
    if (saving < WORTH_IT)
        return NULL;
    log_info("the batch is divided anew, by how fast the devices are: --split %s should save %.0f "
             "%% of the time",
             shares_text(text, better, pace->count), 100 * saving);
    return better;
}

void pace_advise(struct pace *pace, const int *shares) {
    char text[SHARES_TEXT];
    const int *better;
    double saving = pace_take(pace, shares, &better);
    if (saving >= WORTH_TELLING)
        log_info("the devices are not equally fast: --split %s would save about %.0f %% of the "
                 "time, and --split auto finds that by itself",
                 shares_text(text, better, pace->count), 100 * saving);
}
