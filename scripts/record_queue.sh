#!/usr/bin/env bash
# Records a queue for scripts/autoscale.py: the service with the real network and two workers of one thread, a load of eighteen
# pieces of a song, and what the queue shows meanwhile. A campaign of minutes; prints the trace.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

case "${1:-}" in
-h | --help)
    echo "usage: scripts/record_queue.sh >scripts/autoscale-trace.json    other programs: PROGRAMS=FOLDER"
    exit 0
    ;;
esac

programs=${PROGRAMS:-${CARGO_TARGET_DIR:-target}/release}
[ -n "${PROGRAMS:-}" ] || cargo build --release --locked --workspace --bins
need_packages ffmpeg=ffmpeg
"$programs/msaas" models fetch htdemucs --if-missing >&2
servers=$(scripts/servers.sh)
eval "$servers"
. scripts/service.sh
start_servers
own=$((port + 10))
export MSAAS_LOG_FORMAT=json
ffmpeg -v error -stream_loop -1 -i data/sample.mp3 -t 1000 -ar 44100 -ac 2 -c:a pcm_s16le -bitexact -map_metadata -1 "$folder/song.wav"
"$programs/rest" --port "$own" --admin-port $((own + 1)) >"$folder/rest.log" 2>&1 &
started+=($!)
until_ready $! $((own + 1)) "$folder/rest.log"
logs=()
for admin in $((own + 2)) $((own + 3)); do
    logs+=("$folder/worker-$admin.log")
    "$programs/worker" --admin-port "$admin" --threads 1 --span-segments 1 --keep-sources 0 --temp-dir "$folder" >"${logs[-1]}" 2>&1 &
    started+=($!)
    until_ready $! "$admin" "${logs[-1]}"
done
python3 scripts/autoscale.py record "127.0.0.1:$own" "127.0.0.1:$((own + 1))" "$folder/song.wav" "${logs[@]}"
