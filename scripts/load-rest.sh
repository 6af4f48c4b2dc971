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

started=()
folder=$(mktemp -d)
stop() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
    started=()
    rm -rf "${folder:?}"/*
}
trap 'stop; rmdir "$folder"' EXIT

# Prints the first of so many free ports in a row.
free_ports() {
    python3 - "$1" <<'PY'
import socket
import sys

count = int(sys.argv[1])
for first in range(14000, 30000, count):
    try:
        taken = [socket.create_server(("127.0.0.1", first + n)) for n in range(count)]
        sys.exit(print(first))
    except OSError:
        pass
PY
}

start() {
    "$MSAAS_TEST_VALKEY" --port 0 --unixsocket "$folder/valkey.sock" --dir "$folder" --save "" >/dev/null &
    started+=($!)
    local port own
    port=$(free_ports 12) own=$((port + 10))
    printf '{"identities":[{"name":"load","actions":["Admin"],"credentials":[{"accessKey":"load","secretKey":"load-secret"}]}]}' >"$folder/s3.json"
    TMPDIR=$folder WEED_MASTER_VOLUME_GROWTH_COPY_1=2 "$MSAAS_TEST_WEED" server -ip=127.0.0.1 -ip.bind=127.0.0.1 -s3 \
        -s3.iam=false -volume.max=100 -master.volumeSizeLimitMB=1024 -s3.port.iceberg=0 -s3.port.lance=0 \
        -dir="$folder" -s3.config="$folder/s3.json" -s3.port="$port" -s3.port.grpc=$((port + 1)) \
        -master.port=$((port + 2)) -master.port.grpc=$((port + 3)) -volume.port=$((port + 4)) \
        -volume.port.grpc=$((port + 5)) -filer.port=$((port + 6)) -filer.port.grpc=$((port + 7)) \
        -s3.port.https=$((port + 8)) >"$folder/weed.log" 2>&1 &
    started+=($!)
    export MINIO_ACCESS_KEY=load MINIO_SECRET_KEY=load-secret MSAAS_ADDRESS=127.0.0.1 REDIS_URL=unix://$folder/valkey.sock
    export MSAAS_S3_ENDPOINT=http://127.0.0.1:$port
    "$programs/rest" --port "$own" --admin-port $((own + 1)) --rate 0 --jobs-of-tenant 10000 >"$folder/rest.log" 2>&1 &
    started+=($!)
    pid=$! address=127.0.0.1:$own
    until python3 -c "import urllib.request as r; r.urlopen('http://127.0.0.1:$((own + 1))/readyz', timeout=5)" 2>/dev/null; do
        kill -0 "$pid" || { tail -n 5 "$folder/rest.log" >&2 && exit 1; }
        sleep 0.3
    done
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
