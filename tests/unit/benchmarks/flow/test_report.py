from benchmarks.flow.report import GOAL_HEAD, HEAD, How, goal_rows, rows, section
from benchmarks.flow.roster import EMBEDDED, KAFKA, OWN, OWN_TRACED, PLAIN, POSTGRESQL, SPANS
from benchmarks.flow.rounds import Outcome
from benchmarks.flow.workers import Measured
from benchmarks.page import machine, markdown_table

OUTCOME = Outcome(
    KAFKA,
    {
        OWN: [Measured(10_000, 100.0, 0.0, 90.0), Measured(20_000, 50.0, 0.0, 120.0)],
        PLAIN: [Measured(40_000, 20.0, 0.0, 40.0), Measured(40_000, 20.0, 0.0, 40.0)],
        OWN_TRACED: [Measured(5_000, 200.0, 4.0, 99.0)] * 2,
    },
    {PLAIN: "1.2.3"},
    {POSTGRESQL: "no server"},
)


def test_a_line_has_medians_spread_and_both_ratios() -> None:
    lines = {line[0]: line[1:] for line in rows(OUTCOME)}

    assert lines[OWN] == ("15,000", "12,500 to 17,500", "75.0", "0.375", "3.75", "", "120", "nothing")
    assert lines[f"{PLAIN} (1.2.3)"][3:5] == ("1", "1")
    assert lines[OWN_TRACED][3:6] == ("", "", "4"), f"{SPANS} took no part"


def test_who_could_not_take_part_has_a_line_that_says_why() -> None:
    line = rows(OUTCOME)[-1]

    assert line[0] == POSTGRESQL
    assert line[-1] == "not measured: no server"
    assert len(line) == len(HEAD)


def test_goals_have_a_line_for_each_broker_that_they_count_on() -> None:
    lines = goal_rows([Outcome(EMBEDDED, {}), OUTCOME])
    of_the_pipeline = [line[1:4] for line in lines if line[0] == f"{OWN} / {PLAIN}"]

    assert of_the_pipeline == [(EMBEDDED, "0.4", "not measured"), (KAFKA, "0.4", "0.375")]
    assert all(line[1] == KAFKA for line in lines if "FastStream" in line[0])
    assert all(len(line) == len(GOAL_HEAD) for line in lines)


def test_the_section_has_every_table_and_says_how_and_where() -> None:
    written = section([OUTCOME], How(2, 20_000, "another"), "### More\n\nof it")

    assert markdown_table(HEAD, rows(OUTCOME)) in written
    assert markdown_table(GOAL_HEAD, goal_rows([OUTCOME])) in written
    assert f"### On {KAFKA}" in written
    assert "2 rounds of 20,000 messages" in written
    assert "brokers on another" in written
    assert machine() in written
    assert "### More\n\nof it" in written
