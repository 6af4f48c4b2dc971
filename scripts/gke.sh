#!/usr/bin/env bash
# The service on Google Kubernetes Engine with GPUs: every step as a command, to be read, pasted or run. See docs/gke.md.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

usage() {
    cat <<'TXT'
usage: ./deploy-local-dev.sh --gke            prints the steps, with the settings below
       ./deploy-local-dev.sh --gke --run      takes them; what is there already is left as it is

Run again after a change it builds and pushes images of another version and rolls them out, a pod at a time.

Settings are variables:
  PROJECT      the project                           [default: gcloud's]
  LOCATION     a zone that has the GPU               [default: europe-west4-a]
  CLUSTER      name of the cluster and its registry  [default: msaas]
  MACHINE      of the GPU pool                       [default: g2-standard-8]
  GPU          its GPU                               [default: nvidia-l4]
  MAX_NODES    GPU nodes at most, and so workers; at least there are none  [default: 4]
  SERVICES     private addresses for the cluster's services  [default: 172.20.0.0/20]
  HOST         the name of the service, for an ingress  [default: none; it is reached by port-forward]
  TLS_CERT, TLS_KEY    files of that name's certificate
  VALUES       what the chart is told                [default: helm/music-separation/values-gpu.yaml]
  VERSION      of the images                         [default: of the workspace, and the commit]
TXT
}

run=false
while [ $# -gt 0 ]; do
    case "$1" in
    --run) run=true && shift ;;
    -h | --help) usage && exit 0 ;;
    *) printf 'unknown option: %s\n\n' "$1" >&2 && usage >&2 && exit 2 ;;
    esac
done

refuse() {
    say "$1"
    exit 1
}

location=${LOCATION:-europe-west4-a} cluster=${CLUSTER:-msaas} values=${VALUES:-helm/music-separation/values-gpu.yaml}
region=${location%-?}
project=${PROJECT:-$(gcloud config get-value project 2>/dev/null || true)}
version=${VERSION:-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)-$(git rev-parse --short=12 HEAD)}
if $run; then
    for tool in gcloud docker kubectl helm openssl; do have "$tool" || refuse "please install $tool"; done
    have gke-gcloud-auth-plugin || refuse "kubectl needs gke-gcloud-auth-plugin: gcloud components install gke-gcloud-auth-plugin"
    [ -n "$project" ] || refuse "PROJECT names no project, nor does gcloud"
    [ -z "${HOST:-}" ] || { [ -f "${TLS_CERT:-}" ] && [ -f "${TLS_KEY:-}" ]; } || refuse "HOST needs TLS_CERT and TLS_KEY, which name files"
    [ -n "${VERSION:-}" ] || [ -z "$(git status --porcelain)" ] ||
        refuse "the tree has changes that are in no commit, so its version would not say what is in the images: commit, or set VERSION"
fi
registry=$region-docker.pkg.dev/${project:-PROJECT}/$cluster
in_cluster=(--cluster "$cluster" --location "$location" --project "${project:-PROJECT}")

# A command as it can be pasted.
quoted() {
    local word line=
    for word in "$@"; do
        [[ $word =~ ^[A-Za-z0-9_./:=,@-]+$ ]] || word="'$word'"
        line+=" $word"
    done
    printf '%s' "${line# }"
}

# Says why, shows or takes the step; whatever fails is named, and nothing is done after it.
step() { # WHY COMMAND...
    local why=$1
    shift
    printf '# %s\n%s\n\n' "$why" "$(quoted "$@")"
    ! $run || "$@" || refuse "this failed, and nothing was done after it: $(quoted "$@")"
}

# A step that is not taken where what it makes is there already.
once() { # WHY PROBE-WORDS... -- COMMAND...
    local why=$1 probe=()
    shift
    while [ "$1" != -- ]; do probe+=("$1") && shift; done
    shift
    if $run; then
        if "${probe[@]}" >/dev/null 2>&1; then say "# $why: is there already" && return; fi
        step "$why" "$@"
    else
        printf '# %s\n%s >/dev/null 2>&1 ||\n    %s\n\n' "$why" "$(quoted "${probe[@]}")" "$(quoted "$@")"
    fi
}

step "the interfaces that are used" \
    gcloud services enable compute.googleapis.com container.googleapis.com artifactregistry.googleapis.com iam.googleapis.com --project "${project:-PROJECT}"
repository=("$cluster" --location "$region" --project "${project:-PROJECT}")
once "a registry for the images" gcloud artifacts repositories describe "${repository[@]}" -- \
    gcloud artifacts repositories create "${repository[@]}" --repository-format docker
account=$cluster-nodes@${project:-PROJECT}.iam.gserviceaccount.com
once "an account for the nodes, since Google's own may do too little, or everything" \
    gcloud iam service-accounts describe "$account" --project "${project:-PROJECT}" -- \
    gcloud iam service-accounts create "$cluster-nodes" --project "${project:-PROJECT}"
step "which may write logs and figures" gcloud projects add-iam-policy-binding "${project:-PROJECT}" \
    --member "serviceAccount:$account" --role roles/container.defaultNodeServiceAccount --condition None
step "and fetch the images" gcloud artifacts repositories add-iam-policy-binding "${repository[@]}" \
    --member "serviceAccount:$account" --role roles/artifactregistry.reader
step "which Docker may push to" gcloud auth configure-docker "$region-docker.pkg.dev" --quiet
named=("$cluster" --location "$location" --project "${project:-PROJECT}")
once "a cluster that enforces network policies" gcloud container clusters describe "${named[@]}" -- \
    gcloud container clusters create "${named[@]}" --release-channel regular --enable-dataplane-v2 \
    --enable-ip-alias --services-ipv4-cidr "${SERVICES:-172.20.0.0/20}" \
    --num-nodes 1 --machine-type e2-standard-4 --enable-autoscaling --min-nodes 1 --max-nodes 4 \
    --service-account "$account" --disk-type pd-standard --disk-size 100
once "a pool of GPUs, which is empty while no song waits" gcloud container node-pools describe gpu "${in_cluster[@]}" -- \
    gcloud container node-pools create gpu "${in_cluster[@]}" --machine-type "${MACHINE:-g2-standard-8}" \
    --service-account "$account" --disk-type pd-balanced --disk-size 80 \
    --accelerator "type=${GPU:-nvidia-l4},count=1,gpu-driver-version=latest" --spot \
    --num-nodes 0 --enable-autoscaling --min-nodes 0 --max-nodes "${MAX_NODES:-4}"
step "kubectl and helm speak to it" gcloud container clusters get-credentials "${named[@]}"
step "workers by what waits and runs" helm upgrade --install keda keda --repo https://kedacore.github.io/charts --version 2.18.0 \
    --namespace keda --create-namespace --wait
for name in rest worker; do
    options=(--platform linux/amd64 --build-arg "VERSION=$version" --build-arg "REVISION=$(git rev-parse HEAD)")
    [ "$name" = rest ] || options+=(--build-arg FEATURES=cuda)
    step "the image of $name" docker build --file "Dockerfile.$name" --tag "$registry/msaas-$name:$version" "${options[@]}" .
    step "to the registry" docker push "$registry/msaas-$name:$version"
done

in_namespace=(kubectl --namespace msaas)
once "a namespace" kubectl get namespace msaas -- kubectl create namespace msaas
step "whose pods are restricted" kubectl label namespace msaas --overwrite \
    pod-security.kubernetes.io/enforce=restricted pod-security.kubernetes.io/warn=restricted
# Drawn on the way and never shown, nor in the words of a command.
secret() { # WHY NAME KEY [OPTION]
    once "$1" "${in_namespace[@]}" get secret "$2" -- \
        bash -c "openssl rand -hex 24 | tr -d \"\\n\" | kubectl --namespace msaas create secret generic $2 ${4:+$4 }--from-file $3=/dev/stdin"
}
secret "the password of the queue" redis password
secret "the keys of the store" minio secret-key "--from-literal access-key=msaas"
secret "a key of the service, an operator's" msaas-test key
once "and what the service knows of it" "${in_namespace[@]}" get secret msaas-keys -- \
    bash -o pipefail -ec "line=\$(kubectl --namespace msaas get secret msaas-test --output go-template={{.data.key\|base64decode}} | sha256sum | cut -c -64); echo \"\$line default operator\" | kubectl --namespace msaas create secret generic msaas-keys --from-file keys=/dev/stdin"

options=(--set "images.registry=$registry" --set "images.rest.tag=$version" --set "images.worker.tag=$version"
    --set "worker.nodeSelector.cloud\.google\.com/gke-accelerator=${GPU:-nvidia-l4}"
    --set "worker.autoscaling.maxReplicas=${MAX_NODES:-4}")
if [ -n "${HOST:-}" ]; then
    once "its certificate" "${in_namespace[@]}" get secret msaas-tls -- \
        "${in_namespace[@]}" create secret tls msaas-tls --cert "${TLS_CERT:-TLS_CERT}" --key "${TLS_KEY:-TLS_KEY}"
    options+=(--set "ingress.host=$HOST" --set "rest.publicUrl=https://$HOST")
else
    options+=(--set ingress.enabled=false --set rest.publicUrl=)
fi
step "install, or roll out a pod at a time" helm upgrade --install msaas helm/music-separation --namespace msaas \
    --values "$values" "${options[@]}" --wait --timeout 30m
step "separate a short clip, when a GPU has come up for it" helm test msaas --namespace msaas --timeout 30m
