{{/* Where the pods may connect to. */}}
{{- define "service.egress" -}}
{{- $policy := .Values.networkPolicy -}}
{{ include "service.egressDns" . }}
{{ include "service.egressRule" (dict "what" "Kafka" "ports" (include "service.kafkaPorts" . | fromJsonArray) "to" $policy.kafka.to) }}
{{- with .Values.schemaRegistry.url }}
{{ include "service.egressRule" (dict "what" "schema registry" "ports" (list (include "service.portOfUrl" .)) "to" $policy.schemaRegistry.to) }}
{{- end }}
{{- if .Values.database.existingSecret }}
{{ include "service.egressRule" (dict "what" "database" "ports" (list $policy.database.port) "to" $policy.database.to) }}
{{- end }}
{{- with .Values.telemetry.endpoint }}
{{ include "service.egressRule" (dict "what" "trace collector" "ports" (list (include "service.portOfUrl" .)) "to" $policy.otlp.to) }}
{{- end }}
{{- if .Values.cache.existingSecret }}
{{ include "service.egressRule" (dict "what" "cache" "ports" (list $policy.cache.port) "to" $policy.cache.to) }}
{{- end }}
{{- if and (eq .Values.kafka.sasl.mechanism "OAUTHBEARER") .Values.kafka.sasl.oauthTokenUrl }}
{{ include "service.egressRule" (dict "what" "OAuth tokens" "ports" (list (include "service.portOfUrl" .Values.kafka.sasl.oauthTokenUrl)) "to" $policy.oauth.to) }}
{{- end }}
{{- end -}}

{{- define "service.egressDns" -}}
# DNS
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end -}}

{{/* Call: (dict "what" "Kafka" "ports" (list 9092) "to" (list)) */}}
{{- define "service.egressRule" -}}
# {{ .what }}
- ports:
    {{- range .ports }}
    - {port: {{ int . }}, protocol: TCP}
    {{- end }}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
