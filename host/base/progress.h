/* Progress of work that may take longer than two seconds: nothing before that, then a line that is
 * rewritten on a terminal and fits its width, or a plain line now and then elsewhere. On standard
 * error. */
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

/* The same with the share of the work that is done, from 0 to 1: "label [==>   ] 43 % text" on a
 * terminal, "label: 43 %, text" elsewhere. */
void progress_show_share(struct progress *progress, double share, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The line for a terminal of so many columns, into `line` of `size` bytes; without a bar when share
 * is negative. What is too wide is cut. Returns its length. */
int progress_line(char *line, int size, int width, const char *label, double share,
                  const char *text);

/* Clears the line on a terminal. */
void progress_end(struct progress *progress);

/* Seconds of a clock that never goes back. */
double clock_seconds(void);

#endif
