import pytest

from benchmarks.bus import report
from benchmarks.bus.contestants import CONTESTANTS, PYTHON_CQRS_SEND, SEND, SEND_DIRECTLY, SEND_FULL
from benchmarks.bus.figures import GOALS, Goal, Sample
from benchmarks.bus.report import HEAD, Run, rows, section
from benchmarks.bus.rounds import Outcome
from benchmarks.page import RESULTS, machine, markdown_table, plain_table

SENT = {SEND_DIRECTLY: (0.1, 0.1, 0.1), SEND_FULL: (5.0, 6.0, 7.0), PYTHON_CQRS_SEND: (10.0, 12.0, 14.0)}
OUTCOME = Outcome(
    {title: Sample((1.5, 1.5, 1.5), sent) for title, sent in SENT.items()},
    {SEND_DIRECTLY: "", SEND_FULL: "", PYTHON_CQRS_SEND: "5.3.0"},
)


def test_a_line_has_the_median_its_spread_and_both_ratios() -> None:
    lines = {line[0]: line[1:] for line in rows(OUTCOME)}

    assert lines[SEND_FULL] == ("6.00", "5.50 to 6.50", "60", "0.50", "1.50", "nothing")
    assert list(lines) == [SEND_DIRECTLY, SEND_FULL, f"{PYTHON_CQRS_SEND} (5.3.0)"]


def test_a_ratio_with_someone_who_took_no_part_is_left_empty() -> None:
    alone = Outcome({SEND: Sample((1.0,), (4.0,))}, {SEND: ""})

    assert rows(alone) == [(SEND, "4.00", "4.00 to 4.00", "", "", "1.00", "metrics")]


def test_both_tables_have_a_line_for_each_contestant_and_the_same_cells() -> None:
    lines = rows(OUTCOME)
    plain, marked = plain_table(HEAD, lines).splitlines(), markdown_table(HEAD, lines).splitlines()

    assert len(plain) == 1 + len(lines)
    assert len(marked) == 2 + len(lines)
    for line, shown, cells in zip(plain, [marked[0], *marked[2:]], [HEAD, *lines], strict=True):
        assert [cell.strip() for cell in shown.strip("|").split(" | ")] == [cell.strip() for cell in cells]
        assert line.startswith(cells[0])
        assert line.endswith(cells[-1])


def test_the_page_says_how_when_and_where_and_what_became_of_the_goals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "GOALS", (Goal(SEND_FULL, PYTHON_CQRS_SEND, 0.5, "half"),))
    written = section(OUTCOME, Run(rounds=3, calls=200))

    assert "3 rounds of 200 calls" in written
    assert machine() in written
    assert markdown_table(HEAD, rows(OUTCOME)) in written
    assert f"| {SEND_FULL} / {PYTHON_CQRS_SEND} | 0.50 | 0.50 | half |" in written


def test_the_committed_page_is_of_the_contestants_and_goals_there_are() -> None:
    committed = RESULTS.read_text("utf-8")

    assert all(f"| {goal.title} / {goal.against} | {goal.at_most:.2f} |" in committed for goal in GOALS)
    assert all(f"| {each.title} " in committed for each in CONTESTANTS)
