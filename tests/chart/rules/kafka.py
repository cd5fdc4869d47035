"""Rules for topics and rights on the brokers."""

from collections.abc import Iterator, Mapping
from typing import Any

from service.settings import OrderSettings
from tests.chart.environment import pod_environment, settings_of
from tests.chart.rendering import Rendered
from tests.chart.rules.objects import named, retry_topics


def topics_are_made_as_the_service_asks(rendered: Rendered) -> Iterator[str]:
    """Strimzi's topics are those that the service checks, with as many partitions; they outlive the release."""
    settings = settings_of(pod_environment(rendered, rendered.workload["spec"]["template"], "service"))
    made = {each["spec"]["topicName"]: each["spec"] for each in rendered.of("KafkaTopic")}
    if rendered.values["topics"]["managedBy"] == "strimzi":
        if {name: spec["partitions"] for name, spec in made.items()} != dict(settings.topics):
            yield f"Strimzi makes {made}, the service checks {settings.topics}"
    elif made:
        yield "there are KafkaTopics, and Strimzi is not asked for"
    for each in [*rendered.of("KafkaTopic"), *rendered.of("KafkaUser"), *rendered.of("PersistentVolumeClaim")]:
        if each["metadata"].get("annotations", {}).get("helm.sh/resource-policy") != "keep":
            yield f"{named(each)} goes with the release"
    for each in [*rendered.of("KafkaTopic"), *rendered.of("KafkaUser")]:
        if each["metadata"]["labels"].get("strimzi.io/cluster") != rendered.values["strimzi"]["cluster"]:
            yield f"{named(each)} belongs to no cluster"


def rights_are_exact(rendered: Rendered) -> Iterator[str]:
    """The user may do what docs/security.md lists, and nothing else."""
    settings = settings_of(pod_environment(rendered, rendered.workload["spec"]["template"], "service"))
    for user in rendered.of("KafkaUser"):
        acls = user["spec"]["authorization"]["acls"]
        found = {(each["resource"]["type"], each["resource"]["name"]): set(each["operations"]) for each in acls}
        wanted = wanted_rights(settings, rendered.values)
        for resource in sorted(wanted.keys() | found.keys()):
            if wanted.get(resource, set()) != found.get(resource, set()):
                yield f"{resource} may be used for {found.get(resource)}, not {wanted.get(resource)}"
        if any(each["resource"]["patternType"] != "literal" or each.get("type", "allow") != "allow" for each in acls):
            yield "a right is not for one thing by its name"


def wanted_rights(settings: OrderSettings, values: Mapping[str, Any]) -> dict[tuple[str, str], set[str]]:
    """Return what docs/security.md says that the service may do."""
    redrives, scales = values["strimzi"]["user"]["redrive"], values["autoscaling"]["mode"] == "keda"
    rights: dict[tuple[str, str], set[str]] = {}
    for topic in settings.all_command_topics:
        rights["topic", topic] = {"Describe", "Read"} | ({"Write"} if redrives else set())
        rights["topic", topic + settings.dead_letter_suffix] = {"Describe", "Write"} | ({"Read"} if redrives else set())
        for name in retry_topics(settings, topic):
            rights["topic", name] = {"Describe", "Read", "Write"}
    for event in values["topics"]["events"]:
        rights["topic", event["name"]] = {"Describe", "Write"} | (
            {"Read"} if values["cache"]["existingSecret"] else set()
        )
    for group in settings.groups:
        rights["group", group] = {"Read"} | ({"Describe"} if redrives or scales else set())
        if redrives:
            rights["group", f"{group}.redrive"] = {"Describe", "Read"}
    return rights
