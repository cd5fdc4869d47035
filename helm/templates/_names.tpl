{{/* Names and labels. */}}

{{- define "service.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of what the chart makes. Cut at 40 characters: suffixes follow, and a pod's name has a hash behind it. */}}
{{- define "service.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "service.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "service.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What a selector sees; it must never change, because selectors cannot. Call: (dict "root" $ "component" "service") */}}
{{- define "service.selectorLabels" -}}
app.kubernetes.io/name: {{ include "service.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of an object; a team's own never replace the chart's. Call as above. */}}
{{- define "service.labels" -}}
{{- $chart := printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- $about := dict "app.kubernetes.io/version" (include "service.version" .root) "app.kubernetes.io/managed-by" .root.Release.Service "helm.sh/chart" $chart -}}
{{- merge (dict) (include "service.selectorLabels" . | fromYaml) $about (default (dict) .labels) .root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/* Metadata of an object. Call: (dict "root" $ "component" "service" "name" "..." "annotations" (dict)), the last two optional */}}
{{- define "service.metadata" -}}
name: {{ default (include "service.fullname" .root) .name }}
namespace: {{ default .root.Release.Namespace .namespace }}
labels:
  {{- include "service.labels" . | nindent 2 }}
{{- $annotations := merge (dict) (default (dict) .annotations) .root.Values.commonAnnotations }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The version that runs: the tag, or the chart's appVersion; a digest says nothing of it. Cut to what a label may hold. */}}
{{- define "service.version" -}}
{{- default .Chart.AppVersion .Values.image.tag | replace "+" "_" | trunc 63 | trimAll "-_." -}}
{{- end -}}

{{- define "service.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "service.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "service.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "service.configName" -}}
{{- include "service.fullname" . }}-settings
{{- end -}}

{{- define "service.managementName" -}}
{{- include "service.fullname" . }}-management
{{- end -}}

{{- define "service.claimName" -}}
{{- default (printf "%s-state" (include "service.fullname" .)) .Values.persistence.existingClaim -}}
{{- end -}}

{{- define "service.kafkaUser" -}}
{{- default (include "service.fullname" .) .Values.kafka.sasl.username -}}
{{- end -}}
