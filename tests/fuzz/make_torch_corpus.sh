#!/bin/sh
# Seeds for fuzz_torch, fuzz_pickle and fuzz_tfjs: make_torch_corpus.sh FOLDER.
set -eu
out=$1
golden=$(cd "$(dirname "$0")/../golden/torch" && pwd)

mkdir -p "$out/fuzz_torch" "$out/fuzz_pickle" "$out/fuzz_tfjs"
cp "$golden"/*.bin "$out/fuzz_torch"

# The state dict is the first member of an archive, aligned to 64 bytes.
for name in dtypes dtypes_protocol4 dtypes_protocol5 strided nested parameters; do
    tail -c +65 "$golden/$name.bin" | head -c 1500 >"$out/fuzz_pickle/$name"
done
printf '\200\002ccollections\nOrderedDict\n]q\000(K\001N\206e\205R.' >"$out/fuzz_pickle/python2"

# The model.json, then from its first zero byte on two shards of equal length.
weights='{"name":"i","shape":[],"dtype":"int32"},
{"name":"u","shape":[3,1],"dtype":"float32","quantization":{"dtype":"uint8","scale":0.1,"min":-1}},
{"name":"v","shape":[2],"dtype":"float32","quantization":{"dtype":"uint16","scale":0.1,"min":2}},
{"name":"h","shape":[2],"dtype":"float32","quantization":{"dtype":"float16"}},
{"name":"b","shape":[1],"dtype":"bool"}'
{
    printf '{"weightsManifest":[{"paths":["a","b"],"weights":[%s]}]}' "$weights"
    head -c 16 /dev/zero
} >"$out/fuzz_tfjs/types"
{
    printf '{"weightsManifest":[{"paths":["a"],"weights":[{"name":"f","shape":[2],"dtype":"float32"}]},'
    printf '{"paths":["b"],"weights":[{"name":"g","shape":[8],"dtype":"bool"}]}]}'
    head -c 16 /dev/zero
} >"$out/fuzz_tfjs/groups"
