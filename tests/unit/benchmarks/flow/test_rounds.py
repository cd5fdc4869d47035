"""The driver of the flow: small runs in real processes on the embedded broker, without any other library."""

from pathlib import Path

import pytest

from benchmarks import __main__ as entry
from benchmarks.bus.rounds import WorkerException
from benchmarks.flow import command
from benchmarks.flow.brokers import embedded
from benchmarks.flow.command import FEWEST_OF_ALL
from benchmarks.flow.roster import CONTESTANTS, LOOPS, OWN, OWN_TRACED, PLAIN, Contestant
from benchmarks.flow.rounds import Outcome, Plan, Rounds

BY_TITLE = {each.title: each for each in CONTESTANTS}

LOSES_ONE = """
from benchmarks.flow import loops

class Forgetful(loops.AIOKafkaProducer):
    async def send(self, topic, value=None, key=None, headers=None):
        if b'order-7' == key:
            async def nothing():
                pass
            return nothing()
        return await super().send(topic, value, key=key, headers=headers)

loops.AIOKafkaProducer = Forgetful
CONTESTANTS = loops.CONTESTANTS
"""


NEVER_COMMITS = """
from benchmarks.flow import loops

class Forgetful(loops.AIOKafkaConsumer):
    async def commit(self, offsets=None):
        pass

loops.AIOKafkaConsumer = Forgetful
CONTESTANTS = loops.CONTESTANTS
"""


def small_run(*contestants: Contestant, rounds: int = 1) -> tuple[Outcome, list[str]]:
    told: list[str] = []
    with embedded() as broker:
        return Rounds(broker, contestants, Plan(rounds, FEWEST_OF_ALL), told.append).run(), told


def test_a_contestant_is_checked_and_then_measured_once_a_round() -> None:
    outcome, told = small_run(BY_TITLE[OWN_TRACED], BY_TITLE[PLAIN], rounds=2)

    assert {title: len(turns) for title, turns in outcome.turns.items()} == {OWN_TRACED: 2, PLAIN: 2}
    assert all(turn.rate > 0 and turn.cpu > 0 and turn.peak > 10 for turns in outcome.turns.values() for turn in turns)
    assert outcome.turns[OWN_TRACED][0].spans > 1
    assert outcome.turns[PLAIN][0].spans == 0
    assert [line.partition(":")[0] for line in told] == ["checked"] * 2 + ["round 1 of 2"] * 2 + ["round 2 of 2"] * 2


def test_who_loses_an_event_is_not_measured(tmp_path: Path) -> None:
    file = tmp_path / "forgetful.py"
    file.write_text(LOSES_ONE)

    with pytest.raises(WorkerException, match="does not do the job: wrote 1998 events for 2000 commands"):
        small_run(Contestant("forgetful", file, "plain"))


def test_who_is_said_to_be_traced_and_is_not_is_not_measured() -> None:
    with pytest.raises(WorkerException, match="exported no span"):
        small_run(Contestant("untraced", LOOPS, "plain", traced=True))


def test_the_command_prints_tables_and_goals(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["flow", "--own", "--broker", "embedded", "--rounds", "1", "--messages", "2000", "--only", PLAIN]

    assert entry.main(asked) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1:3] == ["embedded broker", printed[2]]
    assert printed[2].startswith("contestant")
    assert printed[3].startswith(PLAIN)
    assert "not measured" in printed[-1]


def test_what_is_asked_for_is_the_title_itself_else_all_that_contain_it() -> None:
    assert command.titles(OWN) == [OWN]
    assert command.titles("every message") == [OWN_TRACED]
    assert len(command.titles("aiokafka")) > 3


@pytest.mark.parametrize("option", ["--check", "--write"])
@pytest.mark.parametrize("what", [[], ["flow"], ["all"]])
def test_goals_and_the_page_need_the_other_libraries(
    what: list[str], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entry.main([*what, "--own", option]) == 2
    assert "leave --own out" in capsys.readouterr().err


def test_who_commits_nothing_is_not_measured(tmp_path: Path) -> None:
    file = tmp_path / "forgetful.py"
    file.write_text(NEVER_COMMITS)

    with pytest.raises(WorkerException, match="does not do the job: committed 0 of 2000 commands"):
        small_run(Contestant("forgetful", file, "plain"))
