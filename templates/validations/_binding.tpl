{{- /* Binding of the admission policy that is named to all that it matches; `action` is Deny or Warn. */ -}}
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

{{- /* Any value as a CEL literal, in the place of a whole CEL expression in YAML: JSON is both. */ -}}
{{- define "istio-federation.cel" -}}
{{- include "istio-federation.json" (include "istio-federation.json" .) -}}
{{- end -}}
