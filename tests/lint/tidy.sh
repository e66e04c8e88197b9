#!/bin/sh
# Runs clang-tidy over host/ and tests/ with the compile commands of the build folder named.
# Usage: tests/lint/tidy.sh BUILD [FILE...]
set -eu
[ $# -ge 1 ] || {
    echo "usage: $0 BUILD [FILE...]" >&2
    exit 2
}
# A forced include is looked up from the folder that the compiler is run in, hence whole paths.
build=$(cd -- "$1" && pwd)
shift
cd -- "$(dirname -- "$0")/../.."

# One file a process: clang-tidy 14 carries the analyzer's state over from file to file, and then takes
# every va_list for uninitialised. error.c defines what contract.h wraps.
if [ $# -gt 0 ]; then
    printf '%s\0' "$@"
else
    find host tests -name '*.c' ! -path host/base/error.c -print0
fi | xargs -0 -P "$(nproc)" -n 1 clang-tidy -p "$build" --quiet \
    --extra-arg=-include --extra-arg="$PWD/tests/lint/contract.h"
if [ $# -eq 0 ]; then
    clang-tidy -p "$build" --quiet host/base/error.c
fi
