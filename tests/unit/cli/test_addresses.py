import errno
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cqrs.cli.addresses import AddressFile, find_cluster
from cqrs.config.settings import ServiceSettings
from cqrs.exceptions import ConfigurationException

REGISTRY = "http://127.0.0.1:1"


@pytest.fixture
def listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def silent() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"127.0.0.1:{port}"


def settings(state: Path, **chosen: object) -> ServiceSettings:
    return ServiceSettings.model_validate({"state_path": state, **chosen})


def test_what_is_written_is_found_and_removed_again(tmp_path: Path, listening: str) -> None:
    file = AddressFile(tmp_path / "new")
    file.write(listening, REGISTRY)

    found = file.find()
    file.remove()

    assert found is not None
    assert (found.bootstrap_servers, found.registry_url, found.pid) == (listening, REGISTRY, os.getpid())
    assert list((tmp_path / "new").iterdir()) == []
    file.remove()  # harmless when called again


def test_the_addresses_of_another_process_are_left_alone(tmp_path: Path, listening: str) -> None:
    file = AddressFile(tmp_path)
    file.write(listening, REGISTRY)
    file.path.write_text(json.dumps({**json.loads(file.path.read_text()), "pid": os.getpid() + 1}))

    file.remove()

    assert file.find() is not None


def test_addresses_where_nobody_answers_are_said_to_be_stale(tmp_path: Path, silent: str) -> None:
    AddressFile(tmp_path).write(silent, REGISTRY)

    with pytest.raises(ConfigurationException, match=f"{silent}.*nobody answers.*Start it again"):
        find_cluster(settings(tmp_path), "start")


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationException, match=r"STATE_PATH: .*file cannot be written"):
        AddressFile(tmp_path / "file").write("k:1", None)


def test_where_no_directory_can_be_locked_it_warns_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unlockable(_directory: int, _operation: int) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr("cqrs.cli.addresses.fcntl.flock", unlockable)

    with AddressFile(tmp_path).claimed():
        assert "cannot be locked" in caplog.text


@pytest.mark.parametrize("content", ["nonsense", "{}", "[]"])
def test_a_broken_file_is_named(tmp_path: Path, content: str) -> None:
    file = AddressFile(tmp_path)
    file.path.write_text(content)

    with pytest.raises(ConfigurationException, match=r"embedded\.json cannot be read"):
        file.find()


def test_without_any_broker_it_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationException, match=r"KAFKA_BOOTSTRAP_SERVERS.*python -m s run"):
        find_cluster(settings(tmp_path), "python -m s run")


def test_the_running_service_is_found(tmp_path: Path, listening: str) -> None:
    AddressFile(tmp_path).write(listening, REGISTRY)

    assert find_cluster(settings(tmp_path), "start") == (listening, REGISTRY)
    given = settings(tmp_path, schema_registry_url="http://given")
    assert find_cluster(given, "start") == (listening, "http://given")


def test_a_given_cluster_is_taken_and_lends_a_running_service_on_it_its_registry(
    tmp_path: Path, listening: str
) -> None:
    cluster = settings(tmp_path, kafka_bootstrap_servers=listening)
    both = settings(tmp_path, kafka_bootstrap_servers="k:1", schema_registry_url="http://given")

    assert find_cluster(both, "start") == ("k:1", "http://given")
    assert find_cluster(cluster, "start") == (listening, None)
    AddressFile(tmp_path).write(listening, REGISTRY)
    assert find_cluster(cluster, "start") == (listening, REGISTRY)
    assert find_cluster(settings(tmp_path, kafka_bootstrap_servers="k:1"), "start") == ("k:1", None)
