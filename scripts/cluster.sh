#!/usr/bin/env bash
# The service on a cluster of this machine: builds images, loads and installs them, and separates a song through it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/engine.sh

usage() {
    cat <<'TXT'
usage: ./deploy-local-dev.sh --cluster [--song FILE] [--out DIR] [--data DIR] [--port N] [--values FILE]...
       ./deploy-local-dev.sh --cluster --stop [--data DIR]

On the current context of kubectl, which has to be one of kind or minikube: builds the images, loads them into the cluster,
installs the chart, makes its services reachable here and separates a song. Again, after a change: only what changed is
built and rolled out. Needs kubectl, helm and kind or minikube; builds with Docker, or without an engine with buildah.

  --song FILE    the song to separate                        [default: data/short-sample.mp3]
  --out DIR      where the stems go                          [default: separated]
  --data DIR     where logs lie and images pass through      [default: msaas-store]
  --port N       where the interface is reached              [default: 5000]; Redis on 6379, the store on 9000
  --values FILE  what the chart is told, instead of its values-local.yaml
  --stop         uninstalls it; songs and weights stay in the cluster's volumes
TXT
}

chart=helm/music-separation
song=data/short-sample.mp3 out=separated data=msaas-store port=5000 values=() stop=false
while [ $# -gt 0 ]; do
    case "$1" in
    --song) song=${2:?--song needs a file} && shift 2 ;;
    --out) out=${2:?--out needs a folder} && shift 2 ;;
    --data) data=${2:?--data needs a folder} && shift 2 ;;
    --port) port=${2:?--port needs a number} && shift 2 ;;
    --values) values+=(--values "${2:?--values needs a file}") && shift 2 ;;
    --stop) stop=true && shift ;;
    -h | --help) usage && exit 0 ;;
    *) printf 'unknown option: %s\n\n' "$1" >&2 && usage >&2 && exit 2 ;;
    esac
done
[ ${#values[@]} -gt 0 ] || values=(--values "$chart/values-local.yaml")

refuse() {
    say "$1"
    exit 1
}

# Whatever fails is named, and nothing is done after it.
must() { "$@" || refuse "this failed, and nothing was done after it: $*"; }

need_tools() {
    have kubectl || refuse "please install kubectl: https://kubernetes.io/docs/tasks/tools/"
    have helm || refuse "please install helm: https://helm.sh/docs/intro/install/"
    context=$(kubectl config current-context 2>/dev/null) ||
        refuse "kubectl has no cluster yet: \`kind create cluster\` or \`minikube start\`, then this again"
    # Never by mistake on a cluster that others use.
    case $context in
    kind-*) load=(kind load image-archive --name "${context#kind-}") ;;
    *)
        { have minikube && minikube --profile "$context" status >/dev/null 2>&1; } ||
            refuse "the current context, $context, is neither of kind nor of minikube; \`kubectl config use-context\` chooses another"
        load=(minikube --profile "$context" image load)
        ;;
    esac
    have "${load[0]}" || refuse "the current context is of ${load[0]}, which is not installed"
}

# What an earlier run left.
stop_forwards() {
    [ -f "$data/forwards.pid" ] || return 0
    while read -r pid; do
        kill "$pid" 2>/dev/null || true
    done <"$data/forwards.pid"
    rm "$data/forwards.pid"
}

# Makes a service reachable here; it stays so when this script has ended.
forward() { # SERVICE PORT-HERE PORT-THERE
    local log=$data/forward-$1.log pid
    : >"$log" # what an earlier run wrote there says nothing of this one
    nohup kubectl --namespace msaas port-forward "svc/$1" "$2:$3" >>"$log" 2>&1 &
    pid=$!
    echo "$pid" >>"$data/forwards.pid"
    until grep -q 'Forwarding from' "$log"; do
        kill -0 "$pid" 2>/dev/null || refuse "svc/$1 cannot be reached on port $2: $(tail -n 1 "$log")"
        sleep 0.1
    done
}

need_tools
mkdir -p "$data"
stop_forwards
if $stop; then
    must helm uninstall msaas --namespace msaas --ignore-not-found --wait
    say "stopped; what it kept goes with: kubectl delete namespace msaas"
    exit 0
fi

say "1/4 building images"
need_engine
sets=()
for name in rest worker; do
    say "msaas-$name"
    must build_image "$name" "msaas-$name:dev"
    # Its content is its name: what did not change is not rolled out again.
    tag=dev-${image_id:0:12}
    must tag_image "msaas-$name:dev" "msaas-$name:$tag"
    must save_image "msaas-$name:$tag" "$data/$name.tar"
    say "loading msaas-$name:$tag into $context"
    must "${load[@]}" "$data/$name.tar"
    rm -f "$data/$name.tar"
    sets+=(--set "images.$name.tag=$tag")
done

say "2/4 installing (the weights are fetched once)"
must helm upgrade --install msaas "$chart" --namespace msaas --create-namespace "${values[@]}" "${sets[@]}" --wait --timeout 20m

say "3/4 making it reachable"
forward redis 6379 6379
forward minio 9000 9000
forward rest "$port" 5000

say "4/4 separating $song through it"
REST="localhost:$port" OUT=$out ./sample-requests.py "$song" ||
    refuse "the song was not separated: kubectl --namespace msaas logs deploy/worker"

say ""
say "The stems are in $out. The page is http://localhost:$port; Redis is on port 6379, the store on 9000."
say "It ends with ./deploy-local-dev.sh --cluster --stop."
