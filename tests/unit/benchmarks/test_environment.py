import subprocess
from pathlib import Path

import pytest

from benchmarks import environment
from benchmarks.environment import ROOT, EnvironmentException, peers_folder, peers_python


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    ran: list[list[str]] = []

    def note(command: list[object], *, check: bool) -> None:
        assert check
        ran.append([str(part) for part in command])
        peers_folder().mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(subprocess, "run", note)
    return ran


def test_it_lies_in_the_cache_folder_and_is_named_by_python_and_lock(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = peers_folder()
    other_lock = cache / "other.lock"
    other_lock.write_text("something else")
    monkeypatch.setattr(environment, "LOCK", other_lock)

    assert before.parent == cache / "cqrs-service-template"
    assert peers_folder() != before


def test_without_a_cache_folder_of_their_own_it_is_below_the_home(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(cache))

    assert peers_folder().is_relative_to(cache / ".cache")


def test_a_cache_folder_in_the_checkout_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(ROOT / ".cache"))

    with pytest.raises(EnvironmentException, match="lies in the checkout"):
        peers_folder()


@pytest.mark.parametrize("uv", ["/bin/uv", None])
def test_it_is_installed_once_and_only_what_the_lock_has_by_hash(
    uv: str | None, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: uv)

    assert peers_python() == peers_python() == peers_folder() / "bin" / "python"
    made, installed = commands
    assert "venv" in made
    assert "--require-hashes" in installed
    assert installed[-2:] == ["-r", str(environment.LOCK)]


def test_an_installation_that_fails_says_so_and_is_tried_again(
    commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    works = subprocess.run

    def fail(command: list[str], *, check: bool) -> None:
        works(command, check=check)
        raise subprocess.CalledProcessError(2, "install")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(EnvironmentException, match=r"could not be installed into .* --own measures without them"):
        peers_python()
    monkeypatch.setattr(subprocess, "run", works)

    peers_python()
    assert len(commands) == 3
