#!/usr/bin/env bash
# Everything that is to be known of an NVIDIA card in one command: its floor, parity, speed, and PyTorch on the same work.
# Not part of the suite: needs the card, and all of it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

help() {
    cat <<'TXT'
usage: benches/gpu.sh [OPTIONS] [PART...]     runs the parts (all), and prints a table of all results so far
       benches/gpu.sh pack FOLDER             makes what a machine needs that has neither Rust nor internet

  floor    what the card does at best (the network's own product, copies, launches), and what a segment takes at these rates
  parity   a batch of real segments in single precision against the CPU, and half against single
  speed    seconds of the card for a segment, both precisions, batches of 1 to 32
  kernels  where the time of a batch goes
  song     four minutes from samples to stems
  queue    100 songs of four minutes that wait at once: is the card busy all the time, and does memory stay
  torch    PyTorch on the same segments and song: TF32, float16, bfloat16; as it comes and compiled

  --programs FOLDER    card and decode, as `pack` leaves them, with PyTorch's missing packages in FOLDER/wheels; else both are built
  --weights FILE       safetensors (the installed htdemucs); `seeded` draws as many, which take as long
  --song FILE          repeated to the length of songs (data/sample.mp3)
  --device WORD        cuda, cuda:N (cuda); `emulated` tries this command out (docs/benchmarks.md says how)
  --out FOLDER         for results.jsonl, table.txt, watch.csv and log.txt ($OUT, else target/gpu)
  --limit SECONDS      for all parts together (570): those that it does not reach have failed
  --price-per-hour N   of such a machine, for what 1,000 songs cost
  --quick              shorter measurements, ten songs in the queue, PyTorch as it comes only

Where commands may take ten minutes: `floor parity speed kernels song queue` in one, `torch` in another with the same --out,
which keeps the results of both. The compiler of the kernels is found or fetched by scripts/build-cuda.sh.
TXT
}

# Leaves the folder of the programs in $programs.
build() {
    local target=${CARGO_TARGET_DIR:-target}/cuda
    CUDA_HOME=$(scripts/build-cuda.sh --toolkit)
    export CUDA_HOME
    install_for_build
    cargo build --release --locked --target-dir "$target" --package demucs --example card --features cuda
    cargo build --release --locked --target-dir "$target" --package audio --example decode
    programs=$target/release/examples
}

pack() {
    build
    mkdir -p "$1/wheels"
    strip -o "$1/card" "$programs/card"
    strip -o "$1/decode" "$programs/decode"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$1/wheels" \
        demucs==4.1.0 julius==0.2.8 einops==0.8.2 tqdm==4.70.1
    du -sh "$1" >&2
}

programs='' weights='' song=data/sample.mp3 device=cuda out=${OUT:-target/gpu} limit=570 price=0 quick='' parts=()
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) help && exit ;;
    pack) [ $# = 2 ] || { help >&2 && exit 2; } && pack "$2" && exit ;;
    --quick) quick=yes ;;
    --programs | --weights | --song | --device | --out | --limit | --price-per-hour)
        [ $# -ge 2 ] || { help >&2 && exit 2; }
        case $1 in
        --programs) programs=$2 ;;
        --weights) weights=$2 ;;
        --song) song=$2 ;;
        --device) device=$2 ;;
        --out) out=$2 ;;
        --limit) limit=$2 ;;
        --price-per-hour) price=$2 ;;
        esac
        shift
        ;;
    floor | parity | speed | kernels | song | queue | torch) parts+=("$1") ;;
    *) help >&2 && exit 2 ;;
    esac
    shift
done
[ ${#parts[@]} -gt 0 ] || parts=(floor parity speed kernels song queue torch)
ends=$((SECONDS + limit))
[ -n "$programs" ] || build
mkdir -p "$out"
if [ -z "$weights" ]; then
    weights=${MSAAS_MODEL_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/msaas/models}/955717e8.safetensors
    [ -f "$weights" ] || { say "htdemucs is not installed here: its weights are drawn" && weights=seeded; }
fi
samples=$song
if [ "$song" != signal ] && [[ $song != *.f32 ]]; then
    samples=$(mktemp)
    trap 'rm -f "$samples"' EXIT
    "$programs/decode" "$song" "$samples"
fi

failed=()
measure() { # PART COMMAND
    local part=$1 left=$((ends - SECONDS))
    shift
    say "$part"
    printf '{"part": "%s"}\n' "$part" >>"$out/results.jsonl"
    echo "== $part: $*" >>"$out/log.txt"
    [ "$left" -gt 0 ] || { say "$part: no time is left" && failed+=("$part") && return; }
    timeout "$left" "$@" >>"$out/results.jsonl" 2>>"$out/log.txt" && return
    failed+=("$part")
    say "$part failed: $(tail -n 1 "$out/log.txt")"
}

# Notes how busy the card is while the queue is worked at.
queue() {
    local watcher=''
    if have nvidia-smi; then
        stdbuf -oL nvidia-smi --id="$([[ $device = *:* ]] && echo "${device#*:}" || echo 0)" --loop-ms=200 \
            --query-gpu=timestamp,utilization.gpu,memory.used --format=csv,noheader,nounits >"$out/watch.csv" 2>>"$out/log.txt" &
        watcher=$!
    fi
    measure queue "$programs/card" queue "$device" "$weights" "$samples" "$songs"
    [ -z "$watcher" ] || { kill "$watcher" && wait "$watcher"; } 2>/dev/null || true
}

peer() {
    local options=(--weights "$weights" --samples "$samples" --budget-seconds $((ends - SECONDS - 20)))
    if [ "$device" = emulated ]; then options+=(--device cpu --minutes 0.001); else options+=(--device "$device"); fi
    [ -z "$quick" ] || options+=(--no-compile --seconds 0.2 --batches 1 8 32)
    [ ! -d "$programs/wheels" ] || options+=(--wheels "$programs/wheels")
    measure torch "${PYTHON:-python3}" benches/gpu.py torch "${options[@]}"
}

minutes=4 batch=8 songs=100
[ -z "$quick" ] || songs=10
[ "$device" != emulated ] || minutes=0.001 batch=2 songs=3
for part in "${parts[@]}"; do
    case $part in
    floor) measure floor "$programs/card" floor "$device" "$weights" ;;
    parity) measure parity "$programs/card" parity "$device" "$weights" "$samples" "$((batch / 2))" ;;
    speed) measure speed "$programs/card" speed "$device" "$weights" "$([ -n "$quick" ] && echo 0.2 || echo 1)" ;;
    kernels) measure kernels "$programs/card" kernels "$device" "$weights" "$batch" ;;
    song) measure song "$programs/card" song "$device" "$weights" "$samples" "$minutes" ;;
    queue) queue ;;
    torch) peer ;;
    esac
done

echo
python3 benches/gpu.py table --results "$out" --price-per-hour "$price" | tee "$out/table.txt"
[ ${#failed[@]} -eq 0 ] || { say "failed: ${failed[*]}" && exit 1; }
