#!/bin/sh
# exports.sh LIBRARY: the shared library exports the functions that hspace.h
# declares, all of them and nothing else.
cd "$(dirname "$0")/.." || exit 1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

nm -D --defined-only "$1" | awk '$2 != "A" { print $3 }' | sort >"$folder/exported"
tr '\n' ' ' <include/hspace.h | grep -oE 'HS_API [^;{]*\(' |
    grep -oE '\bhs_[a-z0-9_]+ *\($' | tr -d ' (' | sort -u >"$folder/declared"
# The first name before the parameter list; HS_API ... hs_x( ends at its first "(".
if ! [ -s "$folder/declared" ]; then
    echo "no declaration found in include/hspace.h"
    exit 1
fi
if ! diff "$folder/declared" "$folder/exported" >"$folder/difference"; then
    echo "declared in hspace.h but not exported (<), exported but not declared (>):"
    grep '^[<>]' "$folder/difference"
    exit 1
fi
