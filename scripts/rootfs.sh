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
    # The driver's library comes from the machine that has the device.
    libcuda.so*) ;;
    *" => not") echo "nothing here has $name" >&2 && exit 1 ;;
    *" => /"*) cp -L "$path" "$root/lib/$name" ;;
    /*) mkdir -p "$root${name%/*}" && cp -L "$name" "$root$name" ;;
    esac
done
# What NVRTC opens by itself.
for opened in /usr/local/cuda/lib64/libnvrtc-builtins.so.*; do
    [ ! -e "$opened" ] || [ -z "$(find "$root/lib" -name 'libnvrtc.so.*')" ] || cp -P "$opened" "$root/lib/"
done
# When it was built makes no difference.
find "$root" -exec touch --no-dereference --date @0 {} +
