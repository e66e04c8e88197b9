#!/bin/sh
# Runs the tests that launch every kernel under Oclgrind, a simulator of an OpenCL device that reports
# accesses out of bounds, data races and wrong calls of the API.
# Usage: tests/lint/oclgrind.sh BUILD [PROGRAM...]     such as layers_test_lrn
set -eu
[ $# -ge 1 ] || {
    echo "usage: $0 BUILD [PROGRAM...]" >&2
    exit 2
}
build=$(cd -- "$1" && pwd)
shift
cd -- "$build/tests"
if [ $# -eq 0 ]; then
    # Each layer and operation; and, in whole nets, the kernels that belong to no layer.
    set -- ops_test_* layers_test_* net_test_replica train_test_golden
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Simulating is a thousand times slower than running: tests take fewer and smaller shapes.
export CLNET_TEST_SMALL=1

oclgrind "$build/clnet" devices | grep Oclgrind
for program in "$@"; do
    [ -x "$program" ] || {
        echo "$build/tests has no $program" >&2
        exit 1
    }
    echo "$program"
    : >"$work/log"
    oclgrind --check-api --data-races --max-errors 100 --log "$work/log" "./$program"
    # Oclgrind's exit status is that of the program, whatever it found.
    if [ -s "$work/log" ]; then
        cat "$work/log"
        echo "Oclgrind reports errors in $program; see above"
        exit 1
    fi
done
echo "$# programs, nothing reported"
