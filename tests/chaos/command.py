"""Run what the command line asks for, and print what came of it."""

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.chaos import broker_bounce, kill9_matrix, options, rebalance_storm, sigterms, soak
from tests.chaos.page import keep
from tests.chaos.prove import prove
from tests.chaos.results import Progress, Result, summary, table
from tests.chaos.servers import Servers

AT_ONCE = 2
"""Seeds beside each other: much of a kill is waiting for the group to notice it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios; return 0 when nothing was wrong."""
    chosen = options.parse(sys.argv[1:] if arguments is None else arguments)
    # A SIGTERM ends the servers as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    progress = Progress()
    with Servers(progress) as servers:
        if chosen.prove:
            return prove(servers.kafka, progress)
        results: list[Result] = []
        for name in chosen.scenarios:
            results += _SCENARIOS[name](chosen, servers, progress)
    for failed in [each for each in results if each.problems]:
        sys.stdout.write(f"\n{failed.evidence()}\n")
    lines = summary(results)
    sys.stdout.write(f"\n{table(lines)}\n")
    if chosen.write:
        keep(lines)
    return int(any(each.problems for each in results))


def _matrix(chosen: argparse.Namespace, servers: Servers, progress: Progress) -> list[Result]:
    def run(matrix: kill9_matrix.Matrix) -> Result:
        where = places[matrix.seed]
        again = f"{kill9_matrix.NAME} --seed {matrix.seed}"
        return _told(kill9_matrix.NAME, again, progress, lambda: kill9_matrix.run_seed(matrix, where, progress))

    matrices = options.matrices(chosen)
    places = {each.seed: servers.where(postgres=options.is_on_postgres(chosen, each.seed)) for each in matrices}
    with ThreadPoolExecutor(chosen.at_once or AT_ONCE) as pool:
        return list(pool.map(run, matrices))


def _storm(chosen: argparse.Namespace, servers: Servers, progress: Progress) -> list[Result]:
    storm, where = options.storm(chosen), servers.where()
    run = lambda: rebalance_storm.run_storm(storm, where, progress)  # noqa: E731
    return [_told(rebalance_storm.NAME, rebalance_storm.NAME, progress, run)]


def _stops(chosen: argparse.Namespace, servers: Servers, progress: Progress) -> list[Result]:
    stops, where = options.stops(chosen), servers.where()
    run = lambda: sigterms.run_sigterms(stops, where, progress)  # noqa: E731
    return [_told(sigterms.NAME, sigterms.NAME, progress, run)]


def _bounce(chosen: argparse.Namespace, servers: Servers, progress: Progress) -> list[Result]:
    bounce, cluster = options.bounce(chosen), servers.cluster
    run = lambda: broker_bounce.run_bounce(bounce, cluster, progress)  # noqa: E731
    return [_told(broker_bounce.NAME, broker_bounce.NAME, progress, run)]


def _soak(chosen: argparse.Namespace, servers: Servers, progress: Progress) -> list[Result]:
    soaking, cluster = options.soaking(chosen), servers.cluster
    run = lambda: soak.run_soak(soaking, cluster, progress)  # noqa: E731
    return [_told(soak.NAME, soak.NAME, progress, run)]


_SCENARIOS = {
    kill9_matrix.NAME: _matrix,
    rebalance_storm.NAME: _storm,
    sigterms.NAME: _stops,
    broker_bounce.NAME: _bounce,
    soak.NAME: _soak,
}


def _told(name: str, again: str, progress: Progress, run: Callable[[], Result]) -> Result:
    """Run a scenario and tell its end; one that broke down is a failed one, and the others go on."""
    begun = time.monotonic()
    try:
        result = run()
    except Exception as error:
        trace = "".join(traceback.format_exception(error))
        result = Result(name, "broke down", {}, [trace], again, time.monotonic() - begun)
    progress.say(f"{name}, {result.run}: {result.verdict} in {result.seconds:.0f} s; {result.line()}")
    return result
