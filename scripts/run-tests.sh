#!/bin/sh
# Run the tests of a build folder and end with one line,
# "N passed, N failed", with ", N skipped" where there are any. The exit status
# is not 0 if a test failed or could not be run, or if there was none.
set -eu
folder=$1
results=$(mktemp)
trap 'rm -f "$results"' EXIT

status=0
ctest --test-dir "$folder" --parallel "$(nproc)" --output-on-failure --no-tests=error \
    --output-junit "$results" || status=$?

# One status="..." per test: run, fail, notrun (skipped, or its program is
# missing, which ctest's exit status tells) or disabled.
count() {
    grep -o " status=\"$1\"" "$results" 2>/dev/null | wc -l
}
passed=$(count run)
failed=$(count fail)
skipped=$(count notrun)
if [ $status != 0 ] && [ "$failed" = 0 ]; then
    failed=$((skipped > 0 ? skipped : 1))
    skipped=0
fi
line="$passed passed, $failed failed"
[ "$skipped" = 0 ] || line="$line, $skipped skipped"
echo "$line"
exit $status
