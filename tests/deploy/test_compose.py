"""compose.yaml holds together: what starts after what, with which settings, and what of it is open or writable."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cqrs.config.sources import environment_names
from cqrs.testing.jaeger_server import VERSION as JAEGER_VERSION
from cqrs.testing.kafka_server import POM
from service.settings import OrderSettings
from tests.deploy.compose import (
    COMPLETED,
    COMPOSE,
    HEALTHY,
    Service,
    addresses_in,
    environment_of,
    in_order,
    on_this_machine,
    ours,
    seconds,
    services,
    variables,
)
from tests.deploy.dockerfile import ROOT, read_dockerfile

ALL = services()
OURS = ours(ALL)
ONCE = {name for name, each in OURS.items() if each.get("restart") == "no"}
FOREIGN = {name: each for name, each in ALL.items() if name not in OURS}
EXAMPLE = ROOT / ".env.example"
OPENTELEMETRY = {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_BSP_SCHEDULE_DELAY"}
LISTENS = {
    "kafka": {19092, 9092, 9093},
    "registry": {8081},
    "postgres": {5432},
    "jaeger": {4317, 4318, 13133, 16685, 16686},
    "service": {8081},
    "prometheus": {9090},
    "grafana": {3000},
    "kafka-ui": {8080},
}
"""The ports that each answers on inside the network."""

each_service = pytest.mark.parametrize("name", ALL)
each_of_ours = pytest.mark.parametrize("name", OURS)


def mounts(service: Service) -> Iterator[tuple[str, str]]:
    """Yield what is mounted from the checkout, and where."""
    for volume in service.get("volumes", []):
        source, target, *_ = volume.split(":")
        if source.startswith("."):
            yield source, target


def example() -> dict[str, str]:
    return dict(re.findall(r"^#(\w+)=(.*)$", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE))


@each_service
def test_every_image_has_a_full_version(name: str) -> None:
    image = ALL[name]["image"]

    assert re.search(r":v?\d+\.\d+(\.\d+)?(-\w+)?(@sha256:[0-9a-f]{64})?$", image) or name in OURS, image


@each_service
def test_nobody_writes_anywhere_or_gains_anything(name: str) -> None:
    service = ALL[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc"} & set(service)
    # Compose copies these into the container, which it refuses to do where nothing can be written.
    assert not service.get("configs")
    assert not service.get("secrets")


@each_service
def test_every_port_is_open_to_this_machine_alone_and_can_be_moved(name: str) -> None:
    moved = services(dict.fromkeys(variables(COMPOSE.read_text("utf-8")), "12345"))

    for port, elsewhere in zip(ALL[name].get("ports", []), moved[name].get("ports", []), strict=True):
        host, published, inside = port.split(":")
        assert host == "127.0.0.1"
        assert published.isdigit()
        assert int(inside) in LISTENS[name]
        assert elsewhere == f"127.0.0.1:12345:{inside}"


def test_no_two_ports_are_one() -> None:
    ports = [port.split(":")[1] for each in ALL.values() for port in each.get("ports", [])]

    assert len(ports) == len(set(ports))


@each_service
def test_what_goes_on_is_asked_for_its_health_and_what_ends_is_waited_for(name: str) -> None:
    service = ALL[name]
    waited_for = {each["depends_on"][name]["condition"] for each in ALL.values() if name in each.get("depends_on", {})}

    if name in ONCE:
        assert service["healthcheck"] == {"disable": True}
        # `up --wait` takes an ended container for a failure unless somebody waits for its end.
        assert waited_for == {COMPLETED}
    else:
        assert {"test", "interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])
        assert waited_for <= {HEALTHY}
        assert service["restart"] == "unless-stopped"


def test_the_service_starts_behind_its_topics_its_tables_and_its_schemas() -> None:
    order = in_order(ALL)

    assert {"topics", "migrations", "schemas"} == ONCE
    for before, after in [
        ("kafka", "topics"),
        ("postgres", "migrations"),
        ("registry", "schemas"),
        ("kafka", "registry"),
    ]:
        assert before in ALL[after]["depends_on"]
        assert order.index(before) < order.index(after)
    assert set(ALL["service"]["depends_on"]) >= ONCE


@each_of_ours
def test_what_ours_are_told_are_settings_with_values_that_are_right(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = environment_of(OURS[name])
    assert set(told) <= {*environment_names(OrderSettings), *OPENTELEMETRY}

    monkeypatch.chdir(tmp_path)
    for variable, value in {**read_dockerfile()[1][-1].pairs("ENV"), **told}.items():
        if variable in environment_names(OrderSettings):
            monkeypatch.setenv(variable, value.replace("${VERSION}", "1.0.0"))
    settings = OrderSettings()

    assert settings.topics == OrderSettings.model_fields["topics"].default
    assert settings.all_command_topics == OrderSettings.model_fields["command_topics"].default


@each_of_ours
def test_what_ours_run_is_a_command_of_the_service(name: str) -> None:
    command = [sys.executable, "-m", "service", *OURS[name]["command"], "--help"]

    done = subprocess.run(command, cwd=ROOT, env=on_this_machine(), capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert f"service {' '.join(OURS[name]['command'])}" in done.stdout


@each_service
def test_every_address_inside_is_one_that_somebody_answers_on_and_is_waited_for(name: str) -> None:
    for variable, value in environment_of(ALL[name]).items():
        for host, port in addresses_in(value):
            if host in ALL and host != name:
                assert port in LISTENS[host], f"{variable}={value}"
                assert host in reached_before(name), f"{variable} names {host}, and nothing waits for it"


def reached_before(name: str) -> set[str]:
    found = set(ALL[name].get("depends_on", {}))
    return found.union(*(reached_before(each) for each in found))


def test_a_stop_leaves_more_time_than_the_service_takes() -> None:
    service = ALL["service"]

    assert seconds(service["stop_grace_period"]) > float(environment_of(service)["SHUTDOWN_TIMEOUT_SECONDS"])


def test_the_image_is_built_once_by_the_service_and_nobody_asks_a_registry_for_it() -> None:
    assert [name for name, each in OURS.items() if "build" in each] == ["service"]
    assert {each["pull_policy"] for each in OURS.values()} == {"build", "never"}
    assert set(ALL["service"]["build"]["args"]) <= {*read_dockerfile()[0], *read_dockerfile()[1][-1].pairs("ARG")}
    assert ALL["service"]["build"]["args"]["PYTHON_IMAGE"] == read_dockerfile()[0]["PYTHON_IMAGE"]


def test_the_brokers_make_no_topic_by_themselves() -> None:
    assert environment_of(ALL["kafka"])["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_kafka_and_jaeger_are_those_of_the_tests() -> None:
    version = re.search(r"<artifactId>kafka_2\.13</artifactId>\s*<version>([^<]+)<", POM.read_text("utf-8"))
    assert version is not None

    assert ALL["kafka"]["image"] == f"apache/kafka:{version[1]}"
    assert ALL["jaeger"]["image"] == f"jaegertracing/jaeger:{JAEGER_VERSION}"


def test_what_is_watched_is_what_the_image_is_made_of() -> None:
    copies = [each.text.split() for each in read_dockerfile()[1][0].instructions if each.name == "COPY"]
    copied = {source for words in copies for source in words[:-1]}
    watched = ALL["service"]["develop"]["watch"]

    assert {each["path"] for each in watched} == {*copied, "Dockerfile"}
    # Nothing can be copied into a container whose files cannot be written.
    assert {each["action"] for each in watched} == {"rebuild"}


def test_the_profiles_are_a_page_for_kafka_and_metrics() -> None:
    profiles = {name: each["profiles"] for name, each in ALL.items() if "profiles" in each}

    assert profiles == {"kafka-ui": ["ui"], "prometheus": ["obs"], "grafana": ["obs"]}


def test_everything_that_can_be_changed_is_in_the_example_with_its_default() -> None:
    asked = variables(COMPOSE.read_text("utf-8"))

    assert {name: value for name, value in example().items() if name != "COMPOSE_PROFILES"} == asked


def test_a_service_without_docker_lives_with_the_same_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("".join(f"{name}={value}\n" for name, value in example().items()))

    assert OrderSettings().log_level == "INFO"


def test_what_is_mounted_from_the_checkout_is_there() -> None:
    for service in ALL.values():
        for source, _ in mounts(service):
            assert (ROOT / source).exists(), source
