"""The broker of compose.yaml without a container: its environment, made a configuration by the image's own code."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from cqrs.testing.free_ports import free_ports

START_SECONDS = 60.0
LISTENERS = "KAFKA_LISTENERS", "KAFKA_ADVERTISED_LISTENERS", "KAFKA_CONTROLLER_QUORUM_VOTERS"
_JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_STARTED = "Kafka Server started"
_LOGGING = """\
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%m%n
rootLogger.level=INFO
rootLogger.appenderRef.console.ref=console
"""


class ComposeKafka:
    """Run one broker as compose.yaml describes it, on free ports and with its data in a temporary folder.

    The image's program `KafkaDockerWrapper` is in Kafka's jars: it makes the configuration of the environment in an
    empty folder, as it has to where the image's files cannot be written, and formats the data.
    """

    def __init__(self, jars: Path, environment: Mapping[str, str]) -> None:
        self._jars = jars
        self._folder = Path(tempfile.mkdtemp(prefix="compose-kafka-"))
        self._logging = self._folder / "log4j2.properties"
        ports = sorted({port for name in LISTENERS for port in re.findall(r":(\d+)", environment[name])})
        self._ports = dict(zip(ports, free_ports(len(ports)), strict=True))
        moved = {name: self._moved(environment[name]) for name in LISTENERS}
        self._environment = {**environment, **moved, "KAFKA_LOG_DIRS": str(self._folder / "data")}
        self._process: subprocess.Popen[bytes] | None = None

    def at(self, port: int) -> str:
        """Return where the listener is that has this port in compose.yaml."""
        return f"127.0.0.1:{self._ports[str(port)]}"

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        folders = {name: self._folder / name for name in ("default", "mounted", "final")}
        for folder in folders.values():
            folder.mkdir()
        for name in ("log4j2.yaml", "tools-log4j2.yaml"):
            (folders["default"] / name).write_text("Configuration: {Loggers: {Root: {level: info}}}\n")
        (folders["default"] / "server.properties").touch()
        self._logging.write_text(_LOGGING)
        given = [word for name, folder in folders.items() for word in (f"--{name}-configs-dir", str(folder))]
        made = self._java("kafka.docker.KafkaDockerWrapper", "setup", *given)
        done = subprocess.run(made, env=self._variables(), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        log = self._folder / "log"
        with log.open("wb") as output:
            command = self._java("kafka.Kafka", str(folders["final"] / "server.properties"))
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        deadline = time.monotonic() + START_SECONDS
        while _STARTED not in log.read_text(errors="replace"):
            assert self._process.poll() is None, log.read_text(errors="replace")[-3000:]
            assert time.monotonic() < deadline, f"the broker did not start:\n{log.read_text(errors='replace')[-3000:]}"
            time.sleep(0.1)

    def _java(self, main_class: str, *arguments: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self._logging}"
        return ["java", *_JVM, logging, "-cp", str(self._jars / "*"), main_class, *arguments]

    def _variables(self) -> dict[str, str]:
        return {**os.environ, **self._environment}

    def _moved(self, value: str) -> str:
        here = re.sub(r"(kafka|localhost):", "127.0.0.1:", value)
        return re.sub(r":(\d+)", lambda found: f":{self._ports[found[1]]}", here)
