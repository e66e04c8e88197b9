#!/bin/sh
# The floors of host/: an include only points down, OpenCL stays behind host/cl, and only host/cli
# prints to standard output and exits. Prints what breaks this; fails when anything does.
set -eu
cd -- "$(dirname -- "$0")/../../host"

failed=0

# report RULE: prints the lines of standard input, which break it, and remembers that there were some.
report() {
    found=$(cat)
    if [ -n "$found" ]; then
        printf '%s\n%s\n\n' "$1" "$found"
        failed=1
    fi
}

# check FLOOR BELOW...: the files of FLOOR include those of FLOOR and BELOW, and of no other folder.
check() {
    floor=$1
    allowed=$(printf '%s\n' "$@" | paste -sd '|')
    report "host/$floor may include only from: $*" <<TEXT
$(grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$floor" | grep -vE "\"($allowed)/[^/.]+\.h\"" || :)
TEXT
}

check base
check config base
check cl base
check data base
check ops cl base
check reference ops cl base
check layers reference ops config cl data base
check net layers reference ops config cl data base
check train net layers reference ops config cl data base
check cli train net layers reference ops config cl data base

for folder in *; do
    case $folder in
    base | config | cl | data | ops | reference | layers | net | train | cli) ;;
    *)
        echo "host/$folder has no floor: name it in tests/lint/floors.sh"
        failed=1
        ;;
    esac
done

report "only host/cl includes OpenCL and CLBlast" <<TEXT
$(grep -rnE '#[[:space:]]*include[[:space:]]*[<"]((CL|OpenCL)/|clblast)' . | grep -v '^\./cl/' || :)
TEXT

# Comments talk of these too, but not with the parenthesis of a call.
report "only host/cli prints to standard output and exits" <<TEXT
$(grep -rnE '(^|[^[:alnum:]_])((exit|_exit|_Exit|quick_exit|v?printf|puts|putchar)[[:space:]]*\(|stdout([^[:alnum:]_]|$))' . |
    grep -v '^\./cli/' || :)
TEXT

exit "$failed"
