/* Errors: a negative code to hand up, and one message for a human.
 *
 * A function that can fail returns an int: 0, or one of the codes below. The place that fails
 * writes the message; callers may put what they know in front of it (a file, a layer) and hand the
 * code up. Only host/cli prints and exits. The message is kept per thread.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

enum error {
    ERROR_INPUT = -1,   /* what the user gave is wrong: a config, an option, a data file */
    ERROR_SYSTEM = -2,  /* the operating system refused: no such file, disk full */
    ERROR_MEMORY = -3,  /* host memory is used up */
    ERROR_DEVICE = -4,  /* an OpenCL device or its compiler failed */
    ERROR_NUMERIC = -5, /* the training left the finite numbers */
};

/* Writes the message (at most ERROR_LENGTH bytes are kept) and returns code. */
int error_set(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts text in front of the message that is there, and returns code. */
int error_prefix(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sets the message for a failed allocation of bytes for what, and returns ERROR_MEMORY. */
int error_no_memory(const char *what, unsigned long long bytes);

/* The message of this thread's last error; "" if there was none. Valid until the next error_*. */
const char *error_message(void);

/* Between these two this thread's message stays as it is, whatever fails: for what cleans up after
 * a failure and may fail in turn. They may nest. */
void error_hold(void);
void error_release(void);

enum { ERROR_LENGTH = 16384 };

/* Hands a failure up at once. For functions that own nothing at that point. */
#define TRY(x)                \
    do {                      \
        int try_code_ = (x);  \
        if (try_code_ < 0)    \
            return try_code_; \
    } while (0)

/* Like TRY, for functions that release what they own at a label: needs `int rc` in scope. */
#define TRY_OR(label, x)    \
    do {                    \
        if ((rc = (x)) < 0) \
            goto label;     \
    } while (0)

#endif
