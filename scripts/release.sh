#!/usr/bin/env bash
# A release: the program in an archive, both images, the chart, what they are made of, and checksums. One build makes all of it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/engine.sh

usage() {
    cat <<'TXT'
usage: scripts/release.sh VERSION      makes dist/VERSION and the tag vVERSION
       scripts/release.sh --dry-run    makes dist/dry-run from the version of the workspace, and no tag

  msaas-VERSION-ARCH-linux.tar.gz       `msaas` as it is in the worker's image, README, changelog, licences, THIRD-PARTY
  msaas-rest-VERSION.tar, msaas-worker-VERSION.tar    the images, for CPUs: `docker load --input FILE`
  music-separation-VERSION.tgz          the chart: `helm install msaas FILE`
  NAME-VERSION.cdx.json                 the crates that a program is made of (CycloneDX), for msaas, rest, worker
  SHA256SUMS                            of all of these

Refuses a tree with changes that are in no commit, a version that is not the workspace's, and one that CHANGELOG.md
does not name (--dry-run is content with `Unreleased`). Publishes nothing: it says how. The image for GPUs is built for one kind of
device, see Dockerfile.worker, and is not among these.
TXT
}

refuse() {
    say "$1"
    exit 1
}

workspace=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
case "${1:-}" in
-h | --help) usage && exit 0 ;;
--dry-run) version=$workspace heading=Unreleased out=dist/dry-run ;;
[0-9]*) version=$1 heading=$1 out=dist/$1 ;;
*) usage >&2 && exit 2 ;;
esac
[ "$version" = "$workspace" ] || refuse "the workspace has version $workspace (Cargo.toml), not $version"
grep -q "^## $heading\( \|\$\)" CHANGELOG.md || grep -q "^## $version\( \|\$\)" CHANGELOG.md ||
    refuse "CHANGELOG.md has no heading \"## $heading\""
[ -z "$(git status --porcelain)" ] || refuse "there are changes that are in no commit: $(git status --porcelain | head -n 3 | paste -s -d ' ')"
[ "$heading" = Unreleased ] || ! git rev-parse --quiet --verify "refs/tags/v$version" >/dev/null || refuse "v$version is released already"

[ "$(grep -c "ersion: $version\$" helm/music-separation/Chart.yaml)" = 2 ] || refuse "the chart has another version (helm/music-separation/Chart.yaml)"

# Times in what is made are those of the commit.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
need_rust
need_engine
# Not optimised: it runs for a second.
need_cargo_program cargo-cyclonedx cargo-cyclonedx 0.5.9
rm -rf "$out"
mkdir -p "$out"
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"; find . -name "*.cdx.json" -not -path "./dist/*" -delete' EXIT

for name in rest worker; do
    say "building msaas-$name:$version"
    build_image "$name" "msaas-$name:$version" --build-arg "VERSION=$version" --build-arg "REVISION=$(git rev-parse HEAD)"
    save_image "msaas-$name:$version" "$out/msaas-$name-$version.tar"
done

unpack_image "msaas-worker:$version" "$unpacked/image"
# archive NAME FILE: a folder of $unpacked, in one order and of one time.
archive() {
    tar --create --directory "$unpacked" --sort name --mtime "@$SOURCE_DATE_EPOCH" --owner 0 --group 0 --numeric-owner "$1" |
        gzip --no-name --best >"$out/$2"
}
archive=msaas-$version-$(uname -m)-linux
mkdir "$unpacked/$archive"
cp "$unpacked/image/bin/msaas" README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE THIRD-PARTY.md "$unpacked/$archive"
[ "$("$unpacked/$archive/msaas" --version)" = "msaas $version" ] || refuse "the program says another version"
archive "$archive" "$archive.tar.gz"

say "packing the chart"
scripts/cluster-check.sh >&2
helm=${XDG_CACHE_HOME:-$HOME/.cache}/msaas/cluster/helm4
"$helm" package helm/music-separation --destination "$unpacked" >/dev/null
# With the time of the commit, and what its links lead to.
tar --extract --file "$unpacked/music-separation-$version.tgz" --directory "$unpacked"
archive music-separation "music-separation-$version.tgz"
"$helm" template msaas "$out/music-separation-$version.tgz" --set observability.enabled=true >/dev/null || refuse "the chart cannot be installed from its archive"

say "listing what the programs are made of"
cargo cyclonedx --quiet --format json --spec-version 1.5 --describe binaries --target "$(rustc --print host-tuple)"
for name in msaas rest worker; do mv "$name/${name}_bin.cdx.json" "$out/$name-$version.cdx.json"; done

(cd "$out" && sha256sum -- * >SHA256SUMS && cat SHA256SUMS)
say ""
if [ "$heading" = Unreleased ]; then
    say "A dry run: $out is as a release of $version would be."
else
    git tag --annotate "v$version" --message "MSaaS $version"
    say "It is in $out, and v$version is tagged. To publish it: git push origin v$version, and put the files of $out where"
    say "releases are, the images into their registry, the chart beside them: helm push FILE oci://REGISTRY."
fi
