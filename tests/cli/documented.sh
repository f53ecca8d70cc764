#!/bin/sh
# documented.sh PROGRAM: every option of every command stands in the manual page
# and in the completion; what these name exists; the manual page has no fault.
cd "$(dirname "$0")/../.." || exit 1
program=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0
complain() {
    echo "$1"
    failed=1
}

commands=$("$program" --help | sed -nE 's/^  ([a-z]+) +[A-Z][a-z ].*/\1/p')
[ -n "$commands" ] || complain "hspace --help lists no command"
for command in $commands; do
    grep -q "^\.It Cm $command\$" docs/hspace.1 || complain "docs/hspace.1 lacks command $command"
    grep -q "^    $command) options=" completions/hspace.bash ||
        complain "completions/hspace.bash lacks command $command"
    "$program" "$command" --help | grep -oE -e '--[a-z][a-z-]*' | sort -u >"$folder/$command"
    while read -r option; do
        case $option in --help | --usage | --version) continue ;; esac
        grep -qE "Fl -${option#--}( |\$)" docs/hspace.1 ||
            complain "docs/hspace.1 lacks $option of $command"
        # What the completion offers for this command.
        offered=$(bash -c '. completions/hspace.bash
            COMP_WORDS=(hspace "$0" "$1") COMP_CWORD=2
            _hspace 2>/dev/null
            printf "%s\n" "${COMPREPLY[@]}"' "$command" "$option")
        echo "$offered" | grep -qx -e "$option" ||
            complain "completions/hspace.bash lacks $option of $command"
    done <"$folder/$command"
done

sort -u "$folder"/* >"$folder.all"
for option in $(grep -oE '^\.It .*Fl -[a-z-]+' docs/hspace.1 | grep -oE 'Fl -[a-z-]+' | sed 's/Fl -/--/'); do
    grep -qx -e "$option" "$folder.all" || complain "docs/hspace.1 names $option, which no command has"
done
rm -f "$folder.all"
if command -v groff >/dev/null && groff -mdoc -Tascii docs/hspace.1 >/dev/null 2>"$folder/warnings"; then
    [ ! -s "$folder/warnings" ] || complain "docs/hspace.1: $(head -n 1 "$folder/warnings")"
fi
exit $failed
