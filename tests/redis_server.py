"""A real Redis server, for the tests that are marked `redis`."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cqrs.testing.free_ports import free_ports


class RedisServer:
    """Run redis-server on a free port of 127.0.0.1, nothing kept on disk; it can be stopped and started again."""

    def __init__(self, binary: str, folder: Path) -> None:
        self._binary = binary
        self._folder = folder
        self.port = free_ports(1)[0]
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        process = subprocess.Popen([self._binary, *options], stdout=subprocess.PIPE, text=True)  # noqa: S603
        assert process.stdout is not None
        words = []
        for line in process.stdout:
            words.append(line)
            if "Ready to accept connections" in line:
                self._process = process
                return
        process.wait()
        process.stdout.close()
        pytest.fail(f"redis-server did not start:\n{''.join(words)}")

    def stop(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.terminate()
            self._process.wait()
            self._process.stdout.close()
            self._process = None


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not on the PATH; on Debian: apt-get install redis-server")
    server = RedisServer(binary, tmp_path)
    server.start()
    yield server
    server.stop()
