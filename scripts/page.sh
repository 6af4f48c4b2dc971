#!/usr/bin/env bash
# The page in a real browser, against the real service: see web/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

case "${1:-}" in
-h | --help)
    cat <<'TXT'
usage: scripts/page.sh [FILE...]    default: all web/tests/*.test.js
       scripts/page.sh --pictures   draws docs/images/page*.png again, with the official network

Builds the program, installs Chromium and the packages of web/tests, makes a small network, and has a browser do what
musicians do: send songs, watch them, listen, mix, save, find them again.
TXT
    exit 0
    ;;
esac

need_rust
need_packages node=nodejs npm=npm /usr/bin/chromium=chromium
# With examples, as the tests are built: nothing is built twice.
cargo build --quiet --locked --workspace --bins --examples
programs=${CARGO_TARGET_DIR:-target}/debug
npm ci --prefix web/tests --silent --no-audit --no-fund
export MSAAS
MSAAS=$(realpath "$programs/msaas")
if [ "${1:-}" = --pictures ]; then
    "$MSAAS" models fetch htdemucs --if-missing
    node web/tests/pictures.js docs/images
    exit
fi
[ -n "${MSAAS_TEST_VALKEY:-}" ] || eval "$(scripts/servers.sh)"
models=$(mktemp -d)
trap 'rm -rf "$models"' EXIT
"$programs/examples/small_network" "$models"
[ $# -gt 0 ] || set -- web/tests/*.test.js
MSAAS_MODEL_DIR=$models node --test "$@"
