/* The text of a config, as sections and keys that remember where they stood. Syntax only: what the
 * sections and keys mean is for those who read them.
 *
 *     # a comment; also ;
 *     [section]
 *     key = value        # a value ends where the line or a comment (after a space) does
 *
 * Darknet's dialect: sections come in order and may repeat, spaces around names are dropped. A key
 * may stand once in a section.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/options.h"

#include <stddef.h>

struct config_entry {
    char *key;
    char *value;
    int line, column; /* of the key, from 1; line 0: set on the command line */
};

struct config_section {
    char *name;
    int line;
    struct config_entry *entries;
    int count;
};

struct config {
    char *path; /* as the user named it, for messages */
    struct config_section *sections;
    int count;
};

/* Reads a file, or text of a given length that path names in messages. Free with config_free. */
int config_read(struct config **out, const char *path);
int config_parse(struct config **out, const char *path, const char *text, size_t length);

void config_free(struct config *config);

/* Sets or overrides a key, as `--set section.key=value` does: in every section of that name, or in
 * the layer whose `name` key says so. A missing [section] is an error. */
int config_set(struct config *config, const char *assignment);

/* Overrides one key of one section. */
int config_set_value(struct config_section *section, const char *key, const char *value);

/* Drops a key, if it is there. */
void config_remove(struct config_section *section, const char *key);

/* Adds an empty section at the end. */
int config_add_section(struct config *config, const char *name);

/* The value of a key, or NULL. */
const char *config_value(const struct config_section *section, const char *key);

/* The first section with one of these names (NULL-terminated), or NULL. */
struct config_section *config_find(const struct config *config, const char *const *names);

/* A table of options and the struct that it fills. */
struct config_binding {
    const struct option *table;
    void *target;
};

/* Fills the targets: defaults first, then every key of the section, which must stand in one of the
 * tables. Strings are borrowed from the config. Messages look like
 * "file.cfg:14: convolutional.stride: 0 is outside 1..64". */
int config_bind(const struct config *config, const struct config_section *section,
                const struct config_binding *bindings, int count);

/* Puts "path:line: section." of that entry, or "path:line: section: " when key is NULL or absent,
 * in front of the error message, and returns code. */
int config_blame(int code, const struct config *config, const struct config_section *section,
                 const char *key);

#endif
