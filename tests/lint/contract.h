/* Read before a file that clang-tidy looks at. Its analyzer sees one source file at a time and does
 * not know what base/error.h promises: that these return a negative code. Without that it follows
 * paths on which a failure goes unnoticed, and finds null pointers there. */
#ifndef LINT_CONTRACT_H
#define LINT_CONTRACT_H

#include "base/error.h"

#define error_set(...) (error_set(__VA_ARGS__), -1)
#define error_prefix(...) (error_prefix(__VA_ARGS__), -1)
#define error_no_memory(...) (error_no_memory(__VA_ARGS__), -1)

#endif
