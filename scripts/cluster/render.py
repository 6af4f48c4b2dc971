"""What the chart and the manifests become: objects by the name of what they were rendered from."""

import pathlib
import subprocess

import yaml

CHART = pathlib.Path("helm/music-separation")
NAMESPACE = "msaas"
VALUES = ["default", "local", "gpu", "external"]
OVERLAYS = ["local", "gke"]


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def rendered(*command):
    status, out, error = run(*command)
    if status != 0:
        raise SystemExit(f"{' '.join(str(word) for word in command)}\n{error}")
    return [document for document in yaml.safe_load_all(out) if document]


class Renders:
    """Everything rendered once, with the newer Helm."""

    def __init__(self, home):
        self.home = home
        self.chart = {name: rendered(*self.helm("helm4", "template", name)) for name in VALUES}
        self.manifests = {name: rendered(home / "kubectl", "kustomize", f"k8s/overlays/{name}") for name in OVERLAYS}
        # Beside all of these, in clusters that have the operator for it.
        self.chart["observability"] = rendered(*self.helm("helm4", "template", "default"), "--set", "observability.enabled=true",
                                               "--show-only", "templates/observability/*")
        for name in ("observability", "weights"):
            self.manifests[name] = rendered(home / "kubectl", "kustomize", f"k8s/{name}")

    def helm(self, helm, what, name):
        """The command that renders or lints with a file of values."""
        values = [] if name == "default" else ["--values", CHART / f"values-{name}.yaml"]
        if what == "lint":
            return [self.home / helm, "lint", "--strict", "--quiet", "--namespace", NAMESPACE, CHART, *values]
        return [self.home / helm, what, "msaas", CHART, "--namespace", NAMESPACE, *values]

    def all(self):
        for name, objects in self.chart.items():
            yield f"chart with values-{name}" if name in VALUES else f"chart, {name}", objects
        for name, objects in self.manifests.items():
            yield f"overlay {name}" if name in OVERLAYS else f"manifests, {name}", objects

    def both_helms_lint_and_agree(self):
        """Complaints of `helm lint`, and where Helm 3 renders something else than Helm 4. Drawn secrets differ each time."""
        faults = []
        for helm in ["helm3", "helm4"]:
            for name in VALUES:
                status, out, error = run(*self.helm(helm, "lint", name))
                if status != 0:
                    faults.append(f"{helm} lint, values-{name}: {out}{error}")
        for name in VALUES:
            older = [thing for thing in rendered(*self.helm("helm3", "template", name)) if thing["kind"] != "Secret"]
            newer = [thing for thing in self.chart[name] if thing["kind"] != "Secret"]
            if sorted(map(str, older)) != sorted(map(str, newer)):
                faults.append(f"values-{name}: Helm 3 and Helm 4 render different objects")
        return faults


def pod_of(thing):
    """The specification of an object's pods; none where it has none."""
    if thing["kind"] == "Pod":
        return thing["spec"]
    if thing["kind"] in ("Deployment", "Job", "StatefulSet"):
        return thing["spec"]["template"]["spec"]
    return None


def labels_of_pods(thing):
    if thing["kind"] == "Pod":
        return thing["metadata"]["labels"]
    return thing["spec"]["template"]["metadata"]["labels"]


def containers_of(thing):
    """First those that run before the others."""
    pod = pod_of(thing) or {}
    return [*pod.get("initContainers", []), *pod.get("containers", [])]


def name_of(thing):
    return f"{thing['kind']}/{thing['metadata']['name']}"
