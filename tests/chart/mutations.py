"""Ways to break the chart, each a mistake that somebody could make; `test_mutations.py` has them noticed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    """Replace a text of the chart by another.

    Attributes:
        name: The mistake, in a few words.
        path: The file, below the chart.
        found: What is replaced; it stands there at least once, and every time is meant.
        replaced: What stands there instead.
    """

    name: str
    path: str
    found: str
    replaced: str


MUTATIONS = (
    Mutation("root's file system can be written", "values.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
    Mutation("capabilities are kept", "values.yaml", "drop: [ALL]", "drop: [NET_RAW]"),
    Mutation("no seccomp profile", "values.yaml", "type: RuntimeDefault", "type: Unconfined"),
    Mutation("the token is mounted", "templates/_pod.tpl", "automountServiceAccountToken: false", "automountServiceAccountToken: true"),
    Mutation("service links", "templates/_pod.tpl", "enableServiceLinks: false", "enableServiceLinks: true"),
    Mutation("jobs read the chart's ConfigMap", "templates/hooks/_job.tpl", "          env:\n", "          envFrom: [{configMapRef: {name: {{ include \"service.configName\" .root }}}}]\n          env:\n"),
    Mutation("jobs run as the chart's ServiceAccount", "templates/hooks/_job.tpl", ".root.Values.jobs.serviceAccountName)", "(include \"service.serviceAccountName\" .root))"),
    Mutation("topics before their order", "templates/hooks/topics.yaml", '"weight" "1"', '"weight" "2"'),
    Mutation("jobs after the install", "templates/hooks/_job.tpl", "pre-install,pre-upgrade", "post-install,post-upgrade"),
    Mutation("a finished job is in the way of the next", "templates/hooks/_job.tpl", "before-hook-creation,hook-succeeded", "hook-succeeded"),
    Mutation("no way out before the jobs", "templates/hooks/networkpolicy.yaml", '"helm.sh/hook-weight" "-10"', '"helm.sh/hook-weight" "5"'),
    Mutation("a job runs another subcommand", "templates/hooks/migrate.yaml", '(list "migrate" "up")', '(list "migrate" "status")'),
    Mutation("killed in the middle of the drain", "templates/_pod.tpl", 'terminationGracePeriodSeconds: {{ include "service.gracePeriod" . }}', "terminationGracePeriodSeconds: 30"),
    Mutation("the margin is forgotten", "templates/_facts.tpl", "{{- add (ceil .Values.shutdown.drainSeconds | int) (int .Values.shutdown.marginSeconds) -}}", "{{- ceil .Values.shutdown.drainSeconds | int -}}"),
    Mutation("replicas beside a scaler", "templates/workload.yaml", '{{- if not (include "service.isScaled" .) }}\n  replicas: {{ include "service.replicas" . }}\n  {{- end }}', "replicas: 2"),
    Mutation("KEDA counts from the end", "templates/scaling/scaledobject.yaml", "offsetResetPolicy: earliest", "offsetResetPolicy: latest"),
    Mutation("a misspelt key of KEDA", "templates/scaling/scaledobject.yaml", "activationLagThreshold:", "activationLagTreshold:"),
    Mutation("more pods than partitions", "templates/scaling/scaledobject.yaml", 'maxReplicaCount: {{ include "service.maxReplicas" . }}', "maxReplicaCount: 100"),
    Mutation("KEDA does not see the retry topics", "templates/scaling/scaledobject.yaml", '(list "commands" "retries")', '(list "commands")'),
    Mutation("KEDA has another password", "templates/scaling/triggerauthentication.yaml", "{parameter: password, name: {{ $kafka.sasl.existingSecret }}", "{parameter: password, name: other"),
    Mutation("KEDA speaks no TLS", "templates/scaling/triggerauthentication.yaml", "    - {parameter: tls, ", "    - {parameter: ssl, "),
    Mutation("the scaler's target is another", "templates/scaling/scaledobject.yaml", "kind: {{ .Values.kind }}", "kind: ReplicaSet"),
    Mutation("a setting that there is not", "templates/_environment.tpl", '"SHUTDOWN_TIMEOUT_SECONDS"', '"SHUTDOWN_TIMEOUT"'),
    Mutation("a topic is left out", "templates/_environment.tpl", "{{- $counts = append $counts", '{{- if ne .role "letters" }}{{ $counts = append $counts (printf "%s=%d" .name (int .partitions)) }}{{ end -}}\n{{- $_ := append $counts'),
    Mutation("groups are forgotten", "templates/_environment.tpl", "{{- if .group }}{{ $grouped = true }}{{ end -}}", ""),
    Mutation("metrics for the pod alone", "templates/_environment.tpl", '"MANAGEMENT_HOST" "0.0.0.0"', '"MANAGEMENT_HOST" "127.0.0.1"'),
    Mutation("a password written out", "templates/_environment.tpl", '{{ include "service.secretVariable" (list "DATABASE_URL" .existingSecret .urlKey) }}', "- {name: DATABASE_URL, value: postgresql+asyncpg://orders:secret@database/orders}"),
    Mutation("large numbers in another notation", "templates/_environment.tpl", '(printf "%.0f" $value)', "(toString $value)"),
    Mutation("attributes before what they name", "templates/_environment.tpl", "- name: NODE_NAME\n  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}\n", ""),
    Mutation("certificates are not mounted", "templates/_pod.tpl", '{{- include "service.kafkaMounts" . }}', ""),
    Mutation("the state cannot be written", "templates/_pod.tpl", "- {name: state, mountPath: {{ include \"service.statePath\" . }}}", "- {name: state, mountPath: /state}"),
    Mutation("the tag wins over the digest", "templates/_names.tpl", "{{- if .Values.image.digest -}}", "{{- if not .Values.image.tag -}}"),
    Mutation("a selector that a team can change", "templates/_names.tpl", "{{- merge (dict) (include \"service.selectorLabels\" . | fromYaml) $about", "{{- merge (dict) .root.Values.commonLabels (include \"service.selectorLabels\" . | fromYaml) $about"),
    Mutation("the budget selects the jobs", "templates/poddisruptionbudget.yaml", '"component" "service") | nindent 6', '"component" "job") | nindent 6'),
    Mutation("a budget for one pod", "templates/poddisruptionbudget.yaml", '(include "service.isPlural" .)', "true"),
    Mutation("capacity is lost in a rollout", "templates/workload.yaml", "maxUnavailable: 0", "maxUnavailable: 1"),
    Mutation("two pods on one volume in a rollout", "templates/workload.yaml", "type: Recreate", "type: RollingUpdate"),
    Mutation("the port is another", "templates/_pod.tpl", "containerPort: {{ int .Values.managementPort }}", "containerPort: 8080"),
    Mutation("probes ask a port that is not there", "templates/_pod.tpl", "path: /actuator/health/readiness, port: management", "path: /actuator/health/readiness, port: http"),
    Mutation("the monitor asks a port that is not there", "templates/monitoring/podmonitor.yaml", "- port: management", "- port: metrics"),
    Mutation("a field that Kubernetes does not know", "templates/workload.yaml", "revisionHistoryLimit: 5", "revisionHistory: 5"),
    Mutation("a kind that Kubernetes does not know", "templates/poddisruptionbudget.yaml", "policy/v1", "policy/v1beta1"),
    Mutation("a field that KEDA does not know", "templates/scaling/scaledobject.yaml", "pollingInterval:", "pollInterval:"),
    Mutation("Kafka cannot be reached", "templates/_network.tpl", '(include "service.kafkaPorts" . | fromJsonArray)', "(list 9999)"),
    Mutation("everything can be reached", "templates/_network.tpl", "# DNS\n- ports:\n    - {port: 53, protocol: UDP}", "# DNS\n- {}\n- ports:\n    - {port: 53, protocol: UDP}"),
    Mutation("the test pod is shut in", "templates/tests/networkpolicy.yaml", '"component" "test") | nindent 6', '"component" "tests") | nindent 6'),
    Mutation("topics go with the release", "templates/kafka/_strimzi.tpl", '"helm.sh/resource-policy" "keep"', '"helm.sh/resource-policy" "delete"'),
    Mutation("a right too many", "templates/kafka/user.yaml", '{{- $rights = list "Describe" "Read" }}', '{{- $rights = list "All" }}'),
    Mutation("no right to redrive", "templates/kafka/user.yaml", '(printf "%s.redrive" $group)', '(printf "%s-redrive" $group)'),
    Mutation("retry topics cannot be written", "templates/kafka/user.yaml", 'list "Describe" "Read" "Write"', 'list "Describe" "Read"'),
    Mutation("every topic of a prefix", "templates/kafka/_strimzi.tpl", "patternType: literal", "patternType: prefix"),
    Mutation("a set without static membership", "templates/_pod.tpl", '{{- if eq .Values.kind "StatefulSet" }}\n- name: KAFKA_GROUP_INSTANCE_ID', '{{- if eq .Values.kind "None" }}\n- name: KAFKA_GROUP_INSTANCE_ID'),
    Mutation("changed settings are not read", "templates/_pod.tpl", "checksum/settings: {{ include \"service.plain\" . | sha256sum }}", "checksum/settings: unknown"),
    Mutation("the entry point is replaced", "templates/_pod.tpl", "args: [run]", "command: [python]\n      args: [run]"),
    Mutation("requests are not asked for", "values.yaml", "    cpu: 250m\n    memory: 256Mi", "    cpu: 250m"),
    Mutation("a manifest that is no YAML", "templates/service.yaml", "  ports:\n", "  ports: [\n"),
)  # fmt: skip
"""Every mistake."""
