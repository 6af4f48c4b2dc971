#!/usr/bin/env bash
# Separates a whole song with the original and with ours, and compares every stem.
# Needs about 6 GB for PyTorch the first time; not part of the suite.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

case "${1:-}" in
-h | --help)
    echo "usage: scripts/parity.sh [SONG]    default: data/sample.mp3"
    exit 0
    ;;
esac
song=${1:-data/sample.mp3}
work=target/parity
python=${PARITY_PYTHON:-$work/venv/bin/python}
msaas=${MSAAS:-target/release/msaas}

if [ ! -x "$python" ]; then
    say "installing PyTorch and the original into $work/venv"
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install --quiet -r scripts/requirements-reference.txt
fi
[ -n "${MSAAS:-}" ] || cargo build --release --locked --package msaas
rm -rf "$work/ours" "$work/reference"
"$msaas" separate --model htdemucs --format wav --bits 32 --clip-mode none --rate 44100 -o "$work/ours" \
    --stems drums,bass,other,vocals --mix mixture:mixture=1,drums=0,bass=0,other=0,vocals=0 "$song" >/dev/null
ours=$work/ours/htdemucs/$(basename "${song%.*}")
weights=${MSAAS_MODEL_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/msaas/models}/955717e8.safetensors
mkdir -p "$work/reference"
"$python" scripts/dump_reference.py song --weights "$weights" --input "$ours/mixture.wav" \
    --out "$work/reference" --wav
"$python" scripts/compare_stems.py "$work/reference" "$ours"
