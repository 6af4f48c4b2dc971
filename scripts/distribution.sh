#!/usr/bin/env bash
# What it costs to send a song through the service instead of the command line, and whether the result is the same to the
# bit, with several workers and with workers that die. A campaign with the real network, not part of the suite.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

case "${1:-}" in
-h | --help)
    cat <<'TXT'
usage: scripts/distribution.sh [cost|identity]...    default: both

Builds the release programs and starts Valkey, SeaweedFS, REST and workers in a temporary folder, each time new.
  cost      a song of 180 s by `msaas separate` and by `msaas submit --wait` with one worker, in turns: with the plan that
            it makes, and with spans of 8 segments; ratios of wall times, bytes through the store
  identity  a song of 240 s by `msaas separate`, and by 1, 2 and 5 workers of which three are killed:
            SHA-256 of the samples of every stem
Other lengths and turns: COST_SECONDS, IDENTITY_SECONDS, PAIRS (3). Other programs: PROGRAMS=FOLDER.
TXT
    exit 0
    ;;
esac

programs=${PROGRAMS:-${CARGO_TARGET_DIR:-target}/release}
[ -n "${PROGRAMS:-}" ] || cargo build --release --locked --workspace --bins
need_packages ffmpeg=ffmpeg
"$programs/msaas" models fetch htdemucs
servers=$(scripts/servers.sh)
eval "$servers"
. scripts/service.sh
songs=$(mktemp -d)
trap 'stop; rm -rf "$folder" "$songs"' EXIT

song() {
    ffmpeg -v error -y -stream_loop -1 -i data/sample.mp3 -t "$1" -ar 44100 -ac 2 -c:a libmp3lame -b:a 320k "$songs/song.mp3"
}

workers=()
worker() { # NUMBER OPTIONS: in the background
    local admin=$((port + 12 + $1))
    shift
    "$programs/worker" --admin-port "$admin" --temp-dir "$folder" --keep-sources 0 --lease 10 --sweep-every 5 "$@" \
        >>"$folder/worker.log" 2>&1 &
}

start() { # WORKERS OPTIONS
    local own count=$1
    shift
    start_servers
    own=$((port + 10))
    "$programs/rest" --port "$own" --admin-port $((own + 1)) >"$folder/rest.log" 2>&1 &
    started+=($!)
    until_ready $! $((own + 1)) "$folder/rest.log"
    export MSAAS_SERVER=http://127.0.0.1:$own
    workers=()
    for ((i = 0; i < count; i++)); do
        worker "$i" "$@"
        workers+=($!)
        started+=($!)
        until_ready $! $((port + 12 + i)) "$folder/worker.log"
    done
}

wall() { # COMMAND: its seconds
    local begin end
    begin=$(date +%s.%N)
    "$@" >/dev/null
    end=$(date +%s.%N)
    awk "BEGIN { printf \"%.2f\", $end - $begin }"
}

moved() { # bytes that rest and the first worker sent to the store and got from it
    for admin in $((port + 11)) $((port + 12)); do
        curl -fsS "http://127.0.0.1:$admin/metrics"
    done | awk '/^msaas_store_bytes_total/ { sum += $2 } END { print sum }'
}

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

cost() {
    local seconds=${COST_SECONDS:-180} alone through ratios bytes
    song "$seconds"
    for options in "" "--span-segments 8"; do
        ratios=()
        for ((turn = 0; turn < ${PAIRS:-3}; turn++)); do
            rm -rf "${songs:?}/out"
            alone=$(wall "$programs/msaas" separate --quiet -o "$songs/out" "$songs/song.mp3")
            # shellcheck disable=SC2086
            start 1 $options
            through=$(wall "$programs/msaas" submit --wait --quiet -o "$songs/out/service" "$songs/song.mp3")
            bytes=$(moved)
            stop
            ratios+=("$(awk "BEGIN { printf \"%.3f\", $through / $alone }")")
            say "separate $alone s, one worker ${options:-as it plans} $through s: ${ratios[-1]}, $bytes bytes"
        done
        printf 'cost of one worker, %s: ratio=%s, %s bytes through the store for each second of audio\n' "${options:-as it plans}" \
            "$(printf '%s\n' "${ratios[@]}" | median)" "$(awk "BEGIN { printf \"%d\", $bytes / $seconds }")"
    done
}

samples() { # FOLDER: a sum for each stem
    for stem in drums bass other vocals; do
        ffmpeg -v error -i "$1/$stem.wav" -f f32le - | sha256sum | cut -c -64
    done
}

identity() {
    local expected got victim killed
    song "${IDENTITY_SECONDS:-240}"
    "$programs/msaas" separate --quiet --format wav --bits 32 -o "$songs/alone" "$songs/song.mp3" >/dev/null
    expected=$(samples "$songs/alone/htdemucs/song")
    printf '%s\n' "$expected"
    for count in 1 2 5; do
        rm -rf "${songs:?}/service"
        start "$count" --span-segments 4
        "$programs/msaas" submit --wait --quiet --format wav --bits 32 -o "$songs/service" "$songs/song.mp3" >/dev/null &
        client=$! killed=0 next=0
        # Not so often that a span is given up: it may be begun a few times only.
        while [ "$killed" -lt 3 ] && sleep $((10 + RANDOM % 6)) && kill -0 "$client" 2>/dev/null; do
            victim=$((next % count)) next=$((next + 1))
            kill -9 "${workers[$victim]}" && killed=$((killed + 1))
            wait "${workers[$victim]}" 2>/dev/null || true
            worker "$victim" --span-segments 4
            workers[victim]=$!
            started+=($!)
        done
        wait "$client"
        got=$(samples "$songs/service/htdemucs/song")
        stop
        [ "$got" = "$expected" ] || { printf '%s workers: other samples\n%s\n' "$count" "$got" && exit 1; }
        printf '%s workers, %s killed: the same samples of every stem\n' "$count" "$killed"
    done
}

[ $# -gt 0 ] || set -- cost identity
for what in "$@"; do
    case $what in
    cost | identity) "$what" ;;
    *) say "unknown: $what" && exit 2 ;;
    esac
done
