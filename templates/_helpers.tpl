{{- /* What templates share: how values are written, and the facts about this cluster. */ -}}

{{- /* "true" where federation is on. */ -}}
{{- define "istio-federation.enabled" -}}
{{- if dig "federation" "enabled" false (.Values.istio | default dict) }}true{{ end -}}
{{- end -}}

{{- /* JSON text, with what YAML would read as something else, or not at all, written as JSON may write it. */ -}}
{{- define "istio-federation.escaped" -}}
{{- $text := . -}}
{{- if regexMatch "[\\x7f-\\x9f\\x{feff}\\x{fffe}\\x{ffff}]" $text -}}
{{- range $code := concat (untilStep 127 160 1) (list 65279 65534 65535) -}}
{{- $text = replace (printf "%c" $code) (printf "\\u%04x" $code) $text -}}
{{- end -}}
{{- end -}}
{{- $text -}}
{{- end -}}

{{- /* Any value, so that nothing in it can end its place. */ -}}
{{- define "istio-federation.json" -}}
{{- include "istio-federation.escaped" (toJson .) -}}
{{- end -}}

{{- /* Labels of an object of the component that is named. */ -}}
{{- define "istio-federation.labels" -}}
{{- dict "heritage" "deckhouse" "module" "istio" "app" . | toJson -}}
{{- end -}}

{{- /* Facts about this cluster as a JSON object; fails where one is not known, so that nothing is rendered without it. */ -}}
{{- define "istio-federation.facts" -}}
{{- $global := .Values.global | default dict -}}
{{- $istio := .Values.istio -}}
{{- range $name := list "clusterUUID" "remoteAuthnKeypair" "federations" "remotePublicMetadata" "federationTrustAnchors" -}}
{{- if not (hasKey $istio.internal $name) -}}
{{- fail (printf "istio.internal.%s is not computed yet: nothing is rendered without it. The module's hooks say why; after a restart of the operator it takes until they have run" $name) -}}
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
