#!/usr/bin/env bash
# Whether a segment takes more of the processor than with the last recorded commit: both in turns, each as a part of the
# peak that was measured in the same run, so that the machine's mood falls out.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

case "${1:-}" in
-h | --help)
    cat <<'TXT'
usage: benches/regression.sh [--record] [--pairs N]

Builds the example `segment` here and at the commit of the last line of benches/record.tsv, runs both in turns on all
cores and prints the median of the ratios of their efficiencies (achieved over peak). Fails below 0.97.
  --record    appends this commit's efficiency to benches/record.tsv
  --pairs N   turns (5)
TXT
    exit 0
    ;;
esac
record='' pairs=5
while [ $# -gt 0 ]; do
    case $1 in
    --record) record=yes ;;
    --pairs) pairs=$2 && shift ;;
    *) say "unknown: $1" && exit 2 ;;
    esac
    shift
done

work=${CARGO_TARGET_DIR:-target}/regression
weights=${MSAAS_MODEL_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/msaas/models}/955717e8.safetensors
[ -f "$weights" ] || cargo run --release --locked --package msaas -- models fetch htdemucs
threads=$(nproc)
mkdir -p "$work"

build() { # FOLDER NAME
    (cd "$1" && CARGO_TARGET_DIR=$work/target cargo build --release --locked --package demucs --example segment)
    cp "$work/target/release/examples/segment" "$work/$2"
}
efficiency() { "$work/$1" "$weights" "$threads" 9 | sed -n 's/.*efficiency=//p'; }

work=$(cd "$work" && pwd)
build . now
last=$(tail -n 1 benches/record.tsv | cut -f 2)
if [ "$last" != commit ]; then
    rm -rf "$work/last.tree"
    git worktree prune
    git worktree add --quiet --detach "$work/last.tree" "$last"
    build "$work/last.tree" last
    git worktree remove --force "$work/last.tree"
    ratios=()
    for ((i = 0; i < pairs; i++)); do
        before=$(efficiency last) after=$(efficiency now)
        ratios+=("$(awk "BEGIN { print $after / $before }")")
        say "last $before, now $after"
    done
    median=$(printf '%s\n' "${ratios[@]}" | sort -n | sed -n "$(((pairs + 1) / 2))p")
else
    after=$(efficiency now) median=1
fi
if [ -n "$record" ]; then
    printf '%s\t%s\t%s\t%s\t%s\n' "$(date +%F)" "$(git rev-parse --short HEAD)" "$threads" "$after" \
        "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)" >>benches/record.tsv
fi
echo "efficiency=$after ratio=$median"
awk "BEGIN { exit !($median >= 0.97) }"
