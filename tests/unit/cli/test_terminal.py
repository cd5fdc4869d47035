import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from cqrs.cli.terminal import explained_failures, invocation
from cqrs.exceptions import ConfigurationException, DependencyUnavailableException


def test_every_problem_is_a_line_and_the_exit_code_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as raised, explained_failures():
        raise ConfigurationException(["first " + "long " * 40, "second \x1b[2J"])

    assert raised.value.exit_code == 2
    lines = [line.rstrip() for line in capsys.readouterr().err.splitlines()]
    assert lines == [f"error: first {'long ' * 40}".rstrip(), "error: second \\x1b[2J"]


def test_an_absent_dependency_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as raised, explained_failures():
        raise DependencyUnavailableException("kafka", "nobody answers")

    assert raised.value.exit_code == 2
    assert capsys.readouterr().err == "error: kafka is unavailable: nobody answers\n"


def test_no_password_of_a_url_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), explained_failures():
        raise DependencyUnavailableException("schema registry", "http://u:hunter2@h does not answer")

    assert "http://u:********@h does not answer" in capsys.readouterr().err


def test_a_defect_is_not_explained_away() -> None:
    with pytest.raises(ZeroDivisionError), explained_failures():
        raise ZeroDivisionError


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_standard_output_is_one_line(unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "service", "handlers"],
            cwd=Path(__file__).parents[3],
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )

    said = "error: what there is to say cannot be written: No space left on device\n"
    assert (ran.returncode, ran.stderr) == (2, said)


@pytest.mark.parametrize("error", [BrokenPipeError(errno.EPIPE, "gone"), OSError(errno.ENOSPC, "full", "a-file")])
def test_a_reader_that_went_away_and_a_file_are_no_matter_of_output(error: OSError) -> None:
    with pytest.raises(OSError, match=str(error.strerror)), explained_failures():
        raise error


def test_an_activated_environment_needs_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)

    assert invocation("shop") == "python -m shop"


def test_otherwise_the_interpreter_is_named_relative_to_the_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    assert invocation("shop") == ".venv/bin/python -m shop"

    monkeypatch.setattr(sys, "executable", "/opt/py/bin/python3")
    assert invocation("shop") == "/opt/py/bin/python3 -m shop"
