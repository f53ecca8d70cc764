#!/bin/sh
# run.sh BUILD SECONDS [TARGET...]: fuzz the targets (all of them) one after the
# other from fresh seeds. BUILD is the folder that holds the programs. What
# breaks a target is left beside it as crash-* and named in the output.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
seconds=$2
shift 2
[ $# -gt 0 ] || set -- $(sed -n 's/^hs_fuzz(\([a-z0-9_]*\)).*/\1/p' "$here/targets.cmake")

seeds=$(mktemp -d)
trap 'rm -rf "$seeds"' EXIT
for script in "$here"/make_*.sh; do
    sh "$script" "$seeds"
done
for target; do
    mkdir -p "$seeds/$target"
    dict=
    [ ! -f "$here/$target.dict" ] || dict=-dict=$here/$target.dict
    "$build/$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
        -verbosity=0 $dict -artifact_prefix="$build/$target-" "$seeds/$target"
    echo "$target: fine after $seconds seconds"
done
