{{/* Ports of 'yolostream serve' and 'yolostream run'; tests/test_helm_code.py holds them to the code. */}}
{{- define "yolostream.ports" -}}
http: 8000
grpc: 8001
metrics: 8002
health: 8003
page: 8080
{{- end }}

{{- define "yolostream.fullname" -}}
{{- if contains "yolostream" .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-yolostream" .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{/* Of all pods of the release. */}}
{{- define "yolostream.selector" -}}
app.kubernetes.io/name: yolostream
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "yolostream.labels" -}}
{{ include "yolostream.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* What is restricted, as Kubernetes' Pod Security Standards call it. */}}
{{- define "yolostream.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .Values.runAsUser }}
runAsGroup: {{ .Values.runAsUser }}
fsGroup: {{ .Values.runAsUser }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "yolostream.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Where pods run: of a dictionary with 'of', the section of the values, and 'selector'. */}}
{{- define "yolostream.placement" -}}
{{- with .of.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .of.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- .selector | nindent 8 }}
{{- end }}

{{- define "yolostream.triton.selector" -}}
{{ include "yolostream.selector" . }}
app.kubernetes.io/component: triton
{{- end }}

{{- define "yolostream.ingest.selector" -}}
{{ include "yolostream.selector" . }}
app.kubernetes.io/component: ingest
{{- end }}

{{/* A trigger of KEDA: of a dictionary with 'root', 'query', 'threshold'. */}}
{{- define "yolostream.prometheusTrigger" -}}
- type: prometheus
  metricType: AverageValue
  metadata:
    serverAddress: {{ .root.Values.keda.prometheus | quote }}
    query: {{ .query | quote }}
    threshold: {{ .threshold | quote }}
    # A target that Prometheus has lost is no reason to scale down.
    ignoreNullValues: "false"
    {{- with .root.Values.keda.authModes }}
    authModes: {{ . | quote }}
    {{- end }}
  {{- with .root.Values.keda.authentication }}
  authenticationRef: {name: {{ . }}}
  {{- end }}
{{- end }}

{{/* With the GPUs. */}}
{{- define "yolostream.triton.resources" -}}
{{- $resources := deepCopy .Values.triton.resources }}
{{- if .Values.triton.gpus }}
{{- $resources = merge (dict "limits" (dict "nvidia.com/gpu" .Values.triton.gpus)) $resources }}
{{- end }}
{{- toYaml $resources }}
{{- end }}

{{- define "yolostream.triton.host" -}}
{{ include "yolostream.fullname" . }}-triton.{{ .Release.Namespace }}.svc
{{- end }}

{{/* cameras.yaml. */}}
{{- define "yolostream.configuration" -}}
{{- include "yolostream.checkSecrets" . }}
{{- $ports := include "yolostream.ports" . | fromYaml }}
{{- $name := printf "%s-ingest" (include "yolostream.fullname" .) }}
{{- $host := printf "%s.%s" $name .Release.Namespace }}
{{- $names := concat (list $name $host (printf "%s.svc" $host) (printf "%s.svc.cluster.local" $host)) .Values.ingest.names }}
server:
  url: dns:///{{ include "yolostream.triton.host" . }}:{{ $ports.grpc }}
  {{- if .Values.triton.tokenSecret }}
  token_file: /secrets/triton/token
  {{- end }}
web:
  address: 0.0.0.0:{{ $ports.page }}
  token_file: /secrets/web/tokens
  names: {{- toYaml $names | nindent 4 }}
log:
  format: json
  level: {{ .Values.ingest.logLevel }}
{{- if .Values.ingest.outputs }}
outputs:
  folder: /var/lib/yolostream/output
{{- end }}
{{- with .Values.ingest.traces }}
traces: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A ConfigMap is no place for passwords, and a variable has to come from somewhere. */}}
{{- define "yolostream.checkSecrets" -}}
{{- $said := dict "defaults" .Values.defaults }}
{{- range $camera, $settings := .Values.cameras }}
{{- $_ := set $said (printf "cameras.%s" $camera) $settings }}
{{- end }}
{{- range $where, $settings := $said }}
{{- with $settings.password }}
{{- if not (regexMatch `^\$\{[^}]+\}$` .) }}
{{- fail (printf "%s.password: it would lie open in a ConfigMap: put it into a secret, name that in ingest.credentialsSecret, and write ${KEY} here" $where) }}
{{- end }}
{{- end }}
{{- range $key, $address := dict "source" $settings.source "outputs.push" (dig "outputs" "push" "" $settings) }}
{{- $password := regexFind `://[^/@:]*:[^@/]+@` (toString $address) }}
{{- if and $password (not (regexMatch `:\$\{[^}]+\}@$` $password)) }}
{{- fail (printf "%s.%s: the password in it would lie open in a ConfigMap: put it into a secret, name that in ingest.credentialsSecret, and write ${KEY} here" $where $key) }}
{{- end }}
{{- end }}
{{- $variable := regexFind `\$\{[^}]+\}` (toJson $settings) }}
{{- if and $variable (not $.Values.ingest.credentialsSecret) }}
{{- fail (printf "%s: %s is the key of a secret: name it in ingest.credentialsSecret" $where $variable) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Networks, as peers of a NetworkPolicy. */}}
{{- define "yolostream.blocks" -}}
{{- range $index, $cidr := . }}
{{- if $index }}
{{ end -}}
- ipBlock: {cidr: {{ $cidr }}}
{{- end }}
{{- end }}
