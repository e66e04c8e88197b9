#include "train/checkpoint.h"

#include "base/error.h"
#include "base/options.h"
#include "net/weights.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_LENGTH = 40 };

/* The state's fields, each with its key: one list for writing and reading. */
enum kind { KIND_COUNT, KIND_INT, KIND_REAL, KIND_HASH };

struct field {
    const char *key;
    enum kind kind;
    size_t offset;
};

#define FIELD(name) offsetof(struct trainer_state, name)

static const struct field fields[] = {
    {"iteration", KIND_COUNT, FIELD(iteration)},
    {"data.fingerprint", KIND_HASH, FIELD(fingerprint)},
    {"epoch.loss", KIND_REAL, FIELD(epoch_loss)},
    {"epoch.samples", KIND_COUNT, FIELD(epoch_samples)},
    {"plateau.rate", KIND_REAL, FIELD(plateau.rate)},
    {"plateau.best", KIND_REAL, FIELD(plateau.best)},
    {"plateau.stale", KIND_INT, FIELD(plateau.stale)},
    {"plateau.has_best", KIND_INT, FIELD(plateau.has_best)},
    {"evaluation.is_there", KIND_INT, FIELD(has_evaluation)},
    {"evaluation.loss", KIND_REAL, FIELD(evaluation.loss)},
    {"evaluation.has_errors", KIND_INT, FIELD(evaluation.has_errors)},
    {"evaluation.top1_error", KIND_REAL, FIELD(evaluation.top1_error)},
    {"evaluation.top5_error", KIND_REAL, FIELD(evaluation.top5_error)},
    {"evaluation.samples", KIND_COUNT, FIELD(evaluation.samples)},
    {"best.epoch", KIND_COUNT, FIELD(best_epoch)},
    {"best.iteration", KIND_COUNT, FIELD(best_iteration)},
    {"best.error", KIND_REAL, FIELD(best_error)},
};

enum { FIELDS = sizeof fields / sizeof *fields };

static void print_field(char value[VALUE_LENGTH], const struct trainer_state *state,
                        const struct field *field) {
    const char *at = (const char *)state + field->offset;
    if (field->kind == KIND_COUNT)
        (void)snprintf(value, VALUE_LENGTH, "%" PRId64, *(const int64_t *)(const void *)at);
    else if (field->kind == KIND_INT)
        (void)snprintf(value, VALUE_LENGTH, "%d", *(const int *)(const void *)at);
    else if (field->kind == KIND_HASH)
        (void)snprintf(value, VALUE_LENGTH, "%016" PRIx64, *(const uint64_t *)(const void *)at);
    else
        (void)snprintf(value, VALUE_LENGTH, "%a", *(const double *)(const void *)at);
}

/* Returns whether the text is such a number. */
static int parse_field(struct trainer_state *state, const struct field *field, const char *text) {
    char *at = (char *)state + field->offset, *end;
    errno = 0;
    if (field->kind == KIND_REAL) {
        double value = strtod(text, &end);
        *(double *)(void *)at = value;
        return end != text && *end == '\0' && isfinite(value);
    }
    if (field->kind == KIND_HASH) {
        *(uint64_t *)(void *)at = strtoull(text, &end, 16);
        return end != text && *end == '\0' && errno == 0;
    }
    long long value = strtoll(text, &end, 10);
    int fits = end != text && *end == '\0' && errno == 0 && value >= 0;
    if (field->kind == KIND_INT) {
        *(int *)(void *)at = (int)value;
        return fits && value <= INT32_MAX;
    }
    *(int64_t *)(void *)at = value;
    return fits;
}

int checkpoint_write(const char *path, struct replica *replica, const struct trainer_state *state,
                     const struct classes *classes) {
    char values[FIELDS][VALUE_LENGTH], seed[VALUE_LENGTH];
    const char *metadata[FIELDS + 1][2];
    for (int i = 0; i < FIELDS; i++) {
        print_field(values[i], state, &fields[i]);
        metadata[i][0] = fields[i].key;
        metadata[i][1] = values[i];
    }
    (void)snprintf(seed, sizeof seed, "%d", replica_net(replica)->options.seed);
    metadata[FIELDS][0] = "seed";
    metadata[FIELDS][1] = seed;
    return weights_write(path, replica, classes, 1, metadata, FIELDS + 1);
}

static int read_state(struct trainer_state *state, const struct safetensors *file,
                      const struct net *net) {
    for (int i = 0; i < FIELDS; i++) {
        const char *text = safetensors_metadata(file, fields[i].key);
        if (!text && fields[i].kind == KIND_HASH)
            continue; /* not known */
        if (!text)
            return error_set(ERROR_INPUT, "not a checkpoint: it lacks '%s'", fields[i].key);
        if (!parse_field(state, &fields[i], text))
            return error_set(ERROR_INPUT, "%s: '%.50s' is no such number", fields[i].key, text);
    }
    const char *seed = safetensors_metadata(file, "seed");
    int value;
    if (!seed || parse_int(seed, &value) < 0 || value != net->options.seed)
        return error_set(ERROR_INPUT, "its seed is %.20s; the net's is %d", seed ? seed : "missing",
                         net->options.seed);
    return 0;
}

int checkpoint_read(const char *path, struct replica *replica, struct trainer_state *state) {
    struct safetensors file;
    struct trainer_state read = {0};
    TRY(safetensors_read(&file, path));
    int rc = read_state(&read, &file, replica_net(replica));
    if (rc < 0)
        rc = error_prefix(rc, "%s: ", path);
    else
        rc = weights_take(&file, path, replica, NULL, 1);
    safetensors_free(&file);
    if (rc == 0)
        *state = read;
    return rc;
}
