"""Rules for whoever sets the number of pods."""

from collections.abc import Iterator, Mapping

from tests.chart.environment import pod_environment, secrets_read, settings_of
from tests.chart.rendering import Manifest, Rendered
from tests.chart.rules.objects import named, partitions, retry_topics

KEDA_KAFKA_TRIGGER = frozenset(
    {
        "bootstrapServers", "consumerGroup", "topic", "partitionLimitation", "lagThreshold", "activationLagThreshold",
        "offsetResetPolicy", "allowIdleConsumers", "excludePersistentLag", "scaleToZeroOnInvalidOffset",
        "limitToPartitionsWithLag", "ensureEvenDistributionOfPartitions", "fullMetadata", "version", "tls", "unsafeSsl",
        "sasl", "saslTokenProvider", "awsRegion",
    }
)  # fmt: skip
"""What KEDA 2.21 reads of a kafka trigger's metadata; anything else it ignores in silence."""

KEDA_KAFKA_PARAMETERS = frozenset(
    {
        "tls", "ca", "cert", "key", "keyPassword", "sasl", "username", "password", "saslTokenProvider", "scopes",
        "oauthTokenEndpointUri", "oauthExtensions",
    }
)  # fmt: skip
"""What it reads of a TriggerAuthentication."""

READS_FROM = "earliest"
"""Where the service begins to read a partition for which nothing was committed: see `cqrs.kafka.consumer`."""


def replicas_have_one_owner(rendered: Rendered) -> Iterator[str]:
    """Where something else scales the chart says no number, and at most one thing scales."""
    scalers = [*rendered.of("ScaledObject"), *rendered.of("HorizontalPodAutoscaler")]
    has_replicas = "replicas" in rendered.workload["spec"]
    mode = rendered.values["autoscaling"]["mode"]
    if has_replicas != (mode == "none"):
        yield f"autoscaling.mode is {mode}, and the workload {'has' if has_replicas else 'has no'} replicas"
    if len(scalers) != (mode in ("keda", "hpa")):
        yield f"autoscaling.mode is {mode}, and {len(scalers)} objects scale"
    for scaler in scalers:
        target = scaler["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) != (rendered.workload["kind"], rendered.workload["metadata"]["name"]):
            yield f"{named(scaler)} scales {target}"
        most = scaler["spec"].get("maxReplicaCount", scaler["spec"].get("maxReplicas"))
        if most > partitions(rendered):
            yield f"{named(scaler)} makes {most} pods for {partitions(rendered)} partitions"


def lag_is_that_of_the_service(rendered: Rendered) -> Iterator[str]:
    """KEDA looks at every topic and group that the service reads, as the service reads it."""
    environment = pod_environment(rendered, rendered.workload["spec"]["template"], "service")
    settings = settings_of(environment)
    wanted = {(group, topic) for group, topics in settings.groups.items() for topic in topics}
    wanted |= {(group, name) for group, topic in wanted for name in retry_topics(settings, topic)}
    for scaled in rendered.of("ScaledObject"):
        found = set()
        for trigger in scaled["spec"]["triggers"]:
            metadata = trigger["metadata"]
            found.add((metadata["consumerGroup"], metadata["topic"]))
            yield from _trigger(metadata, environment)
            yield from _authentication(rendered, trigger, environment)
        if found != wanted:
            yield f"KEDA looks at {sorted(found)}, the service reads {sorted(wanted)}"


def _trigger(metadata: Manifest, environment: Mapping[str, str]) -> Iterator[str]:
    if unknown := metadata.keys() - KEDA_KAFKA_TRIGGER:
        yield f"KEDA does not know {sorted(unknown)}"
    if any(not isinstance(value, str) for value in metadata.values()):
        yield "KEDA takes texts alone in a trigger's metadata"
    if metadata.get("offsetResetPolicy") != READS_FROM:
        yield f"KEDA counts from {metadata.get('offsetResetPolicy')}, the service reads from {READS_FROM}"
    if metadata["bootstrapServers"] != environment["KAFKA_BOOTSTRAP_SERVERS"]:
        yield "KEDA asks other brokers"
    if metadata.get("allowIdleConsumers") != "false":
        yield "KEDA makes pods that no partition is left for"


def _authentication(rendered: Rendered, trigger: Manifest, environment: Mapping[str, str]) -> Iterator[str]:
    """KEDA proves who it is with the same secrets as the service."""
    secured = environment["KAFKA_SECURITY_PROTOCOL"] != "PLAINTEXT"
    if secured != ("authenticationRef" in trigger):
        yield f"the brokers {'are' if secured else 'are not'} secured, and KEDA was told otherwise"
    if not secured:
        return
    spec = rendered.one("TriggerAuthentication", trigger["authenticationRef"]["name"])["spec"]
    given = [*spec.get("secretTargetRef", ()), *spec.get("configMapTargetRef", ())]
    if unknown := {each["parameter"] for each in given} - KEDA_KAFKA_PARAMETERS:
        yield f"KEDA does not know {sorted(unknown)}"
    known = secrets_read(rendered.workload["spec"]["template"])
    for each in spec.get("secretTargetRef", ()):
        if (each["name"], each["key"]) not in known:
            yield f"KEDA reads {each['key']} of {each['name']}, which the service does not"
    yield from _missing_parameters({each["parameter"] for each in given}, environment)
    maps = {each["metadata"]["name"]: each.get("data") or {} for each in rendered.of("ConfigMap")}
    for each in spec.get("configMapTargetRef", ()):
        if each["name"] in maps and each["key"] not in maps[each["name"]]:
            yield f"KEDA reads {each['key']} of {each['name']}, which is not there"


def _missing_parameters(given: set[str], environment: Mapping[str, str]) -> Iterator[str]:
    protocol, mechanism = environment["KAFKA_SECURITY_PROTOCOL"], environment.get("KAFKA_SASL_MECHANISM")
    needed = {"sasl"} if mechanism else set()
    needed |= {"username", "password"} if mechanism else set()
    needed |= {"oauthTokenEndpointUri"} if mechanism == "OAUTHBEARER" else set()
    needed |= {"tls"} if protocol.endswith("SSL") else set()
    needed |= {"ca"} if "KAFKA_SSL_CAFILE" in environment else set()
    needed |= {"cert", "key"} if "KAFKA_SSL_CERTFILE" in environment else set()
    needed |= {"keyPassword"} if "KAFKA_SSL_KEY_PASSWORD" in environment else set()
    if needed - given:
        yield f"KEDA is not told {sorted(needed - given)}"
