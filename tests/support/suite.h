/* What every test program shares. */
#ifndef SUPPORT_SUITE_H
#define SUPPORT_SUITE_H

#include <check.h>

#include "base/error.h"

/* Asserts that a call succeeded, and shows its message when not. */
#define ck_succeeds(x)                                          \
    do {                                                        \
        if ((x) < 0)                                            \
            ck_abort_msg("%s failed: %s", #x, error_message()); \
    } while (0)

/* Asserts that a call failed with this code and that its message contains text. */
#define ck_fails(x, code, text)                                                                    \
    do {                                                                                           \
        ck_assert_int_eq((x), (code));                                                             \
        ck_assert_msg(strstr(error_message(), (text)) != NULL, "message is: %s", error_message()); \
    } while (0)

/* Leaves the rest of a test out, visibly: a reason (as printf takes it) that tells what would have
 * it run. For the test's own function alone. */
#define SKIP_TEST(...)                     \
    do {                                   \
        suite_skip(__func__, __VA_ARGS__); \
        return;                            \
    } while (0)

/* For SKIP_TEST: says that a function was left out, and counts it. */
void suite_skip(const char *function, const char *reason, ...)
    __attribute__((format(printf, 2, 3)));

/* Runs a test case as a suite of its own; returns main's exit status. Tests run in one process, so
 * that they can share a device and its compiled kernels; give slow ones a timeout of 0. They, and
 * programs that they start, have a cache directory ($XDG_CACHE_HOME) that goes when they end. Its
 * last line, for tests/matrix, is "NAME: 12 passed, 0 failed, 1 skipped". */
int suite_run(const char *name, TCase *tests);

#endif
