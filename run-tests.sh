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

stages=() running='' began=0
stage() {
    local name=$1
    shift
    printf '\n== %s\n' "$name"
    running=$name began=$SECONDS
    "$@"
    running=''
    stages+=("$(printf '%5d s  %s' $((SECONDS - began)) "$name")")
}

# Also where a stage failed, which is then the last one.
summary() {
    printf '\nseconds by stage:\n'
    ((${#stages[@]} == 0)) || printf '%s\n' "${stages[@]}"
    [[ -z $running ]] || printf '%5d s  %s: FAILED\n' $((SECONDS - began)) "$running"
    printf '%5d s  in all\n' "$SECONDS"
}
trap summary EXIT

# Random cases are the same in each run; CONTRIBUTING.md says how to draw others.
tests() {
    PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-20260721} \
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
stage "images and compose file" scripts/images.sh --lint
stage "deployment and releases" scripts/tests/deployment.py
stage "sample clients" scripts/tests/samples.py
stage "measuring a card, without one" scripts/tests/gpu.py
stage "chart and manifests" scripts/cluster-check.sh
stage "documents" docs
stage "documentation examples" doc_tests
stage "tests" tests
stage "page in a browser" scripts/page.sh
stage "figures, dashboard and alerts" scripts/observability.sh
stage "autoscaling by a recorded queue" scripts/autoscale.py
