"""The PostgreSQL server of the tests: found, started, crashed, started again, gone without a trace."""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from cqrs.testing import postgres_server
from cqrs.testing.postgres_server import PostgresServer, PostgresServerException, find_postgres

PROGRAMS = ("initdb", "pg_ctl", "postgres")


def installation(folder: Path, *programs: str) -> Path:
    folder.mkdir(parents=True)
    for program in programs:
        (folder / program).touch(mode=0o755)
    return folder


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(postgres_server, "_INSTALLED", (str(tmp_path / "*/bin"),))
    return tmp_path


def test_nothing_is_found_where_nothing_is(nothing_installed: Path) -> None:
    assert find_postgres() is None
    with pytest.raises(PostgresServerException, match="apt-get install -y postgresql"):
        PostgresServer()


def test_the_newest_complete_installation_is_found(nothing_installed: Path) -> None:
    installation(nothing_installed / "9.6/bin", *PROGRAMS)
    newest = installation(nothing_installed / "15/bin", *PROGRAMS)
    installation(nothing_installed / "16/bin", "psql")

    assert find_postgres() == newest


def test_the_path_comes_first(nothing_installed: Path) -> None:
    installation(nothing_installed / "15/bin", *PROGRAMS)
    on_path = installation(nothing_installed / "path", *PROGRAMS)

    assert find_postgres() == on_path

    (on_path / "postgres").unlink()
    assert find_postgres() == nothing_installed / "15/bin"


@pytest.mark.parametrize(
    ("initdb", "words"),
    [("#!/bin/sh\necho no space left >&2\nexit 3\n", "no space left"), (None, "No such file")],
    ids=["fails", "missing"],
)
def test_a_server_that_does_not_start_says_why_and_leaves_nothing(initdb: str | None, words: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        broken = Path(name)
        broken.chmod(0o755)  # the server runs as another user when the tests run as root
        if initdb is not None:
            (broken / "initdb").write_text(initdb)
            (broken / "initdb").chmod(0o755)
        server = PostgresServer(broken)

        with pytest.raises(PostgresServerException, match=f"(?s)initdb failed.*{words}"), server:
            pytest.fail("it cannot have started")

    assert not server.folder.exists()


@pytest.mark.postgres
def test_it_starts_crashes_starts_again_and_goes() -> None:
    if find_postgres() is None:
        pytest.skip("PostgreSQL's server is not installed. To run it: apt-get install -y postgresql")
    with PostgresServer() as server:
        assert ready(server)
        server.stop("immediate")
        assert not ready(server)
        server.stop()
        server.start()
        assert ready(server)

    assert not ready(server)
    assert not server.folder.exists()


@pytest.mark.postgres
def test_starting_again_and_a_death_of_its_own_are_harmless() -> None:
    if find_postgres() is None:
        pytest.skip("PostgreSQL's server is not installed. To run it: apt-get install -y postgresql")
    with PostgresServer() as server:
        server.start()
        assert ready(server)
        kill(server)
        assert not ready(server)
        server.stop()
        server.start()
        assert ready(server)
        kill(server)

    assert not server.folder.exists()
    server.close()


@pytest.mark.postgres
def test_the_error_of_a_test_is_not_hidden_by_a_server_that_died() -> None:
    if find_postgres() is None:
        pytest.skip("PostgreSQL's server is not installed. To run it: apt-get install -y postgresql")
    server = PostgresServer()
    with pytest.raises(ZeroDivisionError), server:
        fail_without(server)

    assert not server.folder.exists()


def fail_without(server: PostgresServer) -> None:
    kill(server)
    raise ZeroDivisionError


def kill(server: PostgresServer) -> None:
    """Have the server die as the kernel kills what takes too much memory."""
    pid = int((server.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    while ready(server):
        time.sleep(0.01)


def ready(server: PostgresServer) -> bool:
    found = find_postgres()
    assert found is not None
    asked = subprocess.run(  # noqa: S603 - a program of PostgreSQL's
        [str(found / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(server.port)], check=False
    )
    return asked.returncode == 0
