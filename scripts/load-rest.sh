#!/usr/bin/env bash
# Memory and answers of `rest` under load, over real Valkey and SeaweedFS started here. A campaign, not part of the suite:
# it moves 14 GB and takes minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

case "${1:-}" in
-h | --help)
    cat <<'TXT'
usage: scripts/load-rest.sh [REST]    default: builds target/release/rest

Starts Valkey, SeaweedFS and REST in a temporary folder and runs scripts/load_rest.py: 64 uploads of 100 MiB at once and
one base64 body of 280 MiB, for memory; then 6,000 clips of 64 KiB at 100 a second, for the time of the answers, against
processes that are new. Other sizes: UPLOADS="8 10" BASE64=28 CLIPS="500 50" scripts/load-rest.sh
TXT
    exit 0
    ;;
esac

if [ -n "${1:-}" ]; then
    rest=$1
else
    cargo build --release --locked --workspace --bin rest
    rest=${CARGO_TARGET_DIR:-target}/release/rest
fi
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
    MINIO_ACCESS_KEY=load MINIO_SECRET_KEY=load-secret "$rest" --address 127.0.0.1 --port "$own" \
        --admin-port $((own + 1)) --redis-url "unix://$folder/valkey.sock" --s3-endpoint "http://127.0.0.1:$port" \
        --rate 0 --jobs-of-tenant 10000 >"$folder/rest.log" 2>&1 &
    started+=($!)
    pid=$! address=127.0.0.1:$own
    until python3 -c "import urllib.request as r; r.urlopen('http://127.0.0.1:$((own + 1))/readyz', timeout=5)" 2>/dev/null; do
        kill -0 "$pid" || { tail -n 5 "$folder/rest.log" >&2 && exit 1; }
        sleep 0.3
    done
}

load() { python3 scripts/load_rest.py "$address" "$pid" "$@"; }

start
# shellcheck disable=SC2086
load uploads ${UPLOADS:-64 100}
load base64 "${BASE64:-280}"
stop
start
# shellcheck disable=SC2086
load clips ${CLIPS:-6000 100}
