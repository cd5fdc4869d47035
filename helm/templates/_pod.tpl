{{/* The pod of the service, the same in a Deployment and a StatefulSet. */}}
{{- define "service.pod" -}}
metadata:
  labels:
    {{- $own := merge (include "service.selectorLabels" (dict "root" . "component" "service") | fromYaml) (dict "app.kubernetes.io/version" (include "service.version" .)) }}
    {{- merge (dict) $own .Values.podLabels .Values.commonLabels | toYaml | nindent 4 }}
  annotations:
    kubectl.kubernetes.io/default-container: service
    checksum/settings: {{ include "service.plain" . | sha256sum }}
    {{- with merge (dict) .Values.podAnnotations .Values.commonAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- include "service.podBasics" (dict "root" . "serviceAccount" (include "service.serviceAccountName" .)) | nindent 2 }}
  terminationGracePeriodSeconds: {{ include "service.gracePeriod" . }}
  {{- include "service.placement" . | nindent 2 }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- tpl (toYaml .) $ | nindent 4 }}
  {{- end }}
  containers:
    - name: service
      {{- include "service.container" . | nindent 6 }}
      args: [run]
      envFrom:
        - configMapRef: {name: {{ include "service.configName" . }}}
        {{- with .Values.extraEnvFrom }}
        {{- tpl (toYaml .) $ | nindent 8 }}
        {{- end }}
      env:
        {{- include "service.environment" . | nindent 8 }}
        {{- with .Values.extraEnv }}
        {{- tpl (toYaml .) $ | nindent 8 }}
        {{- end }}
      ports:
        - {name: management, containerPort: {{ int .Values.managementPort }}, protocol: TCP}
      startupProbe:
        httpGet: {path: /actuator/health/liveness, port: management}
        {{- toYaml .Values.probes.startup | nindent 8 }}
      livenessProbe:
        httpGet: {path: /actuator/health/liveness, port: management}
        {{- toYaml .Values.probes.liveness | nindent 8 }}
      readinessProbe:
        httpGet: {path: /actuator/health/readiness, port: management}
        {{- toYaml .Values.probes.readiness | nindent 8 }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        {{- include "service.mounts" . | nindent 8 }}
        {{- with .Values.extraVolumeMounts }}
        {{- tpl (toYaml .) $ | nindent 8 }}
        {{- end }}
    {{- with .Values.sidecars }}
    {{- tpl (toYaml .) $ | nindent 4 }}
    {{- end }}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: {{ int .Values.tmpSizeMegabytes }}Mi}
    {{- if include "service.keepsFiles" . }}
    - name: state
      {{- if .Values.persistence.enabled }}
      persistentVolumeClaim: {claimName: {{ include "service.claimName" . }}}
      {{- else }}
      emptyDir: {}
      {{- end }}
    {{- end }}
    {{- include "service.kafkaVolumes" . | nindent 4 }}
    {{- include "service.registryVolumes" . | nindent 4 }}
    {{- with .Values.extraVolumes }}
    {{- tpl (toYaml .) $ | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* What is the same in every pod of the chart. Call: (dict "root" $ "serviceAccount" "name") */}}
{{- define "service.podBasics" -}}
serviceAccountName: {{ .serviceAccount }}
automountServiceAccountToken: false
# Variables for each Service of the namespace would look like settings: KAFKA_PORT, DATABASE_SERVICE_HOST.
enableServiceLinks: false
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "service.placement" -}}
{{- with .Values.affinity }}
affinity:
  {{- tpl (toYaml .) $ | nindent 2 }}
{{- end }}
{{- if not (kindIs "invalid" .Values.topologySpreadConstraints) }}
{{- with .Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- tpl (toYaml .) $ | nindent 2 }}
{{- end }}
{{- else }}
topologySpreadConstraints:
  {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "service.selectorLabels" (dict "root" $ "component" "service") | nindent 8 }}
    {{- if eq $.Values.kind "Deployment" }}
    # During a rollout the new pods are spread among themselves.
    matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* What is the same in every container of the image. */}}
{{- define "service.container" -}}
image: {{ include "service.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end -}}

{{- define "service.environment" -}}
{{ include "service.downward" . }}
{{- if eq .Values.kind "StatefulSet" }}
- name: KAFKA_GROUP_INSTANCE_ID
  value: $(POD_NAME)
{{- end }}
{{- include "service.secretKafka" . }}
{{- include "service.secretDatabase" . }}
{{- include "service.secretRegistry" . }}
{{- include "service.secretRest" . }}
{{- end -}}

{{- define "service.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if include "service.keepsFiles" . }}
- {name: state, mountPath: {{ include "service.statePath" . }}}
{{- end }}
{{- include "service.kafkaMounts" . }}
{{- include "service.registryMounts" . }}
{{- end -}}
