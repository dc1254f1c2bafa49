{{/* The beginning of all names: at most 40 characters, so that ours fit behind it. */}}
{{- define "lorikeet.name" -}}
{{- if .Values.nameOverride -}}
{{- .Values.nameOverride -}}
{{- else if contains "lorikeet" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-lorikeet" (.Release.Name | trunc 31 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{/* Labels that select a component's pods: (dict "root" $ "component" "gateway"). They never change. */}}
{{- define "lorikeet.selector" -}}
app.kubernetes.io/name: lorikeet
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "lorikeet.labels" -}}
{{ include "lorikeet.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* The Secrets of API keys, with commas. */}}
{{- define "lorikeet.keySecrets" -}}
{{- join "," (.Values.gateway.keySecrets | default (list (printf "%s-api-keys" (include "lorikeet.name" .)))) -}}
{{- end -}}

{{/* How clients speak with gateways. */}}
{{- define "lorikeet.gatewayScheme" -}}
{{- ternary "https" "http" (not (empty .Values.gateway.tls.secretName)) -}}
{{- end -}}

{{- define "lorikeet.gatewayPort" -}}
{{- .Values.gateway.service.port | default (ternary 443 80 (eq (include "lorikeet.gatewayScheme" .) "https")) | int -}}
{{- end -}}
