"""Wrong values are refused, with a message that names what is wrong."""

from concurrent.futures import ThreadPoolExecutor

from render import CHART, run

# The file of values, what is set beyond it, and words that the message has.
CASES = [
    ("default", ["replicas=3"], ["replicas", "not allowed"]),
    ("default", ["rest.replica=3"], ["rest", "replica", "not allowed"]),
    ("default", ["rest.replicas=-1"], ["replicas", "0"]),
    ("default", ["rest.replicas=two"], ["replicas", "integer"]),
    ("default", ["rest.settings.MSAAS_UPLOADBYTES=1"], ["settings", "MSAAS_UPLOADBYTES", "not allowed"]),
    ("default", ["rest.settings.MSAAS_DEVICE=cuda"], ["rest", "MSAAS_DEVICE", "not allowed"]),
    ("default", ["rest.auth.mode=token"], ["mode", "none", "key"]),
    ("default", ["rest.auth.mode=key"], ["rest.auth.existingSecret", "keys"]),
    ("default", ["rest.auth.olderMode=key"], ["rest.auth.existingSecret", "keys"]),
    ("default", ["rest.publicUrl=separation.example.org"], ["publicUrl", "http"]),
    ("default", ["rest.resources.limits.cpu=1", "rest.resources.limits.memory=null"], ["limits", "memory"]),
    ("default", ["rest.resources.requests.memory=much"], ["memory"]),
    ("default", ["worker.models={htdemucs,mdx}"], ["models", "htdemucs_ft"]),
    ("default", ["worker.models=null"], ["models"]),
    ("default", ["worker.autoscaling.kind=vpa"], ["kind", "keda"]),
    ("default", ["worker.autoscaling.kind=cpu"], ["worker.autoscaling.minReplicas"]),
    ("default", ["worker.autoscaling.cooldownSeconds=60"], ["cooldownSeconds", "121"]),
    ("default", ["worker.autoscaling.minReplicas=9"], ["minReplicas", "maxReplicas"]),
    ("default", ["worker.maxUnavailable=half"], ["maxUnavailable"]),
    ("default", ["worker.graceSeconds=1"], ["graceSeconds", "15"]),
    ("default", ["worker.weights.existingClaim=My_Claim"], ["existingClaim"]),
    ("default", ["otlpEndpoint=http://collector.example.org:4318"], ["otlpEndpoint", "networkPolicy.egress"]),
    ("default", ["otlpHeaders.existingSecret=msaas-otlp"], ["otlpHeaders", "otlpEndpoint"]),
    ("default", ["observability.interval=soon"], ["interval"]),
    ("default", ["redis.enabled=false"], ["externalRedis.existingSecret", "url"]),
    ("default", ["minio.enabled=false"], ["externalS3.endpoint"]),
    ("default", ["externalRedis.existingSecret=mine"], ["which Redis"]),
    ("default", ["externalS3.endpoint=https://s3.example.org"], ["which object store"]),
    ("default", ["redis.image=docker.io/valkey/valkey:latest"], ["latest"]),
    ("default", ["redis.image=docker.io/valkey/valkey"], ["image"]),
    ("default", ["images.worker.tag=latest"], ["latest"]),
    ("default", ["redis.auth.password=with space"], ["password"]),
    ("default", ["minio.auth.secretKey=short"], ["secretKey"]),
    ("default", ["ingress.enabled=true"], ["rest.auth.mode", "key"]),
    ("gpu", ["rest.auth.mode=none"], ["rest.auth.mode", "key"]),
    ("gpu", ["rest.auth.olderMode=none"], ["rest.auth.olderMode", "key"]),
    ("gpu", ["ingress.tlsSecret="], ["ingress.tlsSecret", "ingress.tlsElsewhere"]),
    ("gpu", ["ingress.host="], ["ingress.host"]),
    ("gpu", ["ingress.kind=traefik"], ["kind", "nginx"]),
    ("external", ["worker.resources.requests.cpu=null"], ["worker.resources.requests.cpu"]),
    ("external", ["ingress.gateway.name="], ["ingress.gateway.name"]),
    ("external", ["ingress.tlsSecret=msaas-tls"], ["ingress.tlsSecret", "the Gateway has the certificate"]),
    ("external", ["ingress.tlsElsewhere=false"], ["ingress.tlsElsewhere"]),
    ("external", ["ingress.bodySize=280M"], ["bodySize"]),
    ("default", ["buckets.queue=Queue"], ["queue"]),
    ("default", ["logFormat=xml"], ["logFormat", "json"]),
    ("external", ["externalS3.endpoint=s3.example.org"], ["endpoint", "http"]),
]


def message(renders, helm, values, settings):
    """What Helm says; none where it renders."""
    options = [word for setting in settings for word in ("--set", setting)]
    status, _, error = run(*renders.helm(helm, "template", values), *options)
    return error if status != 0 else None


def fault(renders, helm, case):
    values, settings, words = case
    said = message(renders, helm, values, settings)
    where = f"{helm}, values-{values} with {', '.join(settings)}"
    if said is None:
        return [f"{where}: is not refused"]
    # The path of the chart has its name in it, which is no word of the message.
    plain = said.replace(str(CHART), "")
    return [f"{where}: the message does not say {word}: {said.strip()}" for word in words if word not in plain]


def faults(renders):
    tasks = [(helm, case) for helm in ("helm3", "helm4") for case in CASES]
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda task: fault(renders, *task), tasks)
    return [line for lines in found for line in lines]
