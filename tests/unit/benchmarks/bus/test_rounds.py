"""The driver and its workers: small runs of our own contestants in real processes, without any other library."""

import stat
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as entry
from benchmarks.bus import command
from benchmarks.bus.contestants import CONTESTANTS, SEND_DIRECTLY, SEND_FULL, Contestant
from benchmarks.bus.rounds import Worker, WorkerException, run
from benchmarks.environment import PEERS

FEW = [each for each in CONTESTANTS if each.title in {SEND_DIRECTLY, SEND_FULL}]


def contestant(file: Path, key: str = "x") -> Contestant:
    return Contestant(f"{key} of {file.name}", file, key, SEND_DIRECTLY, SEND_FULL, "")


def test_a_run_of_one_round_measures_each_contestant_once() -> None:
    told: list[int] = []

    outcome = run(FEW, rounds=1, calls=20, progress=told.append)

    assert list(outcome.samples) == [SEND_DIRECTLY, SEND_FULL]
    assert all(len(each.made) == len(each.sent) == 1 for each in outcome.samples.values())
    assert all(value > 0 for each in outcome.samples.values() for value in (*each.made, *each.sent))
    assert told == [1]
    assert set(outcome.versions.values()) == {""}


def test_the_command_prints_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "CONTESTANTS", tuple(FEW))

    assert entry.main(["bus", "--own", "--rounds", "1", "--calls", "10"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in table] == ["call", SEND_DIRECTLY, SEND_FULL]


@pytest.mark.parametrize("option", ["--check", "--write"])
def test_goals_and_the_page_need_the_other_libraries(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["bus", "--own", option]) == 2
    assert "leave --own out" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "-3"])
def test_no_rounds_are_refused(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        entry.main(["bus", "--rounds", number])
    assert "is not above 0" in capsys.readouterr().err


def test_a_contestant_that_gives_a_wrong_answer_is_not_measured(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "wrong.py"
    file.write_text("async def send(message):\n    return 1\nCONTESTANTS = {'x': lambda: (str, send, 2)}\n")

    with pytest.raises(WorkerException, match=r"x of wrong\.py ended with exit code 1"):
        run([contestant(file)], rounds=1, calls=1)
    assert "answered 1 instead of 2" in capfd.readouterr().err


def test_another_python_is_no_fair_contestant(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho \'{"python": "another", "version": ""}\'\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)

    with (
        Worker(contestant(tmp_path / "any.py"), python, None) as worker,
        pytest.raises(WorkerException, match="runs on Python another"),
    ):
        worker.version()


def test_only_our_own_contestants_find_our_package_on_their_path(tmp_path: Path) -> None:
    shows = "import importlib.util as found\nraise SystemExit(7 if found.find_spec('cqrs') else 8)\n"
    codes = {}
    for folder in (tmp_path, PEERS):
        file = tmp_path / "shows.py"
        file.write_text(shows)
        probe = Contestant("probe", folder / "shows.py", "x", "", "", "")
        with Worker(probe, _python_that_runs(tmp_path, file), None) as worker, pytest.raises(WorkerException) as ended:
            worker.version()
        codes[folder] = str(ended.value)

    assert "exit code 7" in codes[tmp_path]
    assert "exit code 8" in codes[PEERS]


def _python_that_runs(folder: Path, file: Path) -> Path:
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{file}"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script
