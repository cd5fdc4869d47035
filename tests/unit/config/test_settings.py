import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import Field, SecretStr

from cqrs.config.settings import ServiceSettings
from cqrs.exceptions import ConfigurationException


class ShopSettings(ServiceSettings):
    kafka_group_id: str = Field(default="shop", description="The consumer group")
    command_topics: tuple[str, ...] = Field(default=("shop.commands",), description="Topics of commands")
    shop_limit: int = Field(default=3, description="A setting of the service's own")


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.upper().startswith((*ServiceSettings.environment_groups, "OTEL_", "TOPICS", "CONFIG_FILE", "LOG_")):
            monkeypatch.delenv(name)
    return tmp_path


def problems(kind: type[ServiceSettings] = ServiceSettings, **values: object) -> tuple[str, ...]:
    with pytest.raises(ConfigurationException) as refused:
        kind.model_validate(values) if values else kind()
    return refused.value.problems


def test_the_defaults_hold_without_any_source() -> None:
    settings = ServiceSettings()
    assert settings.kafka_bootstrap_servers is None
    assert settings.delivery_mode == "at_least_once"
    assert settings.max_message_bytes == 1024 * 1024
    assert settings.kafka_client_id == settings.service_name == "service"
    assert settings.command_topics == ()
    assert settings.cqrs.command.timeout == 30


def test_a_service_changes_defaults_and_adds_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_LIMIT", "5")
    settings = ShopSettings()
    assert (settings.kafka_group_id, settings.command_topics, settings.shop_limit) == ("shop", ("shop.commands",), 5)


def test_code_wins_over_environment_over_dotenv_over_yaml(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "service.yaml").write_text(
        "kafka_group_id: yaml\nlog_level: debug\nservice_name: yaml\nstate_path: yaml\n"
        "cqrs:\n  command: {timeout: 1}\n  query: {timeout: 1, cache_ttl: 7}\n"
    )
    (directory / ".env").write_text("KAFKA_GROUP_ID=dotenv\nSTATE_PATH=dotenv\nCQRS__COMMAND__TIMEOUT=2\n")
    monkeypatch.setenv("KAFKA_GROUP_ID", "environment")
    monkeypatch.setenv("CQRS__QUERY__TIMEOUT", "3")
    settings = ServiceSettings(service_name="code")
    assert settings.service_name == "code"
    assert settings.kafka_group_id == "environment"
    assert settings.state_path == Path("dotenv")
    assert settings.log_level == "DEBUG"
    assert (settings.cqrs.command.timeout, settings.cqrs.query.timeout, settings.cqrs.query.cache_ttl) == (2, 3, 7)


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("CQRS__ENABLED", "false", lambda settings: settings.cqrs.enabled is False),
        ("CQRS__COMMAND__TIMEOUT", "7", lambda settings: settings.cqrs.command.timeout == 7),
        ("CQRS__COMMAND__METRICS_ENABLED", "0", lambda settings: settings.cqrs.command.metrics_enabled is False),
        ("CQRS__COMMAND__TRACING_ENABLED", "no", lambda settings: settings.cqrs.command.tracing_enabled is False),
        ("CQRS__COMMAND__EVENT_PUBLICATION", "lenient", lambda s: s.cqrs.command.event_publication == "lenient"),
        ("CQRS__QUERY__TIMEOUT", "8", lambda settings: settings.cqrs.query.timeout == 8),
        ("CQRS__QUERY__CACHING_ENABLED", "off", lambda settings: settings.cqrs.query.caching_enabled is False),
        ("CQRS__QUERY__CACHE_TTL", "0", lambda settings: settings.cqrs.query.cache_ttl == 0),
        ("CQRS__QUERY__METRICS_ENABLED", "false", lambda settings: settings.cqrs.query.metrics_enabled is False),
        ("CQRS__QUERY__TRACING_ENABLED", "false", lambda settings: settings.cqrs.query.tracing_enabled is False),
        ("CQRS__AUTHORIZATION__ENABLED", "false", lambda settings: settings.cqrs.authorization.enabled is False),
        ("CQRS__AUTHORIZATION__CUSTOM__ENABLED", "false", lambda s: s.cqrs.authorization.custom.enabled is False),
        ("CQRS__AUTHORIZATION__CUSTOM__TIMEOUT_MS", "9", lambda s: s.cqrs.authorization.custom.timeout_ms == 9),
        ("COMMAND_TOPICS", "a, b,", lambda settings: settings.command_topics == ("a", "b")),
        ("TOPICS", "a=1, b = 4", lambda settings: settings.topics == {"a": 1, "b": 4}),
        ("TOPICS", '{"a": 2}', lambda settings: settings.topics == {"a": 2}),
        ("LOG_LEVEL", "warning", lambda settings: settings.log_level == "WARNING"),
        ("SHUTDOWN_TIMEOUT_SECONDS", "2.5", lambda settings: settings.shutdown_timeout_seconds == 2.5),
        ("KAFKA_BOOTSTRAP_SERVERS", "", lambda settings: settings.kafka_bootstrap_servers is None),
        ("kafka_group_id", "lower", lambda settings: settings.kafka_group_id == "lower"),
    ],
)
def test_each_setting_is_read_from_the_environment(
    name: str, text: str, read: Callable[[ServiceSettings], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, text)
    assert read(ServiceSettings())


def test_the_standard_service_name_wins_and_leaves_the_group_alone(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_NAME", "own")
    (directory / ".env").write_text("OTEL_SERVICE_NAME=dotenv\n")
    assert ServiceSettings().service_name == "dotenv"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "orders-eu")
    settings = ShopSettings()
    assert (settings.service_name, settings.kafka_client_id) == ("orders-eu", "orders-eu")
    assert settings.kafka_group_id == "shop"


def test_config_file_names_another_yaml_file(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "service.yaml").write_text("kafka_group_id: default-file\n")
    (directory / "other.yaml").write_text("topics: {a: 3}\ncommand_topics: [a]\n")
    assert ServiceSettings().kafka_group_id == "default-file"
    monkeypatch.setenv("CONFIG_FILE", str(directory / "other.yaml"))
    settings = ServiceSettings()
    assert (settings.kafka_group_id, settings.topics, settings.command_topics) == ("service", {"a": 3}, ("a",))


def test_an_empty_yaml_file_says_nothing(directory: Path) -> None:
    (directory / "service.yaml").write_text("# nothing yet\n")
    assert ServiceSettings() == ServiceSettings()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("- a\n", "holds list; write `name: value` lines."),
        ("a: [\npassword: hunter2", "is not YAML:"),
        (b"\xff\xfe\xff", "cannot be read"),
    ],
)
def test_a_file_that_is_no_mapping_is_an_error_that_quotes_nothing(
    content: str | bytes, problem: str, directory: Path
) -> None:
    (directory / "service.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    (found,) = problems()
    assert problem in found
    assert found.startswith("service.yaml")
    assert "hunter2" not in found


def test_a_named_file_that_is_absent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIG_FILE", "nowhere.yaml")
    assert problems() == ("CONFIG_FILE names nowhere.yaml, and there is no such file.",)


def test_everything_wrong_is_told_at_once_with_its_origin(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "service.yaml").write_text("kafka_max_pol_records: 1\ncqrs: {query: {cach_ttl: 3}}\nlog_format: xml\n")
    (directory / ".env").write_text("KAFKA_GROUPID=x\nDATABASE_URI=postgres://u:hunter2@h/d\n")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVER", "b:9092")
    monkeypatch.setenv("CQRS__COMAND__TIMEOUT", "3")
    monkeypatch.setenv("DELIVERY_MODE", "exactly_once")
    monkeypatch.setenv("TOPICS", "a=none")
    found = problems(kafka_grup_id="x")
    assert set(found) == {
        "KAFKA_MAX_POL_RECORDS (service.yaml): there is no such setting; did you mean KAFKA_MAX_POLL_RECORDS?",
        "CQRS__QUERY__CACH_TTL (service.yaml): there is no such setting; did you mean CQRS__QUERY__CACHE_TTL?",
        "LOG_FORMAT (service.yaml): Input should be 'auto', 'json' or 'console'; it is 'xml'",
        "KAFKA_GROUPID (.env): there is no such setting; did you mean KAFKA_GROUP_ID?",
        "DATABASE_URI (.env): there is no such setting; did you mean DATABASE_URL?",
        "KAFKA_BOOTSTRAP_SERVER (environment): there is no such setting; did you mean KAFKA_BOOTSTRAP_SERVERS?",
        "CQRS__COMAND__TIMEOUT (environment): there is no such setting; did you mean CQRS__COMMAND__TIMEOUT?",
        "DELIVERY_MODE (environment): Input should be 'at_least_once'; it is 'exactly_once'",
        "TOPICS (environment) at a: Input should be a valid integer, unable to parse string as an integer; "
        "it is 'none'",
        "KAFKA_GRUP_ID (code): there is no such setting; did you mean KAFKA_GROUP_ID?",
    }


def test_an_unknown_key_of_a_file_is_an_error_without_a_near_miss_too(directory: Path) -> None:
    (directory / "service.yaml").write_text("colour: red\n")
    (directory / ".env").write_text("KAFKA_COLOUR=red\nCOLOUR=red\n")
    assert set(problems()) == {
        "COLOUR (service.yaml): there is no such setting; remove it.",
        "KAFKA_COLOUR (.env): there is no such setting; remove it.",
    }


def test_other_programs_variables_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kubernetes = ("KAFKA_PORT", "KAFKA_SERVICE_HOST", "KAFKA_SERVICE_PORT_CLIENT", "KAFKA_PORT_9092_TCP_ADDR")
    for name in (*kubernetes, "KAFKA_HOME", "UNRELATED"):
        monkeypatch.setenv(name, "x")
    with caplog.at_level(logging.WARNING):
        ServiceSettings()
    assert [record.getMessage() for record in caplog.records] == ["No setting of this service, so ignored: KAFKA_HOME"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MANAGMENT_PORT", "MANAGEMENT_PORT"),
        ("MANAGEMENT_PROT", "MANAGEMENT_PORT"),
        ("LOG_LEVL", "LOG_LEVEL"),
        ("LOG_LVL", "LOG_LEVEL"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("COMIT_INTERVAL_MS", "COMMIT_INTERVAL_MS"),
        ("SHUTDOWN_TIMEOUT_SECS", "SHUTDOWN_TIMEOUT_SECONDS"),
        ("STAT_PATH", "STATE_PATH"),
        ("SCHEMA_PATH", "SCHEMAS_PATH"),
        ("TOPIC", "TOPICS"),
        ("TOPIC_TYPE", "TOPIC_TYPES"),
        ("COMMAND_TOPIC", "COMMAND_TOPICS"),
        ("MAX_MESSAGE_BYTE", "MAX_MESSAGE_BYTES"),
        ("RETRY_BACKOF_MIN_MS", "RETRY_BACKOFF_MIN_MS"),
        ("KAFAK_GROUP_ID", "KAFKA_GROUP_ID"),
        ("CQRSS__QUERY__TIMEOUT", "CQRS__QUERY__TIMEOUT"),
        ("cach_url", "CACHE_URL"),
    ],
)
def test_a_misspelt_name_is_an_error_whatever_part_of_it_is_wrong(
    name: str, meant: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = f"there is no such setting; did you mean {meant}?"
    (directory / ".env").write_text(f"{name}=3\n")
    assert problems() == (f"{name.upper()} (.env): {sentence}",)
    (directory / ".env").unlink()
    monkeypatch.setenv(name, "3")
    assert problems() == (f"{name.upper()} (environment): {sentence}",)


def test_usual_variables_are_no_misspelt_settings(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    usual = """HOME HOST HOSTNAME LOGNAME MAX_JOBS MAX_RETRIES CACHE CACHED TERM SHELL USER PATH PYTHONPATH LANG PORT
    TEST_DATABASE_URL MY_DATABASE_URL DD_SERVICE_NAME DEVICE_NAME MANAGEMENT_SERVICE_HOST RETRY_COUNT SERVICE SCHEMA
    LOGS STATE TOPICSTORE XDG_STATE_HOME XDG_CACHE_HOME DOCKER_HOST APP_LOG_LEVEL NPM_CONFIG_LOGLEVEL"""
    for name in (*usual.split(), "LOG_DIR", "DATABASE_USER"):
        monkeypatch.setenv(name, "3")
    monkeypatch.setenv("MANAGEMENTS_PORT", "tcp://10.0.0.1:80")  # Kubernetes, for a service of that name
    with caplog.at_level(logging.WARNING):
        ServiceSettings()
    (record,) = caplog.records
    assert set(record.getMessage().partition(": ")[2].split(", ")) == {"LOG_DIR", "DATABASE_USER"}


@pytest.mark.parametrize("content", [b"\xff\xfe\n", b"LOG_LEVEL=hunter2\nSERVICE_NAME=caf\xe9\n"])
def test_a_dotenv_file_in_another_encoding_is_named_and_not_quoted(content: bytes, directory: Path) -> None:
    (directory / ".env").write_bytes(content)
    (problem,) = problems()
    assert problem.startswith(".env is not UTF-8 (byte ")
    assert "hunter2" not in problem


def test_secrets_are_in_no_message_and_no_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql+asyncpg://u:hunter2@h/d")
    settings = ServiceSettings()
    assert settings.database_url == SecretStr("postgresql+asyncpg://u:hunter2@h/d")
    assert "hunter2" not in repr(settings)
    (problem,) = problems(database_url=["hunter2"])
    assert problem.startswith("DATABASE_URL (environment)") or "DATABASE_URL" in problem
    assert "hunter2" not in problem
    (problem,) = problems(kafka_max_poll_records="http://u:hunter2@h")
    assert "hunter2" not in problem


def test_a_setting_that_is_made_of_a_wrong_one_is_not_told_as_wrong_too(directory: Path) -> None:
    (directory / "service.yaml").write_text("kafka_group_id: [a]\n")
    (problem,) = problems()
    assert problem == "KAFKA_GROUP_ID (service.yaml): Input should be a valid string; it is ['a']"


def test_the_backoff_must_be_in_order() -> None:
    (problem,) = problems(retry_backoff_min_ms=50_000)
    assert problem.startswith("RETRY_BACKOFF_MIN_MS (50000) is above RETRY_BACKOFF_MAX_MS (30000)")


def test_settings_do_not_change_once_read() -> None:
    with pytest.raises(Exception, match="frozen"):
        ServiceSettings().log_level = "DEBUG"


def test_a_group_given_as_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CQRS__COMMAND", "30")
    monkeypatch.setenv("CQRS__COMMAND__TIMEOUT", "30")
    (problem,) = problems()
    assert problem.startswith("CQRS__COMMAND (environment): Input should be a valid dictionary")


def test_a_cache_is_named_by_a_url_whose_password_is_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ServiceSettings().cache_url is None
    monkeypatch.setenv("CACHE_URL", "redis://:hunter2@h:6379/1")
    settings = ServiceSettings()
    assert settings.cache_url == SecretStr("redis://:hunter2@h:6379/1")
    assert "hunter2" not in repr(settings)
    monkeypatch.setenv("CACHE_URL", "redis://:hunter2@h:6379/one")
    assert problems() == ("CACHE_URL (environment): a Redis database is a number, as in redis://host:6379/0",)
    assert "CACHE_URI (environment): there is no such setting; did you mean CACHE_URL?" in _with("CACHE_URI")


def _with(name: str) -> tuple[str, ...]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(name, "x")
        return problems()
