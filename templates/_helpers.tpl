{{- /* Shared by templates: safe output of values, and facts about this cluster. */ -}}

{{- /* "true" if federation is on, else empty. */ -}}
{{- define "istio-federation.enabled" -}}
{{- if dig "federation" "enabled" false (.Values.istio | default dict) }}true{{ end -}}
{{- end -}}

{{- /* JSON text with escapes for characters that YAML reads differently or not at all. */ -}}
{{- define "istio-federation.escaped" -}}
{{- $text := . -}}
{{- if regexMatch "[\\x7f-\\x9f\\x{feff}\\x{fffe}\\x{ffff}]" $text -}}
{{- range $code := concat (untilStep 127 160 1) (list 65279 65534 65535) -}}
{{- $text = replace (printf "%c" $code) (printf "\\u%04x" $code) $text -}}
{{- end -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{- /* Any value as JSON, so that no text in it can change the YAML around it. */ -}}
{{- define "istio-federation.json" -}}
{{- include "istio-federation.escaped" (toJson .) -}}
{{- end -}}

{{- /* Labels of an object; the argument is the component. */ -}}
{{- define "istio-federation.labels" -}}
{{- dict "heritage" "deckhouse" "module" "istio" "app" . | toJson -}}
{{- end -}}

{{- /* Facts about this cluster as a JSON object. Fails if one is missing, so that nothing is rendered without it. */ -}}
{{- define "istio-federation.facts" -}}
{{- $global := .Values.global | default dict -}}
{{- $istio := .Values.istio -}}
{{- range $name := list "clusterUUID" "remoteAuthnKeypair" "federations" "remotePublicMetadata" "federationTrustAnchors" -}}
{{- if not (hasKey $istio.internal $name) -}}
{{- fail (printf "istio.internal.%s is not computed yet, and nothing is rendered without it. After a restart of the operator, wait until the module's hooks have run; if it stays, look for their errors in the operator's log" $name) -}}
{{- end -}}
{{- end -}}
{{- $discovery := $global.discovery | default dict -}}
{{- $domain := coalesce $discovery.clusterDomain $istio.federation.clusterDomain -}}
{{- $domain = required "the cluster domain is not known: set istio.federation.clusterDomain" $domain -}}
{{- $host := $istio.federation.metadataHost | default "" -}}
{{- with dig "modules" "publicDomainTemplate" "" $global -}}
{{- $host = $host | default (replace "%s" "istio-metadata" .) -}}
{{- end -}}
{{- $ha := dig "clusterControlPlaneIsHighlyAvailable" false $discovery -}}
{{- $ha = dig "highAvailability" (dig "highAvailability" $ha $global) $istio -}}
{{- dict
  "clusterDomain" $domain
  "clusterUUID" $istio.internal.clusterUUID
  "meshNamespace" $istio.federation.meshNamespace
  "metadataHost" $host
  "highAvailability" $ha
| toJson -}}
{{- end -}}
