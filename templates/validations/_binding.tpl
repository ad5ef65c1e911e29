{{- /* Binding of the admission policy `name`, everywhere it matches; `action` is Deny or Warn. */ -}}
{{- define "istio-federation.policy-binding" -}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name }}
  labels: {{ include "istio-federation.labels" "admission" }}
spec:
  policyName: {{ .name }}
  validationActions: [{{ .action }}]
{{- end -}}

{{- /* Any value as a CEL literal, for use as a whole CEL expression in YAML: JSON is valid in both. */ -}}
{{- define "istio-federation.cel" -}}
{{- include "istio-federation.json" (include "istio-federation.json" .) -}}
{{- end -}}
