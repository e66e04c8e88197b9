#include "data/csv.h"

#include "base/error.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    CSV_COLUMNS_MAX = 1 << 20,
    NUMBER_LENGTH_MAX = 127, /* no number that means something needs more characters */
    SHOWN_LENGTH_MAX = 40,   /* of a field in a message */
};

/* Where the parser stands. */
struct parser {
    struct csv *csv;
    const char *path;
    long line;
    long capacity; /* rows that there is room for */
};

/* The text of a field, without the spaces and quotes around it. */
struct field {
    const char *begin, *end;
    int quoted; /* "" in it stands for " */
};

enum verdict { FIELD_NUMBER, FIELD_EMPTY, FIELD_WORD, FIELD_INFINITE };

/* Puts "path:line: column 3 (name): " in front of what, with the field shown where it helps. */
static int fail_field(const struct parser *p, int column, const struct field *field,
                      const char *what) {
    char shown[SHOWN_LENGTH_MAX + 4] = "";
    if (field && field->begin < field->end) {
        size_t length = (size_t)(field->end - field->begin);
        if (length > SHOWN_LENGTH_MAX)
            length = SHOWN_LENGTH_MAX;
        shown[0] = '\'';
        for (size_t i = 0; i < length; i++)
            shown[1 + i] = iscntrl((unsigned char)field->begin[i]) ? '?' : field->begin[i];
        memcpy(shown + 1 + length, "' ", 3);
    }
    if (p->csv->names)
        return error_set(ERROR_INPUT, "%s:%ld: column %d (%.60s): %s%s", p->path, p->line,
                         column + 1, p->csv->names[column], shown, what);
    return error_set(ERROR_INPUT, "%s:%ld: column %d: %s%s", p->path, p->line, column + 1, shown,
                     what);
}

static void trim(const char **begin, const char **end) {
    while (*begin < *end && isspace((unsigned char)**begin))
        (*begin)++;
    while (*begin < *end && isspace((unsigned char)(*end)[-1]))
        (*end)--;
}

/* The closing quote of text that starts behind the opening one, or NULL. */
static const char *closing_quote(const char *at, const char *end) {
    for (; at < end; at++) {
        if (*at != '"')
            continue;
        if (at + 1 == end || at[1] != '"')
            return at;
        at++;
    }
    return NULL;
}

/* Takes the field at *at, and moves *at behind the comma that follows, or to NULL after the last.
 */
static int next_field(const struct parser *p, const char **at, const char *end, int column,
                      struct field *field) {
    const char *begin = *at;
    while (begin < end && isspace((unsigned char)*begin))
        begin++;
    *field = (struct field){begin, end, begin < end && *begin == '"'};
    const char *after = begin;
    if (field->quoted) {
        field->begin++;
        field->end = closing_quote(field->begin, end);
        if (!field->end)
            return error_set(ERROR_INPUT, "%s:%ld: column %d: a quote is not closed in this line",
                             p->path, p->line, column + 1);
        after = field->end + 1;
    }
    const char *comma = memchr(after, ',', (size_t)(end - after));
    const char *rest_end = comma ? comma : end;
    if (!field->quoted)
        field->end = rest_end;
    else
        trim(&after, &rest_end);
    if (field->quoted && after < rest_end)
        return error_set(ERROR_INPUT, "%s:%ld: column %d: text follows the closing quote", p->path,
                         p->line, column + 1);
    trim(&field->begin, &field->end);
    *at = comma ? comma + 1 : NULL;
    return 0;
}

static int is_word(const struct field *field, const char *word) {
    const char *begin = field->begin;
    if (begin < field->end && (*begin == '+' || *begin == '-'))
        begin++;
    size_t length = strlen(word);
    return (size_t)(field->end - begin) == length && strncasecmp(begin, word, length) == 0;
}

/* Decimal numbers only: strtof alone would take 0x1p3 and nan(1) as well. */
static enum verdict parse_number(const struct field *field, float *value) {
    size_t length = (size_t)(field->end - field->begin);
    if (length == 0)
        return FIELD_EMPTY;
    if (is_word(field, "nan") || is_word(field, "inf") || is_word(field, "infinity"))
        return FIELD_INFINITE;
    char text[NUMBER_LENGTH_MAX + 1];
    if (length > NUMBER_LENGTH_MAX)
        return FIELD_WORD;
    memcpy(text, field->begin, length);
    text[length] = '\0';
    char *end;
    if (strspn(text, "0123456789+-.eE") != length)
        return FIELD_WORD;
    *value = strtof(text, &end);
    if (end != text + length)
        return FIELD_WORD;
    return isfinite(*value) ? FIELD_NUMBER : FIELD_INFINITE;
}

/* Makes room for one more row, by doubling. */
static int reserve_row(struct parser *p) {
    struct csv *csv = p->csv;
    if (csv->rows < p->capacity)
        return 0;
    long capacity = p->capacity ? 2 * p->capacity : 1;
    size_t bytes = (size_t)capacity * (size_t)csv->columns * sizeof *csv->values;
    float *values = realloc(csv->values, bytes);
    if (!values)
        return error_no_memory(p->path, bytes);
    csv->values = values;
    long *lines = realloc(csv->lines, (size_t)capacity * sizeof *lines);
    if (!lines)
        return error_no_memory(p->path, (size_t)capacity * sizeof *lines);
    csv->lines = lines;
    p->capacity = capacity;
    return 0;
}

static int parse_row(struct parser *p, const char *begin, const char *end) {
    static const char *const complaints[] = {
        [FIELD_EMPTY] = "this field is empty; a number was expected",
        [FIELD_WORD] = "is not a number",
        [FIELD_INFINITE] = "is not a finite number that a float can hold",
    };
    struct csv *csv = p->csv;
    TRY(reserve_row(p));
    float *row = csv->values + (size_t)csv->rows * (size_t)csv->columns;
    int column = 0;
    for (const char *at = begin; at; column++) {
        struct field field;
        TRY(next_field(p, &at, end, column, &field));
        if (column == csv->columns)
            return error_set(ERROR_INPUT,
                             "%s:%ld: column %d is one too many: the first line has %d", p->path,
                             p->line, column + 1, csv->columns);
        enum verdict verdict = parse_number(&field, &row[column]);
        if (verdict != FIELD_NUMBER)
            return fail_field(p, column, &field, complaints[verdict]);
    }
    if (column < csv->columns)
        return error_set(ERROR_INPUT, "%s:%ld: column %d is missing: the first line has %d",
                         p->path, p->line, column + 1, csv->columns);
    csv->lines[csv->rows++] = p->line;
    return 0;
}

static char *field_text(const struct field *field) {
    char *text = malloc((size_t)(field->end - field->begin) + 1);
    if (!text)
        return NULL;
    char *to = text;
    for (const char *c = field->begin; c < field->end; c++) {
        *to++ = *c;
        if (field->quoted && *c == '"')
            c++; /* the second of two */
    }
    *to = '\0';
    return text;
}

static int parse_names(struct parser *p, const char *begin, const char *end) {
    struct csv *csv = p->csv;
    csv->names = calloc((size_t)csv->columns, sizeof *csv->names);
    if (!csv->names)
        return error_no_memory(p->path, (size_t)csv->columns * sizeof *csv->names);
    int column = 0;
    for (const char *at = begin; at; column++) {
        struct field field;
        TRY(next_field(p, &at, end, column, &field));
        csv->names[column] = field_text(&field);
        if (!csv->names[column])
            return error_no_memory(p->path, (size_t)(field.end - field.begin) + 1);
    }
    return 0;
}

/* The first line tells how many columns there are, and whether they have names: it is a header when
 * none of its fields is a number. A mixture is refused, for a misspelt number must not cost a row.
 */
static int parse_first(struct parser *p, const char *begin, const char *end) {
    int columns = 0, words = 0, word_column = 0;
    struct field word = {0};
    for (const char *at = begin; at; columns++) {
        struct field field;
        float value;
        if (columns == CSV_COLUMNS_MAX)
            return error_set(ERROR_INPUT, "%s:%ld: column %d: more columns than any table needs",
                             p->path, p->line, columns + 1);
        TRY(next_field(p, &at, end, columns, &field));
        enum verdict verdict = parse_number(&field, &value);
        if ((verdict == FIELD_WORD || verdict == FIELD_EMPTY) && words++ == 0) {
            word = field;
            word_column = columns;
        }
    }
    if (words && words < columns)
        return fail_field(p, word_column, &word,
                          "is not a number, though other fields of the first line are; a header "
                          "line has no numbers in it");
    p->csv->columns = columns;
    return words ? parse_names(p, begin, end) : parse_row(p, begin, end);
}

static int parse_line(struct parser *p, const char *begin, const char *end) {
    if (memchr(begin, '\0', (size_t)(end - begin)))
        return error_set(ERROR_INPUT, "%s:%ld: a zero byte: this is not a text file", p->path,
                         p->line);
    trim(&begin, &end);
    if (begin == end)
        return 0;
    return p->csv->columns ? parse_row(p, begin, end) : parse_first(p, begin, end);
}

static int parse_text(struct parser *p, const char *text, const char *end) {
    static const char byte_order_mark[] = "\xEF\xBB\xBF"; /* some spreadsheets write one */
    if (end - text >= 3 && memcmp(text, byte_order_mark, 3) == 0)
        text += 3;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = newline ? newline : end;
        p->line++;
        TRY(parse_line(p, text, line_end));
        text = newline ? newline + 1 : end;
    }
    if (p->csv->rows == 0)
        return error_set(ERROR_INPUT, "%s: no rows of numbers in it", p->path);
    return 0;
}

int csv_parse(struct csv *csv, const char *path, const char *text, size_t length) {
    *csv = (struct csv){0};
    struct parser parser = {.csv = csv, .path = path};
    int rc = parse_text(&parser, text, text + length);
    if (rc < 0)
        csv_free(csv);
    return rc;
}

void csv_free(struct csv *csv) {
    for (int i = 0; csv->names && i < csv->columns; i++)
        free(csv->names[i]);
    free(csv->names);
    free(csv->values);
    free(csv->lines);
    *csv = (struct csv){0};
}
