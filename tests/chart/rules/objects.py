"""What the rules look at."""

from collections.abc import Callable, Iterator, Mapping

from service.settings import OrderSettings
from tests.chart.environment import settings_of
from tests.chart.rendering import Manifest, Rendered, pod_of

Rule = Callable[[Rendered], Iterator[str]]

DOWNWARD = frozenset({"POD_NAME", "POD_UID", "POD_NAMESPACE", "NODE_NAME"})


def pods(rendered: Rendered) -> Iterator[tuple[str, Manifest]]:
    for manifest in rendered.manifests:
        pod = pod_of(manifest)
        if pod is not None:
            yield named(manifest), pod


def named(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def hook(manifest: Manifest) -> str:
    found: str = manifest["metadata"].get("annotations", {}).get("helm.sh/hook", "")
    return found


def config_name(rendered: Rendered) -> str:
    service = next(
        each for each in rendered.workload["spec"]["template"]["spec"]["containers"] if each["name"] == "service"
    )
    name: str = service["envFrom"][0]["configMapRef"]["name"]
    return name


def partitions(rendered: Rendered) -> int:
    sums: dict[str, int] = {}
    for topic in rendered.values["topics"]["commands"]:
        group = topic.get("group", rendered.values["kafka"]["groupId"])
        sums[group] = sums.get(group, 0) + topic["partitions"]
    return max(sums.values())


def retry_topics(settings: OrderSettings, topic: str) -> list[str]:
    return [f"{topic}-retry-{delay}" for delay in settings.retry_topics.get(topic, ())]


def settings_problems(name: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Say what the service would refuse of its variables at start."""
    try:
        settings_of(environment)
    except Exception as error:
        yield f"{name} would not start: {error}"
