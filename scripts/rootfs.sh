#!/bin/sh
# Puts programs and what they need to run into a folder that becomes an image: shared libraries, certificates, a user.
# No shell and no package manager. Runs where the programs were built, in the image's first stage.
set -eu
[ $# -ge 2 ] || { echo "usage: scripts/rootfs.sh FOLDER PROGRAM..." >&2 && exit 2; }
root=$1
shift

mkdir -p "$root/bin" "$root/lib" "$root/etc/ssl/certs" "$root/usr/share/doc/msaas"
mkdir -m 1777 "$root/tmp"
cp "$@" "$root/bin/"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
echo 'msaas:x:65532:65532::/var/lib/msaas:/bin/false' >"$root/etc/passwd"
echo 'msaas:x:65532:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
cp LICENSE-* THIRD-PARTY.md "$root/usr/share/doc/msaas/"

# The loader has its place in every program; it looks for all others in /lib without being told.
for program in "$@"; do ldd "$program"; done | sort -u | while read -r name arrow path _; do
    case "$name $arrow $path" in
    *" => not") echo "nothing here has $name" >&2 && exit 1 ;;
    *" => /"*) cp -L "$path" "$root/lib/$name" ;;
    /*) mkdir -p "$root${name%/*}" && cp -L "$name" "$root$name" ;;
    esac
done
# NVIDIA's driver comes from the machine that has the card, and asks for parts of the C library by their old names.
if grep -q cuInit "$@"; then
    libraries=$(ldd "$1" | sed -n 's|.* => \(/.*\)/libc\.so\.6 .*|\1|p')
    cp -L "$libraries/libdl.so.2" "$libraries/libpthread.so.0" "$libraries/librt.so.1" "$root/lib/"
fi
# When it was built makes no difference.
find "$root" -exec touch --no-dereference --date @0 {} +
