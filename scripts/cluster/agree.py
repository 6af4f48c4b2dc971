"""Chart and manifests say the same: each overlay and its file of values become the same objects."""

import base64
import copy

from render import name_of

TWINS = {"local": "local", "gke": "gpu", "observability": "observability"}

# What only one of them has, and why.
ONLY_MANIFESTS = {
    "Namespace/msaas": "a chart is installed into a namespace that is there",
}
ONLY_CHART = {
    "ConfigMap/test-clip": "kustomize has no tests",
    "Pod/test-separate": "kustomize has no tests",
    "NetworkPolicy/test": "kustomize has no tests",
}
# Labels by which Helm knows its own.
HELMS_LABELS = ["app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"]


def without_what_is_helms(node):
    if isinstance(node, dict):
        for label in HELMS_LABELS:
            if isinstance(node.get("labels"), dict):
                node["labels"].pop(label, None)
        # With these pods of the chart begin anew when a secret of its changes; the manifests' secrets are brought, or never change.
        for annotation in [key for key in node if key.startswith("checksum/")]:
            del node[annotation]
        for child in node.values():
            without_what_is_helms(child)
        if node.get("annotations") == {}:
            del node["annotations"]
    elif isinstance(node, list):
        for child in node:
            without_what_is_helms(child)


def by_name(items):
    """A list whose order means nothing: variables, volumes and their like are known by name."""
    if all(isinstance(item, dict) and "name" in item for item in items):
        return sorted(items, key=lambda item: item["name"])
    return items


def normal(node):
    if isinstance(node, dict):
        return {key: normal(value) for key, value in node.items()}
    if isinstance(node, list):
        return by_name([normal(item) for item in node])
    return node


def normalised(thing):
    thing = copy.deepcopy(thing)
    without_what_is_helms(thing)
    # Helm installs into the namespace that it is told.
    thing["metadata"].pop("namespace", None)
    if thing["kind"] == "Secret":
        plain = {key: base64.b64decode(value).decode() for key, value in thing.pop("data", {}).items()}
        thing["stringData"] = plain | thing.get("stringData", {})
        thing.setdefault("type", "Opaque")
    return normal(thing)


def differences(left, right, path=""):
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted({*left, *right}):
            yield from differences(left.get(key), right.get(key), f"{path}.{key}")
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for number, (one, other) in enumerate(zip(left, right)):
            yield from differences(one, other, f"{path}[{number}]")
    elif left != right:
        yield f"{path[1:]}: {left!r} in the manifests, {right!r} in the chart"


def faults(renders):
    found = []
    for overlay, values in TWINS.items():
        manifests = {name_of(thing): normalised(thing) for thing in renders.manifests[overlay]}
        chart = {name_of(thing): normalised(thing) for thing in renders.chart[values]}
        where = f"manifests {overlay} and chart {values}"
        for name in sorted(manifests.keys() - chart.keys() - ONLY_MANIFESTS.keys()):
            found.append(f"{where}: {name} is not in the chart")
        for name in sorted(chart.keys() - manifests.keys() - ONLY_CHART.keys()):
            found.append(f"{where}: {name} is not in the manifests")
        for name in sorted(manifests.keys() & chart.keys()):
            found += [f"{where}: {name}: {line}" for line in differences(manifests[name], chart[name])]
        if overlay == "observability":
            continue
        for name in sorted(ONLY_MANIFESTS.keys() - manifests.keys()) + sorted(ONLY_CHART.keys() - chart.keys()):
            found.append(f"{where}: the exception for {name} is not needed any more")
    return found
