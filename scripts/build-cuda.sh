#!/usr/bin/env bash
# Builds `msaas` and `worker` with the kernels for NVIDIA GPUs, on a machine that needs no GPU and no driver.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."
. scripts/lib.sh

case "${1:-}" in
-h | --help)
    cat <<'TXT'
usage: scripts/build-cuda.sh              makes target/cuda/release/msaas and .../worker, beside the build for the CPU
       scripts/build-cuda.sh --toolkit    the compiler only, and says where it is

The compiler is that of an installed toolkit (CUDA_HOME, CUDA_PATH or nvcc on the PATH), else it comes from NVIDIA's packages
on PyPI into ~/.cache/msaas/cuda: 280 MB. The programs run without a GPU too, on the CPU; what they need of NVIDIA is the
driver alone, 580 or newer if the compiler is the one from PyPI.
TXT
    exit 0
    ;;
"" | --toolkit) ;;
*) scripts/build-cuda.sh --help >&2 && exit 2 ;;
esac

# Compiler, its headers, and the headers of kernels; no library that a program would be linked with.
packages=(nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88
    nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85)

toolkit() {
    local installed=${CUDA_HOME:-${CUDA_PATH:-}} own=${XDG_CACHE_HOME:-$HOME/.cache}/msaas/cuda fresh
    if [ -n "$installed" ]; then
        [ -x "$installed/bin/nvcc" ] || { say "there is no nvcc in $installed/bin" && exit 1; }
        echo "$installed"
    elif have nvcc; then
        dirname "$(dirname "$(readlink -f "$(command -v nvcc)")")"
    else
        if ! [ -x "$own/bin/nvcc" ]; then
            python3 -c 'import ensurepip, venv' 2>/dev/null || need_packages python3=python3 no-such-command=python3-venv
            say "installing NVIDIA's compiler into $own"
            mkdir -p "${own%/*}"
            fresh=$(mktemp -d -p "${own%/*}")
            if ! { python3 -m venv "$fresh" && "$fresh/bin/pip" install --quiet --disable-pip-version-check --no-deps "${packages[@]}"; } >&2; then
                rm -rf "$fresh"
                say "the compiler could not be installed"
                exit 1
            fi
            rm -rf "$own"
            mv "$fresh"/lib/python3*/site-packages/nvidia/cu13 "$own"
            rm -rf "$fresh"
        fi
        echo "$own"
    fi
}

CUDA_HOME=$(toolkit)
export CUDA_HOME
need_packages g++=g++
if [ "${1:-}" = --toolkit ]; then echo "$CUDA_HOME" && exit; fi
install_for_build
target=${CARGO_TARGET_DIR:-target}/cuda
cargo build --release --locked --target-dir "$target" --workspace --bin msaas --bin worker --features cuda
say "$("$target/release/msaas" --version) and a worker with kernels for NVIDIA GPUs are in $target/release"
