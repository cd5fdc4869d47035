"""The program that runs another one and kills it says what it cannot do, and what it did not do."""

import sys
from pathlib import Path

import pytest

from cqrs.testing.crash import main
from cqrs.testing.crash_points import CrashPoint


@pytest.fixture(autouse=True)
def arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["before"])


def test_an_unknown_point_ends_it_with_the_names_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--at", "nowhere:1", "-m", "service", "run"])

    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert all(each.value in told for each in CrashPoint)


def test_without_a_program_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--at", "acked"])

    assert "-m MODULE is missing" in capsys.readouterr().err


def test_a_program_runs_with_its_own_arguments_and_its_end_without_a_crash_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "short_program.py").write_text("import sys\nprint(__name__, sys.argv[1:])\n", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))

    main(["--at", "acked:3", "-m", "short_program", "run", "--at", "noon"])

    captured = capsys.readouterr()
    assert captured.out == "__main__ ['run', '--at', 'noon']\n"
    assert "acked:3 was not reached; acked was passed 0 times" in captured.err
