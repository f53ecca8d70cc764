#!/bin/sh
# Run the tests of a build folder and end with one line,
# "N passed, N failed", with ", N skipped" where there are any. The exit status
# is not 0 if a test failed or could not be run, or if there was none.
set -eu
build=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

{
    status=0
    ctest --test-dir "$build" --parallel "$(nproc)" --output-on-failure --no-tests=error ||
        status=$?
    echo $status >"$folder/status"
} 2>&1 | tee "$folder/log"
status=$(cat "$folder/status")

# ctest's own closing lines: "50% tests passed, 2 tests failed out of 4", then
# "3 - name (Skipped)" for each that did not run on purpose.
failed=$(sed -nE 's/^[0-9]+% tests passed, ([0-9]+) tests? failed out of [0-9]+$/\1/p' "$folder/log")
total=$(sed -nE 's/^[0-9]+% tests passed, .* out of ([0-9]+)$/\1/p' "$folder/log")
skipped=$(grep -cE '^[[:space:]]+[0-9]+ - .* \((Skipped|Disabled)\)$' "$folder/log" || true)
failed=${failed:-0} total=${total:-0}
if [ "$status" != 0 ] && [ "$failed" = 0 ]; then
    failed=1 # ctest itself
    total=$((total + 1))
fi
line="$((total - failed - skipped)) passed, $failed failed"
[ "$skipped" = 0 ] || line="$line, $skipped skipped"
echo "$line"
exit "$status"
