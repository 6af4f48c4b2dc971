# Shared by what builds images: with Docker where an engine answers, else with buildah, which needs none. Needs lib.sh.
# RUST_IMAGE names another image to build on, a mirror's for example; `own` is one that is made here.

image_cache=${MSAAS_IMAGES:-${XDG_CACHE_HOME:-$HOME/.cache}/msaas/images}

# As root of a machine without an engine: layers are copied, commands run in a chroot.
buildah() { BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs TMPDIR=$image_cache command buildah "$@"; }

need_engine() {
    if have docker && docker info >/dev/null 2>&1; then
        engine=docker
        return
    fi
    [ "$(id -u)" = 0 ] || { say "no Docker engine answers, and without one images are built as root only" && exit 1; }
    engine=buildah
    mkdir -p "$image_cache"
    need_packages buildah=buildah
    if [ "${RUST_IMAGE:-}" = own ]; then own_base; fi
}

# What the Dockerfiles need of the official Rust image, out of Debian's packages and this machine's Rust, where no registry of
# images can be reached. With this machine's certificates, so that a mirror of other registries works there as it does here.
own_base() {
    RUST_IMAGE=localhost/msaas-rust
    if buildah inspect --type image "$RUST_IMAGE" >/dev/null 2>&1; then return; fi
    need_packages debootstrap=debootstrap
    local root=$image_cache/base container
    say "making a base of Debian and Rust"
    rm -rf "$root"
    debootstrap --variant=minbase --include=ca-certificates,gcc,libc6-dev bookworm "$root" >&2
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    mkdir -p "$root/usr/local/cargo/bin" "$root/usr/local/rustup/toolchain"
    cp -a "$(rustc --print sysroot)"/{bin,lib} "$root/usr/local/rustup/toolchain/"
    for program in cargo rustc; do ln -s "/usr/local/rustup/toolchain/bin/$program" "$root/usr/local/cargo/bin/"; done
    container=$(buildah from scratch)
    cp -a "$root/." "$(buildah mount "$container")"
    rm -rf "$root"
    buildah config --env PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
    buildah commit --quiet --rm "$container" "$RUST_IMAGE" >/dev/null
}

# build_image NAME TAG [OPTIONS]: from Dockerfile.NAME; its identity is left in $image_id.
build_image() {
    local name=$1 tag=$2 build=(docker build) file
    shift 2
    [ "$engine" = docker ] || build=(buildah build --format docker)
    [ -z "${RUST_IMAGE:-}" ] || set -- --build-arg "RUST=$RUST_IMAGE" "$@"
    # The time that a release gives it. Docker is told by an argument, buildah by an option, and sets those of files too.
    if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then
        if [ "$engine" = docker ]; then set -- --build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH" "$@"; else set -- --timestamp "$SOURCE_DATE_EPOCH" "$@"; fi
    fi
    file=$(mktemp)
    "${build[@]}" --iidfile "$file" --file "Dockerfile.$name" --tag "$tag" "$@" . >&2 || return 1
    # shellcheck disable=SC2034
    image_id=$(sed 's/^sha256://' "$file")
    rm "$file"
}

tag_image() { "$engine" tag "$1" "$2"; }

# image_env TAG: its variables, one a line.
image_env() {
    if [ "$engine" = docker ]; then
        docker image inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$1"
    else
        buildah inspect --type image --format '{{range .Docker.Config.Env}}{{println .}}{{end}}' "$1"
    fi | sed '/^$/d'
}

# unpack_image TAG FOLDER: its files.
unpack_image() {
    local container
    mkdir -p "$2"
    if [ "$engine" = docker ]; then
        container=$(docker create "$1")
        docker export "$container" | tar --extract --same-owner --preserve-permissions --directory "$2"
        docker rm "$container" >/dev/null
    else
        container=$(buildah from --pull-never "$1")
        cp -a "$(buildah mount "$container")/." "$2"
        buildah rm "$container" >/dev/null
    fi
}

# save_image TAG FILE: as an archive that every engine and every local cluster loads.
save_image() {
    rm -f "$2"
    if [ "$engine" = docker ]; then
        docker save --output "$2" "$1"
    else
        buildah push --quiet "$1" "docker-archive:$2:$1"
    fi
}
