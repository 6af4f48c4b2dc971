#!/usr/bin/env bash
# From a fresh machine to separated stems: installs what is missing, builds, starts the service, fetches the weights,
# and separates the bundled sample song through it.
set -euo pipefail
cd "$(dirname "$0")"
case "${1:-}" in
--cluster | --gke) exec "scripts/${1#--}.sh" "${@:2}" ;;
esac

usage() {
    cat <<'TXT'
usage: ./deploy-local-dev.sh [--song FILE] [--out DIR] [--data DIR] [--port N]
       ./deploy-local-dev.sh --workers N [--crash M] [--crash-after SECONDS] [...]
       ./deploy-local-dev.sh --stop [--data DIR]
       ./deploy-local-dev.sh --cluster | --gke [--help]   the same on kind or minikube; on Google Kubernetes Engine

Installs what is missing (Debian packages; Rust has to be there), builds the programs, starts the
service (interface, queue, store and worker in one process), fetches the weights of htdemucs,
separates a song through it, and says where the stems and the page are. The service goes on running.

  --song FILE   the song to separate                  [default: data/short-sample.mp3]
  --out DIR     where the stems go                    [default: separated]
  --data DIR    where the service keeps songs and log [default: msaas-store]
  --port N      where it listens                      [default: 5000]; health and metrics on 8081, gRPC on 50051
  --stop        ends the service that runs on this data

With workers it is real processes over a real queue (Valkey) and store (SeaweedFS):

  --workers N   workers that live                     [default: WORKERS_HEALTHY, or none of their own]
  --crash M     workers that die as by kill -9        [default: WORKERS_UNHEALTHY, or 0]
  --crash-after SECONDS   so long after their first task began [default: WORKER_SIMULATE_CRASH_AFTER, or 5]

Other programs than those that it would build: PROGRAMS=FOLDER.
TXT
}

song=data/short-sample.mp3 out=separated data=msaas-store port=5000 stop=false
workers=${WORKERS_HEALTHY:-0} crash=${WORKERS_UNHEALTHY:-0} crash_after=${WORKER_SIMULATE_CRASH_AFTER:-5}
while [ $# -gt 0 ]; do
    case "$1" in
    --song) song=${2:?--song needs a file} && shift 2 ;;
    --out) out=${2:?--out needs a folder} && shift 2 ;;
    --data) data=${2:?--data needs a folder} && shift 2 ;;
    --port) port=${2:?--port needs a number} && shift 2 ;;
    --workers) workers=${2:?--workers needs a number} && shift 2 ;;
    --crash) crash=${2:?--crash needs a number} && shift 2 ;;
    --crash-after) crash_after=${2:?--crash-after needs seconds} && shift 2 ;;
    --stop) stop=true && shift ;;
    -h | --help) usage && exit 0 ;;
    *) printf 'unknown option: %s\n\n' "$1" >&2 && usage >&2 && exit 2 ;;
    esac
done
for number in "$workers" "$crash" "$crash_after"; do
    [[ $number =~ ^[0-9]+$ ]] || { printf 'not a number: %s\n' "$number" >&2 && exit 2; }
done

. scripts/lib.sh

# Processes of this data: the service, and what it stands on, the latest last.
is_running() { [ -f "$data/serve.pid" ] && kill -0 "$(cat "$data/serve.pid")" 2>/dev/null; }

if $stop; then
    is_running || { say "nothing runs on $data" && exit 0; }
    for pids in "$data"/serve.pid "$data"/others.pid; do
        [ -f "$pids" ] || continue
        while read -r pid; do
            kill "$pid" 2>/dev/null || continue
            while kill -0 "$pid" 2>/dev/null; do sleep 0.2; done
        done < <(tac "$pids")
        rm -f "$pids"
    done
    say "stopped"
    exit 0
fi

say "1/3 installing what is missing"
install_for_build
need_packages python3=python3
programs=(--package msaas)
if [ $((workers + crash)) -gt 0 ]; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || need_packages no-such-command=python3-venv
    programs+=(--package worker)
    servers=$(scripts/servers.sh)
    eval "$servers"
fi
say "2/3 building (some minutes the first time)"
built=${PROGRAMS:-}
if [ -z "$built" ]; then
    cargo build --release --locked "${programs[@]}"
    target=$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
    built=$target/release
fi
msaas=$built/msaas

# Starts a process that outlives this script: the file for its number, its log, the command.
start() {
    local pids=$1 log=$2
    shift 2
    nohup "$@" >>"$log" 2>&1 &
    echo $! >>"$pids"
}

# Valkey, SeaweedFS and workers; the service finds them by the variables that this sets.
start_workers() {
    folder=$(mkdir -p "$data/servers" && cd "$data/servers" && pwd)
    . scripts/service.sh
    trap '' HUP
    # It names the first of its ports so.
    local own_port=$port
    start_servers
    port=$own_port
    printf '%s\n' "${started[@]}" >"$data/others.pid"
    # What a worker that dies holds goes to another one after this.
    export MSAAS_LEASE=10 MSAAS_GRPC_PORT=50051
    for ((i = 1; i <= workers + crash; i++)); do
        local dies=()
        [ "$i" -gt "$crash" ] || dies=(--simulate-crash-after "$crash_after")
        start "$data/others.pid" "$data/worker-$i.log" "$built/worker" --admin-port 0 "${dies[@]}"
    done
}

say "3/3 separating $song through the service"
# Before the service starts, so that the download shows its progress.
"$msaas" models fetch htdemucs --if-missing
mkdir -p "$data"
if is_running; then
    say "the service runs already"
else
    rm -f "$data/serve.pid" "$data/others.pid"
    own=()
    if [ $((workers + crash)) -gt 0 ]; then
        start_workers
        own=(--no-worker)
        [ "$workers" -gt 0 ] || say "no worker lives: the song waits for one"
    fi
    start "$data/serve.pid" "$data/serve.log" "$msaas" serve --address 127.0.0.1 --port "$port" --store-dir "$data" \
        --callback-http --callback-allow "localhost:$port" --editor-cors "${own[@]}"
    until python3 -c "import urllib.request as r; r.urlopen('http://localhost:$port/', timeout=5)" 2>/dev/null; do
        is_running || { tail -n 5 "$data/serve.log" >&2 && say "the service did not start: see $data/serve.log" && exit 1; }
        sleep 0.3
    done
fi
REST="localhost:$port" OUT=$out ./sample-requests.py "$song"

say ""
say "The stems are in $out. The page is http://localhost:$port (for programs: /docs; log: $data/serve.log)."
[ $((workers + crash)) -eq 0 ] || say "$workers workers live, $crash die of themselves: $data/worker-*.log."
say "It ends with ./deploy-local-dev.sh --stop. Without it: $msaas separate SONG"
