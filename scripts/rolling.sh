#!/usr/bin/env bash
# Replaces every `rest` and every worker, one after the other, while songs are sent, from an earlier release to this one and
# back, and checks that nobody notices: no request fails, no song is lost, no work is done twice. See docs/resilience.md.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

# What was before the last change of what is stored and of what the queue's scripts write.
last_change() { git log -1 --format=%h -- common/src/job common/src/keys.rs common/src/queue/scripts; }
before=$(git describe --tags --abbrev=0 2>/dev/null || echo "$(last_change)^")
usage() {
    cat <<TXT
usage: scripts/rolling.sh [--before COMMIT] [--songs N] [--rounds N] [--seed N]
  --before   the release that is there first; "none" for restarts of this one [$before]
  --songs    songs that are sent meanwhile [200]
  --rounds   times that everything is replaced: to this release, back again, and so on [4]
Builds the earlier release in a folder of its own. Logs of all processes lie in \$MSAAS_TEST_LOGS, where that is set.
TXT
}

songs=200 rounds=4 seed=1
while [ $# -gt 0 ]; do
    case "$1 ${2-}" in
    "--before "?*) before=$2 ;;
    "--songs "?*) songs=$2 ;;
    "--rounds "?*) rounds=$2 ;;
    "--seed "?*) seed=$2 ;;
    "--help "* | "-h "*) usage && exit 0 ;;
    *) usage && exit 2 ;;
    esac
    shift 2
done

install_for_tests
export MSAAS_ROLLING="songs=$songs rounds=$rounds seed=$seed"
if [ "$before" != none ]; then
    commit=$(git rev-parse --verify --short "$before^{commit}")
    folder=$(mktemp -d)
    trap 'git worktree remove --force "$folder/tree"; rm -rf "$folder"' EXIT
    git worktree add --quiet --detach "$folder/tree" "$commit"
    say "building the release before, $commit"
    # Not where this release is built: cargo takes what is newer than a source for built from it, wherever that source lay.
    built=$(realpath -m "${CARGO_TARGET_DIR:-target}")/before
    cargo build --quiet --locked --workspace --bins --examples --manifest-path "$folder/tree/Cargo.toml" --target-dir "$built"
    MSAAS_ROLLING+=" before=$built/debug"
    say "from $commit to $(git describe --always --dirty)"
fi
cargo nextest run --workspace --locked --profile campaign --no-capture \
    -E 'package(worker) & test(=chaos::rolling::nobody_notices_that_everything_is_replaced_under_load)'
