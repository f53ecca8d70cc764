#!/bin/sh
# Configure (once) and build a preset: build.sh PRESET [TARGET...]
set -eu
preset=$1
shift
case $preset in
release) folder=build ;;
*) folder=build-$preset ;;
esac

if [ ! -f $folder/build.ninja ]; then
    if ! command -v cmake >/dev/null || ! command -v ninja >/dev/null ||
        ! cmake --preset $preset >$folder.log 2>&1; then
        [ ! -f $folder.log ] || cat $folder.log >&2
        rm -rf $folder $folder.log
        missing=$(scripts/install-deps.sh --list build test 2>/dev/null || true)
        echo "hspace: configuring failed${missing:+; missing Debian packages: $missing}" \
            "(make deps installs what is missing)" >&2
        exit 1
    fi
    rm -f $folder.log
fi
exec cmake --build $folder ${1:+--target "$@"}
