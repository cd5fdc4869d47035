import os
import platform
from pathlib import Path

import pytest

from tests.chaos import page
from tests.chaos.page import BEGIN, END, PAGE, with_rows
from tests.chaos.results import Line, Notes, Result, summary, table


def result(run: str, *problems: str, **measured: object) -> Result:
    return Result("kill9_matrix", run, measured, problems, f"kill9_matrix --seed {run}", 10.0)


def test_numbers_of_several_runs_are_added_up_and_the_largest_counts_of_most() -> None:
    (line,) = summary([result("1", commands=1_000, most=7), result("2", commands=2_500, most=3)])

    assert (line.verdict, line.measured) == ("passed", "runs 2, commands 3,500, most 7")
    assert line.seconds == 20.0


def test_one_failed_run_fails_its_scenario_and_says_how_to_see_it_again() -> None:
    failed = result("2", "o-1 was lost", commands=5)
    (line,) = summary([result("1", commands=5), failed])

    assert line.verdict == "FAILED 1 of 2"
    assert failed.evidence().splitlines() == [
        "kill9_matrix, 2: FAILED",
        "    o-1 was lost",
        '    again: make chaos ARGS="kill9_matrix --seed 2"',
    ]


def test_the_table_has_a_line_for_each_scenario() -> None:
    text = table([Line("a", "passed", "x 1", 2.0, "2026-01-01"), Line("longer", "FAILED", "y 2", 30.0, "2026-01-01")])

    assert text.splitlines() == [
        "scenario  verdict  time  measured",
        "a         passed   2 s   x 1",
        "longer    FAILED   30 s  y 2",
    ]


def test_rows_replace_those_of_the_same_scenario_and_leave_the_others() -> None:
    old = f"before\n{BEGIN}\n| `a` | old |\n| `b` | old |\n{END}\nafter\n"

    text = with_rows(old, [Line("b", "passed", "x 1", 2.0, "2026-01-01")], "a machine")

    assert "| `a` | old |" in text
    assert "| `b` | passed | x 1 | 2 s | 2026-01-01 | a machine |" in text
    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")
    assert with_rows(text, [], "") == text


def test_a_page_without_a_place_for_results_is_refused() -> None:
    with pytest.raises(ValueError, match="has no lines"):
        with_rows("nothing", [], "")


def test_the_page_of_this_project_has_its_place() -> None:
    text = PAGE.read_text("utf-8")

    assert with_rows(text, [], "") == text


@pytest.mark.parametrize("listing", ["", "processor\t: 0\nflags\t\t: fp asimd\n", None])
def test_a_machine_that_does_not_list_its_processors_is_called_by_their_kind(
    listing: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "PROCESSORS", tmp_path / "cpuinfo")
    if listing is not None:
        page.PROCESSORS.write_text(listing)

    assert page.machine().startswith(f"{platform.machine()}, {os.cpu_count()} cores, ")


def test_a_machine_is_called_by_its_processors_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PROCESSORS", tmp_path / "cpuinfo")
    page.PROCESSORS.write_text("processor\t: 0\nmodel name\t: Z80\n")

    assert page.machine().startswith("Z80, ")


def test_notes_keep_what_passed_and_have_the_rest_run_again(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    assert notes.find("kill9_matrix", "kill9_matrix --seed 1") is None

    notes.add(result("1", commands=5))
    notes.add(result("2", "o-1 was lost", commands=5))

    found = notes.find("kill9_matrix", "kill9_matrix --seed 1")
    assert found is not None
    assert found.measured == {"commands": 5}
    assert notes.find("kill9_matrix", "kill9_matrix --seed 2") is None
    assert Notes(None).find("kill9_matrix", "kill9_matrix --seed 1") is None
