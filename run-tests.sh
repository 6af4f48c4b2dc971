#!/usr/bin/env bash
# Runs everything that has to be green before a change lands, and prints what each stage took.
# Installs what is missing on a Debian machine. The only outside things are package registries.
set -euo pipefail
cd "$(dirname "$0")"
case "${1:-}" in
-h | --help)
    echo "usage: ./run-tests.sh    run the whole suite: format, lints, licences, tests, docs"
    exit 0
    ;;
esac
. scripts/lib.sh

stages=()
stage() {
    local name=$1 start=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    "$@"
    stages+=("$(printf '%5d s  %s' $((SECONDS - start)) "$name")")
}

tests() {
    cargo nextest run --workspace --locked --no-fail-fast --status-level fail --final-status-level slow
}

# Documentation examples do not run under nextest.
doc_tests() { cargo test --workspace --doc --locked --quiet; }

docs() { RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet; }

stage "install what is missing" install_for_tests
stage "format" cargo fmt --all --check
stage "lints" cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
stage "bans, licences and sources of dependencies" cargo deny --log-level error check bans licenses sources
stage "scripts" check_scripts
stage "documents" docs
stage "documentation examples" doc_tests
stage "tests" tests

printf '\nseconds by stage:\n'
printf '%s\n' "${stages[@]}"
printf '%5d s  in all\n' "$SECONDS"
