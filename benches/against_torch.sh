#!/usr/bin/env bash
# Ours and PyTorch on the same audio, threads and machine, in turns. Not part of the suite: installs about 6 GB the
# first time and takes minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

case "${1:-}" in
-h | --help)
    cat <<'TXT'
usage: benches/against_torch.sh [--threads N] [--pairs N] [--seconds S] [--song FILE] [--avx2] [--command] [--onnx]

Separates decoded samples into decoded stems (htdemucs, float32, no shifts, overlap 0.25) with ours and with PyTorch's
best setting (the fastest of: as it comes, without the fast path of its attention, denormals flushed), in turns.
The last line has the median of the ratios of wall times (PyTorch / ours) and of peak memories (ours / PyTorch).

  --threads N   threads of both (2)         --pairs N    turns (5)
  --seconds S   of the song (60)            --song FILE  repeated to that length (data/sample.mp3)
  --avx2        both without AVX-512
  --command     whole commands instead: `msaas separate` and `demucs --mp3`, start-up included
  --onnx        onnxruntime on the exported graph too: one segment, network only

PyTorch is installed into $AGAINST_TORCH_VENV (target/against-torch/venv) unless it is there.
TXT
    exit 0
    ;;
esac

work=target/against-torch
venv=${AGAINST_TORCH_VENV:-$work/venv}
mkdir -p "$work"
if ! [ -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import demucs, onnxruntime, safetensors, torch' 2>/dev/null; then
    say "installing PyTorch, demucs and onnxruntime into $venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet -r scripts/requirements-reference.txt onnxruntime
fi
need_packages ffmpeg=ffmpeg
cargo build --release --locked --workspace --bin msaas
# Not with the programs: examples have the features of tests.
cargo build --release --locked --package demucs --example song
export TARGET=${CARGO_TARGET_DIR:-target}/release
"$TARGET/msaas" models fetch htdemucs
exec "$venv/bin/python" benches/against_torch.py --work "$work" "$@"
