#include "cl/tuning_file.h"

#include "base/file.h"
#include "base/options.h"
#include "cl/internal.h"
#include "cl/store.h"

#include <assert.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_TEXT "clnet tunings "
#define VERSION "1"

enum column {
    PLATFORM,
    DEVICE,
    DRIVER,
    KERNEL,
    PROBLEM,
    VALUES,
    SOURCE,
    MS,
    MS_BEFORE,
    ORIGIN,
    COLUMNS
};

static const char *const column_names[] = {"platform", "device", "driver", "kernel",    "problem",
                                           "values",   "source", "ms",     "ms before", "origin"};

static const char any_source[] = "any";

enum { FIRST_LINE_MAX = 160 };

static void write_first_line(char line[FIRST_LINE_MAX]) {
    int used = snprintf(line, FIRST_LINE_MAX, "%s", VERSION_TEXT VERSION ": ");
    for (int i = 0; i < COLUMNS; i++)
        used += snprintf(line + used, (size_t)(FIRST_LINE_MAX - used), "%s%s", i ? "\t" : "",
                         column_names[i]);
    assert(used < FIRST_LINE_MAX);
}

/* Milliseconds of a pass that is not worth a tuning any more: eleven days. */
static const double ms_most = 1e9;

/* ---- reading ---- */

struct reader {
    struct tuning_file *file;
    const char *path;
    int line;
    int room; /* for rows */
    char first_line[FIRST_LINE_MAX];
};

/* A column's text in a line, without the tab. */
struct field {
    const char *text;
    size_t length;
};

static int fail_line(const struct reader *r, const char *what) {
    return error_set(ERROR_INPUT, "%s:%d: %s", r->path, r->line, what);
}

static int blame_column(int rc, const struct reader *r, enum column column) {
    return error_prefix(rc, "%s:%d: column %d (%s): ", r->path, r->line, column + 1,
                        column_names[column]);
}

static int copy_field(char *to, size_t size, const struct field *field) {
    for (size_t i = 0; i < field->length; i++) {
        if ((unsigned char)field->text[i] < ' ' || field->text[i] == 0x7f)
            return error_set(ERROR_INPUT, "a control character");
    }
    if (field->length >= size)
        return error_set(ERROR_INPUT, "%zu bytes; there may be %zu at most", field->length,
                         size - 1);
    memcpy(to, field->text, field->length);
    to[field->length] = '\0';
    return 0;
}

static int copy_needed(char *to, size_t size, const struct field *field) {
    return field->length ? copy_field(to, size, field) : error_set(ERROR_INPUT, "it is empty");
}

enum { WORD = 64 }; /* of a number or a name */

static int read_source(uint64_t *source, const struct field *field) {
    char text[WORD];
    TRY(copy_field(text, sizeof text, field));
    if (strcmp(text, any_source) != 0 &&
        (field->length != 16 || strspn(text, "0123456789abcdef") != 16))
        return error_set(ERROR_INPUT, "expected 16 hexadecimal digits or '%s', not '%s'",
                         any_source, text);
    *source = strcmp(text, any_source) == 0 ? 0 : strtoull(text, NULL, 16);
    return 0;
}

static int read_ms(double *seconds, const struct field *field) {
    char text[WORD];
    double ms;
    TRY(copy_field(text, sizeof text, field));
    TRY(parse_float(text, &ms));
    if (!(ms >= 0 && ms <= ms_most))
        return error_set(ERROR_INPUT, "%s is outside 0..%g", text, ms_most);
    *seconds = 1e-3 * ms;
    return 0;
}

static int read_origin(enum origin *origin, const struct field *field) {
    char text[WORD];
    TRY(copy_field(text, sizeof text, field));
    for (int i = 0; origin_names[i]; i++) {
        if (strcmp(text, origin_names[i]) == 0) {
            *origin = (enum origin)i;
            return 0;
        }
    }
    return error_set(ERROR_INPUT, "'%s' is no origin of a tuning", text);
}

static int read_column(struct tuning_row *row, enum column column, const struct field *field) {
    struct tuning *tuning = &row->tuning;
    switch (column) {
    case PLATFORM:
        return copy_field(row->platform, sizeof row->platform, field);
    case DEVICE:
        return copy_field(row->device, sizeof row->device, field);
    case DRIVER:
        return copy_field(row->driver, sizeof row->driver, field);
    case KERNEL:
        return copy_needed(tuning->kernel, sizeof tuning->kernel, field);
    case PROBLEM:
        return copy_needed(tuning->problem, sizeof tuning->problem, field);
    case VALUES:
        return copy_needed(tuning->values, sizeof tuning->values, field);
    case SOURCE:
        return read_source(&tuning->source, field);
    case MS:
        return read_ms(&tuning->seconds, field);
    case MS_BEFORE:
        return read_ms(&tuning->seconds_before, field);
    case ORIGIN:
        return read_origin(&tuning->origin, field);
    case COLUMNS:
        break;
    }
    return 0;
}

static int read_row(const struct reader *r, struct tuning_row *row, const char *text,
                    const char *end) {
    *row = (struct tuning_row){0};
    for (int column = 0; column < COLUMNS; column++) {
        if (!text)
            return blame_column(error_set(ERROR_INPUT, "it is missing"), r, (enum column)column);
        const char *tab = memchr(text, '\t', (size_t)(end - text));
        struct field field = {text, (size_t)((tab ? tab : end) - text)};
        int rc = read_column(row, (enum column)column, &field);
        if (rc < 0)
            return blame_column(rc, r, (enum column)column);
        text = tab ? tab + 1 : NULL;
    }
    return text ? fail_line(r, "it has more columns than the first line names") : 0;
}

static int add_row(struct reader *r, const struct tuning_row *row) {
    struct tuning_file *file = r->file;
    if (file->count == TUNING_FILE_ROWS_MAX)
        return error_set(ERROR_INPUT, "%s:%d: more than %d tunings", r->path, r->line,
                         TUNING_FILE_ROWS_MAX);
    if (file->count == r->room) {
        int room = r->room ? 2 * r->room : 32;
        struct tuning_row *rows = realloc(file->rows, (size_t)room * sizeof *rows);
        if (!rows)
            return error_no_memory(r->path, (size_t)room * sizeof *rows);
        file->rows = rows;
        r->room = room;
    }
    file->rows[file->count++] = *row;
    return 0;
}

static int is_text(const char *text, const char *end, const char *expected) {
    size_t length = strlen(expected);
    return (size_t)(end - text) == length && memcmp(text, expected, length) == 0;
}

/* What comes before all others but comments. */
static int check_first(const struct reader *r, const char *text, const char *end) {
    const size_t length = strlen(VERSION_TEXT);
    if (is_text(text, end, r->first_line))
        return 0;
    if ((size_t)(end - text) >= length && memcmp(text, VERSION_TEXT, length) == 0)
        return fail_line(r, "these tunings are of another version of clnet, or their columns are "
                            "not those of this one");
    return fail_line(r, "these are no tunings: expected the line with which 'clnet tune --export' "
                        "begins a file");
}

static int parse_text(struct reader *r, const char *text, const char *end) {
    int has_begun = 0;
    while (text < end) {
        struct tuning_row row;
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = newline ? newline : end;
        const char *next = newline ? newline + 1 : end;
        r->line++;
        if (line_end > text && line_end[-1] == '\r')
            line_end--;
        if (line_end == text || *text == '#') {
            text = next;
            continue;
        }
        if (!has_begun) {
            TRY(check_first(r, text, line_end));
            has_begun = 1;
        } else if (!is_text(text, line_end, r->first_line)) {
            TRY(read_row(r, &row, text, line_end));
            TRY(add_row(r, &row));
        }
        text = next;
    }
    return has_begun ? 0 : error_set(ERROR_INPUT, "%s: there are no tunings in it", r->path);
}

int tuning_file_parse(struct tuning_file *file, const char *path, const char *text, size_t length) {
    *file = (struct tuning_file){0};
    struct reader reader = {.file = file, .path = path};
    write_first_line(reader.first_line);
    return parse_text(&reader, text, text + length);
}

int tuning_file_read(struct tuning_file *file, const char *path) {
    char *text;
    size_t length;
    *file = (struct tuning_file){0};
    TRY(file_read(path, TUNING_FILE_BYTES_MAX, &text, &length));
    int rc = tuning_file_parse(file, path, text, length);
    free(text);
    return rc;
}

void tuning_file_free(struct tuning_file *file) {
    free(file->rows);
    *file = (struct tuning_file){0};
}

/* A name is itself, even where it has characters that mean something in a pattern. */
static int matches(const char *pattern, const char *name) {
    return strcmp(pattern, name) == 0 || fnmatch(pattern, name, 0) == 0;
}

int tuning_row_is_of(const struct tuning_row *row, const struct device_info *device) {
    return matches(row->device, device->name) && matches(row->platform, device->platform);
}

/* ---- writing ---- */

void tuning_file_begin(FILE *out) {
    char line[FIRST_LINE_MAX];
    write_first_line(line);
    (void)fprintf(out, "%s\n", line);
}

/* A driver may say anything of itself. */
static void write_name(FILE *out, const char *name, int begins_line) {
    for (const char *c = name; *c; c++) {
        int is_control = (unsigned char)*c < ' ' || *c == 0x7f;
        (void)putc(is_control || (begins_line && c == name && *c == '#') ? '?' : *c, out);
    }
    (void)putc('\t', out);
}

void tuning_row_write(FILE *out, const struct tuning_row *row) {
    const struct tuning *tuning = &row->tuning;
    write_name(out, row->platform, 1);
    write_name(out, row->device, 0);
    write_name(out, row->driver, 0);
    (void)fprintf(out, "%s\t%s\t%s\t", tuning->kernel, tuning->problem, tuning->values);
    if (tuning->source)
        (void)fprintf(out, "%016" PRIx64, tuning->source);
    else
        (void)fputs(any_source, out);
    (void)fprintf(out, "\t%.6g\t%.6g\t%s\n", 1e3 * tuning->seconds, 1e3 * tuning->seconds_before,
                  origin_names[tuning->origin]);
}

/* Whether a device among the first `count` is kept under the same name. */
static int is_among(struct device *const *devices, int count, const struct device *device) {
    char key[DEVICE_KEY], other[DEVICE_KEY];
    device_key(key, device_info(device));
    for (int i = 0; i < count; i++) {
        device_key(other, device_info(devices[i]));
        if (strcmp(key, other) == 0)
            return 1;
    }
    return 0;
}

static int write_device(FILE *out, const struct device *device, enum origin earliest) {
    const struct device_info *info = device_info(device);
    const struct tunings *tunings = device_tunings(device);
    struct tuning_row row = {0};
    int written = 0;
    memcpy(row.platform, info->platform, sizeof row.platform);
    memcpy(row.device, info->name, sizeof row.device);
    memcpy(row.driver, info->driver, sizeof row.driver);
    for (int i = 0; i < tunings_count(tunings); i++) {
        row.tuning = *tunings_at(tunings, i);
        if (row.tuning.origin < earliest)
            continue;
        tuning_row_write(out, &row);
        written++;
    }
    return written;
}

int tuning_file_save(const char *path, struct device *const *devices, int count,
                     enum origin earliest) {
    struct file_writer writer;
    int written = 0;
    TRY(file_create(&writer, path));
    tuning_file_begin(writer.stream);
    for (int i = 0; i < count; i++) {
        if (!is_among(devices, i, devices[i]))
            written += write_device(writer.stream, devices[i], earliest);
    }
    int rc = file_commit(&writer);
    file_discard(&writer);
    return rc < 0 ? rc : written;
}

/* ---- a device's table ---- */

/* Adds a file's rows that hold on a device; returns how many the table left out. */
static int add_rows(struct tunings *tunings, const struct tuning_file *file,
                    const struct device_info *device) {
    int left_out = 0;
    for (int i = 0; i < file->count; i++) {
        const struct tuning_row *row = &file->rows[i];
        if (!tuning_row_is_of(row, device))
            continue;
        left_out += !tuning_is_current(&row->tuning);
        TRY(tunings_set(tunings, &row->tuning));
    }
    return left_out;
}

int tuning_file_add_shipped(struct tunings *tunings, const struct device_info *device,
                            const char *text) {
    struct tuning_file file;
    int rc = tuning_file_parse(&file, "tunings.tsv", text, strlen(text));
    for (int i = 0; i < file.count; i++) {
        file.rows[i].tuning.source = 0;
        file.rows[i].tuning.origin = ORIGIN_SHIPPED;
    }
    if (rc == 0)
        rc = add_rows(tunings, &file, device);
    tuning_file_free(&file);
    return rc < 0 ? rc : 0;
}

int tuning_file_load(const char *path, struct device *device) {
    struct tuning_file file;
    int rc = tuning_file_read(&file, path);
    if (rc == 0) {
        tunings_clear(device->tunings);
        rc = add_rows(device->tunings, &file, &device->info);
    }
    tuning_file_free(&file);
    return rc;
}

static int import_row(struct device *device, const char *key, struct tuning tuning,
                      struct tuning_import *done) {
    const struct tuning *known = tunings_about(device->tunings, tuning.kernel, tuning.problem);
    if (!tuning_is_current(&tuning)) {
        done->other_sources++;
        return 0;
    }
    if (known && known->origin >= ORIGIN_QUICK) {
        done->found_here++;
        return 0;
    }
    tuning.origin = ORIGIN_IMPORTED;
    tuning.source = tuning_text_hash(&tuning); /* not for ever, where it was of any */
    if (!store_keep_tuning(device->store, key, &tuning))
        return error_set(ERROR_SYSTEM,
                         "device %d (%s): what is kept between runs cannot be written, so nothing "
                         "can be imported",
                         device->info.index, device->info.name);
    done->imported++;
    return tunings_set(device->tunings, &tuning);
}

int tuning_file_import(const struct tuning_file *file, struct device *device,
                       struct tuning_import *done) {
    char key[DEVICE_KEY];
    *done = (struct tuning_import){0};
    device_key(key, &device->info);
    for (int i = 0; i < file->count; i++) {
        const struct tuning_row *row = &file->rows[i];
        if (tuning_row_is_of(row, &device->info))
            TRY(import_row(device, key, row->tuning, done));
    }
    return 0;
}
