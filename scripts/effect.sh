#!/bin/sh
# The measurement of docs/effect.md, into a folder (default effect/): annotated
# samples, directions found in four ways, and what they change. It takes an hour or
# two on two cores, may be stopped at any time, and goes on when it is run again.
# effect.sh [FOLDER [ATTRIBUTES]]; HSPACE names another program than build/hspace, PRE
# a command to run it with.
set -eu
cd "$(dirname "$0")/.."
out=${1:-effect}
hspace=${HSPACE:-build/hspace}
mkdir -p "$out"
export HSPACE_MODEL=avatars32

# The five attributes with the judge's highest held-out accuracy, by its card
# (models/judge/avatars32-judge); of two that are equal, the one of the higher AUC.
card=models/judge/avatars32-judge/README.md
five=$(echo "${2-}" | tr , ' ')
[ -n "$five" ] || five=$(sed -nE 's/^\| ([A-Za-z_]+) \| ([0-9.]+)% \| [0-9.]+% \| ([0-9.]+) \|.*/\2 \3 \1/p' $card |
    sort -k1,1nr -k2,2nr -s | head -n 5 | cut -d' ' -f3)
list=$(echo $five | tr ' ' ',')
echo "attributes: $list"

${PRE-} "$hspace" annotate -n 3000 --steps 20 -o "$out/index.sqlite"

# Mean difference; joint regression on the five; joint regression on all. One pass.
found=$out/directions.safetensors
[ -f "$found" ] || ${PRE-} "$hspace" attribute --index "$out/index.sqlite" --attribute "$list" \
    --given none --given "$list" --given all --top 100 -o "$found"

# Eq. 12: each mean difference without its projection on the four others.
for a in $five; do
    set --
    for b in $five; do
        [ "$a" = "$b" ] || set -- "$@" --from "$found#$b@none"
    done
    "$hspace" disentangle "$found#$a@none" "$@" -o "$out/eq12-$a.safetensors"
done

# A group of five directions; the format has a %s, the attribute.
add() {
    label=$1 format=$2
    args="$args --group '$label'"
    for a in $five; do
        args="$args -d '$(printf "$format" "$a")'"
    done
}
args=
add "mean difference" "$found#%s@none"
add "eq. 12" "$out/eq12-%s.safetensors"
add "joint regression on these" "$found#%s@$(echo $list | tr ',' '+')"
add "joint regression on all" "$found#%s@all"
eval "set -- $args"
${PRE-} "$hspace" evaluate --steps 20 --classifier models/judge/avatars32-judge \
    --attributes "$list" -n 100 --sets 10 --calibrate 0.45 "$@" \
    --json --figure "$out/effect.png" -o "$out/effect.csv" >"$out/effect.json"

# The same as tables in Markdown: on target, bold, the signed change; else the absolute.
awk -F, '
function row(   line, i) {
    line = "| " label " | " strength " |"
    for (i = 1; i <= n; i++)
        line = line " " cell[i] " |"
    print line
}
function head(   line, i) {
    line = "\n" group ":\n\n| direction | strength |"
    for (i = 1; i <= n; i++)
        line = line " " column[i] " |"
    print line
    gsub(/[^|\n]+/, " --- ", line)
    sub(/.*\n/, "", line)
    print line
}
function flush() {
    if (!n)
        return
    if (group != shown)
        head()
    shown = group
    row()
    n = 0
}
NR > 1 {
    if ($1 != group || $2 != name)
        flush()
    group = $1
    name = $2
    label = $3 != "" ? $3 : $2
    strength = $4 != "" ? sprintf("%.2f", $4) : ""
    column[++n] = $5
    cell[n] = $6 ? sprintf("**%.3f** ± %.3f", $7, $8) : sprintf("%.3f ± %.3f", $9, $10)
}
END { flush() }' "$out/effect.csv" >"$out/effect.md"
echo "$out/effect.csv $out/effect.json $out/effect.png $out/effect.md"
