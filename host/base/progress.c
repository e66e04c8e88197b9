#include "base/progress.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

double clock_seconds(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

struct progress progress_start(const char *label) {
    double now = clock_seconds();
    return (struct progress){
        .label = label, .started = now, .shown = now, .is_terminal = isatty(STDERR_FILENO)};
}

void progress_show(struct progress *progress, const char *format, ...) {
    double now = clock_seconds();
    double interval = progress->is_terminal ? 0.2 : 10;
    if (log_is_quiet() || now - progress->started < 2 ||
        (progress->shown > progress->started && now - progress->shown < interval))
        return;
    progress->shown = now;
    char text[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!progress->is_terminal) {
        log_info("%s: %s", progress->label, text);
        return;
    }
    int width = fprintf(stderr, "\r%s: %s", progress->label, text) - 1;
    if (width < progress->width)
        (void)fprintf(stderr, "%*s", progress->width - width, "");
    progress->width = width;
    (void)fflush(stderr);
}

void progress_end(struct progress *progress) {
    if (progress->width)
        (void)fprintf(stderr, "\r%*s\r", progress->width, "");
    progress->width = 0;
}
