{{/*
A job before an install or an upgrade. It reads nothing that the chart makes: no ConfigMap, no ServiceAccount.
Call: (dict "root" $ "name" "migrate" "weight" "0" "args" (list ...) "plain" JSON "secrets" text "volumes" text "mounts" text)
*/}}
{{- define "service.job" -}}
apiVersion: batch/v1
kind: Job
metadata:
  {{- $hook := dict "helm.sh/hook" "pre-install,pre-upgrade" "helm.sh/hook-weight" .weight "helm.sh/hook-delete-policy" "before-hook-creation,hook-succeeded" }}
  {{- include "service.metadata" (dict "root" .root "component" "job" "name" (printf "%s-%s" (include "service.fullname" .root) .name) "annotations" $hook) | nindent 2 }}
spec:
  backoffLimit: {{ int .root.Values.jobs.backoffLimit }}
  activeDeadlineSeconds: {{ int .root.Values.jobs.activeDeadlineSeconds }}
  template:
    metadata:
      labels:
        {{- merge (dict) (include "service.selectorLabels" (dict "root" .root "component" "job") | fromYaml) .root.Values.commonLabels | toYaml | nindent 8 }}
      {{- with merge (dict) .root.Values.jobs.podAnnotations .root.Values.commonAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      restartPolicy: Never
      {{- include "service.podBasics" (dict "root" .root "serviceAccount" .root.Values.jobs.serviceAccountName) | nindent 6 }}
      containers:
        - name: {{ .name }}
          {{- include "service.container" .root | nindent 10 }}
          args: {{ toJson .args }}
          env:
            {{- include "service.inline" (merge (dict "STATE_PATH" "/tmp/state" "LOG_FORMAT" "json" "SERVICE_NAME" .root.Values.serviceName) (fromJson .plain) | toJson) | nindent 12 }}
            {{- .secrets | trim | nindent 12 }}
          resources:
            {{- toYaml .root.Values.jobs.resources | nindent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- .mounts | nindent 12 }}
      volumes:
        - name: tmp
          emptyDir: {sizeLimit: {{ int .root.Values.tmpSizeMegabytes }}Mi}
        {{- .volumes | nindent 8 }}
{{- end -}}
