#!/bin/sh
# Runs every kernel under Oclgrind, a simulator of an OpenCL device that reports accesses out of bounds,
# data races and wrong calls of the API.
# Usage: tests/lint/oclgrind.sh BUILD [TEST...]     a test as its program is called: layers_test_lrn
set -eu
[ $# -ge 1 ] || {
    echo "usage: $0 BUILD [TEST...]" >&2
    exit 2
}
build=$(cd -- "$1" && pwd)
shift
tree=$(cd -- "$(dirname -- "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Simulating is a thousand times slower than running: tests then take fewer and smaller shapes.
export CLNET_TEST_SMALL=1

# check NAME COMMAND...
check() {
    name=$1
    shift
    echo "$name"
    : >"$work/log"
    # Unoptimised: the optimiser would remove some of what is to be found, and Oclgrind 21.10 computes
    # some of what it leaves wrongly (bytes that are widened) or not at all (llvm.usub.sat).
    oclgrind --check-api --data-races --max-errors 100 --build-options -cl-opt-disable \
        --log "$work/log" "$@" >"$work/output" 2>&1 || {
        cat "$work/output" "$work/log"
        echo "$name failed; see above"
        exit 1
    }
    # Oclgrind's exit status is that of the program, whatever it found.
    if [ -s "$work/log" ]; then
        cat "$work/log"
        echo "Oclgrind reports errors in $name; see above"
        exit 1
    fi
}

# Two epochs of the program itself, for the kernels that belong to no layer, on 5 pictures of 4 x 4,
# enlarged so that there is something to crop.
train() {
    export XDG_CACHE_HOME="$work/cache"
    {
        printf '\0\0\010\003\0\0\0\005\0\0\0\004\0\0\0\004'
        printf '%80s' '' # 80 bytes of spaces
    } >"$work/pictures"
    printf '\0\0\010\001\0\0\0\005\0\001\002\001\0' >"$work/labels"
    cat >"$work/pictures.cfg" <<'TEXT'
[net]
height=4
width=4
channels=1
batch=2
epochs=2
resize=6
flip=1

[data]
train=pictures
train_labels=labels
test=pictures
test_labels=labels
mean=pixel

[connected]
output=3
activation=relu

[softmax]
TEXT
    cat >"$work/numbers.csv" <<'TEXT'
1,2,3
2,3,5
5,1,6
TEXT
    cat >"$work/numbers.cfg" <<'TEXT'
[net]
inputs=2
batch=2
epochs=2

[data]
train=numbers.csv
test=numbers.csv

[connected]
output=1
activation=linear

[cost]
TEXT
    for input in pictures numbers; do
        check "clnet train $input.cfg" "$build/clnet" train "$work/$input.cfg" --output "$work/$input.run"
    done
}

check devices "$build/clnet" devices
grep Oclgrind "$work/output"

count=0
if [ $# -eq 0 ]; then
    train
    count=2
    cd -- "$tree/tests"
    for source in ops/test_*.c layers/test_*.c; do
        [ ! -e "$source" ] || set -- "$@" "$(echo "${source%.c}" | tr / _)"
    done
fi
for program in "$@"; do
    check "$program" "$build/tests/$program"
done
echo "$((count + $#)) programs, nothing reported"
