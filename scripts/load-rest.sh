#!/usr/bin/env bash
# Memory and answers of `rest` under load, over real Valkey and SeaweedFS started here, and whether what was accepted is done.
# A campaign, not part of the suite: it moves 14 GB and takes minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

case "${1:-}" in
-h | --help)
    cat <<'TXT'
usage: scripts/load-rest.sh [WHAT...]    WHAT: uploads, base64, clips; default: all

Builds the release programs, starts Valkey, SeaweedFS and REST in a temporary folder and runs scripts/load_rest.py, each
time against processes that are new: 64 uploads of 100 MiB at once and one base64 body of 280 MiB, for memory; 6,000 clips
of 64 KiB at 100 a second, for the time of the answers, after which a worker with a small network has to bring every one of
them to success. Other sizes: UPLOADS="8 10" BASE64=28 CLIPS="500 50" scripts/load-rest.sh. Other programs:
PROGRAMS=FOLDER (of rest and worker).
TXT
    exit 0
    ;;
esac

programs=${PROGRAMS:-${CARGO_TARGET_DIR:-target}/release}
[ -n "${PROGRAMS:-}" ] || cargo build --release --locked --workspace --bins
# Not with the programs: examples have the features of tests.
cargo build --quiet --locked --workspace --example small_network
servers=$(scripts/servers.sh)
eval "$servers"

. scripts/service.sh

start() {
    local own
    start_servers
    own=$((port + 10))
    "$programs/rest" --port "$own" --admin-port $((own + 1)) --rate 0 --jobs-of-tenant 10000 >"$folder/rest.log" 2>&1 &
    started+=($!)
    pid=$! address=127.0.0.1:$own
    until_ready "$pid" $((own + 1)) "$folder/rest.log"
}

start_worker() {
    "${CARGO_TARGET_DIR:-target}/debug/examples/small_network" "$folder/models"
    "$programs/worker" --model "$MODEL" --model-dir "$folder/models" --temp-dir "$folder" --offline --keep-sources 0 \
        --admin-port $((${address##*:} + 2)) >"$folder/worker.log" 2>&1 &
    started+=($!)
}

load() { python3 scripts/load_rest.py "$address" "$pid" "$@"; }

[ $# -gt 0 ] || set -- uploads base64 clips
for what in "$@"; do
    start
    case $what in
    uploads)
        # shellcheck disable=SC2086
        load uploads ${UPLOADS:-64 100}
        ;;
    base64) load base64 "${BASE64:-280}" ;;
    clips)
        export MODEL=htdemucs_6s
        # shellcheck disable=SC2086
        load clips ${CLIPS:-6000 100}
        start_worker
        load ends "$(echo "${CLIPS:-6000}" | cut -d" " -f1)"
        ;;
    esac
    stop
done
