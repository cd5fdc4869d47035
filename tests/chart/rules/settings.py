"""Rules for the service's environment."""

import re
from collections.abc import Iterator

from cqrs.config.sources import environment_names
from service.settings import OrderSettings
from tests.chart.environment import pod_environment
from tests.chart.rendering import Rendered, containers_of
from tests.chart.rules.objects import DOWNWARD, config_name, pods, settings_problems
from tests.chart.values_schema import GIVEN_BEGINNINGS, GIVEN_BY_VALUES

OPENTELEMETRY = re.compile(r"OTEL_(EXPORTER_OTLP|TRACES_SAMPLER|RESOURCE_ATTRIBUTES|BSP)")


def names_are_settings(rendered: Rendered) -> Iterator[str]:
    """Every variable is a setting of the service, or one of OpenTelemetry's; and it is one that the service accepts."""
    known = set(environment_names(OrderSettings)) | DOWNWARD
    own = {each["name"] for each in rendered.values["extraEnv"]}
    for name, pod in pods(rendered):
        for container in containers_of(pod):
            if not container["image"].startswith(rendered.values["image"]["repository"]):
                continue
            environment = pod_environment(rendered, pod, container["name"])
            for variable in environment.keys() - known - own:
                if not OPENTELEMETRY.match(variable):
                    yield f"{name} sets {variable}, which is no setting"
            yield from settings_problems(name, environment)


def config_is_not_overruled(rendered: Rendered) -> Iterator[str]:
    """What `config` says reaches the service unchanged, and what the chart sets cannot be set there."""
    data = rendered.one("ConfigMap", config_name(rendered))["data"]
    for name, value in rendered.values["config"].items():
        said = str(value).lower() if isinstance(value, bool) else str(value)
        if data.get(name) != said:
            yield f"config says {name}={said}, and the service is told {data.get(name)}"
    for name in data.keys() - rendered.values["config"].keys():
        given = name in GIVEN_BY_VALUES or name.startswith((*GIVEN_BEGINNINGS, "OTEL_"))
        if not given and name not in ("LOG_FORMAT", "KAFKA_SESSION_TIMEOUT_MS"):
            yield f"the chart sets {name}, and config may set it too: add it to GIVEN_BY_VALUES"
