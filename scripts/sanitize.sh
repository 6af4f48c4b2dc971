#!/usr/bin/env bash
# The kernels' tests under AddressSanitizer: reads and writes beyond what they were given.
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in
-h | --help)
    echo "usage: scripts/sanitize.sh    run the tests of demucs/src/kernels under AddressSanitizer (some minutes)"
    exit 0
    ;;
esac
host=$(rustc -vV | sed -n 's/^host: //p')
# The sanitizer is an unstable option of the same stable compiler.
export RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/sanitize
exec cargo test --locked --package demucs --lib --target "$host" kernels
