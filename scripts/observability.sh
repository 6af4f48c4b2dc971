#!/usr/bin/env bash
# The figures, the dashboard and the alerts against the service as it runs: a real Prometheus scrapes a real `rest` and real
# workers. Part of the suite.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

case "${1:-}" in
-h | --help)
    cat <<'TXT'
usage: scripts/observability.sh

Checks and unit-tests the rules of k8s/observability/alerts.yaml with promtool. Then starts Valkey, SeaweedFS, REST, two workers with a small
network, and Prometheus; sends songs, one that is none, a mix, a call of gRPC; and holds against what Prometheus has then:
every query of the dashboard (has to give something), every series and label that an alert names, every figure that the
documents, k8s/ and helm/ name, and the other way round. Installs Prometheus into the user's cache folder. Other
programs: PROGRAMS=FOLDER.
TXT
    exit 0
    ;;
esac

home=${XDG_CACHE_HOME:-$HOME/.cache}/msaas/observability
install_prometheus() {
    mkdir -p "$home"
    if [ ! -x "$home/usr/bin/promtool" ]; then
        say "fetching Prometheus"
        # Unpacked, not installed: Debian's package starts a server.
        (cd "$home" && apt-get download -qq prometheus 2>/dev/null && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb)
    fi
    if ! "$home/venv/bin/python" -c 'import promql_parser' 2>/dev/null; then
        python3 -m venv "$home/venv"
        "$home/venv/bin/pip" install --quiet --disable-pip-version-check promql-parser==0.12.0 >&2
    fi
}

install_prometheus
# The rules as Prometheus itself reads them: what the operator's object has behind `spec`.
rules=$(mktemp -d)
trap 'rm -rf "$rules"' EXIT
sed '1,/^spec:/d' k8s/observability/alerts.yaml >"$rules/alerts.yaml"
cp k8s/observability/alerts.test.yaml "$rules"
"$home/usr/bin/promtool" check rules --lint-fatal "$rules/alerts.yaml" >&2
"$home/usr/bin/promtool" test rules "$rules/alerts.test.yaml" >&2

if [ -z "${PROGRAMS:-}" ]; then
    need_rust
    # With examples, as the tests are built: nothing is built twice.
    cargo build --quiet --locked --workspace --bins --examples
fi
built=${CARGO_TARGET_DIR:-target}/debug
programs=${PROGRAMS:-$built}
servers=$(scripts/servers.sh)
eval "$servers"
. scripts/service.sh
trap 'stop; rm -rf "$folder" "$rules"' EXIT
start_servers
own=$((port + 10))
export MSAAS_GRPC_PORT=$((own + 4)) MSAAS_MODEL=htdemucs_6s MSAAS_MODEL_DIR=$folder/models MSAAS_OFFLINE=true MSAAS_THREADS=1
"$built/examples/small_network" "$folder/models"
"$programs/rest" --port "$own" --admin-port $((own + 1)) --callback-http --callback-allow "127.0.0.1:$own" >"$folder/rest.log" 2>&1 &
started+=($!)
until_ready $! $((own + 1)) "$folder/rest.log"
for admin in $((own + 2)) $((own + 3)); do
    "$programs/worker" --admin-port "$admin" --temp-dir "$folder" --span-segments 8 >"$folder/worker-$admin.log" 2>&1 &
    started+=($!)
    until_ready $! "$admin" "$folder/worker-$admin.log"
done

cat >"$folder/prometheus.yml" <<TXT
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [$rules/alerts.yaml]
scrape_configs:
  - job_name: msaas
    static_configs:
      - targets: ["127.0.0.1:$((own + 1))", "127.0.0.1:$((own + 2))", "127.0.0.1:$((own + 3))"]
TXT
"$home/usr/bin/prometheus" --config.file="$folder/prometheus.yml" --storage.tsdb.path="$folder/prometheus" \
    --web.listen-address="127.0.0.1:$((own + 5))" --log.level=warn >"$folder/prometheus.log" 2>&1 &
started+=($!)
"$MSAAS_TEST_PYTHON" scripts/grpc_client.py "127.0.0.1:$MSAAS_GRPC_PORT" errors >/dev/null
"$home/venv/bin/python" scripts/observability.py "127.0.0.1:$own" "127.0.0.1:$((own + 5))"
