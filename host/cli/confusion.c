#include "cli/confusion.h"

#include "base/error.h"
#include "base/file.h"
#include "data/picture.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *class_name(const struct classes *classes, int label) {
    enum { BUFFERS = 4, LENGTH = 16 };
    static char buffers[BUFFERS][LENGTH];
    static int next;
    if (label < classes->count)
        return classes->names[label];
    char *text = buffers[next++ % BUFFERS];
    (void)snprintf(text, LENGTH, "%d", label);
    return text;
}

/* ---- CSV ---- */

/* A name in quotes, when it has something in it that CSV gives a meaning to. */
static void print_field(FILE *out, const char *text) {
    if (!strpbrk(text, ",\"\r\n")) {
        (void)fputs(text, out);
        return;
    }
    (void)fputc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            (void)fputc('"', out);
        (void)fputc(*text, out);
    }
    (void)fputc('"', out);
}

static void print_csv(FILE *out, const int64_t *counts, int outputs, const struct classes *names) {
    (void)fputs("truth", out);
    for (int k = 0; k < outputs; k++) {
        (void)fputc(',', out);
        print_field(out, class_name(names, k));
    }
    (void)fputc('\n', out);
    for (int truth = 0; truth < outputs; truth++) {
        print_field(out, class_name(names, truth));
        for (int k = 0; k < outputs; k++)
            (void)fprintf(out, ",%" PRId64, counts[(int64_t)truth * outputs + k]);
        (void)fputc('\n', out);
    }
}

static int write_csv(const char *path, const int64_t *counts, int outputs,
                     const struct classes *names) {
    struct file_writer writer;
    TRY(file_create(&writer, path));
    print_csv(writer.stream, counts, outputs, names);
    if (ferror(writer.stream)) {
        int rc = error_set(ERROR_SYSTEM, "%s: cannot write: %s", path, strerror(errno));
        file_discard(&writer);
        return rc;
    }
    return file_commit(&writer);
}

/* ---- a picture ---- */

/* White to dark blue; the root makes rare confusions visible. */
static void colour_of(uint8_t pixel[3], double share) {
    static const double white[3] = {255, 255, 255}, blue[3] = {8, 48, 107};
    for (int c = 0; c < 3; c++)
        pixel[c] = (uint8_t)lround(white[c] + (blue[c] - white[c]) * sqrt(share));
}

/* Rows are truths, columns predictions; each row is coloured by its shares. */
static int write_picture(const char *path, const int64_t *counts, int outputs) {
    enum { SIDE = 1000, CELL_MAX = 32 };
    int cell = outputs < SIDE ? SIDE / outputs : 1;
    if (cell > CELL_MAX)
        cell = CELL_MAX;
    int gap = cell >= 8, side = outputs * cell + gap;
    struct picture picture;
    TRY(picture_create(&picture, side, side, 3));
    memset(picture.pixels, 200, (size_t)side * (size_t)side * 3);
    for (int truth = 0; truth < outputs; truth++) {
        const int64_t *row = counts + (int64_t)truth * outputs;
        int64_t sum = 0;
        for (int k = 0; k < outputs; k++)
            sum += row[k];
        for (int y = truth * cell + gap; y < (truth + 1) * cell; y++) {
            for (int x = gap; x < side; x++) {
                int k = (x - gap) / cell;
                if (k < outputs && (!gap || x % cell != 0))
                    colour_of(picture.pixels + ((size_t)y * (size_t)side + (size_t)x) * 3,
                              sum ? (double)row[k] / (double)sum : 0);
            }
        }
    }
    int rc = picture_write_png(path, &picture);
    picture_free(&picture);
    return rc;
}

int write_confusion(const char *path, const int64_t *counts, int outputs,
                    const struct classes *names) {
    if (path_has_ending(path, ".png"))
        return write_picture(path, counts, outputs);
    return write_csv(path, counts, outputs, names);
}
