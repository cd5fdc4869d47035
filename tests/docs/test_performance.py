"""The page about performance speaks of the stages, the budget, the picture and the commands that there are."""

import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.__main__ import parser
from benchmarks.flow import budget
from benchmarks.flow.stages import EVENT_LOOP, STAGES
from tests.unit.test_architecture import ROOT

PAGE = budget.PAGE.read_text("utf-8")
COMMANDS = re.findall(r'make bench ARGS="([^"]*)"', PAGE)


def test_every_stage_of_the_profile_has_a_budget() -> None:
    assert set(budget.BUDGET) == {*STAGES, EVENT_LOOP}


def test_the_page_shows_each_stage_with_its_budget() -> None:
    assert budget.stages_of(PAGE) == {stage: share for stage, (share, _) in budget.BUDGET.items()}


def test_the_budget_is_what_the_goal_leaves() -> None:
    assert budget.total() == pytest.approx(budget.BARE_LOOP / 0.4)


def test_the_picture_is_small_and_names_what_is_there() -> None:
    drawn = ElementTree.parse(budget.PICTURE).getroot()  # noqa: S314 - our own file
    text = budget.PICTURE.read_text("utf-8")
    assert drawn.tag.endswith("svg")
    assert len(text) < 400_000
    paths = set(re.findall(r"\((cqrs/[\w/]+\.py)\)", text))
    assert paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("arguments", COMMANDS)
def test_every_command_of_the_page_is_understood(arguments: str) -> None:
    assert parser().parse_args(shlex.split(arguments)).what in {"flow", "bus", "profile"}


def test_what_was_measured_is_written_between_the_marks_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE, "utf-8")
    budget.keep({"poll": 4.25, "bus": 2.0}, 25.0, page)
    written = page.read_text("utf-8")

    assert re.search(r"^\| poll \| 5\.0 \| 4\.2 \|", written, re.MULTILINE)
    assert "**6.2**" in written
    assert "the bare loop took 25.0 us" in written
    assert budget.stages_of(written) == budget.stages_of(PAGE)
    outside = re.compile(r"<!-- stages -->.*<!-- end of stages -->", re.DOTALL)
    assert outside.sub("", written) == outside.sub("", PAGE)
