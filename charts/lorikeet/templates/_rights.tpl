{{/* What each component may do with the objects it looks after. No right to read Secrets, none into pods. */}}
{{- define "lorikeet.rights.operator" -}}
- apiGroups: [lorikeet.dev]
  resources: [modelservers, loraadapters]
  verbs: [get, list, watch]
- apiGroups: [lorikeet.dev]
  resources: [modelservers/status, loraadapters/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [secrets]
  verbs: [create, patch]
- apiGroups: ["", events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{- define "lorikeet.rights.gateway" -}}
- apiGroups: [lorikeet.dev]
  resources: [modelservers, loraadapters]
  verbs: [get, list, watch]
{{- end -}}
