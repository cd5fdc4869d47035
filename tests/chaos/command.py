"""Run what the command line asks for, and print what came of it."""

import argparse
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from cqrs.signals import STOP_SIGNALS
from tests.chaos import broker_bounce, kill9_matrix, options, rebalance_storm, sigterms, soak
from tests.chaos.page import keep
from tests.chaos.prove import prove
from tests.chaos.results import Notes, Progress, Result, summary, table
from tests.chaos.servers import Servers

AT_ONCE = 2
"""Seeds beside each other: much of a kill is waiting for the group to notice it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios; return 0 when nothing was wrong."""
    chosen = options.parse(sys.argv[1:] if arguments is None else arguments)
    progress = Progress()
    with Servers(progress) as servers:
        _end_everything_at_signals(servers)
        if chosen.prove:
            return prove(servers.kafka, progress)
        results = [result for name in chosen.scenarios for result in _Runs(chosen, servers, progress).of(name)]
    for failed in [each for each in results if each.problems]:
        sys.stdout.write(f"\n{failed.evidence()}\n")
    lines = summary(results)
    sys.stdout.write(f"\n{table(lines)}\n")
    if chosen.write:
        keep(lines)
    return int(any(each.problems for each in results))


def _end_everything_at_signals(servers: Servers) -> None:
    """Let SIGTERM and Ctrl-C end all processes at once: threads in the middle of a seed would go on otherwise."""

    def end(*_: object) -> None:
        for each in multiprocessing.active_children():
            each.kill()
        servers.close()
        os._exit(1)

    for each in STOP_SIGNALS:
        signal.signal(each, end)


class _Runs:
    """Run the scenarios that are chosen, and tell how each one ended."""

    def __init__(self, chosen: argparse.Namespace, servers: Servers, progress: Progress) -> None:
        self._chosen = chosen
        self._servers = servers
        self._progress = progress
        self._notes = Notes(chosen.notes)

    def of(self, name: str) -> Sequence[Result]:
        """Run one scenario: once, or for each seed."""
        if name == kill9_matrix.NAME:
            with ThreadPoolExecutor(self._chosen.at_once or AT_ONCE) as pool:
                return list(pool.map(self._seed, options.matrices(self._chosen)))
        return [self._told(name, *self._one(name))]

    def _one(self, name: str) -> tuple[str, Callable[[], Result]]:
        chosen, servers, progress = self._chosen, self._servers, self._progress
        if name == rebalance_storm.NAME:
            storm = options.storm(chosen)
            return storm.again, lambda: rebalance_storm.run_storm(storm, servers.kafka, progress)
        if name == sigterms.NAME:
            stops = options.stops(chosen)
            return stops.again, lambda: sigterms.run_sigterms(stops, servers.where(postgres=True), progress)
        if name == broker_bounce.NAME:
            bounce = options.bounce(chosen)
            return bounce.again, lambda: broker_bounce.run_bounce(bounce, servers.cluster, servers.url, progress)
        soaking = options.soaking(chosen)
        return soaking.again, lambda: soak.run_soak(soaking, servers.cluster, servers.postgres, progress)

    def _seed(self, matrix: kill9_matrix.Matrix) -> Result:
        postgres = options.is_on_postgres(self._chosen, matrix.seed)
        where = self._servers.where(postgres=postgres)
        run = lambda: kill9_matrix.run_seed(matrix, where, self._progress)  # noqa: E731
        return self._told(kill9_matrix.NAME, matrix.again(where.database), run)

    def _told(self, name: str, again: str, run: Callable[[], Result]) -> Result:
        """Run it unless the notes have it; one that broke down is a failed one, and the others go on."""
        result = self._notes.find(name, again)
        if result is not None:
            self._progress.say(f"{name}, {result.run}: {result.verdict} before")
            return result
        begun = time.monotonic()
        try:
            result = run()
        except Exception as error:
            trace = "".join(traceback.format_exception(error))
            result = Result(name, "broke down", {}, [trace], again, time.monotonic() - begun)
        self._notes.add(result)
        self._progress.say(f"{name}, {result.run}: {result.verdict} in {result.seconds:.0f} s; {result.line()}")
        return result
