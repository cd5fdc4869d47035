{{- define "service.strimziVersion" -}}
{{- if .Values.strimzi.apiVersion -}}
{{- .Values.strimzi.apiVersion -}}
{{- else -}}
{{- ternary "kafka.strimzi.io/v1" "kafka.strimzi.io/v1beta2" (.Capabilities.APIVersions.Has "kafka.strimzi.io/v1") -}}
{{- end -}}
{{- end -}}

{{/* A Kafka name as Kubernetes takes it; a digest keeps two that differ in other signs apart. Call: a topic's name */}}
{{- define "service.resourceName" -}}
{{- $plain := regexReplaceAll "[^a-z0-9.-]" (lower .) "-" | trimAll ".-" | trunc 200 -}}
{{- if eq $plain . }}{{ . }}{{ else }}{{ printf "%s-%s" $plain (sha256sum . | trunc 8) }}{{ end -}}
{{- end -}}

{{- define "service.strimziMetadata" -}}
{{- $labels := dict "strimzi.io/cluster" .root.Values.strimzi.cluster -}}
{{- $keep := dict "helm.sh/resource-policy" "keep" -}}
{{- $namespace := default .root.Release.Namespace .root.Values.strimzi.namespace -}}
{{- include "service.metadata" (dict "root" .root "component" "kafka" "name" .name "namespace" $namespace "labels" $labels "annotations" $keep) }}
{{- end -}}

{{/* A right. Call: (dict "type" "topic" "name" "..." "operations" (list ...)) */}}
{{- define "service.acl" -}}
- resource: {type: {{ .type }}, name: {{ .name | quote }}, patternType: literal}
  operations: [{{ join ", " .operations }}]
  host: "*"
{{- end -}}
