"""`python -m benchmarks profile`: where the CPU time of our flow goes, by stage and by function, and as a picture."""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from benchmarks.bus.rounds import WorkerException
from benchmarks.flow import budget
from benchmarks.flow.brokers import BrokerException, embedded, open_events, put_commands
from benchmarks.flow.cores import client_core
from benchmarks.flow.flame import picture
from benchmarks.flow.job import command
from benchmarks.flow.roster import HERE, Contestant
from benchmarks.flow.sampling import Stack
from benchmarks.flow.stages import by_function, by_stage
from benchmarks.flow.workers import FlowWorker, Measured
from benchmarks.options import positive
from benchmarks.page import plain_table

PROFILED = ("ours", "traced", "no-op", "orders", "loop")
_STACKS = "stacks.json"


def add_options(reader: argparse.ArgumentParser) -> None:
    """Say what can be chosen."""
    reader.add_argument(
        "contestant",
        nargs="?",
        choices=PROFILED,
        default="ours",
        help="whose time (default ours); orders: the order service with SQLite",
    )
    reader.add_argument("--messages", type=positive, default=20_000, help="messages of the turn (default 20000)")
    reader.add_argument("--functions", type=positive, default=30, help="functions that are listed (default 30)")
    reader.add_argument("--svg", type=Path, help="write the flame picture into this file")
    reader.add_argument(
        "--write", action="store_true", help="write the stages of ours, and the picture, into docs/performance.md"
    )


def measure(chosen: argparse.Namespace) -> int:
    """Profile one contestant on the embedded broker and print both tables; return 2 when it cannot be measured."""
    if chosen.write and chosen.contestant != "ours":
        sys.stderr.write("the page is about ours; leave the contestant out, or --write\n")
        return 2
    try:
        measured, stacks = profile(chosen.contestant, chosen.messages)
        bare = profile("loop", chosen.messages)[0].cpu if chosen.write else 0.0
    except (WorkerException, BrokerException) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    us_of_sample = measured.cpu / max(stacks.total(), 1)
    title = f"{chosen.contestant}: {measured.cpu:.1f} us of CPU by message, {measured.rate:,.0f} messages/s"
    sys.stdout.write(f"{title}\n\n{_table('stage', by_stage(stacks), us_of_sample)}\n\n")
    sys.stdout.write(_table("function, itself", by_function(stacks), us_of_sample, chosen.functions) + "\n")
    if chosen.svg is not None:
        chosen.svg.write_text(picture(stacks, title, us_of_sample), "utf-8")
    if chosen.write:
        budget.keep({stage: count * us_of_sample for stage, count in by_stage(stacks).items()}, bare)
        budget.PICTURE.write_text(picture(stacks, title, us_of_sample), "utf-8")
    return 0


def profile(key: str, messages: int) -> tuple[Measured, Counter[Stack]]:
    """Return what the second turn of a contestant took, and the stacks that were seen in it.

    Raises:
        WorkerException: it does not run.
        BrokerException: the broker does not take the commands.
    """
    contestant = Contestant(key, HERE / "profiled.py", key, job="order" if key == "orders" else "event")
    with embedded() as broker, FlowWorker(contestant, Path(sys.executable), client_core()) as worker:
        worker.version()
        open_events(broker, [contestant.events])
        for series in range(2):
            topic = f"flow.commands.{series}"
            put_commands(broker, topic, (command(number, series, contestant.job) for number in range(messages)))
            measured = worker.turn(broker.bootstrap, topic, topic, messages)
        found = json.loads(Path(worker.folder, _STACKS).read_text("utf-8"))
    return measured, Counter({tuple(stack): count for stack, count in found})


def _table(head: str, samples: Counter[str], us_of_sample: float, most: int | None = None) -> str:
    lines = [
        (name, f"{count * us_of_sample:.1f}", f"{count / samples.total():.1%}", "")
        for name, count in samples.most_common(most)
    ]
    return plain_table((head, "us by message", "share", ""), lines)
