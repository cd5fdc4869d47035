import sys
from pathlib import Path

import pytest

from cqrs.testing.kafka_server import KafkaServer, KafkaServerException, missing_tools, resolve_jars


def program(folder: Path, name: str, source: str) -> None:
    """Put a Python program on the PATH under the name of another."""
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport os, pathlib, signal, sys, time\n{source}\n")
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave nothing on the PATH but what the test puts there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def pom(tmp_path: Path) -> Path:
    path = tmp_path / "pom.xml"
    path.write_text("<project/>")
    return path


MAVEN = """
out = next(a.split("=", 1)[1] for a in sys.argv if a.startswith("-DoutputDirectory="))
os.makedirs(out)
pathlib.Path(out, "kafka.jar").write_text("jar")
with open(pathlib.Path(sys.argv[0]).with_name("calls"), "a") as calls: calls.write("x")
"""

JAVA = """
if "format" in sys.argv: sys.exit(0)
print("Kafka Server started", flush=True)
time.sleep(60)
"""


def test_what_is_missing_is_named(tools: Path) -> None:
    assert missing_tools() == ["java", "mvn"]
    program(tools, "java", "")
    assert missing_tools() == ["mvn"]


def test_jars_are_fetched_once_and_kept_outside_the_checkout(tools: Path, pom: Path, tmp_path: Path) -> None:
    program(tools, "mvn", MAVEN)
    jars = resolve_jars(pom)
    assert resolve_jars(pom) == jars
    assert [file.name for file in jars.iterdir()] == ["kafka.jar"]
    assert jars.is_relative_to(tmp_path / "cache" / "cqrs-service-template")
    assert (tools / "calls").read_text() == "x"
    assert [each.name for each in jars.parent.iterdir()] == [jars.name], "no draft is left"


def test_another_project_file_has_other_jars(tools: Path, pom: Path) -> None:
    program(tools, "mvn", MAVEN)
    first = resolve_jars(pom)
    pom.write_text("<project><version>2</version></project>")
    assert resolve_jars(pom) != first


def test_a_failing_maven_leaves_nothing_behind(tools: Path, pom: Path, tmp_path: Path) -> None:
    program(tools, "mvn", "sys.exit('cannot resolve')")
    with pytest.raises(KafkaServerException, match="cannot resolve"):
        resolve_jars(pom)
    assert list((tmp_path / "cache").rglob("*.jar")) == []


def test_a_machine_without_maven_or_java_says_what_to_install(tools: Path, pom: Path, tmp_path: Path) -> None:
    with pytest.raises(KafkaServerException, match="maven"):
        resolve_jars(pom)
    server = KafkaServer(tmp_path)
    with pytest.raises(KafkaServerException, match="Java 17"):
        server.start()
    server.close()


@pytest.mark.parametrize("ending", ["stop", "kill"])
def test_a_server_starts_ends_and_starts_again_on_its_port(tools: Path, tmp_path: Path, ending: str) -> None:
    program(tools, "java", JAVA)
    with KafkaServer(tmp_path) as server:
        address = server.bootstrap_servers
        server.start()
        getattr(server, ending)()
        getattr(server, ending)()
        server.start()
        assert server.bootstrap_servers == address
        folder = server._folder
        assert "auto.create.topics.enable=false" in server._properties.read_text()
    assert not folder.exists()


def test_a_server_that_ended_by_itself_starts_again(tools: Path, tmp_path: Path) -> None:
    program(tools, "java", JAVA)
    with KafkaServer(tmp_path) as server:
        first = server._process
        assert first is not None
        first.kill()
        first.wait()
        server.start()
        assert server._process is not None
        assert server._process.poll() is None


def test_no_two_servers_are_given_a_port(tmp_path: Path) -> None:
    servers = [KafkaServer(tmp_path, listeners={"OTHER": "PLAINTEXT"}) for _ in range(30)]
    ports = [port for each in servers for port in (each._port, each._controller, *each._ports.values())]
    for each in servers:
        each.close()
    assert len(set(ports)) == 90
    assert max(ports) < 32_768, "a connection's own port could be one of these"


def test_a_server_that_ends_early_shows_its_last_words(tools: Path, tmp_path: Path) -> None:
    program(tools, "java", "if 'format' not in sys.argv: sys.exit('no memory')")
    with pytest.raises(KafkaServerException, match="no memory"), KafkaServer(tmp_path):
        pass


def test_a_server_that_does_not_get_ready_is_killed(tools: Path, tmp_path: Path) -> None:
    program(tools, "java", "if 'format' not in sys.argv:\n    print('waiting', flush=True)\n    time.sleep(60)")
    server = KafkaServer(tmp_path, start_timeout_seconds=0.5)
    with pytest.raises(KafkaServerException, match="did not start"):
        server.start()
    server.close()


def test_a_server_that_does_not_stop_is_killed(tools: Path, tmp_path: Path) -> None:
    deaf = "if 'format' not in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + JAVA
    program(tools, "java", deaf)
    with KafkaServer(tmp_path, stop_timeout_seconds=0.2) as server:
        process = server._process
        server.stop()
        assert process is not None
        assert process.returncode == -9


def test_a_failing_format_is_repeated_by_the_next_start(tools: Path, tmp_path: Path) -> None:
    program(tools, "java", "sys.exit('disk full')")
    server = KafkaServer(tmp_path)
    with pytest.raises(KafkaServerException, match="disk full"):
        server.start()
    program(tools, "java", JAVA)
    server.start()
    server.close()
