#include "base/progress.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
    TEXT_MAX = 512,
    WIDTH_DEFAULT = 80, /* of a terminal that does not tell */
    BAR_LEAST = 10,     /* a shorter bar shows nothing */
    BAR_MOST = 30,
};

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

static int is_time(struct progress *progress) {
    double now = clock_seconds();
    double interval = progress->is_terminal ? 0.2 : 10;
    if (log_is_quiet() || now - progress->started < 2 ||
        (progress->shown > progress->started && now - progress->shown < interval))
        return 0;
    progress->shown = now;
    return 1;
}

/* Columns that a line may have: in the last one some terminals already wrap. */
static int terminal_width(void) {
    struct winsize size = {0};
    int known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    return (known ? size.ws_col : WIDTH_DEFAULT) - 1;
}

int progress_line(char *line, int size, int width, const char *label, double share,
                  const char *text) {
    char bar[BAR_MOST + 1] = "";
    if (share >= 0) {
        int used = (int)(strlen(label) + strlen(text)) + (int)sizeof " [] 100 % " - 1;
        int length = width - used < BAR_MOST ? width - used : BAR_MOST;
        length = length < BAR_LEAST ? BAR_LEAST : length;
        int full = (int)(share * length);
        for (int i = 0; i < length; i++)
            bar[i] = i < full ? '=' : ' ';
        if (full < length)
            bar[full] = '>';
    }
    int wanted = share < 0 ? snprintf(line, (size_t)size, "%s: %s", label, text)
                           : snprintf(line, (size_t)size, "%s [%s] %d %% %s", label, bar,
                                      (int)(100 * share), text);
    int length = wanted < size ? wanted : size - 1;
    if (length > width) {
        length = width > 0 ? width : 0;
        line[length] = '\0';
    }
    return length;
}

static void show(struct progress *progress, double share, const char *text) {
    if (!progress->is_terminal && share < 0) {
        log_info("%s: %s", progress->label, text);
        return;
    }
    if (!progress->is_terminal) {
        log_info("%s: %d %%, %s", progress->label, (int)(100 * share), text);
        return;
    }
    char line[2 * TEXT_MAX];
    int screen = terminal_width();
    int width = progress_line(line, sizeof line, screen, progress->label, share, text);
    /* A terminal that became narrower has wrapped what was there: that cannot be taken back. */
    int before = progress->width < screen ? progress->width : screen;
    (void)fprintf(stderr, "\r%s%*s", line, before > width ? before - width : 0, "");
    (void)fflush(stderr);
    progress->width = width;
}

void progress_show(struct progress *progress, const char *format, ...) {
    if (!is_time(progress))
        return;
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    show(progress, -1, text);
}

void progress_show_share(struct progress *progress, double share, const char *format, ...) {
    if (!is_time(progress))
        return;
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    share = share > 1 ? 1 : share;
    show(progress, share > 0 ? share : 0, text);
}

void progress_end(struct progress *progress) {
    if (progress->width)
        (void)fprintf(stderr, "\r%*s\r", progress->width, "");
    progress->width = 0;
}
