{{- /* Metadata exporter: image and pull secrets, as a JSON object. The setting comes first, then the module's own registry, then the
       platform's. */ -}}
{{- define "istio-federation.exporter-image" -}}
{{- $settings := .Values.istio.federation.metadataExporter -}}
{{- $registry := .Values.istio.registry | default dict -}}
{{- $images := dig "modulesImages" dict (.Values.global | default dict) -}}
{{- $digest := dig "digests" "istio" "metadataExporter" "" $images -}}
{{- $base := dig "registry" "base" "" $images -}}
{{- $secrets := $settings.imagePullSecrets -}}
{{- $image := $settings.image -}}
{{- if and (not $image) $digest $registry.base -}}
{{- $image = printf "%s/istio@%s" $registry.base $digest -}}
{{- else if and (not $image) $digest $base -}}
{{- $image = printf "%s@%s" $base $digest -}}
{{- $secrets = append $secrets "deckhouse-registry" -}}
{{- end -}}
{{- if $registry.dockercfg -}}
{{- $secrets = append $secrets "istio-module-registry" -}}
{{- end -}}
{{- if not $image -}}
{{- fail "the image of the metadata exporter is not known: set istio.federation.metadataExporter.image (the operator has no global.modulesImages.digests.istio.metadataExporter)" -}}
{{- end -}}
{{- dict "image" $image "secrets" $secrets | toJson -}}
{{- end -}}
