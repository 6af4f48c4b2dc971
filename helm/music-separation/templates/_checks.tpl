{{/* What the schema cannot say in words that help. */}}
{{- define "msaas.checks" -}}
{{- $v := .Values }}
{{- range $name := list $v.redis.image $v.minio.image (printf ":%s" $v.images.rest.tag) (printf ":%s" $v.images.worker.tag) }}
{{- if regexMatch ":latest(@|$)" $name }}
{{- fail "an image is named as latest: say which version is meant" }}
{{- end }}
{{- end }}
{{- if and (not $v.redis.enabled) (not $v.externalRedis.existingSecret) }}
{{- fail "redis.enabled is false: externalRedis.existingSecret has to name a secret with the key url" }}
{{- end }}
{{- if and (not $v.minio.enabled) (not $v.externalS3.endpoint) }}
{{- fail "minio.enabled is false: externalS3.endpoint has to say where the object store is" }}
{{- end }}
{{- if and $v.redis.enabled $v.externalRedis.existingSecret }}
{{- fail "externalRedis.existingSecret is given, but redis.enabled is true: which Redis is meant?" }}
{{- end }}
{{- if and $v.minio.enabled $v.externalS3.endpoint }}
{{- fail "externalS3.endpoint is given, but minio.enabled is true: which object store is meant?" }}
{{- end }}
{{- if and (or (eq $v.rest.auth.mode "key") (eq $v.rest.auth.olderMode "key")) (not $v.rest.auth.existingSecret) }}
{{- fail "rest.auth asks for keys: rest.auth.existingSecret has to name a secret with the file keys" }}
{{- end }}
{{- range $name := list "mode" "olderMode" }}
{{- if and $v.ingress.enabled (ne (get $v.rest.auth $name) "key") }}
{{- fail (printf "ingress.enabled opens the service to everyone, who may do everything without keys: set rest.auth.%s to key" $name) }}
{{- end }}
{{- end }}
{{- if and $v.ingress.enabled (not $v.ingress.tlsSecret) (not $v.ingress.tlsElsewhere) }}
{{- fail "ingress.enabled without TLS sends keys and songs in clear: set ingress.tlsSecret, or ingress.tlsElsewhere where TLS ends by other means" }}
{{- end }}
{{- if and $v.ingress.enabled (eq $v.ingress.kind "gateway") (not $v.ingress.gateway.name) }}
{{- fail "ingress.kind gateway wants ingress.gateway.name, a Gateway that is there" }}
{{- end }}
{{- if and $v.ingress.enabled (eq $v.ingress.kind "gateway") $v.ingress.tlsSecret }}
{{- fail "ingress.tlsSecret is given, but with ingress.kind gateway the Gateway has the certificate: say so by ingress.tlsElsewhere" }}
{{- end }}
{{- if and $v.ingress.enabled (not $v.ingress.host) }}
{{- fail "ingress.enabled wants ingress.host" }}
{{- end }}
{{- if and (eq $v.worker.autoscaling.kind "cpu") (lt (int $v.worker.autoscaling.minReplicas) 1) }}
{{- fail "worker.autoscaling.kind cpu cannot scale to 0: set worker.autoscaling.minReplicas to 1 or more" }}
{{- end }}
{{- if and (eq $v.worker.autoscaling.kind "cpu") (not (dig "requests" "cpu" "" $v.worker.resources)) }}
{{- fail "worker.autoscaling.kind cpu counts by what workers ask for: set worker.resources.requests.cpu" }}
{{- end }}
{{- if gt (int $v.worker.autoscaling.minReplicas) (int $v.worker.autoscaling.maxReplicas) }}
{{- fail "worker.autoscaling.minReplicas is above maxReplicas" }}
{{- end }}
{{- if and $v.otlpEndpoint $v.networkPolicy.enabled (not (include "msaas.collectorNamespace" .)) (not $v.networkPolicy.egress) }}
{{- fail "otlpEndpoint is no service of the cluster, as http://collector.monitoring:4318: networkPolicy.egress has to let rest and worker reach it" }}
{{- end }}
{{- if and $v.otlpHeaders.existingSecret (not $v.otlpEndpoint) }}
{{- fail "otlpHeaders.existingSecret is given, but otlpEndpoint names no collector" }}
{{- end }}
{{- if gt (int $v.rest.autoscaling.minReplicas) (int $v.rest.autoscaling.maxReplicas) }}
{{- fail "rest.autoscaling.minReplicas is above maxReplicas" }}
{{- end }}
{{- end }}
