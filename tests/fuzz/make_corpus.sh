#!/bin/sh
# Seeds for the fuzz targets: make_corpus.sh FOLDER makes FOLDER/fuzz_x/ for
# each target: small files that are right, for the fuzzer to break.
set -eu
out=$1

# safetensors HEADER BYTES: its length (below 65536), the header, zeros.
safetensors() {
    length=$(printf '%s' "$1" | wc -c)
    printf "\\$(printf %03o $((length % 256)))\\$(printf %03o $((length / 256)))"
    printf '\0\0\0\0\0\0'
    printf '%s' "$1"
    head -c "$2" /dev/zero
}

# entry DTYPE SHAPE BEGIN END
entry() {
    printf '{"dtype":"%s","shape":[%s],"data_offsets":[%s,%s]}' "$1" "$2" "$3" "$4"
}

seeds="$out/fuzz_safetensors"
mkdir -p "$seeds"
safetensors '{}' 0 >"$seeds/empty"
safetensors "{\"a\":$(entry F32 2,3 0 24),\"b\":$(entry U8 '' 24 25)}" 25 >"$seeds/two"
safetensors "{\"__metadata__\":{\"format\":\"pt\"},\"w\":$(entry BF16 2 0 4)}  " 4 >"$seeds/metadata"
for dtype in I8 BOOL; do
    safetensors "{\"x\":$(entry $dtype 4 0 4),\"none\":$(entry F64 0,9 4 4)}" 4 >"$seeds/$dtype"
done

# fuzz_direction_file puts the length itself: HEADER, a zero byte, BYTES zeros.
safetensors() {
    printf '%s\0' "$1"
    head -c "$2" /dev/zero
}
seeds="$out/fuzz_direction_file"
mkdir -p "$seeds"
delta="\"delta_h\":$(entry F32 2,1,1,2,2 0 32)"
safetensors "{$delta}" 32 >"$seeds/by_hand"
safetensors "{\"delta_h\":$(entry F64 3,1,1,1 0 24)}" 24 >"$seeds/single"
ours='"format":"hspace.directions","version":"1"'
names='"names":"[\"a\",\"b\"]","unit":"standard deviation","method":"pca","h_space":"after"'
model='"model":"00112233445566778899aabbccddeeff","N":"1000","T":"1"'
safetensors "{\"__metadata__\":{$ours,$names,$model},$delta,\"mean\":$(entry F32 1,1,2,2 32 48),\
\"sigma\":$(entry F32 2,1 48 56),\"timesteps\":$(entry I64 1 56 64),\"u\":$(entry F32 2,1,1,1 64 72),\
\"residual\":$(entry F32 2 72 80)}" 80 >"$seeds/full"
x_T="\"x_T\":$(entry F32 2,1,1,2 8 24),\"timesteps\":$(entry I64 1 0 8)"
safetensors "{$x_T}" 24 >"$seeds/latents"
safetensors "{\"__metadata__\":{\"format\":\"hspace.latents\",\"version\":\"1\"},$x_T,\
\"z\":$(entry F32 2,1,1,1,2 24 40),\"x_0\":$(entry F32 2,1,1,2 40 56),\"h\":$(entry F32 2,1,1,1,1 56 64)}" \
    64 >"$seeds/latents_full"

seeds="$out/fuzz_json_index"
mkdir -p "$seeds"
echo '{"metadata":{"total_size":2},"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}' \
    >"$seeds/index"
echo '{"sample_size":32,"act_fn":"silu","norm_eps":1e-05,"block_out_channels":[32,64],"flag":true,
"down_block_types":["DownBlock2D","AttnDownBlock2D"],"none":null,"deep":{"x":[[]]}}' >"$seeds/config"

seeds="$out/fuzz_recipe"
mkdir -p "$seeds"
head='"format":"hspace.recipe","version":1'
echo "{$head,\"seed\":3,\"steps\":4}" >"$seeds/small"
echo "{$head,\"model\":\"m\",\"fingerprint\":\"00112233445566778899aabbccddeeff\",\"latent\":\"l\",
\"latent_item\":1,\"steps\":2,\"eta\":[1,0.5],\"z_seed\":\"+1\",\"h_space\":\"middle\",\"asyrp\":true,
\"clip\":false,\"edits\":[{\"file\":\"d\",\"name\":\"0\",\"strength\":-2.5,\"first\":0,\"last\":1}]}" \
    >"$seeds/full"

seeds="$out/fuzz_labels"
mkdir -p "$seeds"
printf 'seed,Smiling,"a ""b"""\r\n1,0.5,\r\n"2",1e-3,-1\r\n2,1,1\r\nx,y,z\r\n' >"$seeds/csv"
printf '\357\273\277file;A\nfaces/000_seed_12.png;1\n' >"$seeds/bom"
printf '2\n A B\n000001.jpg -1  1\n000002.jpg  1 -1\n' >"$seeds/celeba"
printf 'with,without\na.png,b.png\n' >"$seeds/pairs"
