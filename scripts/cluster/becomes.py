"""What values become that no file of values has: each is rendered, held to the rules for all objects, and says what it should."""

import json
from types import SimpleNamespace

import policy
import schemas
import wiring
from render import rendered

# The file of values, what is set beyond it, and what some object then says, as JSON without spaces.
CASES = [
    ("external", {"ingress.kind": "nginx"}, ['"nginx.ingress.kubernetes.io/proxy-body-size":"293601280"',
                                             '"nginx.ingress.kubernetes.io/proxy-read-timeout":"3600"']),
    ("external", {"ingress.kind": "nginx", "rest.settings.MSAAS_UPLOAD_BYTES": "500M", "rest.settings.MSAAS_TOTAL_TIME": "2h"},
     ['"nginx.ingress.kubernetes.io/proxy-body-size":"524288000"', '"nginx.ingress.kubernetes.io/proxy-send-timeout":"7200"']),
    ("external", {"ingress.kind": "nginx", "rest.settings.MSAAS_BASE64_BYTES": 400000000},
     ['"nginx.ingress.kubernetes.io/proxy-body-size":"400000000"']),
    ("external", {"ingress.kind": "nginx", "ingress.bodySize": "1g"}, ['"nginx.ingress.kubernetes.io/proxy-body-size":"1g"']),
    ("external", {"rest.grpcTls.existingSecret": ""}, ['"value":"/msaas.v1.Separation"', '"appProtocol":"kubernetes.io/h2c"']),
    ("external", {"worker.settings.MSAAS_THREADS": 3}, ['{"name":"MSAAS_THREADS","value":"3"}']),
    ("default", {"otlpEndpoint": "http://collector.monitoring.svc.cluster.local:4318", "otlpHeaders.existingSecret": "msaas-otlp"},
     ['{"matchLabels":{"kubernetes.io/metadata.name":"monitoring"}}}],"ports":[{"port":4318}]',
      '{"name":"OTEL_EXPORTER_OTLP_HEADERS","valueFrom":{"secretKeyRef":{"name":"msaas-otlp","key":"headers"}}}']),
    ("default", {"otlpEndpoint": "http://collector2"}, ['{"matchLabels":{"kubernetes.io/metadata.name":"msaas"}}}],"ports":[{"port":80}]']),
    ("default", {"trust.existingSecret": "msaas-ca"}, [
        '{"name":"SSL_CERT_DIR","value":"/etc/msaas/trust"}', '{"name":"trust","secret":{"secretName":"msaas-ca"}}']),
    ("external", {"trust.existingSecret": "msaas-ca"}, ['{"name":"trust","mountPath":"/etc/msaas/trust","readOnly":true},{"name":"keys"']),
    ("gpu", {"rest.settings.MSAAS_TOTAL_TIME": 1800}, ['"timeoutSec":1800']),
]


def faults_of(renders, case):
    values, settings, words = case
    where = f"values-{values} with {', '.join(f'{key}={json.dumps(value)}' for key, value in settings.items())}"
    options = [word for key, value in settings.items() for word in ("--set-json", f"{key}={json.dumps(value)}")]
    objects = rendered(*renders.helm("helm4", "template", values), *options)
    # What is valid in a file of values is so here; who may talk to whom depends on all of them.
    new = [thing for thing in objects if thing not in renders.chart[values]]
    for check, things in ((policy, new), (schemas, new), (wiring, objects)):
        yield from check.faults(SimpleNamespace(home=renders.home, all=lambda things=things: [(where, things)]))
    said = json.dumps(objects, separators=(",", ":"))
    for word in words:
        if word not in said:
            yield f"{where}: nothing says {word}"


def faults(renders):
    return [line for case in CASES for line in faults_of(renders, case)]
