"""kill9_matrix: the order service is killed at every named point and at random times; every command has its outcome."""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cqrs.testing.crash_points import CrashPoint
from tests.chaos.orders.deployment import COMMIT_RECORDS, IN_FLIGHT, Deployment, Where
from tests.chaos.orders.model import Command
from tests.chaos.orders.workload import commands_of
from tests.chaos.processes import Forked
from tests.chaos.results import Progress, Result

NAME = "kill9_matrix"
COMMANDS = 10_000
RANDOM = "random"
RANDOM_TIMES = 5
POINTS: tuple[str, ...] = (*CrashPoint, *(RANDOM,) * RANDOM_TIMES)
"""Where a process dies, once each, for each seed."""

SHORT_POINTS: tuple[str, ...] = (*CrashPoint, RANDOM, RANDOM)
"""The same of a short run."""

REPEATED_AFTER_A_KILL = IN_FLIGHT + 2 * COMMIT_RECORDS
"""What was in work, what was done since the last commit, and what was done while the next one was on its way."""

_LETTERS = {CrashPoint.DEAD_LETTER_SENT, CrashPoint.DEAD_LETTER_ACKED}
_SELDOM = {CrashPoint.POLLED, CrashPoint.BEFORE_OFFSET_COMMIT, CrashPoint.AFTER_OFFSET_COMMIT}
_ONCE = {CrashPoint.MID_REBALANCE, CrashPoint.MID_DRAIN}
_MOST_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Matrix:
    """Say what is drawn from one seed.

    Attributes:
        seed: The seed.
        commands: How many are sent.
        at: The points, one for each death; `random` is a random time.
    """

    seed: int
    commands: int = COMMANDS
    at: Sequence[str] = POINTS

    def deaths(self) -> Sequence[str]:
        """Return where the process dies, life by life: at the n-th passage of a point, `acked:17`, or `random`."""
        chance = random.Random(f"deaths {self.seed}")
        drawn = [at if at == RANDOM else f"{at}:{chance.randint(1, self._most(at))}" for at in self.at]
        chance.shuffle(drawn)
        return drawn

    def again(self, database: str) -> str:
        """Return the arguments that run this alone."""
        known = {POINTS: "", SHORT_POINTS: " --short"}
        at = known.get(tuple(self.at), f" --at {','.join(dict.fromkeys(self.at))}")
        on = "postgres" if database == "PostgreSQL" else "sqlite"
        return f"{NAME} --seed {self.seed} --commands {self.commands}{at} --database {on}"

    def _most(self, point: str) -> int:
        """Return how many passages there are in each life for certain."""
        if point in _ONCE:
            return 1
        if point in _SELDOM:
            return 3
        in_a_life = self.commands // (len(self.at) + 1)
        return max(in_a_life // (15 if point in _LETTERS else 3), 1)


def run_seed(matrix: Matrix, where: Where, progress: Progress) -> Result:
    """Send, kill, finish, judge."""
    begun = time.monotonic()
    with Deployment(where, f"s{matrix.seed}") as deployment:
        lives = _Lives(matrix, deployment, progress)
        lives.run()
        deployment.judge()
        deployment.problems += lives.problems()
        measured = {"kills": lives.killed, **deployment.measured(), "most after one kill": lives.most_repeated}
    return Result(
        NAME,
        f"seed {matrix.seed}, {where.database}",
        measured,
        deployment.problems,
        matrix.again(where.database),
        time.monotonic() - begun,
    )


class _Lives:
    """Let the service live and die as a matrix says."""

    def __init__(self, matrix: Matrix, deployment: Deployment, progress: Progress) -> None:
        self._matrix = matrix
        self._deployment = deployment
        self._progress = progress
        self._chance = random.Random(f"times {matrix.seed}")
        self.killed = 0

    @property
    def most_repeated(self) -> int:
        """Return how many outcomes of one life came again, of the life with the most."""
        return max(self._deployment.outcomes.repeats_of.values(), default=0)

    def problems(self) -> Iterator[str]:
        """Yield each life of which more came again than may."""
        ends = [f"death at {at}" for at in self._matrix.deaths()] + ["end in order"]
        for life, count in sorted(self._deployment.outcomes.repeats_of.items()):
            if count > REPEATED_AFTER_A_KILL:
                yield (
                    f"{count} outcomes of life {life + 1} came again after its {ends[life]}; "
                    f"{REPEATED_AFTER_A_KILL} may, which were in work or done since the last commit"
                )

    def run(self) -> None:
        """Live through every death, and one life more, which finishes everything."""
        deaths = self._matrix.deaths()
        batches = self._batches(len(deaths) + 1)
        life = self._begin(deaths, 0)
        for number, at in enumerate(deaths):
            self._deployment.send(next(batches))
            following = None
            if at.startswith(CrashPoint.MID_REBALANCE):
                self._deployment.move(or_end=True)
                following = self._begin(deaths, number + 1)  # it takes partitions over, amid which the other one dies
            self.killed += self._die(life, at)
            self._deployment.outcomes.next_life()
            life = following or self._begin(deaths, number + 1)
            found = self._deployment.outcomes
            outcomes = f"{found.settled:,} of {self._matrix.commands:,} settled, {found.repeats} repeated"
            self._progress.say(
                f"{NAME} seed {self._matrix.seed}: death {number + 1} of {len(deaths)}, {at}; {outcomes}"
            )
        self._deployment.send(next(batches))
        self._deployment.settle()
        self._deployment.stop(life)
        self._deployment.outcomes.read()

    def _batches(self, lives: int) -> Iterator[Sequence[Command]]:
        """Yield what is sent in each life: everything in the first one (odd seeds), or an equal part."""
        commands = commands_of(self._matrix.seed, self._matrix.commands, self._deployment.prefix)
        size = -(-len(commands) // lives) if self._matrix.seed % 2 == 0 else len(commands)
        for number in range(lives):
            yield commands[number * size : (number + 1) * size]

    def _begin(self, deaths: Sequence[str], number: int) -> Forked:
        at = deaths[number] if number < len(deaths) else RANDOM
        return self._deployment.begin(None if at == RANDOM else at)

    def _die(self, life: Forked, at: str) -> bool:
        if at == RANDOM:
            if self._chance.random() < 0.7:  # else it may still be joining
                self._deployment.move(or_end=True)
            time.sleep(self._chance.uniform(0, _MOST_SECONDS))
            life.kill()
        if at.startswith(CrashPoint.MID_DRAIN):
            self._deployment.move(or_end=True)
            life.terminate()
        return self._deployment.require_exit(life, -9)
