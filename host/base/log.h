/* Messages to the person at the terminal, on standard error. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/* What is going on, one line. Nothing is printed when the log is quiet. */
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Something that deserves attention but does not stop the work. Always printed. */
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

void log_set_quiet(int quiet);
int log_is_quiet(void);

#endif
