#!/bin/sh
# Who may include whom: each room its own files, base, and what stands here.
# Applications see the public header alone. Run from anywhere.
cd "$(dirname "$0")/.." || exit 1

allowed() {
    case $1 in
    base) echo '' ;;
    io | graph) echo 'base/' ;;
    models) echo 'base/|io/|graph/' ;;
    backends) echo 'base/|graph/' ;;
    # The denoiser turns v and sample predictions into eps, which takes the
    # schedule's alphas_cumprod; nothing else of diffusion.
    denoiser) echo 'base/|models/|backends/|diffusion/schedule\.h' ;;
    # Schedules are read by models, latents and resume points by io.
    diffusion) echo 'base/|denoiser\.h|models/model\.h|io/latent_file\.h|io/resume\.h' ;;
    directions) echo 'base/|diffusion/|denoiser\.h|jacobian\.h|io/direction_file\.h|io/resume\.h|io/file\.h|io/tensor_set\.h' ;;
    store) echo 'base/|io/' ;;
    figure) echo 'base/|io/' ;;
    edit) echo 'base/|denoiser\.h|diffusion/|directions/|store/|figure/|io/direction_file\.h|io/latent_file\.h|io/resume\.h|io/tensor_set\.h' ;;
    *) echo "no rule for room $1: add one to tests/rooms.sh" >&2 && return 1 ;;
    esac
}

failed=0
# check ROOM FILE...: every #include "..." of the files is the room's own or allowed.
check() {
    room=$1
    shift
    rule=$(allowed "$room") || failed=1
    bad=$(grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$@" |
        grep -vE ":[[:space:]]*#[[:space:]]*include[[:space:]]*\"(hspace\.h\"|$room(/|\.h\")${rule:+|$rule})")
    if [ -n "$bad" ]; then
        echo "$bad"
        failed=1
    fi
}

for folder in src/*/; do
    room=$(basename "$folder")
    check "$room" $(find "$folder" -name '*.[chS]')
done
check denoiser src/denoiser.[ch]

# Applications: hspace.h, hspace_demo.h and files of their own folder.
for file in $(find apps models -name '*.[ch]'); do
    for header in $(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"([^"]*)".*/\1/p' "$file"); do
        case $header in
        hspace.h | hspace_demo.h) ;;
        *)
            if [ ! -f "$(dirname "$file")/$header" ]; then
                echo "$file: includes $header; applications may include hspace.h alone"
                failed=1
            fi
            ;;
        esac
    done
done
exit $failed
