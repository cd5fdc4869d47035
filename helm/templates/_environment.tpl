{{/*
Environment variables, by what needs them. The service gets its plain ones from a ConfigMap. The jobs run before the chart
makes anything, so theirs stand in the pod itself: `service.plain...` returns JSON {NAME: value} for both.
*/}}

{{- define "service.kafkaTlsPath" -}}/etc/service/kafka{{- end -}}
{{- define "service.registryTlsPath" -}}/etc/service/registry{{- end -}}
{{- define "service.tokenPath" -}}/var/run/service/token{{- end -}}

{{/* Where the state lies: on the volume, where there is one. */}}
{{- define "service.statePath" -}}
{{- ternary "/var/lib/service" "/tmp/state" (eq (include "service.keepsFiles" .) "true") -}}
{{- end -}}

{{- define "service.plainKafka" -}}
{{- $kafka := .Values.kafka -}}
{{- $all := dict "KAFKA_BOOTSTRAP_SERVERS" $kafka.bootstrapServers "KAFKA_SECURITY_PROTOCOL" $kafka.securityProtocol -}}
{{- if include "service.speaksSasl" . -}}
{{- $_ := set $all "KAFKA_SASL_MECHANISM" $kafka.sasl.mechanism -}}
{{- if eq $kafka.sasl.mechanism "OAUTHBEARER" -}}
{{- if $kafka.sasl.tokenAudience }}{{ $_ := set $all "KAFKA_SASL_OAUTH_TOKEN_FILE" (printf "%s/token" (include "service.tokenPath" .)) }}{{ end -}}
{{- with $kafka.sasl.oauthTokenUrl }}{{ $_ := set $all "KAFKA_SASL_OAUTH_TOKEN_URL" . }}{{ end -}}
{{- with $kafka.sasl.oauthScope }}{{ $_ := set $all "KAFKA_SASL_OAUTH_SCOPE" . }}{{ end -}}
{{- if and $kafka.sasl.oauthTokenUrl $kafka.sasl.username }}{{ $_ := set $all "KAFKA_SASL_OAUTH_CLIENT_ID" $kafka.sasl.username }}{{ end -}}
{{- else if $kafka.sasl.username -}}
{{- $_ := set $all "KAFKA_SASL_USERNAME" $kafka.sasl.username -}}
{{- end -}}
{{- end -}}
{{- if include "service.speaksTls" . -}}
{{- $path := include "service.kafkaTlsPath" . -}}
{{- if or $kafka.tls.ca.existingSecret $kafka.tls.ca.existingConfigMap }}{{ $_ := set $all "KAFKA_SSL_CAFILE" (printf "%s/ca.crt" $path) }}{{ end -}}
{{- if $kafka.tls.client.existingSecret -}}
{{- $_ := set $all "KAFKA_SSL_CERTFILE" (printf "%s/tls.crt" $path) -}}
{{- $_ := set $all "KAFKA_SSL_KEYFILE" (printf "%s/tls.key" $path) -}}
{{- end -}}
{{- if not $kafka.tls.checkHostname }}{{ $_ := set $all "KAFKA_SSL_CHECK_HOSTNAME" "false" }}{{ end -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{/* The topics, as COMMAND_TOPICS or COMMAND_GROUPS, TOPICS and their kin say them. */}}
{{- define "service.plainTopics" -}}
{{- $topics := .Values.topics -}}
{{- $names := list -}}{{- $counts := list -}}{{- $retries := list -}}{{- $kept := list -}}{{- $grouped := false -}}
{{- range $topics.commands -}}
{{- $names = append $names .name -}}
{{- if .group }}{{ $grouped = true }}{{ end -}}
{{- if .retryMs -}}
{{- $delays := list -}}
{{- range .retryMs }}{{ $delays = append $delays (int . | toString) }}{{ end -}}
{{- $retries = append $retries (printf "%s=%s" .name (join "+" $delays)) -}}
{{- end -}}
{{- end -}}
{{- range (include "service.topics" . | fromJsonArray) -}}
{{- $counts = append $counts (printf "%s=%d" .name (int .partitions)) -}}
{{- if and .retentionHours (ne .role "letters") }}{{ $kept = append $kept (printf "%s=%v" .name .retentionHours) }}{{ end -}}
{{- end -}}
{{- $all := dict "KAFKA_GROUP_ID" .Values.kafka.groupId "TOPICS" (join "," $counts) "DEAD_LETTER_SUFFIX" $topics.deadLetterSuffix "DEAD_LETTER_RETENTION_HOURS" (toString $topics.deadLetterRetentionHours) -}}
{{- if $grouped -}}
{{- $groups := list -}}
{{- range $group, $of := (include "service.groups" . | fromJson) }}{{ $groups = append $groups (printf "%s=%s" $group (join "+" $of)) }}{{ end -}}
{{- $_ := set $all "COMMAND_GROUPS" (join "," $groups) -}}
{{- end -}}
{{- $_ := set $all "COMMAND_TOPICS" (join "," $names) -}}
{{- with $retries }}{{ $_ := set $all "RETRY_TOPICS" (join "," .) }}{{ end -}}
{{- with $kept }}{{ $_ := set $all "TOPIC_RETENTION_HOURS" (join "," .) }}{{ end -}}
{{- with $topics.replication }}{{ $_ := set $all "TOPIC_REPLICATION" (int . | toString) }}{{ end -}}
{{- with $topics.minInsyncReplicas }}{{ $_ := set $all "TOPIC_MIN_INSYNC_REPLICAS" (int . | toString) }}{{ end -}}
{{- toJson $all -}}
{{- end -}}

{{- define "service.plainRegistry" -}}
{{- $registry := .Values.schemaRegistry -}}
{{- $all := dict -}}
{{- if $registry.url -}}
{{- $_ := set $all "SCHEMA_REGISTRY_URL" $registry.url -}}
{{- $path := include "service.registryTlsPath" . -}}
{{- if or $registry.tls.ca.existingSecret $registry.tls.ca.existingConfigMap }}{{ $_ := set $all "SCHEMA_REGISTRY_SSL_CAFILE" (printf "%s/ca.crt" $path) }}{{ end -}}
{{- if $registry.tls.client.existingSecret -}}
{{- $_ := set $all "SCHEMA_REGISTRY_SSL_CERTFILE" (printf "%s/tls.crt" $path) -}}
{{- $_ := set $all "SCHEMA_REGISTRY_SSL_KEYFILE" (printf "%s/tls.key" $path) -}}
{{- end -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{/* The rest, and what a team sets itself. */}}
{{- define "service.plainRest" -}}
{{- $all := dict -}}
{{- range $name, $value := .Values.config -}}
{{- if kindIs "float64" $value -}}
{{- /* YAML's numbers come as floats; 1000000 must not become 1e+06. */ -}}
{{- $_ := set $all $name (ternary (printf "%.0f" $value) (toString $value) (eq $value (floor $value))) -}}
{{- else -}}
{{- $_ := set $all $name (toString $value) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $all "SERVICE_NAME" .Values.serviceName -}}
{{- $_ := set $all "STATE_PATH" (include "service.statePath" .) -}}
{{- $_ := set $all "MANAGEMENT_HOST" "0.0.0.0" -}}
{{- $_ := set $all "MANAGEMENT_PORT" (int .Values.managementPort | toString) -}}
{{- $_ := set $all "SHUTDOWN_TIMEOUT_SECONDS" (toString .Values.shutdown.drainSeconds) -}}
{{- if not (hasKey $all "LOG_FORMAT") }}{{ $_ := set $all "LOG_FORMAT" "json" }}{{ end -}}
{{- if eq .Values.kind "StatefulSet" }}{{ $_ := set $all "KAFKA_SESSION_TIMEOUT_MS" (int .Values.staticMembership.sessionTimeoutMs | toString) }}{{ end -}}
{{- if .Values.telemetry.endpoint -}}
{{- $_ := set $all "OTEL_EXPORTER_OTLP_ENDPOINT" .Values.telemetry.endpoint -}}
{{- $_ := set $all "OTEL_EXPORTER_OTLP_PROTOCOL" .Values.telemetry.protocol -}}
{{- $_ := set $all "OTEL_TRACES_SAMPLER" .Values.telemetry.sampler -}}
{{- with .Values.telemetry.samplerArg }}{{ $_ := set $all "OTEL_TRACES_SAMPLER_ARG" (toString .) }}{{ end -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{/* Everything plain, for the ConfigMap. */}}
{{- define "service.plain" -}}
{{- merge (dict) (include "service.plainKafka" . | fromJson) (include "service.plainTopics" . | fromJson) (include "service.plainRegistry" . | fromJson) (include "service.plainRest" . | fromJson) | toJson -}}
{{- end -}}

{{/* One variable from a secret. Call: (list NAME secret key) */}}
{{- define "service.secretVariable" -}}
- name: {{ index . 0 }}
  valueFrom:
    secretKeyRef:
      name: {{ index . 1 }}
      key: {{ index . 2 | quote }}
{{- end -}}

{{- define "service.secretKafka" -}}
{{- $sasl := .Values.kafka.sasl -}}
{{- if and (include "service.speaksSasl" .) $sasl.existingSecret }}
{{- $isOauth := eq $sasl.mechanism "OAUTHBEARER" }}
{{- if not $sasl.username }}
{{ include "service.secretVariable" (list (ternary "KAFKA_SASL_OAUTH_CLIENT_ID" "KAFKA_SASL_USERNAME" $isOauth) $sasl.existingSecret $sasl.usernameKey) }}
{{- end }}
{{ include "service.secretVariable" (list (ternary "KAFKA_SASL_OAUTH_CLIENT_SECRET" "KAFKA_SASL_PASSWORD" $isOauth) $sasl.existingSecret $sasl.passwordKey) }}
{{- end }}
{{- with .Values.kafka.tls.client }}
{{- if and (include "service.speaksTls" $) .existingSecret .passwordKey }}
{{ include "service.secretVariable" (list "KAFKA_SSL_KEY_PASSWORD" .existingSecret .passwordKey) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "service.secretDatabase" -}}
{{- with .Values.database }}
{{- if .existingSecret }}
{{ include "service.secretVariable" (list "DATABASE_URL" .existingSecret .urlKey) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "service.secretRegistry" -}}
{{- with .Values.schemaRegistry }}
{{- if and .url (eq .auth "basic") }}
{{ include "service.secretVariable" (list "SCHEMA_REGISTRY_USERNAME" .existingSecret .usernameKey) }}
{{ include "service.secretVariable" (list "SCHEMA_REGISTRY_PASSWORD" .existingSecret .passwordKey) }}
{{- else if and .url (eq .auth "bearer") }}
{{ include "service.secretVariable" (list "SCHEMA_REGISTRY_TOKEN" .existingSecret .tokenKey) }}
{{- end }}
{{- if and .url .tls.client.existingSecret .tls.client.passwordKey }}
{{ include "service.secretVariable" (list "SCHEMA_REGISTRY_SSL_KEY_PASSWORD" .tls.client.existingSecret .tls.client.passwordKey) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "service.secretRest" -}}
{{- with .Values.cache }}
{{- if .existingSecret }}
{{ include "service.secretVariable" (list "CACHE_URL" .existingSecret .urlKey) }}
{{- end }}
{{- end }}
{{- with .Values.telemetry }}
{{- if and .endpoint .headersSecret }}
{{ include "service.secretVariable" (list "OTEL_EXPORTER_OTLP_HEADERS" .headersSecret .headersKey) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Who this pod is, from the downward API; OTEL_RESOURCE_ATTRIBUTES takes it up, so it comes first. */}}
{{- define "service.downward" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
{{- $attributes := list
  (printf "service.namespace=%s" "$(POD_NAMESPACE)")
  (printf "service.instance.id=%s" "$(POD_UID)")
  (printf "service.version=%s" (include "service.version" .))
  (printf "k8s.namespace.name=%s" "$(POD_NAMESPACE)")
  (printf "k8s.pod.name=%s" "$(POD_NAME)")
  (printf "k8s.pod.uid=%s" "$(POD_UID)")
  (printf "k8s.node.name=%s" "$(NODE_NAME)")
  (printf "k8s.container.name=%s" "service")
  (printf "k8s.%s.name=%s" (lower .Values.kind) (include "service.fullname" .)) }}
{{- range $name, $value := .Values.telemetry.resourceAttributes }}
{{- $attributes = append $attributes (printf "%s=%v" $name $value) }}
{{- end }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: {{ join "," $attributes | quote }}
{{- end -}}

{{/* Plain variables in the pod itself. Call: JSON {NAME: value} */}}
{{- define "service.inline" -}}
{{- range $name, $value := (fromJson .) }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{/* Volumes with certificates. Call: (dict "name" "kafka-tls" "tls" .Values.kafka.tls) */}}
{{- define "service.tlsVolume" -}}
{{- if or .tls.ca.existingSecret .tls.ca.existingConfigMap .tls.client.existingSecret }}
- name: {{ .name }}
  projected:
    defaultMode: 0440
    sources:
      {{- with .tls.ca }}
      {{- if .existingSecret }}
      - secret:
          name: {{ .existingSecret }}
          items:
            - {key: {{ .key | quote }}, path: ca.crt}
      {{- else if .existingConfigMap }}
      - configMap:
          name: {{ .existingConfigMap }}
          items:
            - {key: {{ .key | quote }}, path: ca.crt}
      {{- end }}
      {{- end }}
      {{- with .tls.client }}
      {{- if .existingSecret }}
      - secret:
          name: {{ .existingSecret }}
          items:
            - {key: {{ .certKey | quote }}, path: tls.crt}
            - {key: {{ .keyKey | quote }}, path: tls.key}
      {{- end }}
      {{- end }}
{{- end }}
{{- end -}}

{{- define "service.tlsMount" -}}
{{- if or .tls.ca.existingSecret .tls.ca.existingConfigMap .tls.client.existingSecret }}
- {name: {{ .name }}, mountPath: {{ .path }}, readOnly: true}
{{- end }}
{{- end -}}

{{- define "service.kafkaVolumes" -}}
{{- if include "service.speaksTls" . }}
{{- include "service.tlsVolume" (dict "name" "kafka-tls" "tls" .Values.kafka.tls) }}
{{- end }}
{{- if and (include "service.speaksSasl" .) .Values.kafka.sasl.tokenAudience }}
- name: kafka-token
  projected:
    defaultMode: 0440
    sources:
      - serviceAccountToken:
          audience: {{ .Values.kafka.sasl.tokenAudience | quote }}
          expirationSeconds: 3600
          path: token
{{- end }}
{{- end -}}

{{- define "service.kafkaMounts" -}}
{{- if include "service.speaksTls" . }}
{{- include "service.tlsMount" (dict "name" "kafka-tls" "tls" .Values.kafka.tls "path" (include "service.kafkaTlsPath" .)) }}
{{- end }}
{{- if and (include "service.speaksSasl" .) .Values.kafka.sasl.tokenAudience }}
- {name: kafka-token, mountPath: {{ include "service.tokenPath" . }}, readOnly: true}
{{- end }}
{{- end -}}

{{- define "service.registryVolumes" -}}
{{- if .Values.schemaRegistry.url }}
{{- include "service.tlsVolume" (dict "name" "registry-tls" "tls" .Values.schemaRegistry.tls) }}
{{- end }}
{{- end -}}

{{- define "service.registryMounts" -}}
{{- if .Values.schemaRegistry.url }}
{{- include "service.tlsMount" (dict "name" "registry-tls" "tls" .Values.schemaRegistry.tls "path" (include "service.registryTlsPath" .)) }}
{{- end }}
{{- end -}}
