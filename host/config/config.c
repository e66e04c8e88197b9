#include "config/config.h"

#include "base/error.h"
#include "base/file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_BYTES_MAX = 16 << 20 };

/* Where the parser stands. */
struct parser {
    struct config *config;
    int line;
    const char *start; /* of the line, to tell columns */
};

static int fail(const struct parser *p, const char *at, const char *what) {
    return error_set(ERROR_INPUT, "%s:%d:%d: %s", p->config->path, p->line,
                     (int)(at - p->start) + 1, what);
}

static void *grown(void *array, int count, size_t element) {
    /* Doubling: room for 1, 2, 4, 8, ... elements. */
    if (count & (count - 1))
        return array;
    return realloc(array, (count ? 2 * (size_t)count : 1) * element);
}

static int add_section(struct config *config, const char *name, size_t length, int line) {
    struct config_section *sections =
        grown(config->sections, config->count, sizeof *config->sections);
    if (!sections)
        return error_no_memory("the config", sizeof *sections);
    config->sections = sections;
    char *copy = strndup(name, length);
    if (!copy)
        return error_no_memory("the config", length);
    sections[config->count++] = (struct config_section){.name = copy, .line = line};
    return 0;
}

static int add_entry(struct config_section *section, struct config_entry entry) {
    struct config_entry *entries =
        grown(section->entries, section->count, sizeof *section->entries);
    if (entries)
        section->entries = entries;
    if (!entries || !entry.key || !entry.value) {
        free(entry.key);
        free(entry.value);
        return error_no_memory("the config", sizeof entry);
    }
    entries[section->count++] = entry;
    return 0;
}

static const struct config_entry *find_entry(const struct config_section *section,
                                             const char *key) {
    for (int i = 0; i < section->count; i++) {
        if (strcmp(section->entries[i].key, key) == 0)
            return &section->entries[i];
    }
    return NULL;
}

static void trim(const char **begin, const char **end) {
    while (*begin < *end && isspace((unsigned char)**begin))
        (*begin)++;
    while (*begin < *end && isspace((unsigned char)(*end)[-1]))
        (*end)--;
}

static int is_name(const char *begin, const char *end) {
    for (const char *c = begin; c < end; c++) {
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-')
            return 0;
    }
    return begin < end;
}

static int parse_section(struct parser *p, const char *begin, const char *end) {
    if (end[-1] != ']')
        return fail(p, end, "a section is written [name], and its ']' is missing here");
    const char *name = begin + 1, *name_end = end - 1;
    trim(&name, &name_end);
    if (!is_name(name, name_end))
        return fail(p, begin + 1, "a section's name is made of letters, digits, '_' and '-'");
    return add_section(p->config, name, (size_t)(name_end - name), p->line);
}

static int parse_entry(struct parser *p, const char *begin, const char *end) {
    const char *equals = memchr(begin, '=', (size_t)(end - begin));
    if (!equals)
        return fail(p, begin, "expected [section] or key=value");
    if (p->config->count == 0)
        return fail(p, begin, "a key stands before the first [section]");
    const char *key = begin, *key_end = equals;
    const char *value = equals + 1, *value_end = end;
    trim(&key, &key_end);
    trim(&value, &value_end);
    if (!is_name(key, key_end))
        return fail(p, begin, "a key is made of letters, digits, '_' and '-'");
    if (value == value_end)
        return fail(p, equals, "the value is missing after '='");

    struct config_section *section = &p->config->sections[p->config->count - 1];
    struct config_entry entry = {
        .key = strndup(key, (size_t)(key_end - key)),
        .value = strndup(value, (size_t)(value_end - value)),
        .line = p->line,
        .column = (int)(begin - p->start) + 1,
    };
    const struct config_entry *earlier = entry.key ? find_entry(section, entry.key) : NULL;
    if (earlier) {
        int rc = error_set(ERROR_INPUT, "%s:%d:%d: %s.%s stands twice; first in line %d",
                           p->config->path, p->line, entry.column, section->name, entry.key,
                           earlier->line);
        free(entry.key);
        free(entry.value);
        return rc;
    }
    return add_entry(section, entry);
}

/* The end of what counts in a line: a comment starts it, or follows a space. */
static const char *comment_start(const char *begin, const char *end) {
    for (const char *c = begin; c < end; c++) {
        if ((*c == '#' || *c == ';') && (c == begin || isspace((unsigned char)c[-1])))
            return c;
    }
    return end;
}

static int parse_line(struct parser *p, const char *end) {
    const char *begin = p->start;
    const char *zero = memchr(begin, '\0', (size_t)(end - begin));
    if (zero)
        return fail(p, zero, "a zero byte: this is not a text file");
    end = comment_start(begin, end);
    trim(&begin, &end);
    if (begin == end)
        return 0;
    if (*begin == '[')
        return parse_section(p, begin, end);
    return parse_entry(p, begin, end);
}

int config_parse(struct config **out, const char *path, const char *text, size_t length) {
    struct config *config = calloc(1, sizeof *config);
    if (!config)
        return error_no_memory("the config", sizeof *config);
    struct parser p = {.config = config};
    int rc = 0;
    config->path = strdup(path);
    if (!config->path)
        rc = error_no_memory("the config", strlen(path));

    const char *end = text + length;
    while (rc == 0 && text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = newline ? newline : end;
        p.line++;
        p.start = text;
        rc = parse_line(&p, line_end);
        text = newline ? newline + 1 : end;
    }
    if (rc < 0) {
        config_free(config);
        return rc;
    }
    *out = config;
    return 0;
}

int config_read(struct config **out, const char *path) {
    char *text;
    size_t length;
    TRY(file_read(path, CONFIG_BYTES_MAX, &text, &length));
    int rc = config_parse(out, path, text, length);
    free(text);
    return rc;
}

void config_free(struct config *config) {
    if (!config)
        return;
    for (int i = 0; i < config->count; i++) {
        struct config_section *section = &config->sections[i];
        for (int j = 0; j < section->count; j++) {
            free(section->entries[j].key);
            free(section->entries[j].value);
        }
        free(section->entries);
        free(section->name);
    }
    free(config->sections);
    free(config->path);
    free(config);
}

int config_set_value(struct config_section *section, const char *key, const char *value) {
    struct config_entry entry = {.key = strdup(key), .value = strdup(value)};
    struct config_entry *old = (struct config_entry *)find_entry(section, key);
    if (!old || !entry.key || !entry.value)
        return add_entry(section, entry);
    free(old->key);
    free(old->value);
    *old = entry;
    return 0;
}

int config_set(struct config *config, const char *assignment) {
    const char *equals = strchr(assignment, '=');
    /* The last dot: a layer's name may hold some, a key does not. */
    const char *dot = equals;
    while (dot && dot > assignment && *dot != '.')
        dot--;
    if (!equals || *dot != '.' || dot == assignment || dot + 1 == equals || !equals[1])
        return error_set(ERROR_INPUT, "--set %.200s: expected section.key=value", assignment);

    char *name = strndup(assignment, (size_t)(dot - assignment));
    char *key = strndup(dot + 1, (size_t)(equals - dot - 1));
    int rc = name && key ? 0 : error_no_memory("--set", strlen(assignment));
    int found = 0;
    for (int i = 0; rc == 0 && i < config->count; i++) {
        struct config_section *section = &config->sections[i];
        const char *own = config_value(section, "name");
        if (strcmp(section->name, name) == 0 || (own && strcmp(own, name) == 0)) {
            rc = config_set_value(section, key, equals + 1);
            found = 1;
        }
    }
    if (rc == 0 && !found)
        rc = error_set(ERROR_INPUT, "--set %.200s: %s has no section or layer named %s", assignment,
                       config->path, name);
    free(name);
    free(key);
    return rc;
}

void config_remove(struct config_section *section, const char *key) {
    struct config_entry *entry = (struct config_entry *)find_entry(section, key);
    if (!entry)
        return;
    free(entry->key);
    free(entry->value);
    struct config_entry *end = section->entries + section->count;
    memmove(entry, entry + 1, (size_t)(end - entry - 1) * sizeof *entry);
    section->count--;
}

int config_add_section(struct config *config, const char *name) {
    return add_section(config, name, strlen(name), 0);
}

const char *config_value(const struct config_section *section, const char *key) {
    const struct config_entry *entry = find_entry(section, key);
    return entry ? entry->value : NULL;
}

struct config_section *config_find(const struct config *config, const char *const *names) {
    for (int i = 0; i < config->count; i++) {
        for (const char *const *name = names; *name; name++) {
            if (strcmp(config->sections[i].name, *name) == 0)
                return &config->sections[i];
        }
    }
    return NULL;
}

int config_blame(int code, const struct config *config, const struct config_section *section,
                 const char *key) {
    const struct config_entry *entry = key ? find_entry(section, key) : NULL;
    if (!entry)
        return error_prefix(code, "%s:%d: %s: ", config->path, section->line, section->name);
    if (entry->line == 0)
        return error_prefix(code, "%s, as overridden: %s.", config->path, section->name);
    return error_prefix(code, "%s:%d: %s.", config->path, entry->line, section->name);
}

static int unknown_key(const struct config *config, const struct config_section *section,
                       const char *key, const struct config_binding *bindings, int count) {
    enum { KEYS_MAX = 256 };
    const char *keys[KEYS_MAX];
    int known = 0;
    for (int i = 0; i < count; i++) {
        for (const struct option *row = bindings[i].table; row->key && known < KEYS_MAX; row++)
            keys[known++] = row->key;
    }
    const char *near = nearest_name(key, keys, known);
    int rc = near ? error_set(ERROR_INPUT, "%s: no such key; did you mean '%s'?", key, near)
                  : error_set(ERROR_INPUT, "%s: no such key; 'clnet help config' lists them", key);
    return config_blame(rc, config, section, key);
}

int config_bind(const struct config *config, const struct config_section *section,
                const struct config_binding *bindings, int count) {
    for (int i = 0; i < count; i++)
        options_defaults(bindings[i].target, bindings[i].table);

    for (int e = 0; e < section->count; e++) {
        const struct config_entry *entry = &section->entries[e];
        const struct option *row = NULL;
        int owner = 0;
        for (; owner < count; owner++) {
            row = options_find(bindings[owner].table, entry->key);
            if (row)
                break;
        }
        if (!row)
            return unknown_key(config, section, entry->key, bindings, count);
        int rc = option_set(bindings[owner].target, row, entry->value);
        if (rc < 0)
            return config_blame(rc, config, section, entry->key);
    }
    return 0;
}
