#!/bin/sh
# The measurement of docs/local-edits.md, into a folder (default local-edits/): for
# three seeds and two regions each, the share of the change that lies inside, as JSON
# and as a table in Markdown, and the pictures. It takes about an hour on two cores;
# what is finished is kept, and it goes on when it is run again.
# local-edits.sh MODEL [FOLDER]; MODEL is the folder of the anime64 model. HSPACE names
# another program than build/hspace, PRE a command to run it with.
set -eu
model=${1:?local-edits.sh MODEL [FOLDER]: MODEL is the folder of the anime64 model}
out=${2:-local-edits}
hspace=${HSPACE:-$(dirname "$0")/../build/hspace}
mkdir -p "$out"

# Eta 1 up to the step of the direction, then 0: nothing amplifies the change.
tail=1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0

# one NAME SEED EYES MOUTH OPTION...: a run of --compare, unless its figures are there
one() {
    name=$out/$1 seed=$2 eyes=$3 mouth=$4
    shift 4
    [ -s "$name.json" ] || {
        ${PRE-} "$hspace" jacobian -m "$model" --steps 30 --step 15 -k 1 --tol 0.1 --seed "$seed" \
            --region "$eyes" --region "$mouth" --compare --json "$@" \
            -o "$name.safetensors" >"$name.json.part"
        mv "$name.json.part" "$name.json"
    }
}

seed() {
    best="--eta $tail --window 15-29"
    one "s$1-all-project" "$1" "$2" "$3" --eta 1 --keep-outside=project --outside 8
    one "s$1-all-resefa" "$1" "$2" "$3" --eta 1 --keep-outside=resefa --outside 2 --lambda 0.03
    for strength in 1 4 8; do
        one "s$1-project-$strength" "$1" "$2" "$3" $best --strength "$strength" \
            --keep-outside=project --outside 8
        one "s$1-resefa-$strength" "$1" "$2" "$3" $best --strength "$strength" \
            --keep-outside=resefa --outside 2 --lambda 0.03 --preview "$out/s$1-resefa-$strength.png"
    done
}
seed 1 14,19,40,15 25,38,12,8
seed 5 12,20,42,18 26,36,13,8
seed 7 12,21,40,16 26,41,13,8

# The same setting on a model of our own.
avatars() {
    one "avatars$1" "$1" "$2" "$3" --eta "$tail" --window 15-29 --strength 1 \
        --keep-outside=resefa --outside 2 --lambda 0.03 --preview "$out/avatars$1.png"
}
model=$(dirname "$0")/../models/demo/avatars64
avatars 1 18,20,30,12 24,34,16,10
avatars 5 18,18,28,12 24,34,17,10
avatars 7 17,18,30,13 24,34,16,10

# A row a file and region: shares in percent, and the root mean square of the change
# inside and outside in 8-bit levels (of images of 64x64).
echo "| run | region | unmasked | masked | outside kept | levels inside | outside |"
echo "| --- | --- | --- | --- | --- | --- | --- |"
for file in "$out"/*.json; do
    jq -r --arg run "$(basename "$file" .json)" 'def percent: 1000 * . | round / 10 | tostring;
        def level: 100 * . | round / 100 | tostring;
        .inside_mean[] | .keep_outside as $share | .rms.keep_outside as $inside |
        (.mask | split(",") | map(tonumber) | .[2] * .[3] / 4096) as $area |
        ((1 - $share) / $share * $area / (1 - $area) | sqrt * $inside) as $outside |
        "| \($run) | \(.mask) | \(.unmasked | percent) | \(.masked | percent) |" +
        " \($share | percent) | \($inside | level) | \($outside | level) |"' "$file"
done | tee "$out/shares.md"
