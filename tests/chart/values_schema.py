"""Write values.schema.json: types from the defaults, names from the settings, and here what neither says."""

import json
from collections.abc import Mapping
from typing import TypeAlias

import yaml

from cqrs.config.listing import Setting, describe_settings
from service.settings import OrderSettings
from tests.chart.documented_values import CHART, documented_values

SCHEMA = CHART / "values.schema.json"

Schema: TypeAlias = Mapping[str, object]

GIVEN_BY_VALUES = frozenset(
    {
        "KAFKA_BOOTSTRAP_SERVERS", "KAFKA_SECURITY_PROTOCOL", "KAFKA_GROUP_ID", "KAFKA_GROUP_INSTANCE_ID",
        "COMMAND_TOPICS", "COMMAND_GROUPS", "TOPICS", "RETRY_TOPICS", "DEAD_LETTER_SUFFIX",
        "DEAD_LETTER_RETENTION_HOURS", "TOPIC_REPLICATION", "TOPIC_MIN_INSYNC_REPLICAS", "TOPIC_RETENTION_HOURS",
        "SERVICE_NAME", "STATE_PATH", "MANAGEMENT_HOST", "MANAGEMENT_PORT", "SHUTDOWN_TIMEOUT_SECONDS",
        "DATABASE_URL", "CACHE_URL",
    }
)  # fmt: skip
"""Settings that other values of the chart set, so that `config` refuses them; and so do these beginnings:"""

GIVEN_BEGINNINGS = ("KAFKA_SASL_", "KAFKA_SSL_", "SCHEMA_REGISTRY_")

_TELEMETRY = (
    "^OTEL_(BSP_|SPAN_|ATTRIBUTE_|EXPORTER_OTLP_(TRACES_|TIMEOUT$|COMPRESSION$|CERTIFICATE$|CLIENT_|INSECURE$)"
    "|TRACES_EXPORTER$|PROPAGATORS$|SDK_DISABLED$)"
)
"""The standard variables that no value of the chart sets. Helm's regular expressions know no look-ahead."""

_NAME = {"type": "string", "pattern": r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$", "maxLength": 253}
_PEERS = {"type": "array", "items": {"type": "object"}}
_PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
_COUNT = {"type": "integer", "minimum": 0}
_POSITIVE = {"type": "integer", "minimum": 1}
_URL = {"type": "string", "pattern": r"^(https?://[^\s/]+(/\S*)?)?$"}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_OBJECTS = {"type": "array", "items": {"type": "object"}}
_NAMED = {"type": "array", "items": {"type": "object", "required": ["name"]}}
_DURATION = {"type": "string", "pattern": r"^([0-9]+(ms|s|m|h))+$"}


def _or_null(schema: Mapping[str, object]) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _topic(**more: object) -> Schema:
    name = {"type": "string", "pattern": r"^[a-zA-Z0-9._-]{1,249}$"}
    return {
        "type": "array",
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name", "partitions"],
            "properties": {
                "name": name,
                "partitions": _POSITIVE,
                "retentionHours": {"type": "number", "exclusiveMinimum": 0},
                **more,
            },
        },
    }


CONSTRAINTS: Mapping[str, Schema] = {
    "image.repository": {"type": "string", "pattern": r"^[a-z0-9]([\w./:-]*[\w])?$"},
    "image.tag": {"type": "string", "pattern": r"^(\w[\w.-]{0,127})?$"},
    "image.digest": {"type": "string", "pattern": r"^(sha256:[0-9a-f]{64})?$"},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "imagePullSecrets": _NAMED,
    "serviceName": {"type": "string", "minLength": 1},
    "commonLabels": _TEXTS,
    "commonAnnotations": _TEXTS,
    "kind": {"enum": ["Deployment", "StatefulSet"]},
    "replicaCount": _or_null(_COUNT),
    "staticMembership.sessionTimeoutMs": _POSITIVE,
    "shutdown.drainSeconds": {"type": "number", "exclusiveMinimum": 0},
    "shutdown.marginSeconds": {"type": "integer", "minimum": 10},
    "extraEnv": _NAMED,
    "extraEnvFrom": _OBJECTS,
    "resources": {"type": "object"},
    "podSecurityContext": {"type": "object"},
    "securityContext": {"type": "object"},
    "probes.startup": {"type": "object"},
    "probes.liveness": {"type": "object"},
    "probes.readiness": {"type": "object"},
    "managementPort": {"type": "integer", "minimum": 1024, "maximum": 65535},
    "podLabels": _TEXTS,
    "podAnnotations": _TEXTS,
    "initContainers": _NAMED,
    "sidecars": _NAMED,
    "extraVolumes": _NAMED,
    "extraVolumeMounts": _NAMED,
    "tmpSizeMegabytes": _POSITIVE,
    "nodeSelector": _TEXTS,
    "tolerations": _OBJECTS,
    "affinity": {"type": "object"},
    "topologySpreadConstraints": {"type": ["array", "null"], "items": {"type": "object"}},
    "podDisruptionBudget.maxUnavailable": {"type": ["integer", "string"], "pattern": r"^[0-9]+%$", "minimum": 0},
    "serviceAccount.annotations": _TEXTS,
    "kafka.bootstrapServers": {"type": "string", "pattern": r"^[^\s,]+:[0-9]{1,5}(,[^\s,]+:[0-9]{1,5})*$"},
    "kafka.groupId": {"type": "string", "minLength": 1},
    "kafka.securityProtocol": {"enum": ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]},
    "kafka.sasl.mechanism": {"enum": ["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]},
    "kafka.sasl.oauthTokenUrl": _URL,
    "topics.commands": {
        **_topic(
            group={"type": "string", "minLength": 1},
            retryMs={"type": "array", "items": _POSITIVE, "uniqueItems": True, "minItems": 1},
        ),
        "minItems": 1,
    },
    "topics.events": _topic(),
    "topics.deadLetterSuffix": {"type": "string", "pattern": r"^[a-zA-Z0-9._-]+$"},
    "topics.deadLetterRetentionHours": {"type": "number", "exclusiveMinimum": 0},
    "topics.replication": _or_null(_POSITIVE),
    "topics.minInsyncReplicas": _or_null(_POSITIVE),
    "topics.managedBy": {"enum": ["job", "strimzi", "none"]},
    "strimzi.apiVersion": {"enum": ["", "kafka.strimzi.io/v1", "kafka.strimzi.io/v1beta2"]},
    "strimzi.user.quotas": {"type": "object"},
    "persistence.size": {"type": "string", "pattern": r"^[0-9.]+([EPTGMk]i?)?$"},
    "schemaRegistry.url": _URL,
    "schemaRegistry.auth": {"enum": ["none", "basic", "bearer"]},
    "jobs.backoffLimit": _COUNT,
    "jobs.activeDeadlineSeconds": _POSITIVE,
    "jobs.serviceAccountName": {"type": "string", "minLength": 1},
    "jobs.podAnnotations": _TEXTS,
    "jobs.resources": {"type": "object"},
    "autoscaling.mode": {"enum": ["none", "keda", "hpa", "external"]},
    "autoscaling.minReplicas": _COUNT,
    "autoscaling.maxReplicas": _or_null(_POSITIVE),
    "autoscaling.keda.lagThreshold": _POSITIVE,
    "autoscaling.keda.activationLagThreshold": _COUNT,
    "autoscaling.keda.pollingInterval": _POSITIVE,
    "autoscaling.keda.cooldownPeriod": _COUNT,
    "autoscaling.keda.fallbackAfterFailures": _POSITIVE,
    "autoscaling.keda.fallbackReplicas": _or_null(_COUNT),
    "autoscaling.hpa.targetCPUUtilizationPercentage": _POSITIVE,
    "autoscaling.behavior": {"type": "object"},
    "networkPolicy.monitoringFrom": _PEERS,
    "networkPolicy.extraIngress": _OBJECTS,
    "networkPolicy.extraEgress": _OBJECTS,
    "networkPolicy.kafka.ports": {"type": "array", "items": _PORT},
    "networkPolicy.database.port": _PORT,
    "networkPolicy.cache.port": _PORT,
    **{
        f"networkPolicy.{name}.to": _PEERS for name in ("kafka", "schemaRegistry", "otlp", "database", "cache", "oauth")
    },
    "telemetry.endpoint": _URL,
    "telemetry.protocol": {"enum": ["http/protobuf", "grpc"]},
    "telemetry.resourceAttributes": _TEXTS,
    "telemetry.jaegerUrl": _URL,
    "telemetry.sampler": {
        "enum": [
            "always_on",
            "always_off",
            "traceidratio",
            "parentbased_always_on",
            "parentbased_always_off",
            "parentbased_traceidratio",
        ]
    },
    "monitoring.podMonitor.interval": _DURATION,
    "monitoring.podMonitor.scrapeTimeout": _DURATION,
    "monitoring.podMonitor.labels": _TEXTS,
    "monitoring.podMonitor.relabelings": _OBJECTS,
    "monitoring.podMonitor.metricRelabelings": _OBJECTS,
    "monitoring.rules.labels": _TEXTS,
    "monitoring.rules.alertLabels": _TEXTS,
    "monitoring.rules.runbookUrl": _URL,
    "monitoring.rules.lagSeconds": _POSITIVE,
    "monitoring.rules.commitAgeSeconds": _POSITIVE,
    "monitoring.dashboard.labels": _TEXTS,
    "monitoring.dashboard.annotations": _TEXTS,
    "extraManifests": {"type": "array", "items": {"type": ["object", "string"]}},
}
"""What a value may be, where its default does not say enough."""

_RESOURCE_NAMES = (
    "existingSecret", "existingConfigMap", "existingClaim", "headersSecret", "migrateSecret",
    "fullnameOverride", "nameOverride",
    "storageClassName", "priorityClassName", "runtimeClassName", "cluster", "namespace",
)  # fmt: skip


def _at(path: str, schema: Schema) -> Schema:
    """Wrap `schema` in the objects that lead to it, and ask for each of them."""
    for key in reversed(path.split(".")):
        schema = {"properties": {key: schema}, "required": [key]}
    return schema


_SET = {"minLength": 1}
CONDITIONS: tuple[Schema, ...] = (
    {
        "$comment": "a SASL protocol needs a mechanism, any other has no use for one",
        "if": _at("kafka.securityProtocol", {"pattern": "^SASL_"}),
        "then": _at("kafka.sasl.mechanism", _SET),
        "else": _at("kafka.sasl.mechanism", {"const": ""}),
    },
    {
        "$comment": "a password lies in a secret",
        "if": _at("kafka.sasl.mechanism", {"pattern": "^(PLAIN|SCRAM-.*)$"}),
        "then": _at("kafka.sasl.existingSecret", _SET),
    },
    {
        "$comment": "a token is projected, or asked for with a client secret",
        "if": _at("kafka.sasl.mechanism", {"const": "OAUTHBEARER"}),
        "then": {
            "oneOf": [
                {"allOf": [_at("kafka.sasl.tokenAudience", _SET), _at("kafka.sasl.oauthTokenUrl", {"const": ""})]},
                {
                    "allOf": [
                        _at("kafka.sasl.oauthTokenUrl", _SET),
                        _at("kafka.sasl.existingSecret", _SET),
                        _at("kafka.sasl.tokenAudience", {"const": ""}),
                    ]
                },
            ]
        },
    },
    {
        "$comment": "a client certificate needs TLS",
        "if": _at("kafka.tls.client.existingSecret", _SET),
        "then": _at("kafka.securityProtocol", {"pattern": "SSL$"}),
    },
    {
        "$comment": "who is asked for a password or a token needs a secret that holds it",
        "if": _at("schemaRegistry.auth", {"pattern": "^(basic|bearer)$"}),
        "then": {"allOf": [_at("schemaRegistry.existingSecret", _SET), _at("schemaRegistry.url", _SET)]},
    },
    {
        "$comment": "Strimzi's operators act for one cluster",
        "if": _at("topics.managedBy", {"const": "strimzi"}),
        "then": _at("strimzi.cluster", _SET),
    },
)
"""What values ask of each other."""


def values_schema() -> Schema:
    """Return the schema: closed wherever the chart names what may stand there."""
    defaults = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    helps = {each.name: each.help for each in documented_values()}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart",
        **_object(defaults, "", helps, {"global": {"type": "object", "description": "Values of a parent chart"}}),
        "allOf": list(CONDITIONS),
    }


def render() -> str:
    """Return the schema as the file holds it."""
    return json.dumps(values_schema(), indent=2) + "\n"


def _object(
    values: Mapping[str, object], path: str, helps: Mapping[str, str], more: dict[str, Schema] | None = None
) -> Schema:
    properties = {key: _schema(value, f"{path}{key}", helps) for key, value in values.items()}
    return {"type": "object", "additionalProperties": False, "properties": properties | (more or {})}


def _schema(default: object, name: str, helps: Mapping[str, str]) -> Schema:
    described = {"description": helps[name]} if name in helps else {}
    if name == "config":
        return {**_settings(), **described}
    if name in CONSTRAINTS:
        return {**CONSTRAINTS[name], **described}
    if isinstance(default, dict):
        return {**_object(default, f"{name}.", helps), **described}
    return {**_plain(default, name), **described}


def _plain(default: object, name: str) -> Schema:
    if isinstance(default, bool):
        return {"type": "boolean"}
    if not isinstance(default, str):
        raise TypeError(f"{name} is {default!r} by default, which does not say what it may be: add it to CONSTRAINTS")
    return dict(_NAME) if name.rpartition(".")[2] in _RESOURCE_NAMES else {"type": "string"}


def _settings() -> Schema:
    settings = describe_settings(OrderSettings.model_construct())
    own = [each for each in settings if each.type != "secret" and not _is_given(each.environment)]
    return {
        "type": "object",
        "additionalProperties": False,
        "patternProperties": {_TELEMETRY: {"type": ["string", "number", "boolean"]}},
        "properties": {each.environment: _setting(each) for each in own},
    }


def _is_given(name: str) -> bool:
    return name in GIVEN_BY_VALUES or name.startswith(GIVEN_BEGINNINGS)


def _setting(setting: Setting) -> Schema:
    types: Schema = {
        "int": {"type": "integer"},
        "float": {"type": "number"},
        "bool": {"type": "boolean"},
    }.get(setting.type, {"type": "string"})
    choices = setting.type.split(" | ")
    known: Schema = {"enum": choices} if len(choices) > 1 and setting.type != "int | str" else types
    return {**known, "description": setting.help}
