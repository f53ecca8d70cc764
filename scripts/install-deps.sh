#!/bin/sh
# Install from Debian what is missing of the named groups: build, test, fuzz.
# Prints what it installs, and nothing when nothing is missing. With --list it
# only prints the names of what is missing.
set -eu

list=no
if [ "${1:-}" = --list ]; then
    list=yes
    shift
fi

wanted=
for group in "${@:-build}"; do
    case $group in
    build) wanted="$wanted gcc libc6-dev cmake ninja-build pkg-config libdnnl-dev
        libopenblas-dev liblapacke-dev libvips-dev librsvg2-2 fonts-dejavu-core
        libjansson-dev libxxhash-dev libsqlite3-dev" ;;
    test) wanted="$wanted libcmocka-dev binutils" ;;
    fuzz) wanted="$wanted clang-14 libclang-rt-14-dev" ;;
    *)
        echo "install-deps.sh: unknown group '$group' (build, test, fuzz)" >&2
        exit 2
        ;;
    esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    for tool in cmake ninja cc pkg-config; do
        command -v $tool >/dev/null || missing_tool=yes
    done
    if [ "${missing_tool:-no}" = yes ] ||
        ! pkg-config --exists openblas lapacke vips jansson libxxhash sqlite3; then
        echo "hspace: this system has no apt-get: install cmake 3.25, ninja, a C17 compiler with" \
            "OpenMP, pkg-config, oneDNN 2.x, OpenBLAS, LAPACKE, libvips (with librsvg), jansson," \
            "xxHash, SQLite 3, cmocka and the DejaVu fonts, then run make again" >&2
        exit 1
    fi
    exit 0
fi

missing=
for package in $wanted; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
if [ $list = yes ]; then
    echo $missing
    exit 0
fi
[ -n "$missing" ] || exit 0

root=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "hspace: these Debian packages are missing, and there is no sudo to install them:" \
            "as root, run apt-get install --no-install-recommends$missing" >&2
        exit 1
    fi
    root=sudo
fi
echo "installing from Debian:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { $root env DEBIAN_FRONTEND=noninteractive apt-get -q update &&
    $root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends \
        $missing; } >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    echo "hspace: apt-get could not install$missing" >&2
    exit 1
fi
