#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[ERROR_LENGTH];
static _Thread_local int held;

int error_set(int code, const char *format, ...) {
    va_list args;
    if (held)
        return code;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return code;
}

int error_prefix(int code, const char *format, ...) {
    char prefix[1024];
    va_list args;
    if (held)
        return code;
    va_start(args, format);
    (void)vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);

    size_t used = strlen(prefix);
    size_t kept = strlen(message);
    if (kept > sizeof message - 1 - used)
        kept = sizeof message - 1 - used;
    memmove(message + used, message, kept);
    memcpy(message, prefix, used);
    message[used + kept] = '\0';
    return code;
}

int error_no_memory(const char *what, unsigned long long bytes) {
    return error_set(ERROR_MEMORY, "not enough memory for %s: %llu bytes were asked for", what,
                     bytes);
}

void error_hold(void) {
    held++;
}

void error_release(void) {
    held--;
}

const char *error_message(void) {
    return message;
}
