"""The command line."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tests.chaos import broker_bounce, kill9_matrix, rebalance_storm, sigterms, soak

SCENARIOS = (kill9_matrix.NAME, rebalance_storm.NAME, sigterms.NAME, broker_bounce.NAME, soak.NAME)
"""In the order in which they run."""

SHORT = SCENARIOS[:-1]
"""Those of a short run: a soak that is short shows nothing."""

SEEDS = 20
POSTGRES_EVERY = 5
"""Each so-manieth seed keeps its state in PostgreSQL."""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; what it does not say is None, and decided by `--short` or its absence."""
    reader = argparse.ArgumentParser(
        prog="python -m tests.chaos", description="Break everything on real Kafka, and see that nothing is lost."
    )
    reader.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"some of {', '.join(SCENARIOS)}; none: all")
    reader.add_argument("--short", action="store_true", help="a minute or two of it, without the soak")
    reader.add_argument("--write", action="store_true", help="keep the results in docs/chaos.md")
    reader.add_argument("--prove", action="store_true", help="break our own code instead, and see that it is noticed")
    reader.add_argument(
        "--notes", type=Path, help="a file of results: what is in it is not run again, what is run is added"
    )
    reader.add_argument("--seed", type=_seeds, default=(), help="run these seeds alone: 7, or 1-4")
    reader.add_argument("--at", help=f"{kill9_matrix.NAME}: die only at these points: acked,random,...")
    reader.add_argument("--commands", type=_positive, help=f"{kill9_matrix.NAME}: for each seed")
    reader.add_argument("--database", choices=("sqlite", "postgres"), help=f"{kill9_matrix.NAME}: for every seed")
    reader.add_argument("--at-once", type=_positive, help=f"{kill9_matrix.NAME}: seeds beside each other")
    reader.add_argument("--records", type=_positive, help=f"{rebalance_storm.NAME}: how many")
    reader.add_argument("--stops", type=_positive, help=f"{sigterms.NAME}: how many")
    reader.add_argument("--rounds", type=_positive, help=f"{broker_bounce.NAME}: how often each broker is killed")
    reader.add_argument("--seconds", type=_positive, help=f"{soak.NAME}: how long")
    chosen = reader.parse_args(arguments)
    if unknown := [each for each in chosen.scenarios if each not in SCENARIOS]:
        reader.error(f"there is no scenario {', '.join(unknown)}; choose from {', '.join(SCENARIOS)}")
    points = dict.fromkeys(kill9_matrix.POINTS)
    if unknown := [each for each in (chosen.at or "").split(",") if each and each not in points]:
        reader.error(f"there is no point {', '.join(unknown)}; choose from {', '.join(points)}")
    chosen.scenarios = chosen.scenarios or list(SHORT if chosen.short else SCENARIOS)
    return chosen


def matrices(chosen: argparse.Namespace) -> Sequence[kill9_matrix.Matrix]:
    """Return what is drawn from each seed that is chosen."""
    commands = chosen.commands or (1_000 if chosen.short else kill9_matrix.COMMANDS)
    at = kill9_matrix.SHORT_POINTS if chosen.short else kill9_matrix.POINTS
    if chosen.at:
        at = tuple(chosen.at.split(",")) * kill9_matrix.RANDOM_TIMES
    seeds = chosen.seed or range(1, 2 if chosen.short else SEEDS + 1)
    return [kill9_matrix.Matrix(seed, commands, at) for seed in seeds]


def storm(chosen: argparse.Namespace) -> rebalance_storm.Storm:
    """Return the storm that is chosen."""
    seed = _first(chosen)
    if chosen.short:
        return rebalance_storm.Storm(seed, *rebalance_storm.SHORT, chosen.records or 15_000)
    return rebalance_storm.Storm(seed, records=chosen.records or 500_000)


def stops(chosen: argparse.Namespace) -> sigterms.Sigterms:
    """Return the SIGTERMs that are chosen."""
    return sigterms.Sigterms(_first(chosen), chosen.stops or (5 if chosen.short else 100))


def bounce(chosen: argparse.Namespace) -> broker_bounce.Bounce:
    """Return the bouncing of brokers that is chosen."""
    if chosen.short:
        return broker_bounce.Bounce(_first(chosen), chosen.rounds or 1, away_seconds=broker_bounce.SHORT_AWAY_SECONDS)
    return broker_bounce.Bounce(_first(chosen), chosen.rounds or 3)


def soaking(chosen: argparse.Namespace) -> soak.Soak:
    """Return the soak that is chosen."""
    return soak.Soak(_first(chosen), float(chosen.seconds or soak.SECONDS))


def is_on_postgres(chosen: argparse.Namespace, seed: int) -> bool:
    """Say whether a seed keeps its state in PostgreSQL."""
    if chosen.database is not None:
        return bool(chosen.database == "postgres")
    return seed % POSTGRES_EVERY == 0


def _first(chosen: argparse.Namespace) -> int:
    return int(next(iter(chosen.seed), 1))


def _seeds(text: str) -> Sequence[int]:
    first, _, last = text.partition("-")
    try:
        seeds = range(int(first), int(last or first) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no seed; write 7, or 1-4") from None
    if not seeds:
        raise argparse.ArgumentTypeError(f"the first seed, {first}, is above the last one, {last}; write 7, or 1-4")
    return seeds


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number
