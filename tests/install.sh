#!/bin/sh
# install.sh BUILD CC: what `make install` puts down is complete and usable: a
# program is built against it by pkg-config alone, shared and static, and runs.
build=$1 cc=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cmake --install "$build" --prefix "$folder/usr" >"$folder/log" 2>&1 || {
    cat "$folder/log"
    exit 1
}
failed=0
for file in bin/hspace include/hspace.h share/man/man1/hspace.1 \
    share/bash-completion/completions/hspace; do
    [ -s "$folder/usr/$file" ] || { echo "$file is not installed"; failed=1; }
done
library=$(dirname "$(find "$folder/usr" -name libhspace.so)")
for file in libhspace.a libhspace.so.0 pkgconfig/hspace.pc; do
    [ -s "$library/$file" ] || { echo "$file is not installed"; failed=1; }
done

cat >"$folder/use.c" <<'END'
#include <hspace.h>
#include <stdio.h>
int main(void) {
    float x[4];
    hs_error err;
    hs_model *model = NULL;
    hs_status status = hs_model_open("/nowhere", NULL, &model, &err);
    if (hs_randn(0, 1, 4, x, &err) != HS_OK || status == HS_OK || model)
        return 1;
    printf("%s %.4f\n", hs_version(), (double)x[0]);
    return 0;
}
END
export PKG_CONFIG_PATH="$library/pkgconfig"
"$cc" "$folder/use.c" -o "$folder/shared" $(pkg-config --cflags --libs hspace) || failed=1
"$cc" "$folder/use.c" -o "$folder/static" $(pkg-config --cflags hspace) "$library/libhspace.a" \
    $(pkg-config --static --libs hspace | sed 's/-lhspace//') || failed=1
shared=$(LD_LIBRARY_PATH=$library "$folder/shared") || failed=1
static=$("$folder/static") || failed=1
if [ -z "$shared" ] || [ "$shared" != "$static" ]; then
    echo "the programs say '$shared' (shared) and '$static' (static)"
    failed=1
fi
exit $failed
