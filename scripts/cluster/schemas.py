"""Objects against the schemas of Kubernetes, each version from 1.28 on, unknown fields refused.

Five kinds are no part of Kubernetes. ScaledObject (KEDA), HTTPRoute (Gateway API), PodMonitor and PrometheusRule (Prometheus
Operator) are held against their type declarations in @kubernetes-models, and what a ScaledObject hands to the autoscaler of Kubernetes against that one's
schema; what a trigger is told, nothing checks. Of a BackendConfig (GKE) the keys are those that are listed here; its values
nothing checks.
"""

import kubernetes_validate

import declarations
from render import name_of

VERSIONS = [f"1.{minor}" for minor in range(28, 38)]

# What every object has.
TYPED = {"apiVersion": ("any", True), "kind": ("any", True), "metadata": ("any", True)}

BACKEND_CONFIG = {
    "timeoutSec", "connectionDraining", "drainingTimeoutSec", "healthCheck", "type", "requestPath", "port", "checkIntervalSec",
}


def keys_of(node):
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from keys_of(value)


def of_kubernetes(thing):
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(thing, version, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            yield f"Kubernetes {version}: {error.message}"


def of_declarations(thing, known):
    kind = f"I{thing['kind']}"
    yield from declarations.faults(thing, kind, known | {kind: known[kind] | TYPED}, thing["kind"])


def of_keda(thing, known):
    yield from of_declarations(thing, known)
    spec = thing["spec"]
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    target = {"apiVersion": "apps/v1", "kind": "Deployment", **spec["scaleTargetRef"]}
    autoscaler = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": spec["maxReplicaCount"], "behavior": behavior}
    yield from of_kubernetes({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "made"},
                              "spec": autoscaler})


def faults(renders):
    known = declarations.interfaces((renders.home / "kinds.d.ts").read_text(encoding="utf-8"))
    found, seen = [], set()
    for where, objects in renders.all():
        for thing in objects:
            # The same object is rendered several times.
            if (key := repr(thing)) in seen:
                continue
            seen.add(key)
            if thing["kind"] == "ScaledObject":
                lines = of_keda(thing, known)
            elif thing["apiVersion"] in ("monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1"):
                lines = of_declarations(thing, known)
            elif thing["kind"] == "BackendConfig":
                lines = [f"unknown key {key}" for key in sorted(set(keys_of(thing["spec"])) - BACKEND_CONFIG)]
            else:
                lines = of_kubernetes(thing)
            found += [f"{where}: {name_of(thing)}: {line}" for line in lines]
    return found
