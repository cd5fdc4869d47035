{{/* What follows from the values. Templates that return more than text return JSON. */}}

{{/* "true" where the state lies beside the service: one pod, and a volume. */}}
{{- define "service.keepsFiles" -}}
{{- if or (not .Values.database.existingSecret) (not .Values.schemaRegistry.url) }}true{{ end -}}
{{- end -}}

{{- define "service.isScaled" -}}
{{- if ne .Values.autoscaling.mode "none" }}true{{ end -}}
{{- end -}}

{{/* The pods that the chart asks for; empty where something else scales. */}}
{{- define "service.replicas" -}}
{{- if not (include "service.isScaled" .) -}}
{{- if kindIs "invalid" .Values.replicaCount -}}
{{- ternary 1 2 (eq (include "service.keepsFiles" .) "true") -}}
{{- else -}}
{{- int .Values.replicaCount -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* "true" where there may be two pods or more. */}}
{{- define "service.isPlural" -}}
{{- if include "service.isScaled" . -}}
{{- if not (include "service.keepsFiles" .) }}true{{ end -}}
{{- else if gt (int (include "service.replicas" .)) 1 -}}
true
{{- end -}}
{{- end -}}

{{/* SIGTERM to SIGKILL: the drain budget, rounded up, and the margin. */}}
{{- define "service.gracePeriod" -}}
{{- add (ceil .Values.shutdown.drainSeconds | int) (int .Values.shutdown.marginSeconds) -}}
{{- end -}}

{{/* Each group with its command topics: {"orders": ["orders.commands"]} */}}
{{- define "service.groups" -}}
{{- $groups := dict -}}
{{- range .Values.topics.commands -}}
{{- $group := default $.Values.kafka.groupId .group -}}
{{- $_ := set $groups $group (append (default list (get $groups $group)) .name) -}}
{{- end -}}
{{- toJson $groups -}}
{{- end -}}

{{/* Every topic: [{"name", "partitions", "role": commands|retries|letters|events, "source", "group", "retentionHours"}] */}}
{{- define "service.topics" -}}
{{- $all := list -}}
{{- $suffix := .Values.topics.deadLetterSuffix -}}
{{- range .Values.topics.commands -}}
{{- $topic := . -}}
{{- $group := default $.Values.kafka.groupId .group -}}
{{- $all = append $all (dict "name" .name "partitions" (int .partitions) "role" "commands" "group" $group "source" .name "retentionHours" .retentionHours) -}}
{{- range .retryMs -}}
{{- $all = append $all (dict "name" (printf "%s-retry-%d" $topic.name (int .)) "partitions" (int $topic.partitions) "role" "retries" "group" $group "source" $topic.name) -}}
{{- end -}}
{{- $all = append $all (dict "name" (print .name $suffix) "partitions" (int .partitions) "role" "letters" "group" $group "source" .name "retentionHours" $.Values.topics.deadLetterRetentionHours) -}}
{{- end -}}
{{- range .Values.topics.events -}}
{{- $all = append $all (dict "name" .name "partitions" (int .partitions) "role" "events" "source" .name "retentionHours" .retentionHours) -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{/* The most pods that can have work: the partitions of the group that has the most. */}}
{{- define "service.partitions" -}}
{{- $sums := dict -}}
{{- range .Values.topics.commands -}}
{{- $group := default $.Values.kafka.groupId .group -}}
{{- $_ := set $sums $group (add (int (default 0 (get $sums $group))) (int .partitions)) -}}
{{- end -}}
{{- $most := 0 -}}
{{- range $sums }}{{ $most = max $most (int .) }}{{ end -}}
{{- $most -}}
{{- end -}}

{{- define "service.maxReplicas" -}}
{{- if kindIs "invalid" .Values.autoscaling.maxReplicas -}}
{{- include "service.partitions" . -}}
{{- else -}}
{{- int .Values.autoscaling.maxReplicas -}}
{{- end -}}
{{- end -}}

{{- define "service.speaksTls" -}}
{{- if hasSuffix "SSL" .Values.kafka.securityProtocol }}true{{ end -}}
{{- end -}}

{{- define "service.speaksSasl" -}}
{{- if hasPrefix "SASL_" .Values.kafka.securityProtocol }}true{{ end -}}
{{- end -}}

{{/* The port of a URL, or that of its scheme. Call: a URL */}}
{{- define "service.portOfUrl" -}}
{{- $url := urlParse . -}}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) -}}
{{- default (ternary "443" "80" (eq $url.scheme "https")) $port -}}
{{- end -}}

{{/* The ports of the brokers, each once. */}}
{{- define "service.kafkaPorts" -}}
{{- $ports := list -}}
{{- range .Values.networkPolicy.kafka.ports }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- if not $ports -}}
{{- range splitList "," .Values.kafka.bootstrapServers -}}
{{- $ports = append $ports (int (regexFind "[0-9]+$" (trim .))) -}}
{{- end -}}
{{- end -}}
{{- toJson (uniq $ports) -}}
{{- end -}}
