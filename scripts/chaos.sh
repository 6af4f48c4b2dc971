#!/usr/bin/env bash
# Runs the service as real processes while workers, the queue's server and its memory are taken away all the time,
# and checks that no song is lost, partial, or ends twice. Prints its seed, what happens, and one line of figures;
# fails where anything was wrong. See docs/resilience.md.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

usage() {
    cat <<'TEXT'
usage: scripts/chaos.sh [--seed N] [--songs N] [--kills N] [--terms N] [--stops N] [--outages N] [--wipes N] [--resets N]
  --songs    songs that are sent [1000]
  --kills    workers that are killed [200]
  --terms    workers that are asked to end [50]
  --stops    workers that stand still for longer than a lease [20]
  --outages  times that Valkey is killed and started again with its file [20]
  --wipes    times that Valkey loses everything [3]
  --resets   times that the whole service is reset, each followed by a wipe [1]
Logs of all processes lie in $MSAAS_TEST_LOGS, where that is set.
TEXT
}

declare -A scale=([seed]=1 [songs]=1000 [kills]=200 [terms]=50 [stops]=20 [outages]=20 [wipes]=3 [resets]=1)
while [ $# -gt 0 ]; do
    name=${1#--}
    if [ "$name" = help ] || [ "$1" = -h ] || [ -z "${scale[$name]:-}" ] || [ $# -lt 2 ]; then
        usage
        [ "$name" = help ] || [ "$1" = -h ] || exit 2
        exit 0
    fi
    scale[$name]=$2
    shift 2
done

install_for_tests
words=""
for name in "${!scale[@]}"; do words+="$name=${scale[$name]} "; done
export MSAAS_CHAOS=$words
exec cargo nextest run --workspace --locked --profile campaign --no-capture \
    -E 'package(worker) & test(=chaos::no_song_is_lost_or_partial_or_ends_twice_whatever_dies)'
