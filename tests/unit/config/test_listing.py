from pathlib import Path

import pytest
from pydantic import SecretStr

from cqrs.config.listing import Setting, describe_settings, masked
from cqrs.config.settings import ServiceSettings
from cqrs.config.sources import environment_names


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Setting]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    settings = ServiceSettings(
        service_name="orders",
        topics={"a": 1, "b": 2},
        command_topics=("a", "b"),
        database_url=SecretStr("postgresql+asyncpg://u:hunter2@h/d"),
        schema_registry_url="http://u:hunter2@registry:8081",
    )
    return {line.name: line for line in describe_settings(settings)}


def test_every_setting_is_listed_with_a_type_an_environment_name_and_help(lines: dict[str, Setting]) -> None:
    assert [line.environment for line in lines.values()] == list(environment_names(ServiceSettings))
    assert all(line.help and line.type and not line.help.endswith(".") for line in lines.values())


def test_groups_are_opened(lines: dict[str, Setting]) -> None:
    assert lines["cqrs.authorization.custom.timeout_ms"] == Setting(
        name="cqrs.authorization.custom.timeout_ms",
        type="int",
        default="5000",
        environment="CQRS__AUTHORIZATION__CUSTOM__TIMEOUT_MS",
        help="Milliseconds a hook may take; a later answer is a denial",
        value="5000",
    )


def test_values_read_as_they_are_written_in_the_environment(lines: dict[str, Setting]) -> None:
    shown = {name: (line.type, line.default, line.value) for name, line in lines.items()}
    assert shown["topics"] == ("str=int,...", "", "a=1,b=2")
    assert shown["command_topics"] == ("str,...", "", "a,b")
    assert shown["cqrs.enabled"] == ("bool", "true", "true")
    assert shown["log_format"] == ("auto | json | console", "auto", "auto")
    assert shown["kafka_bootstrap_servers"] == ("str", "not set", "not set")
    assert shown["kafka_client_id"] == ("str", "orders", "orders")
    assert shown["schemas_path"] == ("Path", "schemas", "schemas")


def test_secrets_are_masked(lines: dict[str, Setting]) -> None:
    assert (lines["database_url"].type, lines["database_url"].value) == ("secret", "********")
    assert lines["schema_registry_url"].value == "http://u:********@registry:8081"
    assert "hunter2" not in repr(lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://host:8081/a@b", "http://host:8081/a@b"),
        ("http://u:p@h", "http://u:********@h"),
        ("a://u:p@h,b://v:q:r@i", "a://u:********@h,b://v:********@i"),
        ("http://:p@h", "http://:********@h"),
        ("plain", "plain"),
    ],
)
def test_passwords_in_urls_are_hidden(text: str, expected: str) -> None:
    assert masked(text) == expected
