#include "data/statistics.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"
#include "data/loader.h"
#include "data/safetensors.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
    CHANNELS = 3,
    BATCH = 32,      /* pictures that the loader hands over at a time */
    FILE_FORMAT = 1, /* to be raised when what a cached file means changes */
};

/* Sums over all pictures, whole numbers: 2^64 is enough for 10^9 pictures of 512 x 512. */
struct sums {
    int64_t pictures;
    uint64_t *pixels;                      /* [H][W][C] */
    uint64_t products[CHANNELS][CHANNELS]; /* of colours; of which only column <= row */
};

static void add_frame(struct sums *sums, const uint8_t *frame, struct shape shape) {
    int64_t elements = shape_elements(shape);
    for (int64_t i = 0; i < elements; i++)
        sums->pixels[i] += frame[i];
    sums->pictures++;
    if (shape.c != CHANNELS)
        return;
    for (int64_t i = 0; i < elements; i += CHANNELS) {
        for (int a = 0; a < CHANNELS; a++) {
            for (int b = 0; b <= a; b++)
                sums->products[a][b] += (uint64_t)frame[i + a] * frame[i + b];
        }
    }
}

static int sum_pictures(struct sums *sums, const struct dataset *set, int64_t most, int threads) {
    struct loader_options options = {
        .batch = BATCH, .limit = (most + BATCH - 1) / BATCH, .most = most, .threads = threads};
    struct loader *loader;
    TRY(loader_create(&loader, set, &options));
    struct progress progress = progress_start("mean of the pictures");
    const struct batch *batch;
    int rc;
    while ((rc = loader_next(loader, &batch)) > 0) {
        for (int i = 0; i < batch->count; i++)
            add_frame(sums, batch->bytes + i * shape_elements(set->frame), set->frame);
        progress_show(&progress, "%" PRId64 " of %" PRId64, sums->pictures, most);
    }
    progress_end(&progress);
    loader_free(loader);
    return rc;
}

/* One rotation of Jacobi's method: makes matrix[p][q] zero. */
static void rotate(double matrix[CHANNELS][CHANNELS], double axes[CHANNELS][CHANNELS], int p,
                   int q) {
    if (matrix[p][q] == 0)
        return;
    double theta = (matrix[q][q] - matrix[p][p]) / (2 * matrix[p][q]);
    double t = copysign(1, theta) / (fabs(theta) + hypot(theta, 1));
    double c = 1 / hypot(t, 1), s = t * c;
    for (int i = 0; i < CHANNELS; i++) { /* columns */
        double left = matrix[i][p], right = matrix[i][q];
        matrix[i][p] = c * left - s * right;
        matrix[i][q] = s * left + c * right;
        left = axes[i][p], right = axes[i][q];
        axes[i][p] = c * left - s * right;
        axes[i][q] = s * left + c * right;
    }
    for (int i = 0; i < CHANNELS; i++) { /* rows */
        double upper = matrix[p][i], lower = matrix[q][i];
        matrix[p][i] = c * upper - s * lower;
        matrix[q][i] = s * upper + c * lower;
    }
    matrix[p][q] = matrix[q][p] = 0;
}

/* Either sign of an axis is as good: the one whose greatest element is positive. */
static double axis_sign(double axes[CHANNELS][CHANNELS], int component) {
    double greatest = 0;
    for (int i = 0; i < CHANNELS; i++) {
        if (fabs(axes[i][component]) > fabs(greatest))
            greatest = axes[i][component];
    }
    return greatest < 0 ? -1 : 1;
}

/* Eigenvectors and eigenvalues of a symmetric matrix, which is used up, by Jacobi's method; the
 * greatest first. */
static void find_components(struct colour_components *out, double matrix[CHANNELS][CHANNELS]) {
    enum { SWEEPS = 20 }; /* it converges quadratically: 6 are enough for any matrix of 3 x 3 */
    double axes[CHANNELS][CHANNELS] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        rotate(matrix, axes, 0, 1);
        rotate(matrix, axes, 0, 2);
        rotate(matrix, axes, 1, 2);
    }
    int taken[CHANNELS] = {0};
    for (int component = 0; component < CHANNELS; component++) {
        int best = -1;
        for (int i = 0; i < CHANNELS; i++) {
            if (!taken[i] && (best < 0 || matrix[i][i] > matrix[best][best]))
                best = i;
        }
        taken[best] = 1;
        out->deviations[component] = sqrt(fmax(matrix[best][best], 0));
        double sign = axis_sign(axes, best);
        for (int i = 0; i < CHANNELS; i++)
            out->axes[i][component] = sign * axes[i][best];
    }
}

/* What a cached file holds. */
struct numbers {
    float pictures, mean[CHANNELS], axes[CHANNELS * CHANNELS], deviations[CHANNELS];
};

/* The numbers go through floats also on the way that does not lead through a file, so that they are
 * the same whether they were found there or not. */
static void unpack(struct statistics *out, const struct numbers *numbers) {
    out->pictures = (int64_t)numbers->pictures;
    for (int i = 0; i < CHANNELS; i++) {
        out->channel_mean[i] = numbers->mean[i];
        out->colours.deviations[i] = numbers->deviations[i];
        for (int j = 0; j < CHANNELS; j++)
            out->colours.axes[i][j] = numbers->axes[i * CHANNELS + j];
    }
}

static void find_numbers(struct numbers *out, const struct sums *sums, struct shape shape) {
    uint64_t totals[CHANNELS] = {0};
    int64_t area = (int64_t)shape.h * shape.w;
    for (int64_t i = 0; i < area; i++) {
        for (int c = 0; c < shape.c && c < CHANNELS; c++)
            totals[c] += sums->pixels[i * shape.c + c];
    }
    *out = (struct numbers){.pictures = (float)sums->pictures};
    double count = (double)sums->pictures * (double)area;
    double mean[CHANNELS];
    for (int c = 0; c < CHANNELS; c++) {
        mean[c] = (double)totals[c] / count;
        out->mean[c] = (float)mean[c];
    }
    if (shape.c != CHANNELS)
        return;
    double covariance[CHANNELS][CHANNELS];
    for (int a = 0; a < CHANNELS; a++) {
        for (int b = 0; b <= a; b++)
            covariance[a][b] = covariance[b][a] =
                (double)sums->products[a][b] / count - mean[a] * mean[b];
    }
    struct colour_components colours;
    find_components(&colours, covariance);
    for (int i = 0; i < CHANNELS; i++) {
        out->deviations[i] = (float)colours.deviations[i];
        for (int j = 0; j < CHANNELS; j++)
            out->axes[i * CHANNELS + j] = (float)colours.axes[i][j];
    }
}

static int compute(struct statistics *out, struct numbers *numbers, const struct dataset *set,
                   int64_t most, int threads) {
    int64_t elements = shape_elements(set->frame);
    struct sums sums = {.pixels = calloc((size_t)elements, sizeof *sums.pixels)};
    if (!sums.pixels)
        return error_no_memory("the mean of the pictures", (size_t)elements * sizeof *sums.pixels);
    int rc = sum_pictures(&sums, set, most, threads);
    if (rc == 0 && sums.pictures == 0)
        rc = error_set(ERROR_INPUT, "data.mean: not one picture can be decoded");
    if (rc == 0) {
        int channels = set->frame.c;
        int64_t area = elements / channels;
        for (int64_t i = 0; i < elements; i++)
            out->pixel_mean[i % channels * area + i / channels] =
                (float)((double)sums.pixels[i] / (double)sums.pictures);
        find_numbers(numbers, &sums, set->frame);
    }
    free(sums.pixels);
    return rc;
}

/* The file's name says what the numbers depend on. */
static int cache_path(char **path, const struct dataset *set, int64_t most) {
    struct shape frame = set->frame;
    const uint64_t key[] = {FILE_FORMAT,       set->fingerprint,  (uint64_t)frame.c,
                            (uint64_t)frame.h, (uint64_t)frame.w, (uint64_t)most};
    char name[48];
    (void)snprintf(name, sizeof name, "statistics/%016" PRIx64 ".safetensors",
                   (uint64_t)XXH64(key, sizeof key, 0));
    return file_cache_path(path, name);
}

enum { TENSORS = 5 };

/* The tensors of a cached file: the places for reading are those for writing. */
static void list_tensors(struct safetensor tensors[TENSORS], const struct statistics *statistics,
                         const struct numbers *numbers) {
    struct shape frame = statistics->frame;
    const struct safetensor list[TENSORS] = {
        {"mean_pixel", 3, {frame.c, frame.h, frame.w}, statistics->pixel_mean},
        {"mean_channel", 1, {CHANNELS}, numbers->mean},
        {"axes", 2, {CHANNELS, CHANNELS}, numbers->axes},
        {"deviations", 1, {CHANNELS}, numbers->deviations},
        {"pictures", 1, {1}, &numbers->pictures},
    };
    memcpy(tensors, list, sizeof list);
}

/* Copies a tensor of the expected sizes and of finite values. Returns 1 if it is so. */
static int take_tensor(float *to, const struct safetensor *found,
                       const struct safetensor *expected) {
    if (!found || found->dimensions != expected->dimensions)
        return 0;
    int64_t count = 1;
    for (int i = 0; i < expected->dimensions; i++) {
        if (found->sizes[i] != expected->sizes[i])
            return 0;
        count *= expected->sizes[i];
    }
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(found->values[i]))
            return 0;
        to[i] = found->values[i];
    }
    return 1;
}

/* Returns 1 if the file is there and good; anything else is as if it were not there. */
static int read_cached(struct statistics *out, struct numbers *numbers, const char *path) {
    struct safetensors file;
    if (safetensors_read(&file, path) < 0)
        return 0;
    struct safetensor expected[TENSORS];
    list_tensors(expected, out, numbers);
    float *const to[TENSORS] = {out->pixel_mean, numbers->mean, numbers->axes, numbers->deviations,
                                &numbers->pictures};
    int good = 1;
    for (int i = 0; good && i < TENSORS; i++)
        good = take_tensor(to[i], safetensors_find(&file, expected[i].name), &expected[i]);
    safetensors_free(&file);
    return good && numbers->pictures >= 1;
}

/* To compute them again next time costs time only, so a failure is no more than a warning. */
static void warn_not_kept(void) {
    log_warning("the mean of the pictures is not kept for the next time: %s", error_message());
}

static void write_cached(const struct statistics *statistics, const struct numbers *numbers,
                         const char *path) {
    struct safetensor tensors[TENSORS];
    list_tensors(tensors, statistics, numbers);
    if (safetensors_write(path, tensors, TENSORS, NULL, 0) < 0)
        warn_not_kept();
}

static int find_or_compute(struct statistics *out, const struct dataset *set, int64_t most,
                           int threads) {
    size_t bytes = (size_t)shape_elements(out->frame) * sizeof *out->pixel_mean;
    out->pixel_mean = malloc(bytes);
    if (!out->pixel_mean)
        return error_no_memory("the mean of the pictures", bytes);
    /* Without a fingerprint nobody could tell whose numbers they are. */
    char *path = NULL;
    if (set->fingerprint && cache_path(&path, set, most) < 0)
        warn_not_kept();
    struct numbers numbers = {0};
    int rc = 0;
    if (!path || !read_cached(out, &numbers, path)) {
        rc = compute(out, &numbers, set, most, threads);
        if (rc == 0 && path)
            write_cached(out, &numbers, path);
    }
    if (rc == 0)
        unpack(out, &numbers);
    free(path);
    return rc;
}

int statistics_get(struct statistics *out, const struct dataset *train, struct shape frame,
                   int64_t most, int threads) {
    *out = (struct statistics){.frame = frame};
    if (train->floats)
        return error_set(ERROR_INPUT, "data.mean: `channel` and `pixel` are computed from pictures "
                                      "(as are the colours of pca_noise), but these samples are "
                                      "numbers: give the mean itself");
    /* The loader is to hand over whole frames. */
    struct dataset set = *train;
    if (!set.stored.c)
        set.stored = set.input;
    set.input = set.frame = frame;
    if (most <= 0 || most > set.count)
        most = set.count;
    int rc = find_or_compute(out, &set, most, threads);
    if (rc < 0)
        statistics_free(out);
    return rc;
}

void statistics_free(struct statistics *statistics) {
    free(statistics->pixel_mean);
    *statistics = (struct statistics){0};
}

/* One number for all channels, or one for each. */
static int parse_numbers(const char *text, int channels, double numbers[CHANNELS]) {
    const struct option row = {.key = "data.mean: neither `channel` nor `pixel`, so numbers",
                               .type = OPTION_FLOATS,
                               .least = -1e9,
                               .greatest = 1e9};
    struct option_floats floats = {0};
    TRY(option_set(&floats, &row, text));
    if (floats.count != 1 && (floats.count != channels || channels > CHANNELS))
        return error_set(ERROR_INPUT,
                         "data.mean: %d numbers; expected 1, or one for each channel of the "
                         "network's input, which has %d",
                         floats.count, channels);
    for (int c = 0; c < CHANNELS; c++)
        numbers[c] = floats.count == 1 ? floats.values[0] : c < channels ? floats.values[c] : 0;
    return 0;
}

int mean_parse(const char *text, int channels, enum mean_kind *kind, double numbers[3]) {
    *kind = MEAN_NUMBERS;
    if (strcmp(text, "channel") == 0)
        *kind = MEAN_CHANNEL;
    else if (strcmp(text, "pixel") == 0)
        *kind = MEAN_PIXEL;
    else
        return parse_numbers(text, channels, numbers);
    return 0;
}

int mean_create(struct mean *out, const char *text, struct shape frame,
                const struct statistics *statistics) {
    *out = (struct mean){0};
    enum mean_kind kind;
    double numbers[CHANNELS];
    TRY(mean_parse(text, frame.c, &kind, numbers));
    assert(kind == MEAN_NUMBERS || (statistics && shape_equal(statistics->frame, frame)));
    if (kind == MEAN_CHANNEL && frame.c > CHANNELS)
        return error_set(ERROR_INPUT,
                         "data.mean: `channel` is for pictures of 1 to %d channels, and the "
                         "network's input has %d",
                         CHANNELS, frame.c);
    int by_pixel = kind == MEAN_PIXEL;
    int count = by_pixel ? (int)shape_elements(frame) : frame.c;
    float *values = calloc((size_t)count, sizeof *values);
    if (!values)
        return error_no_memory("the mean", (size_t)count * sizeof *values);
    for (int i = 0; i < count; i++) {
        if (by_pixel)
            values[i] = statistics->pixel_mean[i];
        else if (kind == MEAN_CHANNEL)
            values[i] = (float)statistics->channel_mean[i];
        else
            values[i] = (float)numbers[i % CHANNELS]; /* beyond 3 channels they are all the same */
    }
    *out = (struct mean){.by_pixel = by_pixel, .frame = frame, .count = count, .values = values};
    return 0;
}

void mean_free(struct mean *mean) {
    free(mean->values);
    *mean = (struct mean){0};
}
