#!/usr/bin/env bash
# Everything that is to be known of an NVIDIA card in one command: its floor, parity, speed, and PyTorch on the same work.
# Not part of the suite: needs the card, and all of it.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
. scripts/lib.sh

help() {
    cat <<'TXT'
usage: benches/gpu.sh [OPTIONS] [PART...]     runs the parts (all), and prints a table of all results so far
       benches/gpu.sh [OPTIONS] pack FOLDER   makes what a machine needs that has neither Rust nor internet

  floor    what the card does at best (the network's own product, copies, launches), and what a segment takes at these rates
  parity   a batch of real segments in single precision against the CPU, and half against single
  tests    the unit tests of the kernels, on the card instead of the emulated one, and NVIDIA's sanitizer on a small network
  sdr      half against single on the sample songs, whose true stems are known
  speed    seconds of the card for a segment, both precisions, batches of 1 to 42
  kernels  where the time of a batch goes
  song     four minutes from samples to stems
  engine   100 songs of four minutes that wait at once, by the engine alone
  service  the same through the whole service, as WAV, in the precision and batch that songs were fastest with
  torch    what the card does of large products, and PyTorch on the same segments and song in every way that needs no compiler
  compile  PyTorch's compiler, in the precision and batch that are the best without
  none     no part: takes what was carried, and prints the table

  --pack FOLDER        what `pack` left, or part of it: its programs/, and its weights.NN/; else programs are built
  --programs FOLDER    card and decode alone, as cargo leaves them; --msaas FILE: the program for `service`
  --store FOLDER       where carried weights, results and logs stay between calls (/tmp/msaas-gpu); results go to $OUT too
  --weights FILE       safetensors (those that were carried, else the installed htdemucs); `seeded` draws as many, which take as long
  --song FILE          repeated to the length of songs (data/sample.mp3)
  --device WORD        cuda, cuda:N (cuda); `emulated` tries this command out (docs/benchmarks.md says how)
  --limit-seconds N    for all parts together: those that it does not reach have failed (none)
  --compile-seconds N  for each network that PyTorch compiles (150)
  --price-per-hour N   of such a machine, for what 1,000 songs cost
  --quick              shorter measurements, 20 songs that wait, PyTorch in batches of 8 alone

Each part has a limit of its own, and fails alone. The compiler of the kernels is found or fetched by scripts/build-cuda.sh.
TXT
}

caps() { # PART: the seconds that it may take
    case $1 in
    floor | kernels) echo 60 ;;
    parity | sdr | sanitizer) echo 90 ;;
    tests | engine) echo 120 ;;
    speed | song) echo 150 ;;
    service) echo 180 ;;
    torch) echo 520 ;;
    compile) echo 400 ;;
    esac
}

# Leaves the folder of the programs in $programs.
build() {
    local target=${CARGO_TARGET_DIR:-target}/cuda
    CUDA_HOME=$(scripts/build-cuda.sh --toolkit)
    export CUDA_HOME
    install_for_build
    cargo build --release --locked --target-dir "$target" --package demucs --example card --features cuda
    cargo build --release --locked --target-dir "$target" --package audio --example decode
    # The unit tests' file has a name of its own in each build.
    tests=$(cargo test --release --locked --target-dir "$target" --package demucs --lib --features cuda --no-run --message-format json |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    programs=$target/release/examples
}

# The commit, and whether the files are others.
version() {
    local dirty=''
    [ -z "$(git status --porcelain 2>/dev/null)" ] || dirty=-dirty
    echo "$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)$dirty"
}

pack() { # FOLDER
    local folder=$1 weights part name
    weights=$(installed)
    build
    if [ -z "$msaas" ]; then
        scripts/build-cuda.sh
        msaas=${CARGO_TARGET_DIR:-target}/cuda/release/msaas
    fi
    rm -rf "$folder"
    mkdir -p "$folder/programs/wheels"
    for name in card decode; do strip -o "$folder/programs/$name" "$programs/$name"; done
    strip -o "$folder/programs/tests" "$tests"
    strip -o "$folder/programs/msaas" "$msaas"
    gzip -9 "$folder"/programs/{tests,card,decode,msaas}
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$folder/programs/wheels" \
        demucs==4.1.0 julius==0.2.8 einops==0.8.2 tqdm==4.70.1
    version >"$folder/programs/commit"
    if [ -f "$weights" ]; then
        sha256sum <"$weights" | cut -d ' ' -f 1 >"$folder/programs/weights.sha256"
        split --bytes=21M --numeric-suffixes "$weights" "$folder/part."
        for part in "$folder"/part.*; do
            mkdir "$folder/weights.${part##*.}"
            mv "$part" "$folder/weights.${part##*.}/part"
        done
    else
        say "htdemucs is not installed here: without its weights nothing is said of parity and SDR"
    fi
    du -sm "$folder"/* >&2
    say "the repository itself: $(git ls-files -z | xargs -0 du -cm | tail -n 1 | cut -f 1) MiB"
}

installed() {
    echo "${MSAAS_MODEL_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/msaas/models}/955717e8.safetensors"
}

# Keeps what was carried, since the next call may carry something else, and joins the weights once all of them have come.
unpack() { # FOLDER
    local part name
    if [ -d "$1/programs" ]; then
        rm -rf "$store/programs"
        cp -r "$1/programs" "$store/programs"
        gunzip "$store"/programs/*.gz
        chmod +x "$store"/programs/{tests,card,decode,msaas}
    fi
    for part in "$1"/weights.*/part; do
        [ -f "$part" ] || continue
        name=$(basename "$(dirname "$part")")
        cp "$part" "$store/$name"
    done
    [ -d "$store/programs" ] || { say "no call has carried the programs to this machine yet" && exit 1; }
    programs=$store/programs tests=$programs/tests msaas=$programs/msaas
    commit=$(cat "$programs/commit")
    join
}

join() {
    [ -f "$programs/weights.sha256" ] && [ ! -f "$store/weights.safetensors" ] || return 0
    compgen -G "$store/weights.[0-9]*" >/dev/null || return 0
    cat "$store"/weights.[0-9]* >"$store/joined"
    if [ "$(sha256sum <"$store/joined" | cut -d ' ' -f 1)" = "$(cat "$programs/weights.sha256")" ]; then
        mv "$store/joined" "$store/weights.safetensors"
    else
        say "weights: $(cd "$store" && echo weights.[0-9]*) are not all of them yet, or not of this pack"
    fi
}

arguments=("$@")
packed='' programs='' tests='' msaas='' commit='' weights='' song=data/sample.mp3 device=cuda store=/tmp/msaas-gpu
limit='' compile=150 price=0 quick='' target='' parts=()
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        help
        exit
        ;;
    --quick) quick=yes ;;
    pack | --pack | --programs | --msaas | --store | --weights | --song | --device | --limit-seconds | --compile-seconds | --price-per-hour)
        [ $# -ge 2 ] || { help >&2 && exit 2; }
        case $1 in
        pack) target=$2 ;;
        --pack) packed=$2 ;;
        --programs) programs=$2 ;;
        --msaas) msaas=$2 ;;
        --store) store=$2 ;;
        --weights) weights=$2 ;;
        --song) song=$2 ;;
        --device) device=$2 ;;
        --limit-seconds) limit=$2 ;;
        --compile-seconds) compile=$2 ;;
        --price-per-hour) price=$2 ;;
        esac
        shift
        ;;
    floor | parity | tests | sdr | speed | kernels | song | engine | service | torch | compile | none) parts+=("$1") ;;
    *) help >&2 && exit 2 ;;
    esac
    shift
done
if [ -n "$target" ]; then
    pack "$target"
    exit
fi
[ ${#parts[@]} -gt 0 ] || parts=(floor parity sdr speed song service engine kernels tests torch compile)
# Cards in the order in which the driver's own program counts them.
export CUDA_DEVICE_ORDER=PCI_BUS_ID PYTHONUNBUFFERED=1
python=${PYTHON:-python3} out=$store/results scratch=$store/scratch
rm -rf "$scratch"
mkdir -p "$out" "$scratch"
trap 'rm -rf "$scratch"' EXIT
if [ -n "$packed" ]; then unpack "$packed"; elif [ -z "$programs" ]; then build; fi
if [ -z "$weights" ]; then
    for weights in "$store/weights.safetensors" "$(installed)" seeded; do [ ! -f "$weights" ] || break; done
fi
[ "$weights" != seeded ] || say "the weights are DRAWN: nothing is said of the real network's parity and SDR"

failed=()
fail() { # PART WHY
    failed+=("$1")
    say "$1 failed: $2"
}

# What a machine that is taken away would take along.
keep() {
    [ -n "${OUT:-}" ] || return 0
    mkdir -p "$OUT"
    tail -c 4000000 "$out/log.txt" >"$OUT/log.txt"
    for file in results.jsonl table.txt watch.csv; do [ ! -f "$out/$file" ] || cp "$out/$file" "$OUT/$file"; done
}

# Runs a part within its limit; a line of results that was cut off spoils none behind it.
measure() { # PART COMMAND...
    local part=$1 seconds code=0
    shift
    seconds=$(caps "$part")
    if [ -n "$limit" ] && [ $((limit - SECONDS)) -lt "$seconds" ]; then seconds=$((limit - SECONDS)); fi
    [ "$seconds" -gt 0 ] || { fail "$part" "no time is left" && return 0; }
    say "$part: at most $seconds s"
    # What is compiled is PyTorch too.
    printf '\n{"part": "%s"}\n' "${part/compile/torch}" >>"$out/results.jsonl"
    echo "== $part: $*" >>"$out/log.txt"
    timeout -k 5 "$seconds" "$@" >>"$out/results.jsonl" 2>>"$out/log.txt" || code=$?
    case $code in
    0) ;;
    124 | 137) fail "$part" "not done in $seconds s" ;;
    *) fail "$part" "$(tail -n 1 "$out/log.txt")" ;;
    esac
    keep
}

card() { # PART ARGUMENT...
    local part=$1
    shift
    measure "$part" "$programs/card" "$part" "$device" "$weights" "$@"
}

# The sample songs and their stems, as samples.
truths() {
    local name stem
    for name in sample short-sample; do
        mkdir -p "$scratch/$name"
        "$programs/decode" "data/$name.mp3" "$scratch/$name/mixture.f32" || return 1
        for stem in drums bass other vocals; do
            "$programs/decode" "data/stems/$name/$stem.flac" "$scratch/$name/$stem.f32" || return 1
        done
    done
}

unit_tests() {
    [ -x "$tests" ] || { fail tests "the unit tests are not built here" && return 0; }
    measure tests "$python" benches/gpu.py tests "$tests"
    have compute-sanitizer || return 0
    measure sanitizer "$python" benches/gpu.py sanitizer "$programs/card" "$device"
}

service() {
    local kernels=half batch=16 options
    [ -x "$msaas" ] || { fail service "there is no msaas for it: --msaas FILE" && return 0; }
    [ -f "$weights" ] || { fail service "drawn weights cannot be installed" && return 0; }
    read -r kernels batch < <("$python" benches/gpu.py best "$out")
    options=(--msaas "$msaas" --weights "$weights" --samples "$samples" --songs "$songs" --minutes "$minutes" --device "$device")
    options+=(--kernels "$kernels" --batch "$batch" --watch "$out/watch.csv" --scratch "$scratch")
    [ -z "$uuid" ] || options+=(--uuid "$uuid")
    measure service "$python" benches/gpu.py service "${options[@]}"
}

peer() { # PART
    local part=$1 budget options
    budget=$(caps "$part")
    if [ -n "$limit" ] && [ $((limit - SECONDS)) -lt "$budget" ]; then budget=$((limit - SECONDS)); fi
    options=(--weights "$weights" --samples "$samples" --budget-seconds $((budget - 15)) --compile-seconds "$compile")
    if timeout -k 5 60 "$programs/card" segment "$device" "$weights" "$samples" "$scratch/ours.f32" >>"$out/log.txt" 2>&1; then
        options+=(--ours "$scratch/ours.f32")
    else
        fail segment "nothing of ours to compare PyTorch's with: $(tail -n 1 "$out/log.txt")"
    fi
    if [ "$device" = emulated ]; then
        options+=(--device cpu --minutes "$minutes" --ranked 1 2 --batches 1 2)
    else
        options+=(--device "$device")
    fi
    [ -z "$quick" ] || options+=(--seconds 0.2 --ranked 8 --batches 8)
    [ "$part" = torch ] || options+=(--compile --known "$out")
    [ ! -d "$programs/wheels" ] || options+=(--wheels "$programs/wheels")
    measure "$part" "$python" benches/gpu.py torch "${options[@]}"
}

minutes=4 batch=8 songs=100 seconds=1
[ -z "$quick" ] || songs=20 seconds=0.2
[ "$device" != emulated ] || minutes=0.001 batch=2 songs=3
printf '\n' >>"$out/results.jsonl"
"$python" benches/gpu.py machine --device "$device" --commit "${commit:-$(version)}" --command "gpu.sh ${arguments[*]}" >>"$out/results.jsonl" ||
    say "nothing is known of this machine"
uuid=$(tail -n 1 "$out/results.jsonl" | sed -n 's/.*"uuid": "\([^"]*\)".*/\1/p')
if have nvidia-smi; then timeout 20 nvidia-smi >>"$out/log.txt" 2>&1 || true; fi
samples=$song
if [ "$song" != signal ] && [[ $song != *.f32 ]]; then
    samples=$scratch/song.f32
    "$programs/decode" "$song" "$samples"
fi
for part in "${parts[@]}"; do
    case $part in
    floor) card floor ;;
    parity) card parity "$samples" "$((batch / 2))" ;;
    tests) unit_tests ;;
    sdr) if truths; then card sdr "$scratch/sample" "$scratch/short-sample"; else fail sdr "the sample songs cannot be decoded"; fi ;;
    speed) card speed "$samples" "$seconds" ;;
    kernels) card kernels "$samples" "$batch" ;;
    song) card song "$samples" "$minutes" ;;
    engine)
        read -r kernels fastest < <("$python" benches/gpu.py best "$out")
        card engine "$samples" "$songs" "$kernels" "$fastest"
        ;;
    service) service ;;
    torch | compile) peer "$part" ;;
    none) ;;
    esac
done

echo
"$python" benches/gpu.py table "$out" --price-per-hour "$price" | tee "$out/table.txt" || say "the table failed"
keep
[ ${#failed[@]} -eq 0 ] || { say "failed: ${failed[*]}" && exit 1; }
