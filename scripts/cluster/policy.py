"""Rules of our own for every pod: the restricted policy of Kubernetes, and what we want beyond it. Exceptions have reasons."""

import re

from render import containers_of, name_of, pod_of

# Volumes that the restricted policy lets a pod have.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}

# Containers without probes, and why.
NO_PROBES = {
    "logs": "it ends when it cannot go on",
    "separate": "a test ends by itself",
    "weights-htdemucs": "it ends by itself",
}
# Images that are named by their digest: what is built here has none before it is built.
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")
OWN = re.compile(r"(^|/)msaas-(rest|worker):")


def of_pod(pod):
    security = pod.get("securityContext", {})
    if any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
        yield "shares the node's namespaces"
    if not security.get("runAsNonRoot") or security.get("runAsUser") == 0:
        yield "may run as root"
    if security.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "has no seccomp profile"
    for volume in pod.get("volumes", []):
        if not VOLUMES & volume.keys():
            yield f"volume {volume['name']} is of a kind that the restricted policy refuses"
        if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
            yield f"volume {volume['name']} has no limit"
    if pod.get("automountServiceAccountToken") is not False or pod.get("serviceAccountName") != "msaas":
        yield "has a token for Kubernetes"
    if pod.get("enableServiceLinks") is not False:
        yield "is given variables by services that happen to be there"


def of_container(container, first):
    security = container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"
    if security.get("capabilities", {}).get("drop") != ["ALL"] or security["capabilities"].get("add"):
        yield "has capabilities"
    if security.get("readOnlyRootFilesystem") is not True:
        yield "may write to its image"
    resources = container.get("resources", {})
    if "memory" not in resources.get("limits", {}):
        yield "may take all memory of its node"
    if not {"cpu", "memory"} <= resources.get("requests", {}).keys():
        yield "does not say what it needs"
    image = container["image"]
    if ":" not in image.rsplit("/", 1)[-1] or image.endswith(":latest"):
        yield f"has an image without a version: {image}"
    if not OWN.search(image) and not DIGEST.search(image):
        yield f"has an image of others that is not pinned: {image}"
    if not first and container["name"] not in NO_PROBES and not {"livenessProbe", "readinessProbe"} <= container.keys():
        yield "has no probes"
    ports = {port["name"] for port in container.get("ports", [])}
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = next((way["port"] for key, way in container.get(kind, {}).items() if key in ("httpGet", "tcpSocket")), None)
        if asked is not None and asked not in ports:
            yield f"{kind} asks at a port that is not there: {asked}"
    variables = [variable["name"] for variable in container.get("env", [])]
    for variable in sorted({name for name in variables if variables.count(name) > 1}):
        yield f"{variable} is set twice"
    for variable in container.get("env", []):
        if re.search("PASSWORD|SECRET|_KEY$", variable["name"]) and variable.get("value") and "_FILE" not in variable["name"]:
            if not variable["value"].startswith("/"):
                yield f"{variable['name']} is a secret that stands in the open"


def faults(renders):
    found = []
    for where, objects in renders.all():
        for thing in objects:
            if (pod := pod_of(thing)) is None:
                continue
            first = pod.get("initContainers", [])
            lines = list(of_pod(pod))
            for container in containers_of(thing):
                lines += [f"{container['name']} {line}" for line in of_container(container, container in first)]
            found += [f"{where}: {name_of(thing)}: {line}" for line in lines]
    return found
