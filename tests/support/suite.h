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

/* Runs a test case as a suite of its own; returns main's exit status. Tests run in one process, so
 * that they can share a device and its compiled kernels; give slow ones a timeout of 0. They, and
 * programs that they start, have a cache directory ($XDG_CACHE_HOME) that goes when they end. */
int suite_run(const char *name, TCase *tests);

#endif
