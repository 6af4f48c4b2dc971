#!/usr/bin/env bash
# From a fresh machine to separated stems: installs what is missing, builds, fetches the weights,
# and separates the bundled sample song.
set -euo pipefail
cd "$(dirname "$0")"

usage() {
    cat <<'TXT'
usage: ./deploy-local-dev.sh [--song FILE] [--out DIR]

Installs what is missing (Debian packages; Rust has to be there), builds the program, fetches the
weights of htdemucs, separates a song, and says where its stems are.

  --song FILE   the song to separate [default: data/short-sample.mp3]
  --out DIR     where the stems go   [default: separated]
TXT
}

song=data/short-sample.mp3 out=separated
while [ $# -gt 0 ]; do
    case "$1" in
    --song) song=${2:?--song needs a file} && shift 2 ;;
    --out) out=${2:?--out needs a folder} && shift 2 ;;
    -h | --help) usage && exit 0 ;;
    *) printf 'unknown option: %s\n\n' "$1" >&2 && usage >&2 && exit 2 ;;
    esac
done

. scripts/lib.sh
say "1/3 installing what is missing"
install_for_build
say "2/3 building (some minutes the first time)"
cargo build --release --locked --package msaas
target=$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
say "3/3 separating $song"
"$target/release/msaas" separate --out "$out" "$song"
say ""
say "The stems are in $out/htdemucs. Any other song: $target/release/msaas separate SONG"
