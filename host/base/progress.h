/* Progress of work that may take longer than two seconds: nothing before that, then a line that is
 * rewritten on a terminal, or a plain line now and then elsewhere. On standard error. */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

struct progress {
    const char *label;
    double started, shown;
    int is_terminal;
    int width; /* of the line on the terminal */
};

struct progress progress_start(const char *label);

/* Shows where the work is, if it is time to: "label: text". */
void progress_show(struct progress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Clears the line on a terminal. */
void progress_end(struct progress *progress);

/* Seconds of a clock that never goes back. */
double clock_seconds(void);

#endif
