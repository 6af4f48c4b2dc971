# Shared by the top-level scripts: installs what is missing on Debian, and says what it does.

say() { printf '%s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

# Debian packages by the command or file that shows them to be there.
need_packages() {
    local missing=() command package
    for pair in "$@"; do
        command=${pair%%=*} package=${pair#*=}
        have "$command" || [[ $command == /* && -e $command ]] || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    have apt-get || { say "please install: ${missing[*]}" && exit 1; }
    local sudo=""
    [ "$(id -u)" = 0 ] || sudo=sudo
    say "installing ${missing[*]}"
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# A Rust program from its registry, unless it is there.
need_cargo_program() {
    local program=$1 package=$2 version=$3
    have "$program" && return
    say "building $package $version"
    # Not optimised: it is built faster than the time that it would save.
    cargo install --quiet --locked --debug "$package" --version "$version"
}

need_rust() {
    have cargo && return
    [ -x "$HOME/.cargo/bin/cargo" ] && export PATH="$HOME/.cargo/bin:$PATH" && return
    say "please install Rust first: https://rustup.rs"
    exit 1
}

# LAME is built from source with a C compiler and make; npm brings the weights where the official
# hosts cannot be reached.
install_for_build() {
    need_rust
    need_packages cc=gcc /usr/include/stdio.h=libc6-dev make=make npm=npm
}

install_for_tests() {
    install_for_build
    need_packages c++=g++ curl=curl git=git /bin/kill=procps ffmpeg=ffmpeg openssl=openssl shellcheck=shellcheck python3=python3
    python3 -c 'import ensurepip, venv' 2>/dev/null || need_packages no-such-command=python3-venv
    local servers
    servers=$(scripts/servers.sh)
    eval "$servers"
    need_cargo_program cargo-nextest cargo-nextest 0.9.143
    need_cargo_program cargo-deny cargo-deny 0.20.2
}

check_scripts() {
    shellcheck --shell=bash --external-sources ./*.sh benches/*.sh scripts/*.sh .ci/run
    python3 - ./*.py benches/*.py logs/*.py scripts/*.py scripts/*/*.py <<'PY'
import ast
import sys

for path in sys.argv[1:]:
    ast.parse(open(path, encoding="utf-8").read(), path)
PY
}
