#!/bin/sh
# cards.sh PROGRAM: the models that come with the program are what their cards say. Every
# weight file under models/ has the SHA-256 that its card gives, and all of them together
# stay under 80 MB; every diffusion model opens and has the parameters, image size and
# h-space of its card.
cd "$(dirname "$0")/../.." || exit 1
program=$1
limit=80000000
failed=0
complain() {
    echo "$1"
    failed=1
}

# Weights: the card is the nearest README.md upward, and names the file from there.
total=0 files=0
for file in $(find models -name '*.safetensors' | sort); do
    folder=$(dirname "$file")
    while [ ! -f "$folder/README.md" ] && [ "$folder" != models ]; do
        folder=$(dirname "$folder")
    done
    name=${file#"$folder"/}
    said=$(sed -nE "s|^- \*\*SHA-256 of the weights\*\* \(\`$name\`\): \`([0-9a-f]{64})\`\$|\1|p" \
        "$folder/README.md" 2>/dev/null)
    is=$(sha256sum "$file" | cut -d' ' -f1)
    [ "$said" = "$is" ] || complain "$folder/README.md: SHA-256 of $name is $is, the card has '$said'"
    total=$((total + $(wc -c <"$file")))
    files=$((files + 1))
done
[ $files -ge 7 ] || complain "models/: $files weight files, expected 7 or more"
[ $total -le $limit ] || complain "models/: $total bytes of weights, expected at most $limit"

# Shapes: "DDPM of 64×64", "its h-space is 192×8×8", "7 053 091 parameters".
models=0
for index in $(find models -name model_index.json | sort); do
    model=$(dirname "$index")
    card=$(sed 's/×/x/g' "$model/README.md")
    image=$(echo "$card" | sed -nE 's/.*DDPM of ([0-9]+x[0-9]+) .*/\1/p')
    h=$(echo "$card" | sed -nE 's/.*[Ii]ts h-space is ([0-9]+x[0-9]+x[0-9]+).*/\1/p')
    parameters=$(echo "$card" | sed -nE 's/.*[^0-9 ] ([0-9]+( [0-9]{3})+) parameters.*/\1/p' | tr -d ' ')
    info=$("$program" info -m "$model") || complain "$model: hspace info failed"
    info=$(echo "$info" | sed 's/ x /x/g')
    for line in "architecture +UNet2DModel, $parameters parameters" "image +3x$image \(C,H,W\)" \
        "h-space after +$h \(c,h,w\)"; do
        echo "$info" | grep -qE "^$line\$" ||
            complain "$model: its card says '$line', hspace info does not"
    done
    models=$((models + 1))
done
[ $models -ge 3 ] || complain "models/: $models diffusion models, expected 3 or more"
echo "$files weight files, $total bytes; $models diffusion models"
exit $failed
