"""k8s/programs.json: every container that runs a program of ours, as chart and manifests have it. The tests of the
programs start them so, and ask what the probes and the autoscaler ask."""

import json
import math
import pathlib

from render import containers_of, name_of, pod_of

FILE = pathlib.Path("k8s/programs.json")
# The programs of others too, where we say how they run.
STARTED = ("/bin/", "sh")


def settings(container):
    """Variables: a text, where in a secret the value is, or what becomes of a resource."""
    for variable in container.get("env", []):
        match variable.get("valueFrom"):
            case None:
                value = variable["value"]
            case {"secretKeyRef": secret}:
                value = f"secret {secret['name']}/{secret['key']}"
            case {"resourceFieldRef": {"resource": "requests.cpu"}}:
                value = str(cores(container["resources"]["requests"]["cpu"]))
        yield variable["name"], value


def cores(amount):
    """Whole ones, as Kubernetes counts them: 1500m are two."""
    amount = str(amount)
    return math.ceil(int(amount[:-1]) / 1000) if amount.endswith("m") else math.ceil(float(amount))


def path_and_port(probe, ports):
    asked = probe.get("httpGet") or probe.get("tcpSocket")
    return {"path": asked.get("path"), "port": ports[asked["port"]]}


def container_of(container, pod):
    ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
    probes = {kind: path_and_port(container[kind], ports)
              for kind in ("startupProbe", "readinessProbe", "livenessProbe") if kind in container}
    return {
        "command": container["command"],
        "env": dict(sorted(settings(container))),
        "ports": ports,
        "probes": probes,
        "grace_s": pod.get("terminationGracePeriodSeconds", 30),
    }


def programs(renders):
    told = {}
    for where, objects in renders.all():
        for thing in objects:
            for container in containers_of(thing):
                if container["command"][0].startswith(STARTED):
                    name = f"{where}: {name_of(thing)}: {container['name']}"
                    told[name] = container_of(container, pod_of(thing))
            if thing["kind"] == "ScaledObject":
                told[f"{where}: {name_of(thing)}"] = {
                    "figures": [trigger["metadata"]["valueLocation"] for trigger in thing["spec"]["triggers"]]}
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def write(renders):
    FILE.write_text(programs(renders), encoding="utf-8")


def faults(renders):
    if not FILE.exists() or FILE.read_text(encoding="utf-8") != programs(renders):
        return [f"{FILE} is not what chart and manifests say: scripts/cluster-check.sh --write writes it again"]
    return []
