"""`python -m benchmarks flow`: measure the flow on each broker, print the tables, compare them with the goals."""

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace

from benchmarks.bus.rounds import WorkerException
from benchmarks.environment import EnvironmentException, peers_python
from benchmarks.flow import backlogs
from benchmarks.flow.backlogs import Backlog
from benchmarks.flow.brokers import Broker, BrokerException, embedded, kafka
from benchmarks.flow.cores import broker_core, client_core, on_core
from benchmarks.flow.figures import missed
from benchmarks.flow.report import GOAL_HEAD, HEAD, How, goal_rows, rows, section
from benchmarks.flow.roster import CONTESTANTS, EMBEDDED, KAFKA, Contestant
from benchmarks.flow.rounds import Outcome, Plan, Rounds
from benchmarks.options import add_outcome, positive
from benchmarks.page import keep, markdown_table, plain_table
from cqrs.testing.kafka_server import KafkaServerException
from cqrs.testing.postgres_server import PostgresServer, PostgresServerException

FEWEST_OF_ALL = 2_000
"""Messages of a turn at least: a clock needs several batches of each contestant."""

BROKERS: dict[str, tuple[str, Callable[[], AbstractContextManager[Broker]]]] = {
    "embedded": (EMBEDDED, embedded),
    "kafka": (KAFKA, kafka),
}


def add_options(reader: argparse.ArgumentParser) -> None:
    """Say what can be chosen."""
    reader.add_argument("--rounds", type=positive, default=7, help="turns of each contestant (default 7)")
    reader.add_argument(
        "--messages", type=_enough, default=20_000, help="messages of one turn (default 20000; slow ones take fewer)"
    )
    reader.add_argument("--broker", choices=sorted(BROKERS), help="measure on this one alone (default: on both)")
    reader.add_argument(
        "--only",
        action="append",
        default=[],
        help="the contestant of this title, else all whose title contains it; again",
    )
    reader.add_argument(
        "--long",
        type=positive,
        nargs="?",
        const=1_000_000,
        help="also work off backlogs of 10000 and more, up to so many, on Apache Kafka (default 1000000)",
    )
    add_outcome(reader)


def _enough(text: str) -> int:
    number = positive(text)
    if number < FEWEST_OF_ALL:
        raise argparse.ArgumentTypeError(f"{text} is below {FEWEST_OF_ALL}: loops take batches of 500")
    return number


def measure(chosen: argparse.Namespace) -> int:
    """Measure and report; return the exit code: 1 for a goal missed, 2 for what could not be measured."""
    outcomes: list[Outcome] = []
    try:
        plan = Plan(chosen.rounds, chosen.messages, None if chosen.own else peers_python())
        for name in [chosen.broker] if chosen.broker else BROKERS:
            outcomes.append(_on(name, _chosen(chosen), plan))
            sys.stdout.write(f"\n{BROKERS[name][0]}\n{plain_table(HEAD, rows(outcomes[-1]))}\n")
        lengths = _backlogs(chosen.long) if chosen.long else []
    except (EnvironmentException, WorkerException, BrokerException, KafkaServerException) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"\n{plain_table(GOAL_HEAD, goal_rows(outcomes))}\n")
    if chosen.write:
        how = How(plan.rounds, plan.messages, _broker_place())
        keep(section(outcomes, how, _backlog_part(lengths)))
    return _judged(outcomes, lengths) if chosen.check else 0


def _judged(outcomes: Sequence[Outcome], lengths: Sequence[Backlog]) -> int:
    problems = [problem for outcome in outcomes for problem in missed(outcome)] + backlogs.missed(lengths)
    sys.stdout.writelines(f"missed: {problem}\n" for problem in problems)
    return 1 if problems else 0


def _backlogs(longest: int) -> list[Backlog]:
    with kafka() as broker:
        found = backlogs.measure_backlogs(broker, longest, _progress)
    sys.stdout.write(f"\n{plain_table(backlogs.HEAD, backlogs.rows(found))}\n")
    return found


def _backlog_part(lengths: Sequence[Backlog]) -> str:
    if not lengths:
        return ""
    title = f"### Backlogs of growing length, on {KAFKA}, each in a process of its own"
    return f"{title}\n\n{markdown_table(backlogs.HEAD, backlogs.rows(lengths))}"


def _on(name: str, contestants: Sequence[Contestant], plan: Plan) -> Outcome:
    with ExitStack() as closing:
        left_out: dict[str, str] = {}
        if any(each.postgres for each in contestants):
            try:
                with on_core(broker_core()):
                    plan = replace(plan, database=closing.enter_context(PostgresServer()).url())
            except PostgresServerException as error:
                left_out = {each.title: str(error) for each in contestants if each.postgres}
        broker = closing.enter_context(BROKERS[name][1]())
        taking = [each for each in contestants if each.title not in left_out]
        return replace(Rounds(broker, taking, plan, _progress).run(), left_out=left_out)


def _chosen(chosen: argparse.Namespace) -> list[Contestant]:
    named = {title for word in chosen.only for title in titles(word)}
    return [
        each for each in CONTESTANTS if not (chosen.own and each.is_peer) and (not chosen.only or each.title in named)
    ]


def titles(word: str) -> list[str]:
    """Return the title that is `word`, else all that contain it."""
    all_titles = [each.title for each in CONTESTANTS]
    return [word] if word in all_titles else [title for title in all_titles if word in title]


def _broker_place() -> str:
    return "another" if broker_core() != client_core() else "the same"


def _progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")
