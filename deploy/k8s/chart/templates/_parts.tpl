{{/* What every pod and container of Millrace has in common. */}}
{{- define "millrace.labels" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/part-of: millrace
{{- end }}

{{- define "millrace.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "millrace.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "millrace.natsUrl" -}}
{{- range $at := until (int .Values.nats.replicas) }}{{ if $at }},{{ end }}nats://nats-{{ $at }}.nats:4222{{ end }}
{{- end }}

{{/* Readiness follows the broker; liveness asks only whether the process still answers, so that
     a broker that is away does not restart everything. */}}
{{- define "millrace.probes" -}}
startupProbe:
  httpGet: { path: /metrics, port: metrics }
  periodSeconds: 1
  failureThreshold: 60
readinessProbe:
  httpGet: { path: /health, port: metrics }
  periodSeconds: 2
  timeoutSeconds: 2
livenessProbe:
  httpGet: { path: /metrics, port: metrics }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}

{{- define "millrace.env" -}}
- name: MILLRACE_ID
  valueFrom:
    fieldRef: { fieldPath: metadata.name }
- { name: MILLRACE_NATS_URL, value: {{ include "millrace.natsUrl" .root | quote }} }
- { name: MILLRACE_NATS_SEED_FILE, value: /run/millrace/seed.nk }
- { name: MILLRACE_METRICS_HOST, value: 0.0.0.0 }
- { name: MILLRACE_METRICS_PORT, value: "9090" }
- { name: MILLRACE_LOG_LEVEL, value: {{ .root.Values.logLevel }} }
{{- end }}

{{- define "millrace.spread" -}}
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: { app.kubernetes.io/name: {{ .name }} }
{{- end }}
