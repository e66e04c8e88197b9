#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static int is_quiet;

void log_set_quiet(int quiet) {
    is_quiet = quiet;
}

int log_is_quiet(void) {
    return is_quiet;
}

static void print(const char *prefix, const char *format, va_list args) {
    flockfile(stderr);
    (void)fputs(prefix, stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    funlockfile(stderr);
}

void log_info(const char *format, ...) {
    if (is_quiet)
        return;
    va_list args;
    va_start(args, format);
    print("", format, args);
    va_end(args);
}

void log_warning(const char *format, ...) {
    va_list args;
    va_start(args, format);
    print("warning: ", format, args);
    va_end(args);
}
