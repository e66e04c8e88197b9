#include "train/split.h"

#include "base/error.h"
#include "base/options.h"
#include "base/shape.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int split_even(int *shares, int count, int batch) {
    if (count > batch)
        return error_set(ERROR_INPUT, "%d devices cannot share a batch of %d", count, batch);
    for (int i = 0; i < count; i++)
        shares[i] = batch / count + (i < batch % count);
    return 0;
}

int split_parse(int *shares, int count, int batch, const char *text) {
    int64_t sum = 0;
    int i = 0;
    for (const char *at = text; at; i++) {
        char item[16];
        size_t length = strcspn(at, ",");
        const char *next = at[length] == ',' ? at + length + 1 : NULL;
        if (i == count)
            return error_set(ERROR_INPUT, "'%s': more shares than devices, of which there are %d",
                             text, count);
        if (length >= sizeof item)
            return error_set(ERROR_INPUT, "'%s': share %d is not a number", text, i + 1);
        memcpy(item, at, length);
        item[length] = '\0';
        int rc = parse_int(item, &shares[i]);
        if (rc < 0)
            return error_prefix(rc, "share %d: ", i + 1);
        if (shares[i] < 1)
            return error_set(ERROR_INPUT, "'%s': share %d must be at least 1", text, i + 1);
        sum += shares[i];
        at = next;
    }
    if (i < count)
        return error_set(ERROR_INPUT, "'%s': %d share%s for %d devices", text, i, i == 1 ? "" : "s",
                         count);
    if (sum != batch)
        return error_set(ERROR_INPUT, "'%s': the shares add up to %lld, and the batch is %d", text,
                         (long long)sum, batch);
    return 0;
}

/* The greatest tile of which each device may have a few, so that the shares can be told apart. */
static int unit_for(int count, int batch) {
    int unit = TILE_MAX;
    while (unit > 1 && (batch % unit != 0 || batch / unit < 4 * count))
        unit /= 2;
    return unit;
}

double split_seconds(const int *shares, const double *rates, int count) {
    double most = 0;
    for (int i = 0; i < count; i++)
        most = fmax(most, shares[i] / rates[i]);
    return most;
}

/* The best of all: units are dealt out one by one, each to the device that would be done with it
 * first. */
void split_by_rates(int *shares, const double *rates, int count, int batch) {
    int unit = unit_for(count, batch);
    for (int i = 0; i < count; i++)
        shares[i] = unit;
    for (int left = batch - count * unit; left > 0; left -= unit) {
        int first = 0;
        for (int i = 1; i < count; i++) {
            if ((shares[i] + unit) / rates[i] < (shares[first] + unit) / rates[first])
                first = i;
        }
        shares[first] += left < unit ? left : unit;
    }
}

int split_first(const int *shares, int count, int samples, int rank) {
    int64_t before = 0, batch = 0;
    for (int i = 0; i < count; i++) {
        before += i < rank ? shares[i] : 0;
        batch += shares[i];
    }
    assert(batch > 0);
    return (int)(before * samples / batch);
}
