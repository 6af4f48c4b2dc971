# Shared by what runs the service as real processes: its servers, in a folder that goes away at the end, unless $folder
# names one that stays. Needs lib.sh, and the variables that servers.sh prints.

started=()
stays=${folder:-}
folder=${folder:-$(mktemp -d)}
stop() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
    started=()
    rm -rf "${folder:?}"/*
}
[ -n "$stays" ] || trap 'stop; rmdir "$folder"' EXIT

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

# Valkey and SeaweedFS, and the variables by which programs find them. $port is the first of twenty; the last ten are free.
start_servers() {
    "$MSAAS_TEST_VALKEY" --port 0 --unixsocket "$folder/valkey.sock" --unixsocketperm 777 --dir "$folder" --save "" >/dev/null &
    started+=($!)
    port=$(free_ports 20)
    printf '{"identities":[{"name":"load","actions":["Admin"],"credentials":[{"accessKey":"load","secretKey":"load-secret"}]}]}' >"$folder/s3.json"
    TMPDIR=$folder WEED_MASTER_VOLUME_GROWTH_COPY_1=2 "$MSAAS_TEST_WEED" server -ip=127.0.0.1 -ip.bind=127.0.0.1 -s3 \
        -s3.iam=false -volume.max=100 -master.volumeSizeLimitMB=1024 -s3.port.iceberg=0 -s3.port.lance=0 \
        -dir="$folder" -s3.config="$folder/s3.json" -s3.port="$port" -s3.port.grpc=$((port + 1)) \
        -master.port=$((port + 2)) -master.port.grpc=$((port + 3)) -volume.port=$((port + 4)) \
        -volume.port.grpc=$((port + 5)) -filer.port=$((port + 6)) -filer.port.grpc=$((port + 7)) \
        -s3.port.https=$((port + 8)) >"$folder/weed.log" 2>&1 &
    started+=($!)
    export MINIO_ACCESS_KEY=load MINIO_SECRET_KEY=load-secret MSAAS_ADDRESS=127.0.0.1 REDIS_URL=unix://$folder/valkey.sock
    export MSAAS_GRPC_PORT=${MSAAS_GRPC_PORT:-0}
    export MSAAS_S3_ENDPOINT=http://127.0.0.1:$port
}

# Waits until a process answers that it is ready: its number, its admin port, its log.
until_ready() {
    until python3 -c "import urllib.request as r; r.urlopen('http://127.0.0.1:$2/readyz', timeout=5)" 2>/dev/null; do
        kill -0 "$1" || { tail -n 5 "$3" >&2 && exit 1; }
        sleep 0.3
    done
}
