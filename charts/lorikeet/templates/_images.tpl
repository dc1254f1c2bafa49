{{/* An image of ours: (dict "root" $ "repository" "lorikeet" "digest" ""). */}}
{{- define "lorikeet.ours" -}}
{{- $image := .root.Values.image -}}
{{- with $image.registry }}{{ . }}/{{ end }}{{ .repository -}}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ $image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{- define "lorikeet.image" -}}
{{- include "lorikeet.ours" (dict "root" . "repository" .Values.image.repository "digest" .Values.image.digest) -}}
{{- end -}}

{{/* The engine's image of one profile: (dict "root" $ "profile" "t4"). */}}
{{- define "lorikeet.engineImage" -}}
{{- $image := index .root.Values.engineImages .profile -}}
{{- if hasSuffix ":latest" $image -}}
{{- fail (printf "engineImages.%s is %s: name a version, because latest changes under running adapters" .profile $image) -}}
{{- end -}}
{{- if $image -}}
{{- $image -}}
{{- else -}}
{{- include "lorikeet.ours" (dict "root" .root "repository" "lorikeet-engine-cpu" "digest" "") -}}
{{- end -}}
{{- end -}}
