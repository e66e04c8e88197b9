#include "data/list.h"

#include "base/error.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static int is_blank(char c) {
    return isspace((unsigned char)c) != 0;
}

static int reserve_row(struct list *list, const char *path) {
    if (list->count < list->room)
        return 0;
    long room = list->room ? 2 * list->room : 256;
    struct list_row *rows = realloc(list->rows, (size_t)room * sizeof *rows);
    if (!rows)
        return error_no_memory(path, (size_t)room * sizeof *rows);
    list->rows = rows;
    list->room = room;
    return 0;
}

/* Takes the line begin..end apart, in place: zeros are written behind its two parts. */
static int parse_line(struct list *list, const char *path, long line, char *begin, char *end) {
    if (memchr(begin, '\0', (size_t)(end - begin)))
        return error_set(ERROR_INPUT, "%s:%ld: a zero byte: this is not a text file", path, line);
    while (begin < end && is_blank(*begin))
        begin++;
    while (begin < end && is_blank(end[-1]))
        end--;
    if (begin == end)
        return 0;
    char *label = end;
    while (label > begin && !is_blank(label[-1]))
        label--;
    if (label == begin)
        return error_set(ERROR_INPUT,
                         "%s:%ld: one word; expected the path of a picture and its label", path,
                         line);
    char *path_end = label;
    while (is_blank(path_end[-1]))
        path_end--;
    *path_end = '\0';
    *end = '\0';
    TRY(reserve_row(list, path));
    list->rows[list->count++] = (struct list_row){begin, label, line};
    return 0;
}

static int parse_text(struct list *list, const char *path, char *text, char *end) {
    static const char byte_order_mark[] = "\xEF\xBB\xBF"; /* some editors write one */
    if (end - text >= 3 && memcmp(text, byte_order_mark, 3) == 0)
        text += 3;
    for (long line = 1; text < end; line++) {
        char *newline = memchr(text, '\n', (size_t)(end - text));
        char *line_end = newline ? newline : end;
        TRY(parse_line(list, path, line, text, line_end));
        text = newline ? newline + 1 : end;
    }
    if (list->count == 0)
        return error_set(ERROR_INPUT, "%s: no lines of a path and a label in it", path);
    return 0;
}

int list_parse(struct list *list, const char *path, const char *text, size_t length) {
    *list = (struct list){.storage = malloc(length + 1)};
    if (!list->storage)
        return error_no_memory(path, length + 1);
    memcpy(list->storage, text, length);
    list->storage[length] = '\0';
    int rc = parse_text(list, path, list->storage, list->storage + length);
    if (rc < 0)
        list_free(list);
    return rc;
}

void list_free(struct list *list) {
    free(list->rows);
    free(list->storage);
    *list = (struct list){0};
}
