"""Rules for the workload: what selects, names, stops, starts and labels it."""

import re
from collections.abc import Iterator, Mapping

from cqrs.cli.run import LEAVING_SECONDS
from cqrs.runtime import TELEMETRY_SHUTDOWN_SECONDS
from tests.chart import restricted
from tests.chart.environment import pod_environment
from tests.chart.rendering import NAMESPACE, Manifest, Rendered, containers_of
from tests.chart.rules.objects import named, pods


def selectors_select(rendered: Rendered) -> Iterator[str]:
    """Every selector finds the pods that it is about, and no others."""
    labels_of = {name: pod["metadata"]["labels"] for name, pod in pods(rendered)}
    for manifest in rendered.manifests:
        selector = _selector(manifest)
        if selector is None:
            continue
        component = manifest["metadata"]["labels"]["app.kubernetes.io/component"]
        for name, labels in labels_of.items():
            selected = selector.items() <= labels.items()
            if selected != (labels["app.kubernetes.io/component"] == component):
                yield f"{named(manifest)} {'selects' if selected else 'does not select'} the pods of {name}"


def _selector(manifest: Manifest) -> Mapping[str, str] | None:
    spec = manifest.get("spec", {})
    found: Mapping[str, str] | None = None
    if manifest["kind"] == "Service":
        found = spec["selector"]
    elif manifest["kind"] == "NetworkPolicy":
        found = spec["podSelector"]["matchLabels"]
    elif manifest["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget", "PodMonitor"):
        found = spec["selector"]["matchLabels"]
    return found


def ports_are_open(rendered: Rendered) -> Iterator[str]:
    """Whoever speaks of the management port means the port on which the service listens."""
    service = containers_of(rendered.workload["spec"]["template"])
    ports = {each["name"]: each["containerPort"] for pod in service for each in pod.get("ports", ())}
    environment = pod_environment(rendered, rendered.workload["spec"]["template"], "service")
    if str(ports.get("management")) != environment.get("MANAGEMENT_PORT"):
        yield f"the container opens {ports}, and the service listens on {environment.get('MANAGEMENT_PORT')}"
    if environment.get("MANAGEMENT_HOST") != "0.0.0.0":  # noqa: S104 - what the pod must listen on
        yield "the management port is not served to others than the pod itself"
    spoken = [
        (named(service), each["targetPort"]) for service in rendered.of("Service") for each in service["spec"]["ports"]
    ]
    spoken += [
        ("PodMonitor", each["port"]) for one in rendered.of("PodMonitor") for each in one["spec"]["podMetricsEndpoints"]
    ]
    probes = next(each for each in service if each["name"] == "service")
    spoken += [(name, probes[name]["httpGet"]["port"]) for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    for what, port in spoken:
        if port != "management":
            yield f"{what} names the port {port}"
    yield from _asked_ports(rendered)


def _asked_ports(rendered: Rendered) -> Iterator[str]:
    for pod in rendered.of("Pod"):
        environment = pod_environment(rendered, pod, "health")
        asked = environment["MANAGEMENT_HOST"], environment["MANAGEMENT_PORT"]
        known = {(each["metadata"]["name"], str(each["spec"]["ports"][0]["port"])) for each in rendered.of("Service")}
        if asked not in known:
            yield f"{named(pod)} asks {asked}, and there are {sorted(known)}"


def grace_is_longer_than_the_drain(rendered: Rendered) -> Iterator[str]:
    """The pod is killed only after the drain, the last spans and the closing of the clients."""
    pod = rendered.workload["spec"]["template"]
    budget = float(pod_environment(rendered, pod, "service").get("SHUTDOWN_TIMEOUT_SECONDS", 0))
    needed = budget + TELEMETRY_SHUTDOWN_SECONDS + 2 * LEAVING_SECONDS
    if pod["spec"]["terminationGracePeriodSeconds"] < needed + 5:
        yield f"{pod['spec']['terminationGracePeriodSeconds']} s of grace, and stopping may take {needed:g} s"
    if any("lifecycle" in each for each in containers_of(pod)):
        yield "a preStop hook delays the stop for nothing: nobody sends requests"


def settings_change_restarts(rendered: Rendered) -> Iterator[str]:
    """A changed ConfigMap changes the pod, so that it is read."""
    annotations = rendered.workload["spec"]["template"]["metadata"]["annotations"]
    if not re.fullmatch(r"[0-9a-f]{64}", annotations.get("checksum/settings", "")):
        yield "the pod has no checksum of its settings"


def rollout_keeps_capacity(rendered: Rendered) -> Iterator[str]:
    """A rollout adds before it takes away, unless a volume holds the one pod; pods are spread and not all drained."""
    spec, values = rendered.workload["spec"], rendered.values
    keeps_files = not (values["database"]["existingSecret"] and values["schemaRegistry"]["url"])
    if rendered.workload["kind"] == "Deployment":
        wanted = {"type": "Recreate"} if keeps_files else {
            "type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        }  # fmt: skip
        if spec["strategy"] != wanted:
            yield f"the strategy is {spec['strategy']}"
    plural = spec.get("replicas", 2) > 1
    if len(rendered.of("PodDisruptionBudget")) != plural:
        yield f"{'no' if plural else 'a'} PodDisruptionBudget for {spec.get('replicas', 'several')} pods"
    if values["topologySpreadConstraints"] is None and len(spec["template"]["spec"]["topologySpreadConstraints"]) != 2:
        yield "the pods are not spread over nodes and zones"
    if keeps_files and spec.get("replicas") != 1:
        yield "several pods, and files that only one of them sees"


def labels_are_complete(rendered: Rendered) -> Iterator[str]:
    """Every object has the recommended labels, its namespace and the team's own; a team's never replace the chart's."""
    for each in rendered.manifests:
        labels = each["metadata"].get("labels")
        if labels is None and each["metadata"]["name"] in ("orders-more", "as-text"):
            continue  # a team's own manifest
        if labels is None or labels.get("app.kubernetes.io/instance") != "orders":
            yield f"{named(each)} has the labels {labels}"
            continue
        name = rendered.values["nameOverride"] or "orders"
        if labels["app.kubernetes.io/name"] != name:
            yield f"{named(each)} is called {labels['app.kubernetes.io/name']}"
        own = {key: value for key, value in rendered.values["commonLabels"].items() if not key.startswith("app.")}
        if not own.items() <= labels.items():
            yield f"{named(each)} lacks {own}"
        elsewhere = rendered.values["strimzi"]["namespace"] if each["kind"].startswith("Kafka") else ""
        if each["metadata"].get("namespace") != (elsewhere or NAMESPACE):
            yield f"{named(each)} is in the namespace {each['metadata'].get('namespace')}"


def image_is_the_one_given(rendered: Rendered) -> Iterator[str]:
    """Every pod runs the same image; a digest wins over a tag."""
    image = rendered.values["image"]
    wanted = (
        f"{image['repository']}@{image['digest']}"
        if image["digest"]
        else f"{image['repository']}:{image['tag'] or '0.1.0'}"
    )
    for name, pod in pods(rendered):
        for container in containers_of(pod):
            if container["name"] in restricted.TEAMS_OWN:
                continue  # a team's own
            if container["image"] != wanted:
                yield f"{name} runs {container['image']}, not {wanted}"
            if "command" in container:
                yield f"{name} replaces the image's entry point"


def members_are_static_in_a_set(rendered: Rendered) -> Iterator[str]:
    """A StatefulSet's pods are members by their names, and away for longer than a restart takes."""
    pod = rendered.workload["spec"]["template"]
    environment = pod_environment(rendered, pod, "service")
    is_set = rendered.workload["kind"] == "StatefulSet"
    if (environment.get("KAFKA_GROUP_INSTANCE_ID") == "$(POD_NAME)") != is_set:
        yield f"a {rendered.workload['kind']} has KAFKA_GROUP_INSTANCE_ID={environment.get('KAFKA_GROUP_INSTANCE_ID')}"
    if is_set:
        grace = pod["spec"]["terminationGracePeriodSeconds"] * 1000
        if int(environment["KAFKA_SESSION_TIMEOUT_MS"]) <= grace:
            yield "the group gives a restarting pod's partitions away"
        service = rendered.one("Service", rendered.workload["spec"]["serviceName"])
        if service["spec"].get("clusterIP") != "None":
            yield "the pods of the set have no names of their own"


def variables_come_before_their_use(rendered: Rendered) -> Iterator[str]:
    """`$(NAME)` is filled in only where NAME stands above it."""
    for name, pod in pods(rendered):
        for container in containers_of(pod):
            above: set[str] = set()
            for variable in container.get("env", ()):
                for used in re.findall(r"\$\((\w+)\)", variable.get("value", "")):
                    if used not in above:
                        yield f"{name} uses {used} in {variable['name']} before it is known"
                above.add(variable["name"])
    attributes = pod_environment(rendered, rendered.workload["spec"]["template"], "service")["OTEL_RESOURCE_ATTRIBUTES"]
    wanted = (
        "k8s.namespace.name",
        "k8s.pod.name",
        "k8s.pod.uid",
        "k8s.node.name",
        "service.instance.id",
        "service.version",
    )
    for attribute in wanted:
        if f"{attribute}=" not in attributes:
            yield f"spans do not say {attribute}"
