"""What names what is there, and who may talk to whom by the rules of the network is who has to."""

from render import containers_of, labels_of_pods, name_of, pod_of

# Connections that have to be possible, with the port's number, and some that must not be.
NEEDED = [("rest", "redis", 6379), ("rest", "minio", 9000), ("worker", "redis", 6379), ("worker", "minio", 9000),
          ("logs", "redis", 6379), ("test", "rest", 5000)]
FORBIDDEN = [("logs", "minio", 9000), ("logs", "rest", 5000), ("worker", "rest", 5000), ("worker", "rest", 8081),
             ("rest", "worker", 8081), ("test", "redis", 6379), ("test", "rest", 8081), ("redis", "minio", 9000),
             ("minio", "redis", 6379), ("test", "minio", 9000)]
# Secrets that people bring, by the files of values and overlays that name them.
BROUGHT = {"redis", "minio", "msaas-keys", "msaas-tls", "msaas-redis", "msaas-s3", "msaas-callbacks", "msaas-grpc-tls", "msaas-otlp", "msaas-ca",
           "msaas-test"}


def selects(selector, labels):
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    return all(rule["operator"] == "In" and labels.get(rule["key"]) in rule["values"]
               for rule in selector.get("matchExpressions", []))


class Pods:
    """Pods by their component, and the rules of the network."""

    def __init__(self, objects):
        self.labels, self.ports, self.things = {}, {}, objects
        for thing in objects:
            if pod_of(thing) is not None:
                labels = labels_of_pods(thing)
                component = labels["app.kubernetes.io/component"]
                self.labels[component] = labels
                self.ports[component] = {port["name"]: port["containerPort"]
                                         for container in containers_of(thing) for port in container.get("ports", [])}
        self.policies = [thing["spec"] for thing in objects if thing["kind"] == "NetworkPolicy"]

    def allows(self, direction, of, other, target, port):
        """Whether rules let a pod send to, or take from, another one; `target` is who listens."""
        kind, side = ("Egress", "to") if direction == "egress" else ("Ingress", "from")
        policies = [spec for spec in self.policies
                    if kind in spec["policyTypes"] and selects(spec["podSelector"], self.labels[of])]
        for rule in (rule for spec in policies for rule in spec.get(direction, [])):
            peers = rule.get(side)
            # Addresses are outside the cluster: pods have private ones, which are left out everywhere.
            if peers and not any("podSelector" in peer and "namespaceSelector" not in peer
                                 and selects(peer["podSelector"], self.labels[other]) for peer in peers):
                continue
            ports = [self.ports[target].get(one["port"], one["port"]) for one in rule.get("ports", [])]
            if not ports or port in ports:
                return True
        return not policies

    def connects(self, source, target, port):
        return self.allows("egress", source, target, target, port) and self.allows("ingress", target, source, target, port)


def network(pods):
    for source, target, port in NEEDED:
        if {source, target} <= pods.labels.keys() and not pods.connects(source, target, port):
            yield f"{source} cannot reach {target} at {port}"
    for source, target, port in FORBIDDEN:
        if {source, target} <= pods.labels.keys() and pods.connects(source, target, port):
            yield f"{source} can reach {target} at {port}, and need not"


    for spec in pods.policies:
        if any(not rule.get("from") for rule in spec.get("ingress", [])):
            yield f"everyone may call {spec['podSelector']['matchLabels']}"
        if any(not rule.get("to") and {one["port"] for one in rule.get("ports", [])} != {53} for rule in spec.get("egress", [])):
            yield f"{spec['podSelector']['matchLabels']} may call everyone"


def services(pods):
    for thing in pods.things:
        spec = thing.get("spec", {})
        if thing["kind"] == "Service":
            ports = [pods.ports[name] for name, labels in pods.labels.items()
                     if spec["selector"].items() <= labels.items()]
            if len(ports) != 1:
                yield f"{name_of(thing)} leads to {len(ports)} components"
            for port in spec["ports"]:
                if not any(port["targetPort"] in names for names in ports):
                    yield f"{name_of(thing)} leads to a port that is not there: {port['targetPort']}"
        if thing["kind"] == "PodDisruptionBudget" and not any(selects(spec["selector"], one) for one in pods.labels.values()):
            yield f"{name_of(thing)} is about no pods"
        if thing["kind"] in ("Deployment", "StatefulSet") and not selects(spec["selector"], labels_of_pods(thing)):
            yield f"{name_of(thing)} does not select its own pods"


def names(objects):
    there = {name_of(thing) for thing in objects}
    for thing in objects:
        spec = thing.get("spec", {})
        if "scaleTargetRef" in spec and f"Deployment/{spec['scaleTargetRef']['name']}" not in there:
            yield f"{name_of(thing)} scales what is not there"
        for rule in spec.get("rules", []) if thing["kind"] == "Ingress" else []:
            for path in rule["http"]["paths"]:
                if f"Service/{path['backend']['service']['name']}" not in there:
                    yield f"{name_of(thing)} leads to a service that is not there"
        for backend in (one for rule in spec.get("rules", []) if thing["kind"] == "HTTPRoute" for one in rule["backendRefs"]):
            if f"Service/{backend['name']}" not in there:
                yield f"{name_of(thing)} leads to a service that is not there"
        pod = pod_of(thing) or {}
        secrets = [variable["valueFrom"]["secretKeyRef"]["name"] for container in containers_of(thing)
                   for variable in container.get("env", []) if "secretKeyRef" in variable.get("valueFrom", {})]
        secrets += [volume["secret"]["secretName"] for volume in pod.get("volumes", []) if "secret" in volume]
        for secret in sorted(set(secrets)):
            if f"Secret/{secret}" not in there and secret not in BROUGHT:
                yield f"{name_of(thing)} names a secret that nobody brings: {secret}"
        for container in containers_of(thing):
            volumes = {volume["name"] for volume in pod.get("volumes", [])}
            volumes |= {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])}
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in volumes:
                    yield f"{name_of(thing)}: {container['name']} mounts what is not there: {mount['name']}"


def counted(objects):
    """An autoscaler by tasks counts as many for each worker as this has in work at a time."""
    for thing in objects:
        if thing["kind"] != "ScaledObject":
            continue
        workers = [one for one in objects if name_of(one) == f"Deployment/{thing['spec']['scaleTargetRef']['name']}"]
        variables = {variable["name"]: variable.get("value") for worker in workers for container in containers_of(worker)
                     for variable in container.get("env", [])}
        # On the CPU a worker has one in work where nothing else is said; on a card as many as its node has cores for.
        usual = None if variables.get("MSAAS_DEVICE", "").startswith("cuda") else "1"
        taken = variables.get("MSAAS_SONGS_AT_ONCE", usual)
        target = thing["spec"]["advanced"]["scalingModifiers"]["target"]
        if target != taken:
            yield f"{name_of(thing)} counts {target} tasks for each worker, which takes {taken or 'as many as it likes'}"


def faults(renders):
    found = []
    for where, objects in renders.all():
        pods = Pods(objects)
        found += [f"{where}: {line}" for line in [*network(pods), *services(pods), *names(objects), *counted(objects)]]
    return found
