{{/* Labels of an object. (dict "root" $ "component" "rest") */}}
{{- define "msaas.labels" -}}
app.kubernetes.io/name: music-separation
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{/* What tells the pods of a component from others. There is one release in a namespace. */}}
{{- define "msaas.selector" -}}
app.kubernetes.io/name: music-separation
app.kubernetes.io/component: {{ . }}
{{- end }}

{{/* An image of this project. (dict "root" $ "image" $.Values.images.rest) */}}
{{- define "msaas.image" -}}
{{- with .root.Values.images.registry }}{{ . }}/{{ end -}}
{{ .image.name }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- define "msaas.pullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The pod as the restricted policy wants it. */}}
{{- define "msaas.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "msaas.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "msaas.redisSecret" -}}
{{ .Values.redis.auth.existingSecret | default "redis" }}
{{- end }}

{{- define "msaas.minioSecret" -}}
{{ .Values.minio.auth.existingSecret | default "minio" }}
{{- end }}

{{/* Pods begin anew when a secret of the chart's changes. (list $ "redis" "minio") Of what is given, not of what was drawn, which stays. */}}
{{- define "msaas.checksums" -}}
{{- $values := (first .).Values }}
{{- range $server := rest . }}
{{- with get $values $server }}
{{- if and .enabled (not .auth.existingSecret) }}
checksum/{{ $server }}: {{ .auth | toJson | sha256sum | trunc 12 }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* A variable from a secret. (list name secret key) */}}
{{- define "msaas.secretVariable" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ index . 2 }}
{{- end }}

{{/* Variables that say where the queue is. */}}
{{- define "msaas.queue" -}}
{{- if .Values.redis.enabled -}}
- name: REDIS_HOST
  value: redis
- name: REDIS_PORT
  value: "6379"
{{ include "msaas.secretVariable" (list "REDIS_PASSWORD" (include "msaas.redisSecret" .) "password") }}
{{- else -}}
{{ include "msaas.secretVariable" (list "REDIS_URL" .Values.externalRedis.existingSecret "url") }}
{{- end }}
{{- with include "msaas.trustVariable" . }}
{{ . }}
{{- end }}
{{- end }}

{{/* Variables that rest and worker share. */}}
{{- define "msaas.shared" -}}
{{ include "msaas.queue" . }}
{{- if .Values.minio.enabled }}
- name: MINIO_HOST
  value: minio
- name: MINIO_PORT
  value: "9000"
{{ include "msaas.secretVariable" (list "MINIO_ACCESS_KEY" (include "msaas.minioSecret" .) "access-key") }}
{{ include "msaas.secretVariable" (list "MINIO_SECRET_KEY" (include "msaas.minioSecret" .) "secret-key") }}
{{- else }}
{{- with .Values.externalS3 }}
- name: MSAAS_S3_ENDPOINT
  value: {{ .endpoint }}
{{- with .publicEndpoint }}
- name: MSAAS_S3_PUBLIC_ENDPOINT
  value: {{ . }}
{{- end }}
- name: MSAAS_S3_REGION
  value: {{ .region }}
{{- with .existingSecret }}
{{ include "msaas.secretVariable" (list "MINIO_ACCESS_KEY" . "access-key") }}
{{ include "msaas.secretVariable" (list "MINIO_SECRET_KEY" . "secret-key") }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.buckets }}
{{- if ne .queue "queue" }}
- name: MSAAS_QUEUE_BUCKET
  value: {{ .queue }}
{{- end }}
{{- if ne .output "output" }}
- name: MSAAS_OUTPUT_BUCKET
  value: {{ .output }}
{{- end }}
{{- end }}
- name: MSAAS_LOG_FORMAT
  value: {{ .Values.logFormat }}
{{- with .Values.otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . }}
{{- end }}
{{- with .Values.otlpHeaders.existingSecret }}
{{ include "msaas.secretVariable" (list "OTEL_EXPORTER_OTLP_HEADERS" . "headers") }}
{{- end }}
{{- with .Values.settings }}
{{ include "msaas.settings" . }}
{{- end }}
{{- end }}

{{/* Settings by name. */}}
{{- define "msaas.settings" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ include "msaas.text" $value | quote }}
{{- end }}
{{- end }}

{{/* A value as text. Large numbers come as floats. */}}
{{- define "msaas.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{/* A length of a setting, in bytes. */}}
{{- define "msaas.bytes" -}}
{{- $text := include "msaas.text" . }}
{{- mul (regexFind "^[0-9]+" $text) (index (dict "" 1 "K" 1024 "M" 1048576 "G" 1073741824) (regexFind "[KMG]" (upper $text))) }}
{{- end }}

{{/* A time of a setting, in seconds. */}}
{{- define "msaas.seconds" -}}
{{- $text := include "msaas.text" . }}
{{- mul (regexFind "^[0-9]+" $text) (index (dict "" 1 "s" 1 "m" 60 "h" 3600 "d" 86400) (regexFind "[smhd]" $text)) }}
{{- end }}

{{/* The longest time from a request to the head of its answer, in seconds. */}}
{{- define "msaas.totalSeconds" -}}
{{ include "msaas.seconds" (.Values.rest.settings.MSAAS_TOTAL_TIME | default "1h") }}
{{- end }}

{{/* Certificates of further authorities, which are trusted for Redis and the store beside those of the image: variable, mount, volume. */}}
{{- define "msaas.trustVariable" -}}
{{- if .Values.trust.existingSecret -}}
- name: SSL_CERT_DIR
  value: /etc/msaas/trust
{{- end }}
{{- end }}

{{- define "msaas.trustMount" -}}
{{- if .Values.trust.existingSecret -}}
- name: trust
  mountPath: /etc/msaas/trust
  readOnly: true
{{- end }}
{{- end }}

{{- define "msaas.trustVolume" -}}
{{- with .Values.trust.existingSecret -}}
- name: trust
  secret:
    secretName: {{ . }}
{{- end }}
{{- end }}

{{/* Who is whose, in rules of the network. */}}
{{- define "msaas.toBackends" -}}
{{- if .Values.redis.enabled }}
- to:
    - podSelector:
        matchLabels:
          {{- include "msaas.selector" "redis" | nindent 10 }}
  ports:
    - port: 6379
{{- end }}
{{- if .Values.minio.enabled }}
- to:
    - podSelector:
        matchLabels:
          {{- include "msaas.selector" "minio" | nindent 10 }}
  ports:
    - port: 9000
{{- end }}
{{- end }}

{{/* The namespace of the collector of traces; nothing where its address is not that of a service of the cluster. */}}
{{- define "msaas.collectorNamespace" -}}
{{- $host := (urlParse .Values.otlpEndpoint).hostname }}
{{- if regexMatch "^[a-z0-9-]+$" $host }}
{{- .Release.Namespace }}
{{- else if regexMatch "^[a-z0-9-]+\\.[a-z0-9-]+(\\.svc(\\..+)?)?$" $host }}
{{- index (splitList "." $host) 1 }}
{{- end }}
{{- end }}

{{/* What rest and worker may reach beside all else: the collector of traces, and what the values say. */}}
{{- define "msaas.furtherEgress" -}}
{{- with .Values.otlpEndpoint }}
{{- with include "msaas.collectorNamespace" $ }}
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ . }}
  ports:
    - port: {{ regexFind ":[0-9]+$" (urlParse $.Values.otlpEndpoint).host | trimPrefix ":" | default "80" }}
{{- end }}
{{- end }}
{{- with .Values.networkPolicy.egress }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "msaas.publicAddresses" -}}
- ipBlock:
    cidr: 0.0.0.0/0
    # The last one are services of clusters on GKE.
    except: [10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16, 34.118.224.0/20]
- ipBlock:
    cidr: ::/0
    except: [fc00::/7, fe80::/10]
{{- end }}
