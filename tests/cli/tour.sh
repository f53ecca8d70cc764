#!/bin/sh
# tour.sh PROGRAM [KEEP]: every command of docs/tour.md, as it stands there, in an
# empty folder that has the program, docs/ and models/ where a clone has them. KEEP, a
# folder, gets the pictures that they make, as docs/images/tour-*.png were made.
set -eu
cd "$(dirname "$0")/../.."
root=$PWD program=$1 keep=${2:+$(cd "$2" && pwd)}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/build"
ln -s "$program" "$folder/build/hspace"
ln -s "$root/docs" "$root/models" "$folder"
cd "$folder"

awk '/^```sh$/ { on = 1; next } /^```/ { on = 0 } on' docs/tour.md >commands
count=$(grep -c '^build/hspace ' commands || true)
if [ "$count" -lt 8 ]; then
    echo "docs/tour.md: $count commands of build/hspace in its \`\`\`sh blocks, expected more"
    exit 1
fi
if ! sh -eu commands >log 2>&1; then
    cat log
    echo "docs/tour.md: a command failed"
    exit 1
fi
# What each -o names is there.
grep -oE -e '(-o|--preview) [^ ]+' commands | sed 's/.* //' | while read -r file; do
    [ -s "$file" ] || { echo "docs/tour.md: $file was not made" && exit 1; }
done
# The page shows the pictures that its commands make.
for picture in $(grep -oE 'images/tour-[a-z-]+\.png' docs/tour.md | sort -u); do
    made=${picture#images/tour-}
    [ -s "$made" ] || { echo "docs/tour.md: no command makes $made" && exit 1; }
    [ -z "$keep" ] || cp "$made" "$keep/tour-$made"
    [ -n "$keep" ] || [ -f "docs/$picture" ] ||
        { echo "docs/tour.md: there is no docs/$picture" && exit 1; }
done
[ -z "$keep" ] || cat log
echo "$count commands"
