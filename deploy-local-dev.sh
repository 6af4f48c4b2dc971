#!/usr/bin/env bash
# From a fresh machine to separated stems: installs what is missing, builds, starts the service in one
# process, fetches the weights, and separates the bundled sample song through it.
set -euo pipefail
cd "$(dirname "$0")"

usage() {
    cat <<'TXT'
usage: ./deploy-local-dev.sh [--song FILE] [--out DIR] [--data DIR] [--port N]
       ./deploy-local-dev.sh --stop [--data DIR]

Installs what is missing (Debian packages; Rust has to be there), builds the program, starts the
service (interface, queue, store and worker in one process), fetches the weights of htdemucs,
separates a song through it, and says where the stems and the page are. The service goes on running.

  --song FILE   the song to separate                  [default: data/short-sample.mp3]
  --out DIR     where the stems go                    [default: separated]
  --data DIR    where the service keeps songs and log [default: msaas-store]
  --port N      where it listens                      [default: 5000]; health and metrics on 8081
  --stop        ends the service that runs on this data
TXT
}

song=data/short-sample.mp3 out=separated data=msaas-store port=5000 stop=false
while [ $# -gt 0 ]; do
    case "$1" in
    --song) song=${2:?--song needs a file} && shift 2 ;;
    --out) out=${2:?--out needs a folder} && shift 2 ;;
    --data) data=${2:?--data needs a folder} && shift 2 ;;
    --port) port=${2:?--port needs a number} && shift 2 ;;
    --stop) stop=true && shift ;;
    -h | --help) usage && exit 0 ;;
    *) printf 'unknown option: %s\n\n' "$1" >&2 && usage >&2 && exit 2 ;;
    esac
done

. scripts/lib.sh

is_running() { [ -f "$data/serve.pid" ] && kill -0 "$(cat "$data/serve.pid")" 2>/dev/null; }

if $stop; then
    is_running || { say "nothing runs on $data" && exit 0; }
    kill "$(cat "$data/serve.pid")"
    while is_running; do sleep 0.2; done
    rm -f "$data/serve.pid"
    say "stopped"
    exit 0
fi

say "1/3 installing what is missing"
install_for_build
need_packages python3=python3
say "2/3 building (some minutes the first time)"
cargo build --release --locked --package msaas
target=$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
msaas=$target/release/msaas

say "3/3 separating $song through the service"
# Before the service starts, so that the download shows its progress.
"$msaas" models fetch htdemucs --if-missing
mkdir -p "$data"
if is_running; then
    say "the service runs already"
else
    nohup "$msaas" serve --address 127.0.0.1 --port "$port" --store-dir "$data" \
        --callback-http --callback-allow "localhost:$port" >>"$data/serve.log" 2>&1 &
    echo $! >"$data/serve.pid"
    until python3 -c "import urllib.request as r; r.urlopen('http://localhost:$port/', timeout=5)" 2>/dev/null; do
        is_running || { tail -n 5 "$data/serve.log" >&2 && say "the service did not start: see $data/serve.log" && exit 1; }
        sleep 0.3
    done
fi
REST="localhost:$port" OUT=$out ./sample-requests.py "$song"

say ""
say "The stems are in $out. The page is http://localhost:$port (for programs: /docs; log: $data/serve.log)."
say "It ends with ./deploy-local-dev.sh --stop. Without it: $msaas separate SONG"
