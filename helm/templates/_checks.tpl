{{/* What the schema cannot say. All of it is shown at once, each with what to try. */}}
{{- define "service.check" -}}
{{- $problems := list -}}
{{- $kafka := .Values.kafka -}}
{{- $scaled := include "service.isScaled" . -}}
{{- if include "service.keepsFiles" . -}}
{{- $missing := list -}}
{{- if not .Values.database.existingSecret }}{{ $missing = append $missing "database.existingSecret" }}{{ end -}}
{{- if not .Values.schemaRegistry.url }}{{ $missing = append $missing "schemaRegistry.url" }}{{ end -}}
{{- if or $scaled (gt (int (include "service.replicas" .)) 1) -}}
{{- $problems = append $problems (printf "several pods need a database and a registry that they share; set %s, or leave replicaCount null and autoscaling.mode none for one pod" (join " and " $missing)) -}}
{{- end -}}
{{- end -}}
{{- $partitions := int (include "service.partitions" .) -}}
{{- if and $scaled (gt (int (include "service.maxReplicas" .)) $partitions) -}}
{{- $problems = append $problems (printf "autoscaling.maxReplicas is %d, and no group's topics have more than %d partitions: further pods would be idle; raise the partitions of topics.commands, or lower it" (int .Values.autoscaling.maxReplicas) $partitions) -}}
{{- end -}}
{{- if and $scaled (gt (int .Values.autoscaling.minReplicas) (int (include "service.maxReplicas" .))) -}}
{{- $problems = append $problems (printf "autoscaling.minReplicas is %d, above the maximum of %s" (int .Values.autoscaling.minReplicas) (include "service.maxReplicas" .)) -}}
{{- end -}}
{{- if and (eq .Values.autoscaling.mode "hpa") (lt (int .Values.autoscaling.minReplicas) 1) -}}
{{- $problems = append $problems "autoscaling.minReplicas is 0, which only keda can wake again; make it 1" -}}
{{- end -}}
{{- if and (eq .Values.autoscaling.mode "hpa") (not (dig "requests" "cpu" "" .Values.resources)) -}}
{{- $problems = append $problems "autoscaling.mode is hpa, which measures against resources.requests.cpu; set it" -}}
{{- end -}}
{{- if and (eq .Values.kind "StatefulSet") (le (mulf .Values.staticMembership.sessionTimeoutMs 1.0) (mulf (include "service.gracePeriod" .) 1000.0)) -}}
{{- $problems = append $problems (printf "staticMembership.sessionTimeoutMs is %d, and a pod may take %s s to stop: its partitions would be given away during a restart; raise it" (int .Values.staticMembership.sessionTimeoutMs) (include "service.gracePeriod" .)) -}}
{{- end -}}
{{- $names := list -}}
{{- range (include "service.topics" . | fromJsonArray) -}}
{{- if has .name $names }}{{ $problems = append $problems (printf "topic %q is named twice in topics" .name) }}{{ end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- if eq .Values.autoscaling.mode "keda" -}}
{{- if and (eq $kafka.sasl.mechanism "OAUTHBEARER") (not $kafka.sasl.oauthTokenUrl) -}}
{{- $problems = append $problems "KEDA cannot read OAUTHBEARER's token from a file; give kafka.sasl.oauthTokenUrl, or set autoscaling.mode to hpa" -}}
{{- end -}}
{{- end -}}
{{- if eq .Values.topics.managedBy "strimzi" -}}
{{- if and .Values.strimzi.user.create (not (or (eq $kafka.sasl.mechanism "SCRAM-SHA-512") (eq $kafka.securityProtocol "SSL"))) -}}
{{- $problems = append $problems "a KafkaUser needs kafka.sasl.mechanism SCRAM-SHA-512, or kafka.securityProtocol SSL with a client certificate; set one, or strimzi.user.create to false" -}}
{{- end -}}
{{- end -}}
{{- if $problems -}}
{{- fail (printf "\n\nthe values do not go together:\n- %s\n" (join "\n- " $problems)) -}}
{{- end -}}
{{- end -}}
