# Completion of hspace for bash.

_hspace() {
    local cur prev words cword
    _init_completion -n '=#' 2>/dev/null || {
        cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
        words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
    }

    local commands='info sample pca jacobian annotate attribute disentangle evaluate edit invert eps demo'
    if ((cword == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$cur")
        return
    fi

    case $prev in
    --h-space) mapfile -t COMPREPLY < <(compgen -W 'before middle after' -- "$cur") && return ;;
    --device) mapfile -t COMPREPLY < <(compgen -W 'cpu cuda' -- "$cur") && return ;;
    --precision) mapfile -t COMPREPLY < <(compgen -W 'f32 fast' -- "$cur") && return ;;
    --backend) mapfile -t COMPREPLY < <(compgen -W 'onednn ref' -- "$cur") && return ;;
    --method) mapfile -t COMPREPLY < <(compgen -W 'ddim x0 x_prev dpm krylov subspace batched' -- "$cur") && return ;;
    --interpolate) mapfile -t COMPREPLY < <(compgen -W 'lerp slerp sqrt' -- "$cur") && return ;;
    --space) mapfile -t COMPREPLY < <(compgen -W 'h noise pixel' -- "$cur") && return ;;
    --profile) # of edits; elsewhere it takes no value
        [[ ${words[1]} == edit || ${words[1]} == invert ]] &&
            mapfile -t COMPREPLY < <(compgen -W 'flat sigma' -- "$cur") && return
        ;;
    --align) mapfile -t COMPREPLY < <(compgen -W 'index score' -- "$cur") && return ;;
    -m | --model | -o | --output | -d | --direction | --latent | --tensors | --recipe | --replay | \
        --from | --index | --images | --labels | --classifier | --class-names | --input | --preview | \
        --resume | --mask | --plot | --figure)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    --seed | --steps | --eta | --z-seed | --window | --threads | --max-mem | --timestep | \
        --around | --delta | --batch | --crop | -n | --samples | -k | --components | -s | --shown | --step | \
        --region | --item | --swap-h | --points | --tol | --max-products | --outside | --lambda | \
        --sets | --calibrate | --calibrate-n | --most | --random-seed)
        return
        ;;
    esac

    local common='--model --h-space --output --threads --device --precision --backend --max-mem
        --json --quiet --help --usage --version'
    local sampling='--steps --eta --z-seed --asyrp --clip'
    local start='--seed --latent --tensors --recipe'
    local options=
    case ${words[1]} in
    info) options="$common --profile --steps --verify" ;;
    sample) options="$common --profile $sampling $start" ;;
    edit) options="$common $sampling $start --direction --window --replay --profile
        --same-step --item --cumulative --random --swap-h --interpolate --space --points" ;;
    pca) options="$common --profile $sampling --seed --samples --components --joint --align --around --delta
        --exact --incremental --batch --resume --preview" ;;
    annotate) options="$common --profile $sampling --seed --samples --classifier --preprocess --class-names
        --scores --labels --list" ;;
    attribute) options="$common $sampling --attribute --index --source --images --labels --pairs --crop
        --top --threshold --balance --given --space --held-out --curve --classifier --preprocess
        --class-names --scores" ;;
    disentangle) options='--from --per-step --output --json --quiet --help --usage --version' ;;
    evaluate) options="$common $sampling --samples --sets --seed --attributes --targets --direction
        --window --profile --same-step --group --before --after --calibrate --calibrate-n --most
        --no-random --random-seed --classifier --preprocess --class-names --scores --figure --resume" ;;
    invert) options="$common $sampling --seed --method --crop --preview --resume --direction
        --window --profile --same-step" ;;
    jacobian) options="$common --profile $sampling --seed --latent --item --components --step --mask --region
        --keep-outside --outside --lambda --method --tol --max-products --resume --preview --shown
        --plot --compare --window --strength" ;;
    eps) options="$common --profile --input --timestep" ;;
    demo) options="$common $sampling --samples --components --shown" ;;
    esac
    if [[ ${words[1]} == invert && $cur != -* ]]; then # images and folders
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
}

complete -F _hspace hspace
